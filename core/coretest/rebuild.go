// SPDX-License-Identifier: Apache-2.0

// Brute force: what a conversation's log says, read from its first event to its last, with none of the cleverness of
// the rules.

package coretest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// rebuilt is everything that can be derived from a log.
type rebuilt struct {
	memory   *Memory
	info     record.Info
	seq      tidemark.Seq // of the last event
	counted  uint64
	members  map[record.User]*record.Member // role, joined, visible, left, list position; the other fields are not in the log
	active   uint32
	currents map[tidemark.Seq]*record.Current
	texts    map[tidemark.Seq]*wire.Message // what a message shows
	mentions map[tidemark.Seq]map[record.User]bool
	recalls  map[tidemark.Seq]uint64
	hours    []record.Hour
	clients  map[clientKey]tidemark.Seq
	own      map[record.User][]tidemark.Seq // the counted events a user wrote
	indexes  map[record.Index]bool          // threads and reactions
	answers  map[tidemark.Seq]tidemark.Seq  // in threads, to their roots
}

// rebuild reads the log of a conversation as it was written, before erasures took content out of it.
func (m *Memory) rebuild(c record.Conversation) (*rebuilt, error) {
	r := &rebuilt{
		memory:   m,
		info:     record.Info{Ordinal: c},
		members:  make(map[record.User]*record.Member),
		currents: make(map[tidemark.Seq]*record.Current),
		texts:    make(map[tidemark.Seq]*wire.Message),
		mentions: make(map[tidemark.Seq]map[record.User]bool),
		recalls:  make(map[tidemark.Seq]uint64),
		clients:  make(map[clientKey]tidemark.Seq),
		own:      make(map[record.User][]tidemark.Seq),
		indexes:  make(map[record.Index]bool),
		answers:  make(map[tidemark.Seq]tidemark.Seq),
	}
	for seq := tidemark.Seq(1); ; seq++ {
		e, ok := m.written[eventKey{c, seq}]
		if !ok {
			r.keep(m.heads[c].Floor)
			return r, nil
		}
		r.seq = seq
		if e.Erased { // taken back without its content
			r.nameless(e)
			continue
		}
		var body wire.Body
		if err := body.UnmarshalVT(e.Body); err != nil {
			return nil, fmt.Errorf("event %d: %w", seq, err)
		}
		if e.IsCounted {
			r.counted++
			r.own[e.Sender] = append(r.own[e.Sender], seq)
		}
		if e.ClientID != "" {
			r.clients[clientKey{c, e.Sender, e.ClientID}] = seq
		}
		r.hour(e)
		r.body(e, &body)
	}
}

// nameless takes the next event, of which only the hash came back: a message, or an edit of one, that the log takes back
// further on. Which message an edit was of, only the current form tells.
func (r *rebuilt) nameless(e *record.Event) {
	if e.IsCounted {
		r.counted++
		r.own[e.Sender] = append(r.own[e.Sender], e.Seq)
	}
	if e.ClientID != "" {
		r.clients[clientKey{r.info.Ordinal, e.Sender, e.ClientID}] = e.Seq
	}
	r.hour(e)
	if e.Kind == record.MessageBody {
		r.texts[e.Seq] = new(wire.Message)
		r.current(e.Seq).IsLost = true
		if e.IsCounted {
			r.recalls[e.Seq] = e.Counted
		}
	}
	for key, current := range r.memory.currents {
		if key.c == r.info.Ordinal && key.seq < e.Seq && slices.Contains(current.Edits, e.Seq) {
			r.withdraw(e, key.seq, 0, 0)
			of := r.current(key.seq)
			of.IsLost, of.EditSeq, of.Edits = true, e.Seq, append(of.Edits, e.Seq)
			for _, edit := range of.Edits {
				*r.current(edit) = record.Current{IsLost: true}
			}
		}
	}
}

// keep forgets what was about events that are no longer kept. An hour stays as it was until its last event goes.
func (r *rebuilt) keep(floor tidemark.Seq) {
	below := func(seq tidemark.Seq) bool { return seq <= floor }
	maps.DeleteFunc(r.currents, func(seq tidemark.Seq, _ *record.Current) bool { return below(seq) })
	maps.DeleteFunc(r.mentions, func(seq tidemark.Seq, _ map[record.User]bool) bool { return below(seq) })
	maps.DeleteFunc(r.recalls, func(seq tidemark.Seq, _ uint64) bool { return below(seq) })
	maps.DeleteFunc(r.clients, func(_ clientKey, seq tidemark.Seq) bool { return below(seq) })
	r.hours = slices.DeleteFunc(r.hours, func(h record.Hour) bool { return below(h.First + tidemark.Seq(h.Count) - 1) })
	r.info.Pins = slices.DeleteFunc(r.info.Pins, below)
	maps.DeleteFunc(r.indexes, func(i record.Index, _ bool) bool {
		return i.Kind == record.ThreadIndex && below(i.Root) || i.Kind == record.ReactionIndex && below(i.Seq)
	})
}

