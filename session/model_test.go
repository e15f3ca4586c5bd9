// SPDX-License-Identifier: Apache-2.0

// Random worlds against a brute-force model: many devices that drain a little, disconnect, come back and acknowledge at
// random, while members come and go; when all is drained, every device has what its user may see, and the right counts.

package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

func TestA2NothingLostWhenDeliveryFailsRandomWorldsConverge(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { randomWorld(t, seed) })
	}
}

type randomly struct {
	*testWorld
	*rand.Rand
	people  []tidemark.UserID
	groups  []tidemark.ConversationID
	devices []*device
}

func randomWorld(t *testing.T, seed uint64) {
	tc := newTest(t)
	r := &randomly{testWorld: tc, Rand: rand.New(rand.NewPCG(seed, 7))}
	tc.must(tc.db.Close())
	tc.limits.PageEventsMax = 500
	if seed%3 == 0 {
		tc.config = func(cfg *partition.Config) { cfg.Cache = nothingCached }
	}
	if seed%3 == 1 {
		tc.config = func(cfg *partition.Config) { cfg.Cache.TailEvents, cfg.BatchMax = 4, 3 }
	}
	tc.start()
	for i := range 5 {
		r.people = append(r.people, tidemark.UserID(fmt.Sprint("user", i)))
	}
	tc.users(r.people...)
	for i := range 6 {
		id := tidemark.ConversationID(fmt.Sprint("group", i))
		r.groups = append(r.groups, id)
		tc.group(id, r.people[:2+i%4]...)
	}
	r.groups = append(r.groups, "user0~user1", "user2~user4")
	for i, user := range slices.Concat(r.people, r.people[:3]) {
		d := tc.device(user, tidemark.DeviceID(fmt.Sprint("device", i)))
		d.tail, d.full, d.gapless = 500, 1000, true
		r.devices = append(r.devices, d)
	}
	for range 600 {
		r.act()
	}
	for _, d := range r.devices {
		if d.s == nil {
			d.connect()
		}
	}
	tc.step()
	for _, d := range r.devices {
		d.drain()
	}
	for _, d := range r.devices {
		d.wantIdle("all is read")
		r.compare(d)
		d.disconnect()
	}
}

// submitOnly queues a command and does not wait.
func (r *randomly) queue(cmd core.Command) { r.must(r.set.Submit(r.Context(), cmd, nil)) }

// act does one random thing.
func (r *randomly) act() {
	d := r.devices[r.IntN(len(r.devices))]
	group := r.groups[r.IntN(len(r.groups))]
	user := r.people[r.IntN(len(r.people))]
	app := core.Actor{App: true}
	r.now += uint64(r.IntN(3)) * 100_000
	switch n := r.IntN(100); {
	case n < 25:
		r.sent++
		message := &wire.Message{Text: fmt.Sprint("text", r.sent)}
		switch r.IntN(6) {
		case 0:
			message.Mentions = []string{string(user)}
		case 1:
			message.MentionAll = true
		case 2:
			message.Class = wire.MessageClass_SILENT
		}
		r.queue(&core.Submit{
			Actor: core.Actor{User: user}, Conversation: group, ClientID: tidemark.ClientID(fmt.Sprint("x", r.sent)), Message: message,
		})
	case n < 40 && d.s != nil:
		d.submit(group, fmt.Sprint("text", r.sent))
	case n < 44:
		r.sent++
		r.queue(&core.Submit{
			Actor: app, Conversation: group, ClientID: tidemark.ClientID(fmt.Sprint("r", r.sent)),
			Recall: &wire.Recall{Seq: 1 + r.Uint64N(20)},
		})
	case n < 50:
		r.queue(&core.Read{User: user, Conversation: group, Seq: tidemark.Seq(1 + r.Uint64N(30))})
	case n < 53:
		r.queue(&core.RemoveMembers{Actor: app, Conversation: group, Members: []tidemark.UserID{user}})
	case n < 57:
		r.queue(&core.AddMembers{Actor: app, Conversation: group, Members: []tidemark.UserID{user}})
	case n < 59:
		pinned := r.IntN(2) == 0
		r.queue(&core.Settings{User: user, Conversation: group, Pinned: &pinned})
	case n < 61:
		title := fmt.Sprint("title", r.sent)
		r.queue(&core.Update{Actor: app, Conversation: group, Title: &title})
	case n < 75:
		r.set.At(r.Uint32N(r.set.Partitions())).Step(r.now)
	case n < 90 && d.s != nil:
		for range r.IntN(4) {
			d.next()
		}
	case n < 93 && d.s != nil && d.cursor != nil:
		d.ack()
	case n < 96 && d.s != nil:
		d.disconnect()
	case d.s == nil:
		d.hello()
	}
}

