// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, "Sync".

package conformance

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfSync = []check{
	{"2.5", "a new device gets all conversations, most recent activity first; the first `full` with their last `tail` events", checkOrderAndTails},
	{"2.5", "a cursor gets what changed after it, and nothing else", checkOnlyWhatChanged},
	{"2.5", "a tail is never longer than limits.pageEventsMax", checkTailLimit},
	{"2.6", "a checkpoint comes after everything that it covers, in the sync and live", checkCheckpoints},
	{"2.6", "of what it was answered a device is told a checkpoint after its ping, if nothing else told it", checkAnswersAreCovered},
	{"2.6", "a device that is killed after any frame goes on from the checkpoints before it and misses nothing", checkKilledAnywhere},
	{"2.7", "synced.cursor covers all that was written before, and what it covers was delivered", checkSyncedCursor},
	{"2.8", "prevSeq and prevDigest tell of a gap, which fetch fills", checkGap},
	{"2.9", "at each checkpoint events and own answers have no gap between them", checkNoGapAtCheckpoints},
	{"2.10", "headDigest is in every delta before synced, and live at least every 64 events; a conversation is in a delta once", checkHeadDigests},
	{"2.11", "removed says that the user is no longer a member, live and in the sync; nothing else follows", checkRemoved},
	{"2.12", "a cursor of another epoch, of the future, or of an unknown device is reset, and everything follows", checkResets},
	{"2.13", "ack takes changed entries; what is acknowledged only rises", checkAckRises},
	{"2.13", "a hello.cursor that is accepted acknowledges as well", checkHelloAcknowledges},
}

// beforeSynced are the conversations' deltas of the sync, in order.
func (d *device) beforeSynced() (deltas []*wire.ConversationDelta) {
	for _, f := range d.frames {
		if f.GetSynced() != nil {
			return deltas
		}
		deltas = append(deltas, f.GetDelta().GetConversations()...)
	}
	return deltas
}

// withCursor says hello with a cursor.
func withCursor(cursor *wire.Cursor) func(*wire.Hello) {
	return func(h *wire.Hello) { h.Cursor = cursor }
}

// copyOf is a cursor that nobody else changes.
func copyOf(cursor *wire.Cursor) *wire.Cursor { return proto.Clone(cursor).(*wire.Cursor) }

func checkOrderAndTails(p *play) {
	const groups, full, tail = 5, 2, 3
	alice, bob := p.user("alice"), p.user("bob")
	var ids []string
	for range groups {
		ids = append(ids, p.group(alice, bob))
		p.sayMany(alice, ids[len(ids)-1], tail+2)
	}
	ids = append(ids[1:], ids[0]) // the first is written to again
	p.pause(aMillisecond)
	p.say(alice, ids[groups-1], "again")
	slices.Reverse(ids)

	phone := p.connect(bob, "phone", func(h *wire.Hello) { h.Full, h.Tail = full, tail })
	deltas := phone.beforeSynced()
	var order []string
	for _, c := range deltas {
		order = append(order, c.GetId())
		p.must(c.GetInfo() != nil && c.GetSelf() != nil, "info and self of what is new to the device", "%s", show(c))
	}
	equal(p, "the conversations, most recent activity first", order, ids)
	for i, c := range deltas {
		expected := 0
		if i < full {
			expected = tail
		}
		equal(p, fmt.Sprintf("how many events come with the conversation at place %d, with full %d and tail %d", i+1, full, tail), len(c.GetEvents()), expected)
		if expected > 0 {
			equal(p, "the last of its events", c.GetEvents()[tail-1].GetSeq(), c.GetHeadSeq())
		}
	}
	usual := p.connect(bob, "tablet").beforeSynced()
	equal(p, "how many events come without tail", len(usual[groups-1].GetEvents()), 6) // of at most 20
}

