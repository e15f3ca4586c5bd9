// SPDX-License-Identifier: Apache-2.0

// S11: every count equals its definition evaluated by brute force, over random histories with joins, leaves, reads,
// acknowledgements, recalls, edits and restarts: unread, mentions, badge, lists of mentions, receipts and their names.

package partition

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"pgregory.net/rapid"
)

// told is one event as its submission and answer tell of it.
type told struct {
	sender   tidemark.UserID
	message  bool
	counted  bool
	gone     bool // recalled or erased
	all      bool
	named    map[tidemark.UserID]bool
	position tidemark.Position
	timeMs   uint64
}

// belongs is a user in a conversation, by the answers alone.
type belongs struct {
	joined, read  tidemark.Seq
	active, muted bool
	hidden        tidemark.Seq // up to this head; 0: not
	markedUnread  bool
	own           []tidemark.Seq // submitted at their time, past the read mark of then
}

type book struct {
	id      tidemark.ConversationID
	log     []told // log[seq-1]
	members map[tidemark.UserID]*belongs
	cleared map[tidemark.UserID]tidemark.Seq          // up to it, for good
	deleted map[tidemark.UserID]map[tidemark.Seq]bool // for good
	floor   tidemark.Seq                              // nothing at or below is kept, says the server
}

// counting is one random run: the server, and what its answers say.
type counting struct {
	*world
	r       *rapid.T
	users   []tidemark.UserID
	books   []*book
	cursors map[tidemark.UserID][]tidemark.Position // by partition: the furthest of any device
	awaited []*awaited
}

func TestCountsAreExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t, nil)
		defer w.close()
		c := &counting{
			world: w, r: r, users: []tidemark.UserID{"a", "b", "c", "d", "e"},
			cursors: make(map[tidemark.UserID][]tidemark.Position),
		}
		c.begin()
		for range rapid.SampledFrom([]int{10, 30, 80}).Draw(r, "steps") {
			for range rapid.IntRange(1, 4).Draw(r, "batch") {
				c.command()
			}
			c.step()
			c.other()
			c.check()
		}
	})
}

func (c *counting) begin() {
	c.world.users(c.users...)
	for _, u := range c.users {
		c.cursors[u] = make([]tidemark.Position, c.set.Partitions())
	}
	for i, id := range []tidemark.ConversationID{"one", "two", "three"} {
		b := &book{
			id: id, members: make(map[tidemark.UserID]*belongs), cleared: make(map[tidemark.UserID]tidemark.Seq),
			deleted: make(map[tidemark.UserID]map[tidemark.Seq]bool),
		}
		c.books = append(c.books, b)
		members := c.users[:2+i]
		settings := &wire.Settings{HistoryFromStart: i == 2}
		if i == 1 {
			settings.Retention = &wire.Retention{Mode: wire.RetentionMode_BY_AGE, MaxAgeMs: hourMs}
		}
		c.must(c.set.Submit(c.Context(), &core.Create{
			Actor: core.Actor{App: true}, Conversation: id, Kind: record.Group, Members: members, Settings: settings,
		}, func(r core.Reply) {
			if r.Err != nil {
				c.r.Fatal(r.Err)
			}
			b.log = append(b.log, told{position: r.Position})
			b.join(members)
		}))
	}
	c.step()
}

func (b *book) join(users []tidemark.UserID) {
	head := tidemark.Seq(len(b.log))
	for _, u := range users {
		if m := b.members[u]; m == nil || !m.active {
			b.members[u] = &belongs{joined: head, read: head, active: true}
		}
	}
}

// submit queues a command; then runs with its answer, if it was not refused, and the event it appended, if it did.
func (c *counting) submit(b *book, cmd core.Command, then func(e *told)) {
	c.must(c.set.Submit(c.Context(), cmd, func(r core.Reply) {
		if r.Err != nil {
			return
		}
		if int(r.Seq) == len(b.log)+1 {
			b.log = append(b.log, told{position: r.Position, timeMs: r.TimeMs})
			then(&b.log[r.Seq-1])
		} else {
			then(nil)
		}
	}))
}

func (c *counting) user() tidemark.UserID { return rapid.SampledFrom(c.users).Draw(c.r, "user") }

