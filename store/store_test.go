// SPDX-License-Identifier: Apache-2.0

// What is put into a batch is what is read back, before and after the directory is opened again.

package store

import (
	"log/slog"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
)

const testNowMs = 1_800_000_000_000

func testID(ms uint64, partition, counter uint64) tidemark.EventID {
	return tidemark.EventID(0).Next(ms, uint32(partition)) + tidemark.EventID(counter)
}

// testEvent is a message of alice (ordinal 1).
func testEvent(seq tidemark.Seq, partition uint64) *record.Event {
	e := &record.Event{
		Seq: seq, ID: testID(testNowMs+uint64(seq), partition, 1), TimeMs: testNowMs + uint64(seq), Sender: 1,
		SenderID: "alice", ClientID: tidemark.ClientID("c" + string(rune('a'+seq))), Counted: uint64(seq), IsCounted: true,
		Kind: record.MessageBody, Salt: [8]byte{byte(seq), 1, 2}, Body: []byte("hello"), Position: 1,
	}
	e.BodyHash = chain.BodyHash(e.Salt, e.Body)
	e.Digest[0] = byte(seq)
	return e
}

// testChanges is one change of each sort.
func testChanges() *record.Changes {
	c := &record.Changes{
		Partition: record.Partition{Position: 1, LastID: 9, Users: 2, Conversations: 1},
		Users:     []record.UserChange{{Ordinal: 1, ID: "alice"}, {Ordinal: 2, ID: "bob"}},
		Infos: []*record.Info{{
			Ordinal: 1, ID: "team", Kind: record.Group, Title: "Team", Custom: map[string]string{"a": "b", "c": ""},
			Settings: record.Settings{HistoryFromStart: true}, CreatedMs: testNowMs, InfoPosition: 1, MembersPosition: 1,
		}},
		Heads: []record.HeadChange{{Conversation: 1, Head: &record.Head{Seq: 3, Counted: 3, Position: 1, TimeMs: 5, Members: 2}}},
		Members: []record.MemberChange{
			{Conversation: 1, User: 1, Member: &record.Member{Role: record.OwnerRole, JoinedSeq: 1, VisibleFrom: 1, Position: 1, Alias: "x"}},
			{Conversation: 1, User: 2, Member: &record.Member{Role: record.MemberRole, JoinedSeq: 1, Position: 1, Hidden: true}, Quiet: true},
		},
		Currents: []record.CurrentChange{{Conversation: 1, Seq: 2, Current: &record.Current{
			EditSeq: 3, Edited: []byte("new"), Reactions: []record.Reaction{{Key: "+1", Users: []record.User{1, 2, 900}}},
		}}},
		Hours:    []record.HourChange{{Conversation: 1, Hour: record.Hour{Hour: 7, First: 1, Count: 2}}, {Conversation: 1, Hour: record.Hour{Hour: 9, First: 3, Count: 1}}},
		Mentions: []record.MentionChange{{Conversation: 1, User: 2, Seq: 2}, {Conversation: 1, User: 2, Seq: 3}, {Conversation: 1, User: 0, Seq: 3}},
		Recalls:  []record.RecallChange{{Conversation: 1, Seq: 3, Counted: 3}},
		Profiles: []*record.Profile{{ID: "alice", Nickname: "Alice", NicknamePosition: 1}},
		Devices:  []record.DeviceChange{{User: "alice", Device: &record.Device{ID: "phone", Platform: "ios", FirstSeenMs: 1, LastSeenMs: 2}}},
		Cursors:  []record.CursorChange{{User: 1, Device: "phone", Position: 1}},
		Accounts: []*record.Account{{User: "alice", ContactsOnly: true, Revoked: []record.RevokedDevice{{Device: "phone", FromMs: 7}}}},
		Privates: []record.PrivateChange{{Conversation: 1, User: 2, Private: &record.Private{Draft: "so", DraftMs: 3, Deleted: []tidemark.Seq{2, 3}}}},
		Scheduled: []record.ScheduledChange{
			{Conversation: 1, User: 1, ClientID: "s1", Scheduled: &record.Scheduled{DueMs: 9, Body: []byte("later")}},
			{Conversation: 1, User: 1, ClientID: "s2", Scheduled: &record.Scheduled{DueMs: 8, Body: []byte("never"), Reason: "MUTED", Message: "no"}},
			{Conversation: 1, User: 2, ClientID: "s1", Scheduled: &record.Scheduled{DueMs: 7, Body: []byte{}}},
		},
		Requests: []record.RequestChange{{Conversation: 1, User: 2, Request: &record.JoinRequest{TimeMs: 4, Text: "please"}}},
		Indexes:  testIndexes(),
	}
	for seq := tidemark.Seq(1); seq <= 3; seq++ {
		e := testEvent(seq, 3)
		c.Events = append(c.Events, record.EventChange{Conversation: 1, Event: e})
		c.ClientIDs = append(c.ClientIDs, record.ClientIDChange{Conversation: 1, User: 1, ClientID: e.ClientID, Seq: seq})
	}
	return c
}