func (r *rebuilt) body(e *record.Event, body *wire.Body) {
	switch body := body.Body.(type) {
	case *wire.Body_Message:
		r.texts[e.Seq] = body.Message
		r.answer(e.Seq, tidemark.Seq(body.Message.Thread))
		r.mention(e, e.Seq, body.Message)
	case *wire.Body_Edit:
		target := tidemark.Seq(body.Edit.Seq)
		current := r.current(target)
		current.EditSeq, current.Edits = e.Seq, append(current.Edits, e.Seq)
		shown := wire.Body{Body: &wire.Body_Message{Message: body.Edit.Message}}
		body.Edit.Message.Thread = uint64(r.answers[target])
		current.Edited, _ = shown.MarshalVT()
		r.texts[target] = body.Edit.Message
		r.mention(r.memory.written[eventKey{r.info.Ordinal, target}], target, body.Edit.Message)
	case *wire.Body_Recall:
		r.withdraw(e, tidemark.Seq(body.Recall.Seq), e.Seq, 0)
	case *wire.Body_Erased:
		r.withdraw(e, tidemark.Seq(body.Erased.Seq), 0, e.Seq)
	case *wire.Body_Reaction:
		r.react(e.Sender, body.Reaction)
	case *wire.Body_Pin:
		r.pin(e, tidemark.Seq(body.Pin.Seq), !body.Pin.Removed)
	case *wire.Body_Members:
		r.memberList(e, body.Members)
	case *wire.Body_Info:
		r.data(body.Info)
		r.info.InfoPosition = e.Position
		if body.Info.Dissolved {
			r.info.DissolvedSeq = e.Seq
		}
	}
}

func (r *rebuilt) current(seq tidemark.Seq) *record.Current {
	if r.currents[seq] == nil {
		r.currents[seq] = new(record.Current)
	}
	return r.currents[seq]
}

func (r *rebuilt) mention(e *record.Event, target tidemark.Seq, m *wire.Message) {
	if !e.IsCounted || r.info.Kind == record.Room {
		return
	}
	set := make(map[record.User]bool)
	if m.MentionAll {
		set[0] = true
	}
	for _, name := range m.Mentions {
		u := r.memory.users[tidemark.UserID(name)]
		if member := r.members[u]; member.Active() && u != e.Sender && member.VisibleFrom <= target {
			set[u] = true
		}
	}
	r.mentions[target] = set
}

// answer adds a message to the thread of a root.
func (r *rebuilt) answer(seq, root tidemark.Seq) {
	if root == 0 {
		return
	}
	r.answers[seq] = root
	r.indexes[record.Index{Kind: record.ThreadIndex, Conversation: r.info.Ordinal, Root: root, Seq: seq}] = true
	current := r.current(root)
	current.ThreadCount++
	current.ThreadSeq = seq
}

// withdraw applies a recall or an erasure. Only the first of each says anything.
func (r *rebuilt) withdraw(by *record.Event, target, recall, erase tidemark.Seq) {
	current := r.current(target)
	if recall > 0 && current.RecallSeq > 0 {
		return
	}
	if root := r.answers[target]; root > 0 && !current.IsWithheld() {
		r.current(root).ThreadCount--
	}
	r.pin(by, target, false)
	maps.DeleteFunc(r.indexes, func(i record.Index, _ bool) bool {
		return i.Kind == record.ReactionIndex && i.Seq == target
	})
	if current.RecallSeq == 0 {
		current.RecallSeq = recall
	}
	current.EraseSeq = erase
	current.Edited, current.Reactions = nil, nil
	for _, edit := range current.Edits {
		*r.current(edit) = record.Current{RecallSeq: current.RecallSeq, EraseSeq: erase}
	}
	delete(r.mentions, target)
	if e := r.memory.written[eventKey{r.info.Ordinal, target}]; e.IsCounted {
		r.recalls[target] = e.Counted
	}
}