// command queues one random command.
func (c *counting) command() {
	b := rapid.SampledFrom(c.books).Draw(c.r, "conversation")
	u, app := c.user(), core.Actor{App: true}
	target := tidemark.Seq(rapid.IntRange(1, len(b.log)).Draw(c.r, "target"))
	c.ids++
	write := &core.Submit{Actor: core.Actor{User: u}, Conversation: b.id, ClientID: tidemark.ClientID(fmt.Sprint("c", c.ids))}
	switch rapid.SampledFrom([]string{
		"say", "say", "say", "say", "silent", "edit", "edit", "recall", "erase", "react", "read", "read", "read", "later", "later", "clear", "delete", "add", "remove", "settings",
	}).Draw(c.r, "command") {
	case "say":
		write.Message = c.message()
		c.submit(b, write, func(e *told) {
			*e = told{sender: u, message: true, counted: true, position: e.position, timeMs: e.timeMs}
			b.mention(e, write.Message)
			m := b.members[u]
			m.read, m.markedUnread = tidemark.Seq(len(b.log)), false
		})
	case "silent":
		write.Message = &wire.Message{Text: "s", Class: wire.MessageClass_SILENT, MentionAll: true}
		c.submit(b, write, func(e *told) { e.sender, e.message = u, true })
	case "edit":
		write.Actor, write.Edit = app, &wire.Edit{Seq: uint64(target), Message: c.message()}
		c.submit(b, write, func(*told) {
			if e := &b.log[target-1]; e.counted {
				b.mentionAt(e, target, write.Edit.Message)
			}
		})
	case "recall":
		write.Actor, write.Recall = app, &wire.Recall{Seq: uint64(target)}
		c.submit(b, write, func(*told) { b.log[target-1].gone = true })
	case "erase":
		c.submit(b, &core.Erase{Actor: app, Conversation: b.id, Seq: target}, func(*told) { b.log[target-1].gone = true })
	case "react":
		write.Reaction = &wire.Reaction{Seq: uint64(target), Key: "+1"}
		c.submit(b, write, func(*told) {})
	case "read":
		c.submit(b, &core.Read{User: u, Conversation: b.id, Seq: target}, func(*told) {
			m := b.members[u]
			if target >= m.read {
				m.read, m.markedUnread = target, false
			}
		})
	case "later":
		c.later(b, u)
	case "clear":
		c.submit(b, &core.Clear{User: u, Conversation: b.id, Seq: target}, func(*told) {
			b.cleared[u] = max(b.cleared[u], target)
			if m := b.members[u]; target > m.read {
				m.read, m.markedUnread = target, false
			}
		})
	case "delete":
		c.submit(b, &core.Delete{User: u, Conversation: b.id, Seqs: []tidemark.Seq{target}}, func(*told) {
			if b.deleted[u] == nil {
				b.deleted[u] = make(map[tidemark.Seq]bool)
			}
			b.deleted[u][target] = true
		})
	default:
		c.memberCommand(b, u)
	}
}

func (c *counting) memberCommand(b *book, u tidemark.UserID) {
	app := core.Actor{App: true}
	switch rapid.IntRange(0, 2).Draw(c.r, "of members") {
	case 0:
		some := rapid.SliceOfNDistinct(rapid.SampledFrom(c.users), 1, 3, rapid.ID).Draw(c.r, "users")
		c.submit(b, &core.AddMembers{Actor: app, Conversation: b.id, Members: some}, func(e *told) {
			if e != nil {
				b.join(some)
			}
		})
	case 1:
		c.submit(b, &core.RemoveMembers{Actor: app, Conversation: b.id, Members: []tidemark.UserID{u}}, func(e *told) {
			if e != nil {
				b.members[u].active = false
			}
		})
	case 2:
		muted, hidden, unread := rapid.Bool().Draw(c.r, "muted"), rapid.Bool().Draw(c.r, "hidden"), rapid.Bool().Draw(c.r, "unread")
		cmd := &core.Settings{User: u, Conversation: b.id, Muted: &muted, Hidden: &hidden, MarkedUnread: &unread}
		c.submit(b, cmd, func(*told) {
			m := b.members[u]
			m.muted, m.markedUnread, m.hidden = muted, unread, 0
			if hidden {
				m.hidden = tidemark.Seq(len(b.log))
			}
		})
	}
}