// compare checks a device that has read everything against the store, by brute force.
func (r *randomly) compare(d *device) {
	r.Helper()
	for _, id := range r.groups {
		p := r.set.Of(id)
		info, err := p.Info(id)
		if err != nil {
			continue // a direct conversation that nobody wrote to
		}
		m, err := p.Member(info.Ordinal, d.user)
		r.must(err)
		l := d.logs[string(id)]
		if !m.Active() {
			if l != nil {
				r.Errorf("%s of %s has %s, of which it is no member", d.name, d.user, id)
			}
			continue
		}
		if l == nil {
			r.Fatalf("%s of %s does not have %s: joined at %d, record of %d", d.name, d.user, id, m.JoinedSeq, m.Position)
		}
		r.compareLog(d, p, info, m, l)
	}
}

func (r *randomly) compareLog(d *device, p *partition.Partition, info *record.Info, m *record.Member, l *log) {
	r.Helper()
	who := fmt.Sprintf("%s of %s in %s", d.name, d.user, info.ID)
	head, err := p.Head(info.Ordinal)
	r.must(err)
	events, err := p.Events(info.Ordinal, m.VisibleFrom, head.Seq, 1<<30, 0, false)
	r.must(err)
	var unread, mentions uint64
	for _, e := range events {
		have := l.events[uint64(e.Seq)]
		if have == nil || have.Id != uint64(e.ID) {
			r.Fatalf("%s: event %d is %v; visible from %d to %d", who, e.Seq, have, m.VisibleFrom, head.Seq)
		}
		form, err := p.Current(info.Ordinal, e.Seq)
		r.must(err)
		recalled := form != nil && form.RecallSeq > 0
		if e.Seq > m.ReadSeq && e.IsCounted && !recalled {
			unread++
		}
		body := &wire.Body{}
		r.must(body.UnmarshalVT(e.Body))
		if msg := body.GetMessage(); e.Seq > m.ReadSeq && !recalled && (msg.GetMentionAll() || slices.Contains(msg.GetMentions(), string(d.user))) {
			if e.SenderID != d.user {
				mentions++
			}
		}
	}
	last := l.head // or what an answer has told since
	for seq := range l.own {
		last = max(last, seq)
	}
	if last != uint64(head.Seq) {
		r.Errorf("%s: head %d, want %d", who, last, head.Seq)
	}
	l.head, l.digest = uint64(head.Seq), head.Digest[:]
	d.checkGap(l, "the end")
	if got := l.chain[l.head]; got != head.Digest {
		r.Errorf("%s: the chain ends in %s, want %s", who, got, head.Digest)
	}
	read := l.self.ReadSeq // an answer to a message that counts says that all before it is read
	for _, e := range events {
		if e.SenderID == d.user && e.Seq >= m.JoinedSeq && e.IsCounted {
			read = max(read, uint64(e.Seq))
		}
	}
	if read != uint64(m.ReadSeq) {
		r.Errorf("%s: read mark %d, want %d", who, read, m.ReadSeq)
	}
	if l.self.ReadSeq == read && (l.unread != unread || l.mention != mentions) {
		r.Errorf("%s: %d unread and %d mentions, want %d and %d", who, l.unread, l.mention, unread, mentions)
	}
	if l.info.Title != info.Title || l.info.MemberCount != head.Members || l.self.Pinned != m.Pinned {
		r.Errorf("%s: title %q of %q, %d of %d members, pinned %v of %v", who,
			l.info.Title, info.Title, l.info.MemberCount, head.Members, l.self.Pinned, m.Pinned)
	}
}
