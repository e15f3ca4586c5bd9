// SPDX-License-Identifier: Apache-2.0

// The checkers inside the world can fail: what is told or stored is made wrong in a world that is calm, and the right promise
// must be reported as broken.

package sim

import (
	"context"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/contract"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// calmWorld is a world with a group of two of its users, in which three messages were written and one device of each user has
// heard of everything; a third user is in no conversation.
func calmWorld(t *testing.T) *world {
	w := newWorld(context.Background(), Config{Seed: 3, Profile: "calls"})
	t.Cleanup(w.end)
	w.profile.Users, w.profile.Groups, w.profile.Devices = 3, 0, 1
	w.populate()
	w.must(&core.Create{
		Actor: core.Actor{App: true}, Conversation: "team", Kind: record.Group, Members: []tidemark.UserID{w.users[0].id, w.users[1].id},
	})
	for _, text := range []string{"one", "two", "three"} {
		w.must(&core.Submit{
			Actor: core.Actor{User: w.users[0].id}, Conversation: "team", ClientID: tidemark.ClientID(text), Message: &wire.Message{Text: text},
		})
	}
	w.calm = true
	w.run(w.nowMs + 10_000)
	if w.failure != nil {
		t.Fatal(w.failure)
	}
	return w
}

// spoilt are ways to break a promise, each with the number that must be reported.
var spoilt = map[string]struct {
	number string
	spoil  func(w *world)
}{
	"nothing is wrong": {"", func(w *world) {
		for _, d := range w.devices {
			w.checkStored(d)
			w.checkShown(d)
			w.checkReloaded(d)
		}
		w.checkEnd()
	}},
	"a frame tells somebody of a group they are not in": {"S5", func(w *world) { w.tell(2, w.delta(4)) }},
	"a frame tells what was before one may see": {"S5", func(w *world) {
		w.must(&core.AddMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{w.users[2].id}})
		w.tell(2, w.delta(4))
	}},
	"a frame tells what was recalled": {"S5", func(w *world) {
		d := w.delta(4)
		w.must(&core.Submit{
			Actor: core.Actor{User: w.users[0].id}, Conversation: "team", ClientID: "r", Recall: &wire.Recall{Seq: 4},
		})
		w.tell(1, d)
	}},
	"a frame withholds what one may see": {"S5", func(w *world) {
		d := w.delta(4)
		link, _ := invariant.LinkOf(d.Events[0])
		d.Events[0].Body, d.Events[0].Salt, d.Events[0].BodyHash, d.Events[0].Kind = nil, nil, link.BodyHash[:], 1
		w.tell(1, d)
	}},
	"a frame tells another event": {"S1", func(w *world) {
		d := w.delta(4)
		d.Events[0].TimeMs++
		w.tell(1, d)
	}},
	"a frame tells what is not published": {"S2", func(w *world) {
		d := w.delta(4)
		d.HeadSeq = 5
		w.tell(1, d)
	}},
	"a frame tells another chain": {"Y3", func(w *world) {
		d := w.delta(4)
		d.HeadDigest[0]++
		w.tell(1, d)
	}},
	"a frame tells wrong counts": {"S11", func(w *world) {
		d := w.delta(4)
		wrong := uint64(7)
		d.Unread = &wrong
		w.tell(1, d)
	}},
	"a checkpoint is not published": {"S6", func(w *world) {
		w.checkPublished(w.devices[0].who(), map[uint32]uint64{0: 1 << 40})
	}},
	"an answer comes before the event": {"S2", func(w *world) {
		w.frame(0, &wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: &wire.Submitted{Conversation: "team", Seq: 9, Id: 1}}})
	}},
	"a page leaves an event out": {"S5", func(w *world) {
		ask := &wire.FetchRequest{Conversation: "team", From: &wire.FetchRequest_Latest{Latest: true}}
		page := w.page(ask)
		page.Events = slices.Delete(page.Events, 1, 2)
		w.checkAnswer(invariant.Who{User: w.users[1].id}, ask, page)
	}},
	"a page says that there is no more": {"S9", func(w *world) {
		ask := &wire.FetchRequest{Conversation: "team", From: &wire.FetchRequest_After{}, Limit: 2}
		page := w.page(ask)
		page.HasMore = false
		w.checkAnswer(invariant.Who{User: w.users[1].id}, ask, page)
	}},
	"a signal is past the head": {"S10", func(w *world) {
		w.checkReceipt(w.devices[0].who(), &wire.ReceiptSignal{Conversation: "team", User: string(w.users[1].id), ReadSeq: 9})
	}},
	"a read mark falls": {"S10", func(w *world) {
		w.checks.reads[seat{"team", w.users[1].id}] = 4
		w.look(w.users[1].id)
	}},
	"counts are not those of the log": {"S11", func(w *world) {
		w.checks.logs["team"].Log[2].Counted = false
		w.look(w.users[1].id)
	}},
	"a contract has other members": {"S12", func(w *world) {
		l := w.checks.logs["team"]
		l.Stays["nobody"] = []invariant.Stay{{Joined: 1, From: 1}}
		w.look(w.users[1].id)
	}},
	"a contract leaves out who came": {"S8", func(w *world) {
		w.look(w.users[1].id)
		w.must(&core.AddMembers{Actor: core.Actor{App: true}, Conversation: "team", Members: []tidemark.UserID{w.users[2].id}})
		w.keepNow(1, func(a *wire.ChangesResponse) { a.GroupMembers[0].Events = nil })
	}},
	"a contract leaves out a new name": {"S8", func(w *world) {
		w.look(w.users[1].id)
		name := "another name"
		w.must(&core.UpdateUser{User: w.users[0].id, Nickname: &name})
		w.keepNow(1, func(a *wire.ChangesResponse) { a.ChangedProfiles = nil })
	}},
	"a contract does not take a version": {"S7", func(w *world) {
		w.look(w.users[1].id)
		w.keepNow(1, func(a *wire.ChangesResponse) { a.Groups.Full = true })
	}},
	"a contract takes a version of another epoch": {"S9", func(w *world) {
		w.look(w.users[1].id)
		w.checks.keepers[w.users[1].id].epoch++
		w.keepNow(1, func(*wire.ChangesResponse) {})
	}},
	"an account ends and the user stays a member": {"S5", func(w *world) {
		w.must(&core.DeleteUser{User: w.users[1].id})
		w.checkGone(w.users[1].id)
	}},
	"an account ends and a request to join stays": {"S12", func(w *world) {
		w.must(&core.Create{Actor: core.Actor{App: true}, Conversation: "club", Settings: &wire.Settings{Join: wire.JoinPolicy_REQUEST}})
		w.must(&core.Join{Actor: core.Actor{User: w.users[2].id}, Conversation: "club"})
		w.checkNothing(w.users[2].id)
	}},
	"a user is deleted and tokens count": {"S9", func(w *world) { w.checkGone(w.users[2].id) }},
	"a device that was signed out goes on": {"S5", func(w *world) {
		w.checkKicked(w.users[1].id, "")
		w.deviceOf(1).conn.checkAdmitted(false, true)
	}},
	"a device is made welcome without its token": {"S5", func(w *world) {
		c := w.deviceOf(1).conn
		c.admitted = false
		c.checkAdmitted(true, false)
	}},
	"a record of a member is not what the log says": {"S12", func(w *world) {
		l := w.checks.logs["team"]
		l.Stays[w.users[1].id] = []invariant.Stay{{Joined: 2, From: 2}}
		w.look(w.users[1].id)
	}},
	"a device does not have what its cursor covers": {"S8", func(w *world) {
		w.run(w.nowMs + 1)
		w.checks.logs["team"].append(&record.Event{Seq: 5, SenderID: "x", Kind: record.MessageBody, Body: []byte{10, 0}}, 0)
		w.checkDevice(w.deviceOf(1))
	}},
	"a device has an event that is not the log's": {"C1", func(w *world) {
		w.checks.logs["team"].Log[2].Event.Id++
		w.checkShown(w.deviceOf(1))
	}},
	"a device shows what it has not stored": {"C2", func(w *world) {
		d := w.deviceOf(1)
		d.replica.Conversation("team").Unread += 5
		w.checkReloaded(d)
	}},
	"a server begins with less than was published": {"S2", func(w *world) {
		w.checks.published[0]++
		w.checkStart()
	}},
	"a server begins with another history": {"S1", func(w *world) {
		l := w.checks.logs["team"]
		l.digests[len(l.Log)][0]++
		w.checkStart()
	}},
	"a commit follows that leaves a seq out": {"S1", func(w *world) {
		w.checkEvent(&record.Info{ID: "team", Kind: record.Group}, &record.Event{Seq: 9})
	}},
	"a device that pulls has less": {"Y4", func(w *world) {
		w.checks.puller = &puller{user: w.users[1].id, store: client.NewMemory()}
		w.pull(w.checks.puller)
		state, err := w.checks.puller.state()
		if err != nil {
			w.broken("Y4", invariant.Who{}, "", 0, err.Error())
			return
		}
		state.Conversations = nil
		w.checker.Converged([]*invariant.State{state}, w.logs())
		w.fail(w.checker.Violation())
	}},
}