func (c *counting) message() *wire.Message {
	m := &wire.Message{Text: "m", MentionAll: rapid.IntRange(0, 3).Draw(c.r, "all") == 0}
	if rapid.Bool().Draw(c.r, "names") {
		m.Mentions = []string{string(c.user()), string(c.user())}
	}
	return m
}

func (b *book) mention(e *told, m *wire.Message) { b.mentionAt(e, tidemark.Seq(len(b.log)), m) }

// mentionAt notes whom a message mentions: members who can see it, but not its sender.
func (b *book) mentionAt(e *told, at tidemark.Seq, m *wire.Message) {
	e.all, e.named = m.MentionAll, make(map[tidemark.UserID]bool)
	for _, name := range m.Mentions {
		u := tidemark.UserID(name)
		if x := b.members[u]; x != nil && x.active && u != e.sender && (b.id == "three" || x.joined <= at) {
			e.named[u] = true
		}
	}
}

// other is what happens besides commands: acknowledgements, questions that bring marks into memory, restarts.
func (c *counting) other() {
	c.now += uint64(rapid.IntRange(0, 2).Draw(c.r, "ms"))
	switch rapid.IntRange(0, 9).Draw(c.r, "other") {
	case 0, 1, 2, 3:
		u, p := c.user(), c.set.At(uint32(rapid.IntRange(0, int(c.set.Partitions())-1).Draw(c.r, "partition")))
		at := tidemark.Position(rapid.IntRange(0, int(p.Published())).Draw(c.r, "position"))
		device := rapid.SampledFrom([]tidemark.DeviceID{"phone", "tablet"}).Draw(c.r, "device")
		c.set.Ack(u, device, p.number, at)
		if _, met, err := p.User(u); err == nil && met {
			c.cursors[u][p.number] = max(c.cursors[u][p.number], at)
		}
	case 5:
		c.now += uint64(rapid.IntRange(10, 90).Draw(c.r, "minutes")) * 60_000
		c.step()
	case 4:
		c.now += ackDelayMs // acknowledgements of the last second may be lost
		c.step()
		c.close()
		c.open(func(config *Config) {
			if rapid.Bool().Draw(c.r, "tiny") {
				config.Cache = tiny
			}
		})
	}
}

// check compares everything with brute force.
func (c *counting) check() {
	for _, b := range c.books {
		info, err := c.set.Of(b.id).Info(b.id)
		c.must(err)
		head, err := c.set.Of(b.id).Head(info.Ordinal)
		c.must(err)
		for b.floor < head.Floor {
			if b.floor++; b.log[b.floor-1].timeMs+hourMs > c.now {
				c.r.Fatalf("event %d of %s is gone too early", b.floor, b.id)
			}
		}
	}
	for _, u := range c.users {
		var badge Badge
		var all []string
		for _, b := range c.books {
			m := b.members[u]
			if m == nil || !m.active {
				continue
			}
			unread, mentions, listed := b.brute(u, m)
			p := c.set.Of(b.id)
			info, err := p.Info(b.id)
			c.must(err)
			gotUnread, gotMentions, err := p.Counts(info.Ordinal, u)
			if err != nil || gotUnread != unread || gotMentions != mentions {
				c.r.Fatalf("%s in %s has %d unread, %d to them (%v), by brute force %d, %d", u, b.id, gotUnread, gotMentions, err, unread, mentions)
			}
			if !m.muted && len(b.log) > int(m.hidden) {
				badge.Unread += unread
			}
			badge.Mentions += mentions
			if unread > 0 || m.markedUnread {
				badge.Conversations++
			}
			c.checkMentions(u, b.id, false, listed)
			c.checkMentions(u, b.id, true, slices.DeleteFunc(slices.Clone(listed), func(seq tidemark.Seq) bool { return seq <= m.read }))
			for _, seq := range listed {
				all = append(all, fmt.Sprint(b.id, seq))
			}
			c.checkReceipts(b)
		}
		if got, err := c.set.Badge(u); err != nil || got != badge {
			c.r.Fatalf("the badge of %s is %+v (%v), by brute force %+v", u, got, err, badge)
		}
		c.checkAllMentions(u, all)
		c.checkAwaited(u)
	}
}