// testIndexes are entries of every index, those of each in order, with neighbours that must not be met.
func testIndexes() (changes []record.IndexChange) {
	for _, i := range []record.Index{
		{Kind: record.ThreadIndex, Conversation: 1, Root: 1, Seq: 2},
		{Kind: record.ThreadIndex, Conversation: 1, Root: 2, Seq: 3}, {Kind: record.ThreadIndex, Conversation: 1, Root: 2, Seq: 300},
		{Kind: record.ThreadIndex, Conversation: 1, Root: 3, Seq: 4},
		{Kind: record.ThreadIndex, Conversation: 2, Root: 2, Seq: 5},
		{Kind: record.ContactIndex, User: 1, Position: 1, Conversation: 9}, {Kind: record.ContactIndex, User: 1, Position: 300, Conversation: 1},
		{Kind: record.ContactIndex, User: 2, Position: 2, Conversation: 1},
		{Kind: record.ProfileIndex, Position: 1, ID: "bob"}, {Kind: record.ProfileIndex, Position: 2, ID: "alice"},
		{Kind: record.TimerIndex, DueMs: 8, Timer: record.TrimTimer, Conversation: 1},
		{Kind: record.TimerIndex, DueMs: 9, Timer: record.SubmitTimer, Conversation: 1, User: 1, ID: "s1"},
		{Kind: record.TimerIndex, DueMs: testNowMs, Timer: record.SubmitTimer, User: 2, ID: "bob\x00s1"},
	} {
		changes = append(changes, record.IndexChange{Index: i})
	}
	return changes
}

func open(t *testing.T, cfg Config) *DB {
	t.Helper()
	db, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func commit(t *testing.T, db *DB, partition uint32, changes ...*record.Changes) {
	t.Helper()
	b := db.NewBatch(partition)
	defer b.Close()
	for _, c := range changes {
		b.Put(c)
	}
	if err := db.Commit(b); err != nil {
		t.Fatal(err)
	}
}

// want fails unless got is want; err must be nil.
func want[T any](t *testing.T, what string, got T, err error, want T) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

func TestWhatIsPutIsRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	db := open(t, Config{Dir: dir})
	commit(t, db, 3, testChanges())
	t.Run("at once", func(t *testing.T) { checkTestChanges(t, db.Partition(3), testChanges()) })
	if s, err := db.Partition(2).State(); err != nil || s != (record.Partition{}) {
		t.Errorf("the other partition is not empty: %+v, %v", s, err)
	}
	epoch := db.Meta().Epoch
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, Config{Dir: dir, ReadOnly: true})
	defer db.Close()
	t.Run("again", func(t *testing.T) { checkTestChanges(t, db.Partition(3), testChanges()) })
	if db.Meta().Epoch != epoch || epoch == 0 || db.Meta().Partitions != DefaultPartitions {
		t.Errorf("meta is %+v, the epoch was %d", db.Meta(), epoch)
	}
}