func checkOnlyWhatChanged(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	quiet, busy := p.group(alice, bob), p.group(alice, bob)
	phone := p.connect(bob, "phone")
	for _, group := range []string{quiet, busy} { // others may see what was answered a moment later
		s := p.say(alice, group, "before")
		phone.covered(s.GetPartition(), s.GetPosition())
	}
	phone.close()
	last := p.sayMany(alice, busy, 3)
	again := p.connect(bob, "phone", withCursor(phone.cursor))
	deltas := again.beforeSynced()
	p.must(len(deltas) == 1 && deltas[0].GetId() == busy, "only the conversation that changed, not "+quiet, "%v", deltas)
	p.must(deltas[0].GetPrevSeq() == last.GetSeq()-3 && len(deltas[0].GetEvents()) == 3, "the three events after the cursor", "%s", show(deltas[0]))
}

func checkTailLimit(p *play) {
	most := p.kit.welcome.GetLimits().GetPageEventsMax()
	if most > 4000 {
		p.skip("limits.pageEventsMax is %d", most)
	}
	alice := p.user("alice")
	long := p.past(alice, int(most)+10, func(i int) uint64 { return somePast + uint64(i) })
	phone := p.connect(alice, "phone", func(h *wire.Hello) { h.Tail = 1 << 30 })
	events := phone.beforeSynced()[0].GetEvents()
	p.must(len(events) > 0 && len(events) <= int(most), fmt.Sprintf("1 to %d events", most), "%d", len(events))
	equal(p, "the last of them", events[len(events)-1].GetSeq(), phone.conversation(long).head)
}

// traffic lets two users write to several groups, both on sockets and without waiting for answers, and answers where each
// event was written.
func (p *play) traffic(writers []*device, groups []string, each int) (written []*wire.Submitted) {
	requests := map[*device][]uint64{}
	for i := range each {
		for _, d := range writers {
			for _, group := range groups {
				s := &wire.Submit{Conversation: group, Action: &wire.Submit_Message{Message: textMessage(fmt.Sprint(i))}}
				requests[d] = append(requests[d], d.post(s))
			}
		}
	}
	for _, d := range writers {
		for _, request := range requests[d] {
			f := d.answer(request)
			if f.GetSubmitted() == nil {
				p.fail("submitted", "%s", show(f))
			}
			written = append(written, f.GetSubmitted())
		}
	}
	return written
}

func checkCheckpoints(p *play) {
	alice, bob, carol := p.user("alice"), p.user("bob"), p.user("carol")
	groups := []string{p.group(alice, bob, carol), p.group(alice, bob, carol), p.group(alice, bob, carol)}
	reader := p.connect(carol, "phone")
	written := p.traffic([]*device{p.connect(alice, "phone"), p.connect(bob, "phone")}, groups, 15)
	for _, s := range written {
		reader.hasSeq(s.GetConversation(), s.GetSeq())
		reader.covered(s.GetPartition(), s.GetPosition())
	}
	coversOnlyWhatCame(p, reader, written)
	coversOnlyWhatCame(p, p.connect(carol, "tablet", func(h *wire.Hello) { h.Tail = 100 }), written)
}

func checkAnswersAreCovered(p *play) {
	alice := p.user("alice")
	alone := p.group(alice)
	phone := p.connect(alice, "phone")
	said := phone.say(alone, "to nobody")
	phone.covered(said.GetPartition(), said.GetPosition())
}

// coversOnlyWhatCame goes through the frames of a device: at each checkpoint, all that was written up to it has come.
func coversOnlyWhatCame(p *play, d *device, written []*wire.Submitted) {
	came := map[string]uint64{} // the greatest seq of each conversation
	for i, f := range d.frames {
		for _, c := range f.GetDelta().GetConversations() {
			for _, e := range c.GetEvents() {
				came[c.GetId()] = max(came[c.GetId()], e.GetSeq())
			}
		}
		positions := f.GetDelta().GetCheckpoints()
		if f.GetSynced() != nil {
			positions = f.GetSynced().GetCursor().GetPositions()
		}
		for _, s := range written {
			if positions[s.GetPartition()] >= s.GetPosition() && came[s.GetConversation()] < s.GetSeq() {
				p.fail("an event comes before the checkpoint that covers it", "frame %d covers position %d of partition %d, but event %d of %s (position %d) has not come",
					i+1, positions[s.GetPartition()], s.GetPartition(), s.GetSeq(), s.GetConversation(), s.GetPosition())
			}
		}
	}
}