// brute counts what a member has not read, and lists what mentions the member, newest first.
func (b *book) brute(u tidemark.UserID, m *belongs) (unread, mentions uint64, listed []tidemark.Seq) {
	for i, e := range slices.Backward(b.log) {
		seq := tidemark.Seq(i + 1)
		if !e.counted || e.gone || seq <= b.floor {
			continue
		}
		if seq > m.read && !slices.Contains(m.own, seq) {
			unread++
			if e.all || e.named[u] {
				mentions++
			}
		}
		visible := (b.id == "three" || seq >= m.joined) && seq > b.cleared[u] && !b.deleted[u][seq]
		if visible && e.sender != u && (e.named[u] || e.all && seq > m.joined) {
			listed = append(listed, seq)
		}
	}
	return unread, mentions, listed
}

// checkMentions pages through the mentions in one conversation.
func (c *counting) checkMentions(u tidemark.UserID, id tidemark.ConversationID, unread bool, want []tidemark.Seq) {
	var got []tidemark.Seq
	for after := (*Place)(nil); ; {
		page, err := c.set.Mentions(u, id, unread, after, 2)
		c.must(err)
		for _, m := range page.Mentions {
			got = append(got, tidemark.Seq(m.Event.Seq))
		}
		if after = page.Next; after == nil {
			break
		}
	}
	if !slices.Equal(got, want) {
		c.r.Fatalf("mentions of %s in %s (unread %v) are %v, by brute force %v", u, id, unread, got, want)
	}
}

// checkAllMentions pages through the mentions in all conversations: each once, newest first.
func (c *counting) checkAllMentions(u tidemark.UserID, want []string) {
	var got []string
	last := uint64(1<<64 - 1)
	for after := (*Place)(nil); ; {
		page, err := c.set.Mentions(u, "", false, after, 3)
		c.must(err)
		for _, m := range page.Mentions {
			if m.Event.TimeMs > last {
				c.r.Fatalf("mentions of %s are not newest first", u)
			}
			last = m.Event.TimeMs
			got = append(got, fmt.Sprint(m.Conversation, m.Event.Seq))
		}
		if after = page.Next; after == nil {
			break
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.r.Fatalf("mentions of %s everywhere are %v, by brute force %v", u, got, want)
	}
}

// checkReceipts asks about one message of a conversation.
func (c *counting) checkReceipts(b *book) {
	seq := tidemark.Seq(rapid.IntRange(1, len(b.log)).Draw(c.r, "receipts of"))
	e := &b.log[seq-1]
	if !e.message || seq <= b.floor {
		if _, err := c.set.Receipts("", b.id, seq, ReceiptsAsk{}); err == nil {
			c.r.Fatalf("%s %d, of which nothing is kept or which is no message, has receipts", b.id, seq)
		}
		return
	}
	var want ReceiptCounts
	names := map[ReceiptsAsk][]tidemark.UserID{}
	for u, m := range b.members {
		if !m.active || m.joined > seq || u == e.sender {
			continue
		}
		read := m.read >= seq
		received := read || c.cursors[u][c.set.Of(b.id).number] >= e.position
		want.Members++
		if read {
			want.Read++
		}
		if received {
			want.Delivered++
		}
		for _, ask := range []ReceiptsAsk{{Missing: !read}, {Received: true, Missing: !received}} {
			names[ask] = append(names[ask], u)
		}
	}
	for _, ask := range []ReceiptsAsk{{}, {Missing: true}, {Received: true}, {Received: true, Missing: true}} {
		got := map[tidemark.UserID]bool{}
		for page := ask; ; {
			page.Limit = 2
			r, err := c.set.Receipts("", b.id, seq, page)
			c.must(err)
			if r.ReceiptCounts != want {
				c.r.Fatalf("%s %d has %+v, by brute force %+v", b.id, seq, r.ReceiptCounts, want)
			}
			for _, u := range r.Users {
				if got[u] {
					c.r.Fatalf("%s is named twice", u)
				}
				got[u] = true
			}
			if page.After = r.Next; r.Next == nil {
				break
			}
		}
		if users := slices.Sorted(maps.Keys(got)); !slices.Equal(users, slices.Sorted(slices.Values(names[ask]))) {
			c.r.Fatalf("%s %d, %+v: %v, by brute force %v", b.id, seq, ask, users, names[ask])
		}
	}
}
