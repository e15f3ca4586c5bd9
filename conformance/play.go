// SPDX-License-Identifier: Apache-2.0

// One check as it is being played: what it makes, what it expects, how it ends.

package conformance

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

// play is one run of one check. It belongs to one goroutine.
type play struct {
	kit    *Kit
	ctx    context.Context // ends when the run does, or the check has taken far too long
	number int             // of the check in its run
	leave  func()          // gives the place among those who run at once to another check
	serial int             // of the ids made

	users   []*user
	devices []*device
	groups  []string
	clock   *device // of whom the server's time is asked
}

// verdict ends a check; it is what fail and skip panic with.
type verdict struct {
	outcome        Outcome
	expected, seen string
}

// run plays the check and answers its verdict; nil for success. A check that cannot go on because something is missing
// in an answer has failed.
func (p *play) run(c check) (ending *verdict) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *verdict:
			ending = r
		case runtime.Error:
			ending = &verdict{Failed, "answers from which the check can go on", clip(r.Error() + " at " + lineOfCheck())}
		default:
			panic(r)
		}
	}()
	c.run(p)
	for _, d := range p.devices { // whatever it was about, what the server told must be one history
		d.chainHolds()
	}
	return nil
}

// lineOfCheck is where a check was when it panicked; to be called by the deferred function.
func lineOfCheck() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for {
		frame, more := frames.Next()
		if name := filepath.Base(frame.File); strings.HasPrefix(name, "check_") {
			return fmt.Sprintf("%s:%d", name, frame.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

// fail ends the check: the server does not do what it must.
func (p *play) fail(expected, seen string, args ...any) {
	if len(args) > 0 {
		seen = fmt.Sprintf(seen, args...)
	}
	panic(&verdict{Failed, expected, clip(seen)})
}

// skip ends the check: this server cannot be put to it.
func (p *play) skip(why string, args ...any) { panic(&verdict{Skipped, "", fmt.Sprintf(why, args...)}) }

// must fails the check unless ok.
func (p *play) must(ok bool, expected, seen string, args ...any) {
	if !ok {
		p.fail(expected, seen, args...)
	}
}

// equal fails the check unless seen is what is expected: by proto.Equal for messages, else by reflect.DeepEqual.
func equal[T any](p *play, what string, seen, expected T) {
	if !same(seen, expected) {
		p.fail(what+": "+show(expected), "%s", show(seen))
	}
}

func same(a, b any) bool {
	if message, ok := a.(proto.Message); ok {
		other, _ := b.(proto.Message)
		return proto.Equal(message, other)
	}
	return reflect.DeepEqual(a, b)
}

// show is a value for people: short, bytes as hex, messages as JSON.
func show(value any) string {
	switch v := value.(type) {
	case []byte:
		return fmt.Sprintf("%x", v)
	case string:
		return fmt.Sprintf("%q", v)
	case proto.Message:
		text, err := wire.AppendJSON(nil, v)
		if err != nil {
			return err.Error()
		}
		return clip(string(text))
	}
	return clip(fmt.Sprint(value))
}

// containsAll tells whether a text has all these parts, white space aside.
func containsAll(text string, parts ...string) bool {
	text = strings.Join(strings.Fields(text), "")
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// clip shortens what a server has said.
func clip(text string) string {
	const most = 600
	text = strings.TrimSpace(text)
	if len(text) <= most {
		return strings.ToValidUTF8(text, "?")
	}
	return strings.ToValidUTF8(text[:most], "?") + "…"
}

// waits says that the check will wait for at least d: it gives its place to others, and is skipped where that is too long.
func (p *play) waits(d time.Duration) {
	if d > p.kit.config.Patience {
		p.skip("it takes %v, more than the patience of %v", d, p.kit.config.Patience)
	}
	p.leave()
}

// pause lets time pass.
func (p *play) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.ctx.Done():
		p.fail("time to go on", "the run was interrupted or took too long")
	}
}

// eventually asks again until ok, for what a server does soon but not at once.
func (p *play) eventually(expected string, ok func() (bool, string)) {
	p.within(p.kit.config.Timeout, expected, ok)
}

// within is eventually with a time of its own.
func (p *play) within(wait time.Duration, expected string, ok func() (bool, string)) {
	deadline := time.Now().Add(wait)
	for {
		done, seen := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			p.fail(expected, "after %v: %s", wait, seen)
		}
		p.pause(20 * time.Millisecond)
	}
}

// id makes an id that nobody else has: of a user, a conversation, a message.
func (p *play) id(name string) string {
	p.serial++
	return fmt.Sprintf("%s-%d-%d-%s", p.kit.prefix, p.number, p.serial, name)
}

// user is a user of the server. As one who calls, it has its own token.
type user struct {
	caller
	id       string
	nickname string
}

// user makes a user whose id ends with name, with a token.
func (p *play) user(name string) *user {
	u := &user{id: p.id(name), nickname: name}
	call[*wire.UpsertUserResponse](p.app(), "UserService/Upsert", &wire.UpsertUserRequest{User: &wire.Profile{Id: u.id, Nickname: name}})
	p.users = append(p.users, u)
	u.caller = p.bearer(p.token(u, "", 0))
	return u
}

// token makes a token for a user; device binds it, "" does not. ttl 0: the server's default.
func (p *play) token(u *user, device string, ttl time.Duration) string {
	request := &wire.IssueTokenRequest{UserId: u.id, DeviceId: device, TtlMs: uint64(ttl.Milliseconds())}
	return call[*wire.IssueTokenResponse](p.app(), "UserService/IssueToken", request).GetToken()
}

// group makes a group of these users; the first is its owner. It answers the group's id.
func (p *play) group(owner *user, members ...*user) string {
	return p.create(&wire.CreateRequest{Kind: wire.Kind_GROUP, Owner: owner.id}, members...)
}

// create makes a conversation as the app does, with an id of its own where the request has none.
func (p *play) create(request *wire.CreateRequest, members ...*user) string {
	if request.Id == "" {
		request.Id = p.id(strings.ToLower(request.Kind.String()))
	}
	for _, u := range members {
		request.Members = append(request.Members, u.id)
	}
	answer := call[*wire.CreateResponse](p.app(), "ConversationService/Create", request)
	p.groups = append(p.groups, answer.GetId())
	return answer.GetId()
}

// directID is the id of the direct conversation of two users.
func directID(a, b *user) string { return min(a.id, b.id) + "~" + max(a.id, b.id) }

// say writes a text message by HTTP.
func (p *play) say(u *user, conversation, text string) *wire.Submitted {
	return call[*wire.Submitted](u, "MessageService/Submit", &wire.SubmitRequest{Conversation: conversation, ClientId: p.id("m"), Action: textAction(text)})
}

// sayMany writes n messages "1".."n" and answers the last answer.
func (p *play) sayMany(u *user, conversation string, n int) (last *wire.Submitted) {
	for i := range n {
		last = p.say(u, conversation, fmt.Sprint(i+1))
	}
	return last
}

// somePast is a time of the past, at the beginning of an hour: 2001-09-09 01:00 UTC.
const somePast = 999_997_200_000

// aMillisecond lets the server's clock go on.
const aMillisecond = 2 * time.Millisecond

// past makes a group of one user with n messages of the past ("1".."n", seqs 2..n+1) at these times, which must rise.
func (p *play) past(u *user, n int, at func(i int) uint64) string { return p.pastBy(u, u, n, at) }

// pastBy is past in a group with another owner.
func (p *play) pastBy(owner, u *user, n int, at func(i int) uint64) string {
	group := p.create(&wire.CreateRequest{Kind: wire.Kind_GROUP, Owner: owner.id, CreatedMs: at(0)}, u)
	request := &wire.ImportRequest{Conversation: group}
	for i := range n {
		request.Entries = append(request.Entries, &wire.ImportEntry{TimeMs: at(i), ClientId: fmt.Sprint("past-", i), User: u.id,
			Entry: &wire.ImportEntry_Message{Message: textMessage(fmt.Sprint(i + 1))}})
	}
	answer := call[*wire.ImportResponse](p.app(), "AdminService/Import", request)
	equal(p, "how many events were imported", answer.GetAppended(), uint64(n))
	return group
}

func textAction(text string) *wire.SubmitRequest_Message {
	return &wire.SubmitRequest_Message{Message: textMessage(text)}
}

func textMessage(text string) *wire.Message { return &wire.Message{Type: "text", Text: text} }

// clean takes away what the check has made, as far as the protocol lets it. What is refused is left.
func (p *play) clean() {
	for _, d := range p.devices {
		_ = d.socket.Close()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), p.kit.config.Timeout)
	defer cancel()
	p.ctx = ctx
	for _, group := range p.groups {
		_, _, _ = p.exchange(p.app(), "ConversationService/Dissolve", &wire.DissolveRequest{Conversation: group})
	}
	for _, u := range p.users {
		_, _, _ = p.exchange(p.app(), "UserService/Delete", &wire.DeleteUserRequest{UserId: u.id})
	}
}