// pin pins a message, or no longer; what does not change it is passed over.
func (r *rebuilt) pin(e *record.Event, seq tidemark.Seq, pinned bool) {
	current := r.current(seq)
	switch {
	case pinned == (current.PinSeq > 0) || current.IsLost:
		return
	case pinned:
		current.PinSeq = e.Seq
		r.info.Pins = append(r.info.Pins, seq)
	default:
		current.PinSeq = 0
		r.info.Pins = slices.DeleteFunc(r.info.Pins, func(s tidemark.Seq) bool { return s == seq })
	}
	r.info.InfoPosition = e.Position
}

func (r *rebuilt) react(user record.User, reaction *wire.Reaction) {
	seq := tidemark.Seq(reaction.Seq)
	if r.current(seq).IsLost {
		return
	}
	entry := record.Index{
		Kind: record.ReactionIndex, Conversation: r.info.Ordinal, Seq: seq, ID: reaction.Key, User: user,
	}
	r.indexes[entry] = true
	if reaction.Removed {
		delete(r.indexes, entry)
	}
	keys := make(map[string][]record.User)
	for i := range r.indexes {
		if i.Kind == record.ReactionIndex && i.Seq == seq {
			keys[i.ID] = append(keys[i.ID], i.User)
		}
	}
	current := r.current(seq)
	current.Reactions = nil
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		users := keys[key]
		slices.Sort(users)
		current.Reactions = append(current.Reactions, record.Reaction{
			Key: key, Count: uint32(len(users)), Users: users[:min(len(users), record.ReactionUsersMax)],
		})
	}
}

func (r *rebuilt) memberList(e *record.Event, list *wire.Members) {
	if list.Created != nil {
		r.info.Kind = record.Kind(list.Created.Kind)
		r.info.CreatedMs, r.info.InfoPosition = e.TimeMs, e.Position
		r.data(list.Created)
	}
	r.info.MembersPosition = e.Position
	for _, name := range list.Added {
		member := &record.Member{Role: record.MemberRole, JoinedSeq: e.Seq, VisibleFrom: e.Seq, ListPosition: e.Position}
		if role, given := list.Roles[name]; given {
			member.Role = record.Role(role)
		}
		if r.info.Settings.HistoryFromStart || r.info.Kind == record.Room {
			member.VisibleFrom = 1
		}
		r.members[r.memory.users[tidemark.UserID(name)]] = member
		r.active++
	}
	for _, name := range list.Removed {
		member := r.members[r.memory.users[tidemark.UserID(name)]]
		if r.info.Kind == record.Room && !member.Active() {
			continue // was only in it
		}
		member.LeftSeq, member.ListPosition = e.Seq, e.Position
		r.active--
	}
	for name, role := range list.Roles {
		r.members[r.memory.users[tidemark.UserID(name)]].Role = record.Role(role)
	}
}

// staff are the admins and owners among the members.
func (r *rebuilt) staff() []record.User {
	var staff []record.User
	for u, m := range r.members {
		if m.Active() && m.Role > record.MemberRole && r.info.Kind != record.Direct {
			staff = append(staff, u)
		}
	}
	slices.Sort(staff)
	return staff
}

func (r *rebuilt) data(info *wire.Info) {
	if info.Title != nil {
		r.info.Title = *info.Title
	}
	if info.Avatar != nil {
		r.info.Avatar = *info.Avatar
	}
	custom := maps.Clone(r.info.Custom)
	if custom == nil {
		custom = make(map[string]string)
	}
	maps.Copy(custom, info.Custom)
	maps.DeleteFunc(custom, func(_, value string) bool { return value == "" })
	r.info.Custom = custom
	if info.Announcement != nil {
		r.info.Announcement = *info.Announcement
	}
	for _, a := range info.Attributes {
		r.info.Attributes = slices.DeleteFunc(slices.Clone(r.info.Attributes), func(b record.Attribute) bool { return b.Key == a.Key })
		if a.Value != "" {
			r.info.Attributes = append(r.info.Attributes, record.Attribute{
				Key: a.Key, Value: a.Value, Owner: r.memory.users[tidemark.UserID(a.Owner)], AutoDelete: a.AutoDelete,
			})
		}
		slices.SortFunc(r.info.Attributes, func(a, b record.Attribute) int { return strings.Compare(a.Key, b.Key) })
	}
	if info.Settings != nil {
		r.info.Settings = core.SettingsOf(info.Settings)
	}
}

func (r *rebuilt) hour(e *record.Event) {
	hour := uint32(e.TimeMs / 3_600_000)
	if n := len(r.hours); n == 0 || r.hours[n-1].Hour != hour {
		r.hours = append(r.hours, record.Hour{Hour: hour, First: e.Seq})
	}
	last := &r.hours[len(r.hours)-1]
	last.Count++
	last.Digest = e.Digest
}
