// SPDX-License-Identifier: Apache-2.0

// What devices have in the end, against the logs and each other: C1, C3, C5, C6, Y1, Y4.

package invariant

import (
	"cmp"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// State is what a device has stored.
type State struct {
	Who
	Cursor        tidemark.Cursor
	Conversations []*replica.Conversation // in any order; removed ones may be among them
	Messages      map[tidemark.ConversationID][]replica.Message
	Outbox        []replica.Outgoing
	Pulls         bool // it hears no push, only pulls
	Spoiled       bool // its network changes bodies, so what it heard just before its user was removed may be wrong for good
}

// StateOf is the state of a device that is not working at the moment.
func StateOf(who Who, r *replica.Replica, view replica.View) (*State, error) {
	s := &State{
		Who: who, Cursor: r.Cursor(), Conversations: r.Conversations(), Outbox: r.Outbox(),
		Messages: make(map[tidemark.ConversationID][]replica.Message),
	}
	for _, c := range s.Conversations {
		list, err := replica.Messages(view, who.User, c.ID, 1, c.Tail(), 0, false)
		if err != nil {
			return nil, fmt.Errorf("invariant: messages of %s: %w", c.ID, err)
		}
		s.Messages[c.ID] = list
	}
	return s, nil
}

// conversation is a conversation of the device, removed or not; nil: it knows none.
func (s *State) conversation(id tidemark.ConversationID) *replica.Conversation {
	for _, c := range s.Conversations {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// Segments checks what a device shows of one conversation against its log, at any moment: C1, every stored event is the
// log's, in runs without holes whose chain is the log's; what is missing is known as missing. Events that the log keeps no
// longer are not looked at.
func Segments(s *State, c *replica.Conversation, l *Log) *Violation {
	digests := l.digests()
	next, bottom := tidemark.Seq(0), tidemark.Seq(0) // seqs below next are looked at
	if l.Restored {                                  // the server does not tell its user what became of an earlier stay
		bottom = tidemark.Seq(c.Self.GetVisibleFrom())
	}
	top := c.Last() // what is past it is looked at only for being there
	if isAhead(c) { // a server that was restored may have lost it, or have gone on with other events
		top = c.HeadSeq
	}
	var stored []tidemark.Seq
	for _, seg := range c.Segments {
		if seg.From == 0 || seg.To < seg.From || seg.From <= next && next > 0 {
			return about("C1", s.Who, c.ID, seg.From, "segments are not ascending and apart: %v", c.Segments)
		}
		next = seg.To + 1
		for seq := seg.From; seq <= seg.To; seq++ {
			stored = append(stored, seq)
		}
		blind := s.Spoiled && seg.To < tidemark.Seq(c.Self.GetVisibleFrom()) // of an earlier stay: nothing could tell it
		if seg.From > top && c.DigestSeq < seg.From-1 {
			blind = true // the device was not told yet whether it follows what the server has now
		}
		for seq, digest := range map[tidemark.Seq]tidemark.Digest{seg.From - 1: seg.Prev, seg.To: seg.Last} {
			if want, kept := digests[seq]; kept && want != digest && seq <= top && seq+1 >= bottom && !blind {
				return about("C1", s.Who, c.ID, seq, "the device's chain is %x… here, the log's %x…", digest[:4], want[:4])
			}
		}
		if min(seg.To, top) > l.Head() {
			return about("C1", s.Who, c.ID, seg.To, "the device has events up to %d, the log up to %d", seg.To, l.Head())
		}
	}
	shown := s.Messages[c.ID]
	for i, m := range shown {
		if i >= len(stored) || m.Seq != stored[i] {
			return about("C1", s.Who, c.ID, m.Seq, "the device shows %d events, and this one is not where its segments %v have one", len(shown), c.Segments)
		}
		if e := l.at(m.Seq); e != nil && m.Seq <= top && m.Seq >= bottom && (m.ID != tidemark.EventID(e.Id) || m.Sender != tidemark.UserID(e.Sender) || m.TimeMs != e.TimeMs) {
			return about("C1", s.Who, c.ID, m.Seq, "the device shows event %d of %s, the log has %d of %s", m.ID, m.Sender, e.Id, e.Sender)
		}
	}
	if len(shown) < len(stored) {
		return about("C1", s.Who, c.ID, stored[len(shown)], "the device has no event where its segments %v say so", c.Segments)
	}
	return nil
}

// digests are the chain values from the floor to the head. They are computed once.
func (l *Log) digests() map[tidemark.Seq]tidemark.Digest {
	if l.chain != nil {
		return l.chain
	}
	d := l.FloorDigest
	if l.Floor == 0 {
		d = chain.Start(l.Conversation)
	}
	all := map[tidemark.Seq]tidemark.Digest{l.Floor: d}
	for _, e := range l.Events {
		link, _ := LinkOf(e)
		d = chain.Next(d, link)
		all[tidemark.Seq(e.Seq)] = d
	}
	l.chain = all
	return all
}

// Converged checks all devices once nothing breaks any more and nobody writes: each has what its user may see and nothing
// else (Y1; Y4 where it only pulls), without gaps (C6), the same as the user's other devices (C3), and nothing in its outbox
// that the log has not exactly once (C5). Devices are ordered as they are compared: those of one user with its first.
func (c *Checker) Converged(states []*State, logs []*Log) {
	c.begin()
	defer c.mu.Unlock()
	first := make(map[tidemark.UserID]*State)
	for _, s := range states {
		for _, l := range logs {
			m, known := c.model(l, c.history(c.epoch, l.Conversation))
			if known {
				c.report(c.converged(s, l, m))
			}
		}
		c.report(c.sentOnce(s, logs))
		if other := first[s.User]; other != nil {
			c.report(SameView(other, s))
		} else {
			first[s.User] = s
		}
	}
}

// converged compares what a device has of one conversation with the log.
func (c *Checker) converged(s *State, l *Log, m *Model) *Violation {
	name := "Y1"
	if s.Pulls {
		name = "Y4"
	}
	has := s.conversation(l.Conversation)
	stay, member := m.Member(s.User)
	switch {
	case !member && has != nil && !has.Removed:
		return about(name, s.Who, l.Conversation, 0, "the user is no member, and the device has the conversation in its list")
	case !member:
		return nil
	case has == nil || has.Removed:
		return about(name, s.Who, l.Conversation, stay.Joined, "the user is a member since %d, and the device does not have the conversation", stay.Joined)
	case has.HeadSeq != l.Head():
		return about(name, s.Who, l.Conversation, has.HeadSeq, "the device has the head at %d, the log at %d", has.HeadSeq, l.Head())
	case has.Doubt.Open:
		return about(name, s.Who, l.Conversation, has.Doubt.Known, "the device still doubts its history")
	}
	if v := Segments(s, has, l); v != nil {
		return v
	}
	seq, digest := has.Digest()
	if want := l.digests()[l.Head()]; len(has.Segments) > 0 && (seq != l.Head() || digest != want) && !isAhead(has) {
		return about(name, s.Who, l.Conversation, seq, "the device's chain ends at %d in %x…, the log's at %d in %x…",
			seq, digest[:4], l.Head(), want[:4])
	}
	if gap := Unhealed(has); gap != (replica.Gap{}) {
		return about("C6", s.Who, l.Conversation, gap.From, "a gap has not healed: %v of %v", gap, has.Segments)
	}
	for i := range s.Messages[l.Conversation] {
		if shown := &s.Messages[l.Conversation][i]; !m.Saw(s.User, shown.Seq) && !c.wasTold(s.User, l, shown) {
			return about("S5", s.Who, l.Conversation, shown.Seq, "the device shows an event that membership never let its user see: %v", m.Stays[s.User])
		}
	}
	return nil
}

// wasTold reports whether a user was told an event before a restore. That the user might see it was judged then; of a stay
// that was lost, the device keeps what it had.
func (c *Checker) wasTold(user tidemark.UserID, l *Log, m *replica.Message) bool {
	for at, h := range c.logs { // in no order, but any will do
		if at.conversation != l.Conversation || at.epoch == c.epoch || h.events[m.Seq] == nil || h.events[m.Seq].link.ID != m.ID {
			continue
		}
		if _, told := h.told[user][m.Seq]; told {
			return true
		}
	}
	return false
}

// sentOnce checks C5: what a device has sent and holds no longer is in the log once, unless it was refused, or lost with the
// history in which it was acknowledged. That it is not there twice is S4.
func (c *Checker) sentOnce(s *State, logs []*Log) *Violation {
	for _, o := range s.Outbox {
		if o.State != replica.Failed {
			return about("C5", s.Who, o.Conversation, 0, "%q is still in the outbox, %v", o.ClientID, o.State)
		}
	}
	if c.device(s.Who).wiped {
		return nil
	}
	for _, l := range logs {
		there := make(map[string]bool)
		for _, e := range l.Events {
			if e.Sender == string(s.User) {
				there[e.ClientId] = true
			}
		}
		for _, key := range sendsOf(c.sends, l.Conversation) {
			sent := c.sends[key]
			lost := sent.refused || l.Floor > 0 || len(sent.answers) > 0 && sent.answers[c.epoch] == nil
			if sent.device == s.Who && !sent.transient && !lost && !there[string(key.clientID)] {
				return about("C5", s.Who, l.Conversation, 0, "%q was sent, was not refused, is not in the outbox, and is not in the log", key.clientID)
			}
		}
	}
	return nil
}

// Unhealed is the first gap that a device must fill without being asked; zero: there is none. What is older than all that is
// stored waits until it is read.
func Unhealed(c *replica.Conversation) replica.Gap {
	for _, gap := range c.Gaps() {
		if len(c.Segments) > 0 && gap.From > c.Segments[0].From {
			return gap
		}
	}
	return replica.Gap{}
}

// SameView compares two devices of one user that are both up to date: C3, the one that began anew with a snapshot and the one
// that followed the events show the same list, and the same form of every message that both have.
func SameView(a, b *State) *Violation {
	for _, x := range a.Conversations {
		y := b.conversation(x.ID)
		if x.Removed || y == nil || y.Removed {
			if !x.Removed != (y != nil && !y.Removed) {
				return about("C3", b.Who, x.ID, 0, "%s has the conversation in its list: %t, and this device: %t", a.Who, !x.Removed, x.Removed)
			}
			continue
		}
		if isAhead(x) || isAhead(y) {
			continue // each keeps what it has of what the server has lost
		}
		if v := SameSummary(a.Who, b.Who, x, y); v != nil {
			return v
		}
		if v := sameForms(a, b, x, y); v != nil {
			return v
		}
	}
	for _, y := range b.Conversations {
		if !y.Removed && a.conversation(y.ID) == nil {
			return about("C3", a.Who, y.ID, 0, "%s has the conversation in its list, and this device not", b.Who)
		}
	}
	return nil
}

// isAhead reports whether a device keeps what a server that was restored has lost of a conversation.
func isAhead(c *replica.Conversation) bool {
	_, ahead := c.Ahead()
	return ahead
}

// SameSummary compares the list entries x and y of one conversation on two devices of a user.
func SameSummary(a, b Who, x, y *replica.Conversation) *Violation {
	have, want, floor := summary(y), summary(x), max(x.Floor, y.Floor)
	switch {
	case floor > tidemark.Seq(x.Self.GetReadSeq()) && x.HeadSeq == y.HeadSeq && x.LastTimeMs == y.LastTimeMs:
		// that what was unread is kept no longer, a device hears with the next delta
	case have != want:
		return about("C3", b, x.ID, 0, "the device shows %s; %s shows %s", have, a, want)
	}
	switch {
	case !proto.Equal(pinnedAbove(x.Info, floor), pinnedAbove(y.Info, floor)):
		return about("C3", b, x.ID, 0, "the device shows %v; %s shows %v", y.Info, a, x.Info)
	case !proto.Equal(x.Self, y.Self):
		return about("C3", b, x.ID, 0, "the device has %v; %s has %v", y.Self, a, x.Self)
	}
	return nil
}

// pinnedAbove is the data of a conversation without the pins that are kept no longer: of them too the next delta tells.
func pinnedAbove(info *wire.ConversationInfo, floor tidemark.Seq) *wire.ConversationInfo {
	if floor == 0 || len(info.GetPinned()) == 0 {
		return info
	}
	info = proto.CloneOf(info)
	info.Pinned = slices.DeleteFunc(info.Pinned, func(seq uint64) bool { return tidemark.Seq(seq) <= floor })
	return info
}

func summary(c *replica.Conversation) string {
	return fmt.Sprintf("head %d, %d unread, %d mentions, last at %d", c.HeadSeq, c.Unread, c.Mentions, c.LastTimeMs)
}

// sameForms compares the messages that both have of the user's present stay. Of what is from an earlier one each has what it
// had by then; of an edit, what it knows of its message, which may be kept no longer; of numbers of what is kept no longer,
// those that it knew last.
func sameForms(a, b *State, x, y *replica.Conversation) *Violation {
	in, from, floor := x.ID, tidemark.Seq(x.Self.GetVisibleFrom()), max(x.Floor, y.Floor)
	others, own := bySeq(a.Messages[in]), bySeq(b.Messages[in])
	for i := range b.Messages[in] {
		m := &b.Messages[in][i]
		other := others[m.Seq]
		switch {
		case other == nil || m.Seq < from || sameForm(other, m) || floor > 0 && m.Kind == replica.KindEdit:
		case m.Seq <= floor && (lacksEdit(own, m, other) || lacksEdit(others, other, m) || sameButNumbers(m, other)):
		default:
			return about("C3", b.Who, in, m.Seq, "the device shows %s; %s shows %s", Form(m), a.Who, Form(other))
		}
	}
	return nil
}

func bySeq(list []replica.Message) map[tidemark.Seq]*replica.Message {
	all := make(map[tidemark.Seq]*replica.Message, len(list))
	for i := range list {
		all[list[i].Seq] = &list[i]
	}
	return all
}

// lacksEdit reports whether a device shows a message that is kept no longer as it was before the edit that another device
// shows, because the edit came to it when what it says was kept no longer either.
func lacksEdit(has map[tidemark.Seq]*replica.Message, m, edited *replica.Message) bool {
	edit := has[edited.EditSeq]
	if edited.EditSeq <= m.EditSeq || edit == nil || edit.Body != nil {
		return false
	}
	same := *edited
	same.EditSeq, same.Content, same.Body = m.EditSeq, m.Content, m.Body
	return sameForm(&same, m)
}

// sameButNumbers reports whether two devices show the same but for how many have reacted and answered: of a message that is kept
// no longer they can ask nobody.
func sameButNumbers(m, other *replica.Message) bool {
	same := *other
	same.ThreadCount, same.ThreadSeq, same.Reactions = m.ThreadCount, m.ThreadSeq, m.Reactions
	return sameForm(&same, m)
}

// sameForm reports whether Form says the same of both; it looks first at what needs no line.
func sameForm(a, b *replica.Message) bool {
	if a.ID == b.ID && a.Sender == b.Sender && a.Kind == b.Kind && a.EditSeq == b.EditSeq && a.RecallSeq == b.RecallSeq &&
		a.EraseSeq == b.EraseSeq && a.PinSeq == b.PinSeq && a.ThreadCount == b.ThreadCount && a.Hidden == b.Hidden &&
		(a.Body != nil) == (b.Body != nil) && len(a.Reactions) == 0 && len(b.Reactions) == 0 && proto.Equal(a.Content, b.Content) {
		return true
	}
	return Form(a) == Form(b)
}

// Form is what an app shows of a message, in one line: the same line is the same form.
func Form(m *replica.Message) string {
	if m.Kind == replica.KindEdit { // where it says nothing, no app shows why: its message was recalled, erased, deleted, or all of it
		return fmt.Sprintf("edit %d of %s, with content %t", m.ID, m.Sender, m.Body != nil)
	}
	content := []byte("nothing")
	if m.Content != nil {
		content, _ = proto.MarshalOptions{Deterministic: true}.Marshal(m.Content)
	}
	line := fmt.Sprintf("event %d of %s (kind %d), edited %d, recalled %d, erased %d, pinned %d, %d answers, hidden %t, %q",
		m.ID, m.Sender, m.Kind, m.EditSeq, m.RecallSeq, m.EraseSeq, m.PinSeq, m.ThreadCount, m.Hidden, content)
	for _, r := range slices.SortedFunc(slices.Values(m.Reactions), func(x, y replica.Reaction) int { return cmp.Compare(x.Key, y.Key) }) {
		line += fmt.Sprintf(", %q × %d (own %t)", r.Key, r.Count, r.Mine)
	}
	return line
}

// transient reports whether a submission leaves no event.
func transient(m *wire.Submit) bool { return m.GetMessage().GetClass() == wire.MessageClass_TRANSIENT }