func checkKilledAnywhere(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	groups := []string{p.group(alice, bob), p.group(alice, bob), p.group(alice, bob)}
	phone := p.connect(bob, "phone")
	written := p.traffic([]*device{p.connect(alice, "phone")}, groups, 10)
	for _, s := range written {
		phone.hasSeq(s.GetConversation(), s.GetSeq())
		phone.covered(s.GetPartition(), s.GetPosition())
	}
	phone.close()
	// The device is killed after each of a few frames: it has what came before its checkpoints, and those.
	killed, frames := 0, phone.frames
	for end := 1; end <= len(frames); end += max(1, len(frames)/6) {
		has, cursor := storedUpTo(frames[:end])
		back := p.connect(bob, "phone", withCursor(cursor), func(h *wire.Hello) { h.Tail = 100 })
		for _, c := range back.beforeSynced() {
			for _, e := range c.GetEvents() {
				has[fmt.Sprint(c.GetId(), " ", e.GetSeq())] = true
			}
		}
		for _, s := range written {
			p.must(has[fmt.Sprint(s.GetConversation(), " ", s.GetSeq())], "a device that was killed after its frame "+fmt.Sprint(end)+" gets what it had not stored",
				"event %d of %s never comes", s.GetSeq(), s.GetConversation())
		}
		back.close()
		killed++
	}
	p.must(killed > 1, "several frames", "only %d", killed)
}

// storedUpTo is what a device has that stores data with the checkpoints behind them, in one transaction.
func storedUpTo(frames []*wire.ServerFrame) (has map[string]bool, cursor *wire.Cursor) {
	has, pending := map[string]bool{}, map[string]bool{}
	cursor = &wire.Cursor{Positions: map[uint32]uint64{}}
	for _, f := range frames {
		if f.GetWelcome() != nil {
			cursor.Epoch = f.GetWelcome().GetEpoch()
		}
		for _, c := range f.GetDelta().GetConversations() {
			for _, e := range c.GetEvents() {
				pending[fmt.Sprint(c.GetId(), " ", e.GetSeq())] = true
			}
		}
		positions := f.GetDelta().GetCheckpoints()
		if f.GetSynced() != nil {
			positions = f.GetSynced().GetCursor().GetPositions()
		}
		if len(positions) > 0 {
			maps.Copy(cursor.Positions, positions)
			maps.Copy(has, pending)
			clear(pending)
		}
	}
	return has, cursor
}

func checkSyncedCursor(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	groups := []string{p.group(alice, bob), p.group(alice, bob)}
	written := p.traffic([]*device{p.connect(alice, "phone")}, groups, 5)
	tablet := p.connect(bob, "tablet")
	for _, s := range written {
		tablet.covered(s.GetPartition(), s.GetPosition())
	}
	phone := p.connect(bob, "phone")
	for _, s := range written {
		p.must(phone.synced.GetPositions()[s.GetPartition()] >= s.GetPosition(), fmt.Sprintf("synced.cursor covers position %d of partition %d", s.GetPosition(), s.GetPartition()),
			"%s", show(phone.synced))
		p.must(phone.conversation(s.GetConversation()).events[s.GetSeq()] != nil, "what synced.cursor covers was delivered", "event %d of %s was not", s.GetSeq(), s.GetConversation())
	}
	equal(p, "the epoch of synced.cursor", phone.synced.GetEpoch(), phone.welcome.GetEpoch())
	phone.close()
	again := p.connect(bob, "phone", withCursor(phone.synced))
	p.must(again.welcome.GetReset_() == nil && len(again.beforeSynced()) == 0, "nothing is new to the cursor of synced", "%s", again.last())
}