func checkTestChanges(t *testing.T, p *Partition, c *record.Changes) {
	state, err := p.State()
	want(t, "state", state, err, c.Partition)
	u, found, err := p.User("bob")
	want(t, "user", u, err, 2)
	want(t, "user found", found, err, true)
	_, found, err = p.User("carol")
	want(t, "unknown user", found, err, false)
	id, err := p.UserID(2)
	want(t, "user id", id, err, "bob")
	info, err := p.Conversation("team")
	want(t, "conversation", info, err, c.Infos[0])
	info, err = p.Conversation("other")
	want(t, "unknown conversation", info, err, nil)
	head, err := p.Head(1)
	want(t, "head", head, err, c.Heads[0].Head)
	member, err := p.Member(1, 2)
	want(t, "member", member, err, c.Members[1].Member)
	current, err := p.Current(1, 2)
	want(t, "current", current, err, c.Currents[0].Current)
	profile, err := p.Profile("alice")
	want(t, "profile", profile, err, c.Profiles[0])
	device, err := p.Device("alice", "phone")
	want(t, "device", device, err, c.Devices[0].Device)
	cursor, err := p.Cursor(1, "phone")
	want(t, "cursor", cursor, err, 1)
	account, err := p.Account("alice")
	want(t, "account", account, err, c.Accounts[0])
	private, err := p.Private(1, 2)
	want(t, "private", private, err, c.Privates[0].Private)
	scheduled, err := p.Scheduled(1, 1, "s2")
	want(t, "scheduled", scheduled, err, c.Scheduled[1].Scheduled)
	scheduled, err = p.Scheduled(1, 2, "s2")
	want(t, "scheduled by another", scheduled, err, nil)
	request, err := p.JoinRequest(1, 2)
	want(t, "request", request, err, c.Requests[0].Request)
	events, err := p.Commit(1)
	want(t, "commit", len(events), err, 3)
	checkEvents(t, p, c)
	checkRanges(t, p, c)
}

func checkEvents(t *testing.T, p *Partition, c *record.Changes) {
	e, err := p.Event(1, 2)
	want(t, "event", e, err, c.Events[1].Event)
	e, err = p.Event(1, 4)
	want(t, "no event", e, err, nil)
	e, err = p.Event(1, 1<<60)
	want(t, "no event that far", e, err, nil)
	events := func(from, to tidemark.Seq, descending bool, limit int) (seqs []tidemark.Seq) {
		err := p.Events(1, from, to, descending, func(e *record.Event) bool {
			seqs = append(seqs, e.Seq)
			if !reflect.DeepEqual(e, c.Events[e.Seq-1].Event) {
				t.Errorf("event %d is %+v", e.Seq, e)
			}
			return len(seqs) < limit
		})
		if err != nil {
			t.Error(err)
		}
		return seqs
	}
	want(t, "all", events(0, 1<<63, false, 9), nil, []tidemark.Seq{1, 2, 3})
	want(t, "down", events(1, 2, true, 9), nil, []tidemark.Seq{2, 1})
	want(t, "last", events(1, 1<<40-1, true, 1), nil, []tidemark.Seq{3})
	want(t, "none", events(3, 2, false, 9), nil, nil)
	for _, i := range c.ClientIDs {
		seq, err := p.ByClientID(1, 1, i.ClientID)
		want(t, "by client id", seq, err, i.Seq)
	}
	seq, err := p.ByClientID(1, 2, c.ClientIDs[0].ClientID)
	want(t, "another's client id", seq, err, 0)
}