func TestCheckersCanFail(t *testing.T) {
	for name, test := range spoilt {
		t.Run(name, func(t *testing.T) {
			w := calmWorld(t)
			test.spoil(w)
			switch {
			case w.failure == nil && test.number != "":
				t.Errorf("nothing was seen, want %s", test.number)
			case w.failure != nil && w.failure.Invariant != test.number:
				t.Errorf("%v, want %q", w.failure, test.number)
			}
		})
	}
}

// deviceOf is the device of a user.
func (w *world) deviceOf(user int) *device { return w.users[user].devices[0] }

// delta is what the second user may be told of the last event up to a seq.
func (w *world) delta(seq tidemark.Seq) *wire.ConversationDelta {
	page := w.page(&wire.FetchRequest{Conversation: "team", From: &wire.FetchRequest_Latest{Latest: true}})
	e := page.Events[seq-1]
	p := w.server.set.Of("team")
	info, err := p.Info("team")
	if err != nil {
		panic(err)
	}
	unread, mentions, err := p.Counts(info.Ordinal, w.users[1].id)
	if err != nil {
		panic(err)
	}
	return &wire.ConversationDelta{
		Id: "team", HeadSeq: page.HeadSeq, HeadDigest: slices.Clone(page.HeadDigest), PrevSeq: e.Seq - 1, Events: []*wire.Event{e},
		Unread: &unread, Mentions: &mentions,
	}
}

