// SPDX-License-Identifier: Apache-2.0

// A whole directory is found whole, and each sort of damage is found and named.

package verify_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.uber.org/goleak"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func run(t *testing.T, dir string) verify.Report {
	t.Helper()
	report, err := verify.Run(t.Context(), verify.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestWholeIsWhole(t *testing.T) {
	dir := makeDir(t)
	last := verify.Progress{}
	report, err := verify.Run(t.Context(), verify.Config{Dir: dir, Progress: func(p verify.Progress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Fatal(report)
	}
	if last.Done != partitions || last.Counts != report.Counts {
		t.Errorf("the last progress was %+v, the counts are %+v", last, report.Counts)
	}
	want := verify.Counts{Users: 12, Conversations: 8, Events: 44, Members: 18, ClientIDs: 23, Hours: 9, CurrentForms: 6, Mentions: 4,
		Recalls: 2, ListRows: 18, Commits: 38, Profiles: 4, Devices: 4, Cursors: 1, MembershipEvents: 18, ProfileEntries: 4, Contacts: 5, Requests: 1, Reactions: 1}
	want.Accounts, want.Profiles, want.ProfileEntries = 3, want.Profiles+2, want.ProfileEntries+2 // see world.accounts
	want.Users, want.Conversations, want.Events, want.MembershipEvents = want.Users+1, want.Conversations+3, want.Events+6, want.MembershipEvents+6
	want.Members, want.Hours, want.ListRows, want.Commits = want.Members+6, want.Hours+3, want.ListRows+4, want.Commits+6
	want.Contacts, want.Requests, want.Privates, want.Named = want.Contacts+2, want.Requests+1, 1, 3 // see world.departures
	if report.Counts != want {
		t.Errorf("counted\n%+v, want\n%+v", report.Counts, want)
	}
	if !strings.Contains(report.String(), "ok: everything agrees") {
		t.Error(report)
	}
}

// event is the key of an event of the team, which is conversation 1 of partition 0.
func event(seq tidemark.Seq) store.Key {
	return store.Key{Kind: store.EventRow, Conversation: 1, Seq: seq}
}

// byHand is a damage of rows below the store.
func byHand(do func(h hand)) func(*testing.T, string) {
	return func(t *testing.T, dir string) { edit(t, dir, do) }
}

// byRecord is a damage of the records of partition 0.
func byRecord(change func(p *store.Partition, c *record.Changes)) func(*testing.T, string) {
	return func(t *testing.T, dir string) { rewrite(t, dir, 0, change) }
}

// inEvent changes an event of the team.
func inEvent(seq tidemark.Seq, change func(e *record.Event)) func(*testing.T, string) {
	return byRecord(func(p *store.Partition, c *record.Changes) {
		e, _ := p.Event(1, seq)
		change(e)
		c.Events = append(c.Events, record.EventChange{Conversation: 1, Event: e, Rewrite: true})
	})
}

// inHead changes the team's head.
func inHead(change func(h *record.Head)) func(*testing.T, string) {
	return byRecord(func(p *store.Partition, c *record.Changes) {
		h, _ := p.Head(1)
		change(h)
		c.Heads = append(c.Heads, record.HeadChange{Conversation: 1, Head: h})
	})
}

// inInfo changes the team's public data.
func inInfo(change func(i *record.Info)) func(*testing.T, string) {
	return byRecord(func(p *store.Partition, c *record.Changes) {
		i, _ := p.Info(1)
		change(i)
		c.Infos = append(c.Infos, i)
	})
}

// inClub changes the public data of the club, which is conversation 4 of partition 0 and was dissolved by its event 7.
func inClub(change func(i *record.Info)) func(*testing.T, string) {
	return byRecord(func(p *store.Partition, c *record.Changes) {
		i, _ := p.Info(4)
		change(i)
		c.Infos = append(c.Infos, i)
	})
}

// inMember changes carol's record in the team, and not her list row.
func inMember(change func(m *record.Member)) func(*testing.T, string) {
	return byRecord(func(p *store.Partition, c *record.Changes) {
		u, _, _ := p.User("carol")
		m, _ := p.Member(1, u)
		change(m)
		c.Members = append(c.Members, record.MemberChange{Conversation: 1, User: u, Member: m, Quiet: true})
	})
}

// inCurrent changes a current form in the team.
func inCurrent(seq tidemark.Seq, change func(f *record.Current)) func(*testing.T, string) {
	return byRecord(func(p *store.Partition, c *record.Changes) {
		f, _ := p.Current(1, seq)
		if f == nil {
			f = new(record.Current)
		}
		change(f)
		c.Currents = append(c.Currents, record.CurrentChange{Conversation: 1, Seq: seq, Current: f})
	})
}

// damages are what can be wrong, and what the first damage found must say.
var damages = []struct {
	name string
	do   func(t *testing.T, dir string)
	seq  tidemark.Seq // of the damage; 0 none
	team bool         // the damage is in the team
	says string
}{
	{"an event is missing", byHand(func(h hand) { h.delete(event(7)) }), 7, true, "found none up to event 8"},
	{"the last event is missing", byHand(func(h hand) { h.delete(event(22)) }), 0, true, "seq of the head: found 22, expected 21"},
	{"the first event is missing", byHand(func(h hand) { h.delete(event(1)) }), 1, true, "found none up to event 2"},
	{"a digest is changed", byHand(func(h hand) { h.flip(event(5)) }), 5, true, "chain value"},
	{"an event cannot be decoded", byHand(func(h hand) { h.set(event(5), []byte{0xff}) }), 5, true, "ends too early"},
	{"a body is changed", inEvent(3, func(e *record.Event) { e.Body[len(e.Body)-3] ^= 1 }), 3, true, "chain value"},
	{"a salt is changed", inEvent(3, func(e *record.Event) { e.Salt[0]++ }), 3, true, "chain value"},
	{"a sender is changed", inEvent(3, func(e *record.Event) { e.Sender = 1 }), 3, true, "chain value"},
	{"a sender is nobody", inEvent(3, func(e *record.Event) { e.Sender = 99 }), 3, true, "sender: found ordinal 99"},
	{"a time falls", inEvent(6, func(e *record.Event) { e.TimeMs -= 5000 }), 6, true, "time: found"},
	{"an id falls", inEvent(6, func(e *record.Event) { e.ID -= 1 << 36 }), 6, true, "id: found"},
	{"an id is of another partition", inEvent(6, func(e *record.Event) { e.ID |= 1 << 14 }), 6, true, "partition in the id: found 1, expected 0"},
	{"a position falls", inEvent(6, func(e *record.Event) { e.Position = 1 }), 6, true, "position: found 1, expected at least"},
	{"a position is of the future", inEvent(22, func(e *record.Event) { e.Position += 1000 }), 22, true, "position: found"},
	{"a counted ordinal is wrong", inEvent(5, func(e *record.Event) { e.Counted++ }), 5, true, "counted ordinal: found 3, expected 2"},
	{"a kind is wrong", inEvent(5, func(e *record.Event) { e.Kind = record.PinBody }), 5, true, "chain value"},
	{"content is gone without an erasure", inEvent(2, func(e *record.Event) { e.Erased = true }), 2, true, "content: found gone, expected there: no event has taken it back"},
	{"a message is lost that is there", inCurrent(2, func(f *record.Current) { f.IsLost = true }), 2, true, "erased by 0, lost true, pinned"},
	{"content is there after an erasure", inEvent(9, func(e *record.Event) { e.Erased, e.Body = false, []byte("x") }), 9, true, "chain value"},
	{"the head is missing", byHand(func(h hand) { h.delete(store.Key{Kind: store.HeadRow, Conversation: 1}) }), 0, true, "head: found none"},
	{"the head has another seq", inHead(func(h *record.Head) { h.Seq++ }), 0, true, "seq of the head: found 23, expected 22"},
	{"the head has another digest", inHead(func(h *record.Head) { h.Digest[0]++ }), 0, true, "chain value of the head"},
	{"the head counts wrong", inHead(func(h *record.Head) { h.Counted++ }), 0, true, "counted events of the head: found 6, expected 5"},
	{"the head counts recalls wrong", inHead(func(h *record.Head) { h.Recalled = 0 }), 0, true, "recalled events of the head: found 0, expected 2"},
	{"the head has another time", inHead(func(h *record.Head) { h.TimeMs++ }), 0, true, "time of the head"},
	{"the head has another position", inHead(func(h *record.Head) { h.Position-- }), 0, true, "position of the head"},
	{"the head counts members wrong", inHead(func(h *record.Head) { h.Members = 3 }), 0, true, "members of the head: found 3, expected 4"},
	{"the head forgets a mention", inHead(func(h *record.Head) { h.MentionAll = 2 }), 3, true, "bound of the mentions of everybody: found 2, expected at least 3"},
	{"a title is changed", inInfo(func(i *record.Info) { i.Title = "Theirs" }), 0, true, "title: found Theirs, expected The team"},
	{"custom data are changed", inInfo(func(i *record.Info) { i.Custom = nil }), 0, true, "custom data: found map[], expected map[c:d]"},
	{"a setting is changed", inInfo(func(i *record.Info) { i.Settings.HistoryFromStart = false }), 0, true, "history from the start: found false"},
	{"a creation time is changed", inInfo(func(i *record.Info) { i.CreatedMs++ }), 0, true, "time of creation"},
	{"a members version is changed", inInfo(func(i *record.Info) { i.MembersPosition++ }), 0, true, "last change of the members"},
	{"a conversation is renamed", inInfo(func(i *record.Info) { i.ID += "x" }), 1, true, "chain value"},
	{"an announcement is changed", inClub(func(i *record.Info) { i.Announcement = "Never" }), 0, false, "announcement: found Never, expected Tonight at eight"},
	{"a right is changed", inClub(func(i *record.Info) { i.Settings.Post = record.OwnerRole }), 0, false, "settings: found"},
	{"a dissolved conversation goes on", inClub(func(i *record.Info) { i.DissolvedSeq = 0 }), 0, false, "seq of the dissolution: found 0, expected 7"},
	{"an admin is not listed", inClub(func(i *record.Info) { i.Staff = i.Staff[:1] }), 0, false, "admins and owners: found [bob], expected [bob carol]"},
	{"a member is listed as an admin", inInfo(func(i *record.Info) { i.Staff = append(i.Staff, 99) }), 0, true, "admins and owners: found [alice dave of ordinal 99], expected [alice dave]"},
	{"a request is not counted", inClub(func(i *record.Info) { i.Requests = 0 }), 0, false, "requests to join: found 0, expected 1"},
	{"a request is missing", byHand(func(h hand) {
		h.delete(h.find(store.RequestRow, func(store.Key, []byte) bool { return true }))
	}), 0, false, "requests to join: found 1, expected 0"},
	{"a member asks to join", byRecord(func(p *store.Partition, c *record.Changes) {
		u, _, _ := p.User("bob")
		c.Requests = append(c.Requests, record.RequestChange{Conversation: 4, User: u, Request: &record.JoinRequest{}})
	}), 0, false, "request to join of bob: found one, expected none: the user is a member"},
	{"nobody asks to join", byRecord(func(_ *store.Partition, c *record.Changes) {
		c.Requests = append(c.Requests, record.RequestChange{Conversation: 4, User: 99, Request: &record.JoinRequest{}})
	}), 0, false, "request to join of user ordinal 99: found one, expected none: there is no such user"},
	{"a request is to no conversation", byRecord(func(_ *store.Partition, c *record.Changes) {
		c.Requests = append(c.Requests, record.RequestChange{Conversation: 77, User: 1, Request: &record.JoinRequest{}})
	}), 0, false, "request to join of conversation ordinal 77: found a row, expected none"},
	{"an info is missing", byHand(func(h hand) { h.delete(store.Key{Kind: store.InfoRow, Conversation: 1}) }), 0, false, "info of conversation ordinal 1: found none"},
	{"a role is raised", inMember(func(m *record.Member) { m.Role = record.OwnerRole }), 1, true, "role of member carol: found owner, expected member"},
	{"a joined seq is changed", inMember(func(m *record.Member) { m.JoinedSeq = 2 }), 1, true, "joined seq of member carol: found 2, expected 1"},
	{"history is opened", inMember(func(m *record.Member) { m.VisibleFrom = 0 }), 1, true, "first seq granted of member carol"},
	{"a member has left", inMember(func(m *record.Member) { m.LeftSeq = 20 }), 1, true, "left seq of member carol: found 20, expected 0"},
	{"a read mark is past the head", inMember(func(m *record.Member) { m.ReadSeq = 23 }), 0, true, "read mark of member carol: found 23, expected at most the last event, 22"},
	{"a read mark is behind one's own", inMember(func(m *record.Member) { m.ReadSeq, m.ReadCounted = 2, 1 }), 1, true, "read mark of member carol: found 2, expected at least 12"},
	{"a read count is wrong", inMember(func(m *record.Member) { m.ReadCounted++ }), 12, true, "counted events up to the read mark of member carol: found 5, expected 4"},
	{"a mention bound is too low", inMember(func(m *record.Member) { m.MentionSeq = 1 }), 2, true, "bound of the mentions of carol: found 1"},
	{"a member is missing", byHand(func(h hand) { h.delete(store.Key{Kind: store.MemberRow, Conversation: 1, User: 3}) }), 1, true, "record of member carol: found none"},
	{"a member is invented", byRecord(func(p *store.Partition, c *record.Changes) {
		u, _, _ := p.User("zoe")
		c.Members = append(c.Members, record.MemberChange{Conversation: 1, User: u, Member: &record.Member{JoinedSeq: 1, ReadSeq: 1, Position: 1}})
	}), 1, true, "record of member zoe: found one, expected none"},
	{"an edit is lost", inCurrent(2, func(f *record.Current) { f.EditSeq, f.Edits, f.Edited = 0, nil, nil }), 2, true, "current form"},
	{"an edit shows something else", inCurrent(2, func(f *record.Current) { f.Edited[len(f.Edited)-1]++ }), 2, true, "current form"},
	{"a reaction is invented", inCurrent(3, func(f *record.Current) {
		f.Reactions = []record.Reaction{{Key: "x", Count: 1, Users: []record.User{1}}}
	}), 3, true, "reactions [{x 1 [1]}], expected"},
	{"a pin is lost", byHand(func(h hand) { h.delete(store.Key{Kind: store.CurrentRow, Conversation: 1, Seq: 3}) }), 3, true, "pinned by 8"},
	{"a recall is forgotten", inCurrent(12, func(f *record.Current) { f.RecallSeq = 0 }), 12, true, "recalled by 0"},
	{"an erasure forgets an edit", inCurrent(9, func(f *record.Current) { f.Edits = nil }), 9, true, "current form"},
	{"a current form is invented", inCurrent(22, func(f *record.Current) { f.RecallSeq = 21 }), 22, true, "recalled by 21"},
	{"a mention is missing", byHand(func(h hand) { h.delete(store.Key{Kind: store.MentionRow, Conversation: 1, User: 0, Seq: 3}) }), 3, true, "mention of everybody: found none"},
	{"a mention is invented", byHand(func(h hand) { h.set(store.Key{Kind: store.MentionRow, Conversation: 1, User: 1, Seq: 9}, nil) }), 9, true, "mention of alice: found in the index"},
	{"a recall row is missing", byHand(func(h hand) { h.delete(store.Key{Kind: store.RecallRow, Conversation: 1, Seq: 9}) }), 9, true, "recall: found none"},
	{"a recall row counts wrong", byHand(func(h hand) { h.flip(store.Key{Kind: store.RecallRow, Conversation: 1, Seq: 9}) }), 9, true, "counted ordinal of the recall"},
	{"a recall row is invented", byRecord(func(_ *store.Partition, c *record.Changes) {
		c.Recalls = append(c.Recalls, record.RecallChange{Conversation: 1, Seq: 22, Counted: 5})
	}), 22, true, "recall: found in the index"},
	{"an hour counts wrong", byRecord(func(p *store.Partition, c *record.Changes) {
		hour, _, _ := p.LastHour(1, 1<<32-1)
		hour.Count++
		c.Hours = append(c.Hours, record.HourChange{Conversation: 1, Hour: hour})
	}), 12, true, "12 events"},
	{"an hour is missing", byHand(func(h hand) {
		h.delete(store.Key{Kind: store.HourRow, Conversation: 1, Hour: 1_780_000_000_000 / 3_600_000})
	}), 1, true, "found none, expected first seq 1"},
	{"an hour is invented", byRecord(func(_ *store.Partition, c *record.Changes) {
		c.Hours = append(c.Hours, record.HourChange{Conversation: 1, Hour: record.Hour{Hour: 7, First: 4, Count: 1}})
	}), 4, true, "row of hour 7"},
	{"a last hour is invented", byRecord(func(_ *store.Partition, c *record.Changes) {
		c.Hours = append(c.Hours, record.HourChange{Conversation: 1, Hour: record.Hour{Hour: 1 << 31, First: 4, Count: 1}})
	}), 4, true, "the hour has no events"},
	{"a client id is missing", byHand(func(h hand) { h.delete(clientIDKey(h, 3)) }), 3, true, "index of client id bob-"},
	{"a client id names another event", byHand(func(h hand) { h.set(clientIDKey(h, 3), []byte{4}) }), 3, true, "index of client id bob-"},
	{"a client id is invented", byHand(func(h hand) {
		h.set(store.Key{Kind: store.ClientIDRow, Conversation: 1, Hash: [6]byte{1}}, []byte{3})
	}), 3, true, "client id row 010000000000"},
	{"a client id is used twice", byRecord(func(p *store.Partition, c *record.Changes) {
		first, _ := p.Event(1, 5)
		second, _ := p.Event(1, 6)
		second.Sender, second.ClientID = first.Sender, first.ClientID
		c.Events = append(c.Events, record.EventChange{Conversation: 1, Event: second, Rewrite: true})
		c.ClientIDs = append(c.ClientIDs, record.ClientIDChange{Conversation: 1, User: second.Sender, ClientID: second.ClientID, Seq: 6})
	}), 6, true, "chain value"},
	{"a list row is missing", byHand(func(h hand) { h.delete(store.Key{Kind: store.ListRow, User: 3, Conversation: 1}) }), 0, true, "list row of user ordinal 3: found none"},
	{"a list row is invented", byHand(func(h hand) { h.set(store.Key{Kind: store.ListRow, User: 4, Conversation: 1}, []byte{1}) }), 0, true, "none: the user never was a member"},
	{"a list row is of the future", byHand(func(h hand) { h.set(store.Key{Kind: store.ListRow, User: 3, Conversation: 1}, []byte{99}) }), 0, true, "position of the list row of user ordinal 3: found 99"},
	{"a list row is of the past", byRecord(func(p *store.Partition, c *record.Changes) {
		m, _ := p.Member(1, 3)
		m.Position = c.Partition.Position
		c.Members = append(c.Members, record.MemberChange{Conversation: 1, User: 3, Member: m, Quiet: true})
	}), 0, true, "no event of that commit marks the conversation as changed"},
	{"a commit is missing", byHand(func(h hand) { h.delete(commitKey(h, 7)) }), 7, false, "a row without the event"},
	{"a commit holds another event", byHand(func(h hand) { h.set(commitKey(h, 7), []byte{1, 8, 1}) }), 8, false, "an event of position"},
	{"a commit is of the future", byHand(func(h hand) { h.set(store.Key{Kind: store.CommitRow, Position: 5000}, nil) }), 0, false, "position of a commit: found 5000"},
	{"the partition is behind", byRecord(func(p *store.Partition, c *record.Changes) {
		e, _ := p.Event(1, 8)
		c.Partition.Position = e.Position
	}), 9, true, "expected at most"},
	{"the last id is behind", byRecord(func(_ *store.Partition, c *record.Changes) { c.Partition.LastID = 5 }), 1, true, "expected at most 5"},
	{"too few users are counted", byRecord(func(_ *store.Partition, c *record.Changes) { c.Partition.Users-- }), 0, false, "users counted by the partition state"},
	{"too many conversations are counted", byRecord(func(_ *store.Partition, c *record.Changes) { c.Partition.Conversations++ }), 0, false, "conversations counted by the partition state"},
	{"a user's ordinal is another's", byHand(func(h hand) { h.set(store.Key{Kind: store.UserOrdinalRow, ID: "carol"}, []byte{1}) }), 0, false, `ordinal of user "carol": found 1, expected 3`},
	{"a user's id is missing", byHand(func(h hand) { h.delete(store.Key{Kind: store.UserIDRow, User: 2}) }), 0, false, "id of user ordinal 2: found none"},
	{"a conversation id is missing", byHand(func(h hand) { h.delete(conversationKey(h)) }), 0, true, "ordinal of the conversation id"},
	{"a conversation id names another", byHand(func(h hand) { h.set(conversationKey(h), []byte{2}) }), 0, false, "ordinal 2 of conversation id"},
	{"a profile is in the wrong partition", func(t *testing.T, dir string) {
		for n := range uint32(partitions) { // in one of them it is wrong
			rewrite(t, dir, n, func(_ *store.Partition, c *record.Changes) {
				c.Profiles = append(c.Profiles, &record.Profile{ID: "eve", NicknamePosition: 1})
				c.Indexes = append(c.Indexes, record.IndexChange{Index: record.Index{Kind: record.ProfileIndex, Position: 1, ID: "eve"}})
			})
		}
	}, 0, false, `partition of the profile of user "eve"`},
	{"a profile is of the future", byRecord(func(_ *store.Partition, c *record.Changes) {
		id := tidemark.UserID("eve")
		for tidemark.PartitionOfUser(id, partitions) != 0 {
			id += "e"
		}
		c.Profiles = append(c.Profiles, &record.Profile{ID: id, NicknamePosition: c.Partition.Position + 1})
	}), 0, false, "position of the profile"},
	{"a profile's entry is missing", byHand(func(h hand) {
		h.delete(h.find(store.ProfileIndexRow, func(store.Key, []byte) bool { return true }))
	}), 0, false, "entry in the index of changed profiles of the profile of user"},
	{"a profile's entry is of the past", byHand(func(h hand) {
		k := h.find(store.ProfileIndexRow, func(store.Key, []byte) bool { return true })
		k.Position--
		h.set(k, nil)
	}), 0, false, "expected none but that of the last change"},
	{"a profile's entry is invented", byHand(func(h hand) { h.set(store.Key{Kind: store.ProfileIndexRow, Position: 1, ID: "nobody"}, nil) }), 0, false, `of user "nobody": found one, expected none`},
	{"a last joining is changed", inMember(func(m *record.Member) { m.ListPosition++ }), 1, true, "position of the last joining or leaving of member carol"},
	{"a membership row is missing", byHand(func(h hand) {
		h.delete(store.Key{Kind: store.MembershipRow, Conversation: 1, Seq: 17})
	}), 17, true, "row of the event about members: found none"},
	{"a membership row is invented", byHand(func(h hand) {
		h.set(store.Key{Kind: store.MembershipRow, Conversation: 1, Seq: 16}, nil)
	}), 16, true, "row of an event about members: found one"},
	{"a device is nobody's", byRecord(func(_ *store.Partition, c *record.Changes) {
		c.Devices = append(c.Devices, record.DeviceChange{User: "nobody", Device: &record.Device{ID: "d"}})
	}), 0, false, `device "d" of user "nobody": found one`},
	{"a cursor is of the future", byRecord(func(_ *store.Partition, c *record.Changes) {
		c.Cursors = append(c.Cursors, record.CursorChange{User: 1, Device: "d", Position: c.Partition.Position + 1})
	}), 0, false, `cursor of device "d" of user ordinal 1`},
	{"a row is nobody's", byHand(func(h hand) {
		h.set(store.Key{Kind: store.HeadRow, Conversation: 77}, h.get(store.Key{Kind: store.HeadRow, Conversation: 1}))
	}), 0, false, "head of conversation ordinal 77"},
	{"a key is of no kind", byHand(func(h hand) { h.set(store.Key{Kind: 0x77}, nil) }), 0, false, "key of no known partition or kind: found 0077"},
	{"a key is of no partition", byHand(func(h hand) { h.set(store.Key{Partition: 9, Kind: store.StateRow}, nil) }), 0, false, "found 0901"},
	{"a key cannot be decoded", byHand(func(h hand) { h.set(store.Key{Kind: store.UserOrdinalRow, ID: strings.Repeat("x", 300)}, nil) }), 0, false, "a row that can be read"},
	{"the state cannot be decoded", byHand(func(h hand) { h.set(store.Key{Kind: store.StateRow}, []byte{9}) }), 0, false, "partition state: found"},
}

// clientIDKey is the key of the client id of an event of the team, found as the one whose value is its seq.
func clientIDKey(h hand, seq tidemark.Seq) store.Key {
	return h.find(store.ClientIDRow, func(k store.Key, v []byte) bool {
		return k.Conversation == 1 && len(v) == 1 && v[0] == byte(seq)
	})
}

// commitKey is the key of the commit that appended an event to the team.
func commitKey(h hand, seq tidemark.Seq) store.Key {
	return h.find(store.CommitRow, func(_ store.Key, v []byte) bool {
		return len(v) == 3 && v[0] == 1 && v[1] == byte(seq)
	})
}

// conversationKey is the key of the team's id.
func conversationKey(h hand) store.Key {
	return h.find(store.ConversationRow, func(_ store.Key, v []byte) bool { return v[0] == 1 })
}

func TestEachDamageIsFound(t *testing.T) {
	whole := makeDir(t)
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			dir := copyDir(t, whole)
			d.do(t, dir)
			report := run(t, dir)
			if report.OK() {
				t.Fatal("not found")
			}
			first := report.Damages[0]
			if !strings.Contains(first.String(), d.says) || first.Seq != d.seq || strings.HasPrefix(string(first.Conversation), "team") != d.team {
				t.Errorf("found %s\nwant event %d, in the team: %v, %q", first, d.seq, d.team, d.says)
			}
			if !strings.Contains(report.String(), "damaged: "+first.String()) {
				t.Errorf("the report does not say so:\n%s", report)
			}
		})
	}
}

func TestDamagesAreBounded(t *testing.T) {
	dir := makeDir(t)
	inHead(func(h *record.Head) { *h = record.Head{} })(t, dir)
	report, err := verify.Run(t.Context(), verify.Config{Dir: dir, DamagesMax: 2})
	if err != nil || len(report.Damages) != 2 || report.Undescribed < 3 || !strings.Contains(report.String(), "places more") {
		t.Errorf("%v, %v", report, err)
	}
}

func TestRunFails(t *testing.T) {
	if _, err := verify.Run(t.Context(), verify.Config{Dir: t.TempDir() + "/none"}); err == nil {
		t.Error("there is nothing to check")
	}
	dir := makeDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify.Run(ctx, verify.Config{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	db, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := verify.Run(t.Context(), verify.Config{Dir: dir}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("in use: %v", err)
	}
	if report, err := verify.Run(t.Context(), verify.Config{DB: db}); err != nil || !report.OK() {
		t.Errorf("an open store: %v, %v", report, err)
	}
}