func checkGap(p *play) {
	const tail = 3
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone := p.connect(bob, "phone")
	phone.close()
	head := p.sayMany(alice, team, 10).GetSeq()
	back := p.connect(bob, "phone", withCursor(phone.synced), func(h *wire.Hello) { h.Tail = tail })
	c := back.beforeSynced()[0]
	equal(p, "prevSeq of a tail of 3", c.GetPrevSeq(), head-tail)
	at := call[*wire.VerifyResponse](bob, "SyncService/Verify", &wire.VerifyRequest{Conversation: team, Seq: c.GetPrevSeq()}).GetDigest()
	equal(p, "prevDigest, the chain value at prevSeq", c.GetPrevDigest(), at)
	back.fetch(&wire.Fetch{Conversation: team, From: &wire.Fetch_Before{Before: c.GetPrevSeq() + 1}, Limit: 20})
	for seq := uint64(1); seq <= head; seq++ {
		p.must(back.conversation(team).events[seq] != nil, "every event after the gap is filled", "no event %d", seq)
	}
	next := p.say(alice, team, "live")
	back.hasSeq(team, next.GetSeq())
	deltas := back.conversation(team).deltas
	equal(p, "prevSeq of the next delta, which has no gap before it", deltas[len(deltas)-1].GetPrevSeq(), head)
}

func checkNoGapAtCheckpoints(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone, other := p.connect(alice, "phone"), p.connect(bob, "phone")
	written := p.traffic([]*device{phone, other}, []string{team}, 40)
	for _, s := range written {
		phone.covered(s.GetPartition(), s.GetPosition())
	}
	own := map[uint64]bool{}
	has := map[uint64]bool{1: true}
	for i, f := range phone.frames {
		if s := f.GetSubmitted(); s != nil {
			has[s.GetSeq()], own[s.GetSeq()] = true, true
		}
		for _, c := range f.GetDelta().GetConversations() {
			for _, e := range c.GetEvents() {
				p.must(!own[e.GetSeq()], "own messages come as submitted, not by delta", "event %d comes twice", e.GetSeq())
				has[e.GetSeq()] = true
			}
		}
		if len(f.GetDelta().GetCheckpoints()) == 0 && f.GetSynced() == nil {
			continue
		}
		for seq := uint64(1); seq <= uint64(len(has)); seq++ {
			p.must(has[seq], "no gap at a checkpoint", "at frame %d event %d is missing below %d others", i+1, seq, len(has))
		}
	}
}

func checkHeadDigests(p *play) {
	const messages = 150
	alice, bob := p.user("alice"), p.user("bob")
	groups := []string{p.group(alice, bob), p.group(alice, bob)}
	p.sayMany(alice, groups[0], 3)
	phone := p.connect(bob, "phone")
	written := p.traffic([]*device{p.connect(alice, "phone")}, groups, messages)
	for _, s := range written {
		phone.hasSeq(s.GetConversation(), s.GetSeq())
	}
	without := map[string]int{}
	for i, f := range phone.frames {
		seen := map[string]bool{}
		for _, c := range f.GetDelta().GetConversations() {
			p.must(!seen[c.GetId()], "a conversation is in one delta once", "frame %d has %s twice", i+1, c.GetId())
			seen[c.GetId()] = true
			without[c.GetId()] += len(c.GetEvents())
			if len(c.GetHeadDigest()) > 0 {
				without[c.GetId()] = 0
			}
			p.must(f.GetDelta().GetLive() || len(c.GetHeadDigest()) == 32, "headDigest in every delta before synced", "%s", show(c))
		}
		for id, n := range without {
			p.must(n <= 64, "live, headDigest comes at least every 64 events", "%d events of %s without", n, id)
		}
	}
}

func checkRemoved(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team, other := p.group(alice, bob), p.group(alice, bob)
	phone, tablet := p.connect(bob, "phone"), p.connect(bob, "tablet")
	said := p.say(alice, team, "with bob")
	tablet.covered(said.GetPartition(), said.GetPosition())
	tablet.close()
	call[*wire.MembersResponse](alice, "ConversationService/RemoveMembers", &wire.RemoveMembersRequest{Conversation: team, Members: []string{bob.id}})
	phone.reads("removed", func() bool { return phone.conversation(team).removed })
	frames := len(phone.frames)
	p.say(alice, team, "without bob")
	phone.hasSeq(other, p.say(alice, other, "with bob").GetSeq())
	phone.silence("anything of a conversation after removed", func(f *wire.ServerFrame) bool {
		return phone.index(f) >= frames && slices.ContainsFunc(f.GetDelta().GetConversations(), func(c *wire.ConversationDelta) bool { return c.GetId() == team })
	})
	back := p.connect(bob, "tablet", withCursor(tablet.cursor))
	p.must(back.conversation(team).removed && len(back.conversation(team).events) == 0, "removed comes in the sync, and no events", "%v", back.conversation(team).deltas)
	fresh := p.connect(bob, "new")
	p.must(len(fresh.conversation(team).deltas) == 0, "nothing of it comes to a new device", "%v", fresh.conversation(team).deltas)
}