func checkRanges(t *testing.T, p *Partition, c *record.Changes) {
	hour, found, err := p.Hour(1, 9)
	want(t, "hour", hour, err, c.Hours[1].Hour)
	want(t, "hour found", found, err, true)
	hour, _, err = p.LastHour(1, 8)
	want(t, "last hour", hour, err, c.Hours[0].Hour)
	_, found, err = p.LastHour(1, 6)
	want(t, "no hour before", found, err, false)
	hour, _, err = p.LastHour(1, 1<<32-1)
	want(t, "last hour of all", hour, err, c.Hours[1].Hour)
	list := func(scan func(add func(any)) error) (out []any) {
		if err := scan(func(v any) { out = append(out, v) }); err != nil {
			t.Error(err)
		}
		return out
	}
	for what, pair := range map[string][2][]any{
		"hours": {list(func(add func(any)) error { return p.Hours(1, 8, func(h record.Hour) bool { add(h.Hour); return true }) }), {uint32(9)}},
		"members": {list(func(add func(any)) error {
			return p.Members(1, 2, func(u record.User, _ *record.Member) bool { add(u); return true })
		}), {record.User(2)}},
		"conversations": {list(func(add func(any)) error {
			return p.ConversationsOf(1, func(c record.Conversation, at tidemark.Position) bool { add(c); add(at); return true })
		}), {record.Conversation(1), tidemark.Position(1)}},
		"quiet": {list(func(add func(any)) error {
			return p.ConversationsOf(2, func(c record.Conversation, _ tidemark.Position) bool { add(c); return true })
		}), nil},
		"mentions": {list(func(add func(any)) error {
			return p.Mentions(1, 2, 2, 1<<40, func(s tidemark.Seq) bool { add(s); return true })
		}), {tidemark.Seq(3)}},
		"mentions to": {list(func(add func(any)) error {
			return p.Mentions(1, 2, 0, 2, func(s tidemark.Seq) bool { add(s); return true })
		}), {tidemark.Seq(2)}},
		"recalls": {list(func(add func(any)) error {
			return p.Recalls(1, 2, func(s tidemark.Seq, n uint64) bool { add(s); add(n); return true })
		}), {tidemark.Seq(3), uint64(3)}},
		"currents": {list(func(add func(any)) error {
			return p.Currents(1, 1, 9, func(s tidemark.Seq, _ *record.Current) bool { add(s); return true })
		}), {tidemark.Seq(2)}},
		"devices": {list(func(add func(any)) error {
			return p.Devices("alice", func(d *record.Device) bool { add(d.ID); return true })
		}), {tidemark.DeviceID("phone")}},
		"no devices": {list(func(add func(any)) error {
			return p.Devices("alic", func(d *record.Device) bool { add(d.ID); return true })
		}), nil},
		"cursors": {list(func(add func(any)) error {
			return p.Cursors(1, func(d tidemark.DeviceID, _ tidemark.Position) bool { add(d); return true })
		}), {tidemark.DeviceID("phone")}},
		"users": {list(func(add func(any)) error {
			return p.AllUsers(func(u record.User, id tidemark.UserID) bool { add(id); return true })
		}), {tidemark.UserID("alice"), tidemark.UserID("bob")}},
		"profiles": {list(func(add func(any)) error {
			return p.AllProfiles(func(f *record.Profile) bool { add(f.ID); return true })
		}), {tidemark.UserID("alice")}},
		"all": {list(func(add func(any)) error {
			return p.AllConversations(func(i *record.Info) bool { add(i.ID); return true })
		}), {tidemark.ConversationID("team")}},
		"commits": {list(func(add func(any)) error {
			return p.Commits(1, func(at tidemark.Position, e []record.ConversationSeq) bool { add(at); add(len(e)); return true })
		}), {tidemark.Position(1), 3}},
		"commits later": {list(func(add func(any)) error {
			return p.Commits(2, func(at tidemark.Position, e []record.ConversationSeq) bool { add(at); return true })
		}), nil},
	} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("%s: got %v, want %v", what, pair[0], pair[1])
		}
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// What is put and what is read is counted in rows: the work of a call, whatever the machine.
func TestRowsAreCounted(t *testing.T) {
	db := open(t, Config{Dir: t.TempDir()})
	defer db.Close()
	b := db.NewBatch(0)
	defer b.Close()
	b.Put(&record.Changes{
		Partition: record.Partition{Position: 1}, Users: []record.UserChange{{Ordinal: 1, ID: "alice"}},
		Events: []record.EventChange{{Conversation: 1, Event: testEvent(1, 0)}, {Conversation: 1, Event: testEvent(2, 0)}},
	})
	if err := db.Commit(b); err != nil {
		t.Fatal(err)
	}
	if rows := b.Rows(); rows != 6 { // two of the user, two events, the row of the commit, the state
		t.Errorf("the batch has %d rows", rows)
	}
	before := db.Metrics().RowsRead
	p := db.Partition(0)
	_, err := p.State()
	want(t, "reading the state", err, nil, nil)
	err = p.Events(1, 1, 9, false, func(*record.Event) bool { return true })
	want(t, "reading events", err, nil, nil)
	if rows := db.Metrics().RowsRead - before; rows != 4 { // and the name of the sender, once
		t.Errorf("%d rows were read", rows)
	}
}