// keepNow lets the keeper of a user ask what has changed, and take in an answer that is made wrong.
func (w *world) keepNow(user int, spoil func(*wire.ChangesResponse)) {
	k := w.checks.keepers[w.users[user].id]
	answer, err := contract.Changes(w.server.set, k.who.User, w.question(k, "team", 100))
	if err != nil {
		panic(err)
	}
	spoil(answer)
	w.keep(k, answer)
	w.compareKept(k, "team", map[tidemark.ConversationID]bool{"team": true})
}

// page is a true answer for the second user.
func (w *world) page(ask *wire.FetchRequest) *wire.Fetched {
	f := &wire.Fetch{Conversation: ask.Conversation, Limit: ask.Limit, From: &wire.Fetch_Latest{Latest: true}}
	if from, ok := ask.From.(*wire.FetchRequest_After); ok {
		f.From = &wire.Fetch_After{After: from.After}
	}
	page, err := w.server.set.Fetch(w.users[1].id, f)
	if err != nil {
		panic(err)
	}
	return page
}

func (w *world) tell(user int, d *wire.ConversationDelta) {
	w.frame(user, &wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Conversations: []*wire.ConversationDelta{d}}}})
}

func (w *world) frame(user int, f *wire.ServerFrame) {
	data, err := wire.AppendServerFrame(nil, wire.Proto, f)
	if err != nil {
		panic(err)
	}
	w.checkFrame(invariant.Who{User: w.users[user].id, Device: "d0"}, data)
}