func checkResets(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	p.sayMany(alice, team, 3)
	phone := p.connect(bob, "phone")
	phone.close()
	elsewhere, future := copyOf(phone.synced), copyOf(phone.synced)
	elsewhere.Epoch ^= 1 << 40
	for partition := range future.Positions {
		future.Positions[partition] += 1 << 40
	}
	if len(future.Positions) == 0 {
		p.fail("a cursor with positions", "%s", show(phone.synced))
	}
	call[*wire.KickResponse](p.app(), "UserService/Kick", &wire.KickRequest{UserId: bob.id, DeviceId: "phone"})
	for _, row := range []struct {
		device string
		cursor *wire.Cursor
		reason wire.ResetReason
	}{
		{"phone", phone.synced, wire.ResetReason_UNKNOWN_DEVICE},
		{"phone", elsewhere, wire.ResetReason_EPOCH},
		{"phone", future, wire.ResetReason_FUTURE},
	} {
		back := p.connect(bob, row.device, withCursor(row.cursor))
		equal(p, "the reason of welcome.reset", back.welcome.GetReset_().GetReason(), row.reason)
		c := back.conversation(team)
		p.must(c.info != nil && len(c.events) == 4, "after a reset everything follows as to a new device", "%v", c.deltas)
		back.close()
	}
	p.must(p.connect(bob, "phone", withCursor(phone.synced)).welcome.GetReset_() == nil, "a good cursor is not reset", "it is")
}

// delivered is how many members but the sender have received an event.
func delivered(p *play, u *user, conversation string, seq uint64) uint32 {
	return call[*wire.ReceiptsResponse](u, "MessageService/Receipts", &wire.ReceiptsRequest{Conversation: conversation, Seq: seq, Mark: wire.Mark_DELIVERED}).GetDelivered()
}

func checkAckRises(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone := p.connect(bob, "phone")
	before := copyOf(phone.cursor)
	s := p.say(alice, team, "x")
	phone.hasSeq(team, s.GetSeq())
	phone.covered(s.GetPartition(), s.GetPosition())
	equal(p, "how many have received it before any ack", delivered(p, alice, team, s.GetSeq()), uint32(0))
	phone.ack(&wire.Cursor{Epoch: phone.cursor.GetEpoch(), Positions: map[uint32]uint64{s.GetPartition(): phone.cursor.GetPositions()[s.GetPartition()]}})
	p.eventually("the message is received after the ack", func() (bool, string) {
		n := delivered(p, alice, team, s.GetSeq())
		return n == 1, fmt.Sprintf("%d have", n)
	})
	phone.ack(before) // an older one
	phone.ping()
	phone.close()
	equal(p, "how many have received it after an older ack", delivered(p, alice, team, s.GetSeq()), uint32(1))
	pulled := call[*wire.PullResponse](bob, "SyncService/Pull", &wire.PullRequest{DeviceId: "phone"})
	for _, c := range pulled.GetConversations() {
		p.must(len(c.GetEvents()) == 0, "what was acknowledged does not come again, after an older ack", "%s", show(c))
	}
}

func checkHelloAcknowledges(p *play) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	phone := p.connect(bob, "phone")
	s := p.say(alice, team, "x")
	phone.hasSeq(team, s.GetSeq())
	phone.covered(s.GetPartition(), s.GetPosition())
	phone.close()
	equal(p, "how many have received it before any ack", delivered(p, alice, team, s.GetSeq()), uint32(0))
	p.connect(bob, "phone", withCursor(phone.cursor))
	p.eventually("the message is received after a hello with the cursor", func() (bool, string) {
		n := delivered(p, alice, team, s.GetSeq())
		return n == 1, fmt.Sprintf("%d have", n)
	})
}
