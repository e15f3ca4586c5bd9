// SPDX-License-Identifier: Apache-2.0

// Every key and record comes back as it was written, and no input makes a decoder panic.

package store

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/record"
)

var (
	anyUint   = rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 300))
	anyUint32 = rapid.Map(rapid.Uint32(), func(v uint32) uint64 { return uint64(v) })
	anyText   = rapid.StringN(0, 40, 80)
	anyID     = rapid.StringMatching(`[A-Za-z0-9._@:+#-]{1,64}`)
	anyMap    = rapid.Map(rapid.MapOfN(anyText, anyText, 0, 4), func(m map[string]string) map[string]string { return nilIfEmpty(m) })
	anyKeySeq = rapid.OneOf(rapid.Uint64Range(0, uint64(SeqMax)), rapid.Uint64Range(0, 300))
	anyDigest = rapid.Custom(func(t *rapid.T) (d tidemark.Digest) {
		copy(d[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, ""))
		return d
	})
	anyOrdinal = rapid.Uint32()
)

func nilIfEmpty(m map[string]string) map[string]string {
	if len(m) == 0 {
		return nil
	}
	return m
}

// roundTrip checks that decode gives back what encode took.
func roundTrip[T any](draw func(*rapid.T) T, encode func([]byte, T) []byte, decode func([]byte, T) (T, error)) func(*rapid.T) {
	return func(t *rapid.T) {
		v := draw(t)
		b := encode([]byte("before"), v)
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("what was there is overwritten: %q", b)
		}
		got, err := decode(b[6:], v)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Fatalf("got  %+v, %v\nwant %+v\nfrom %x", got, err, v, b[6:])
		}
		for cut := range len(b) - 6 {
			_, _ = decode(b[6:6+cut], v) // may fail, must not panic
		}
	}
}

func drawKey(t *rapid.T) Key {
	k := Key{Partition: rapid.Byte().Draw(t, "partition"), Kind: Kind(rapid.Uint8Range(uint8(StateRow), uint8(TimerRow)).Draw(t, "kind"))}
	c, u := record.Conversation(anyOrdinal.Draw(t, "c")), record.User(anyOrdinal.Draw(t, "u"))
	seq, id := tidemark.Seq(anyKeySeq.Draw(t, "seq")), anyID.Draw(t, "id")
	switch k.Kind {
	case UserOrdinalRow, ConversationRow, ProfileRow, AccountRow:
		k.ID = id
	case UserIDRow:
		k.User = u
	case InfoRow, HeadRow:
		k.Conversation = c
	case EventRow, CurrentRow, RecallRow, MembershipRow:
		k.Conversation, k.Seq = c, seq
	case MemberRow, ListRow, PrivateRow, RequestRow:
		k.Conversation, k.User = c, u
	case ScheduledRow:
		k.Conversation, k.User, k.ID = c, u, id
	case ThreadRow:
		k.Conversation, k.Root, k.Seq = c, tidemark.Seq(anyKeySeq.Draw(t, "root")), seq
	case ContactRow:
		k.Conversation, k.User, k.Position = c, u, drawPosition(t)
	case ProfileIndexRow:
		k.Position, k.ID = drawPosition(t), id
	case TimerRow:
		k.DueMs, k.Timer = uint64(drawPosition(t)), record.Timer(rapid.Byte().Draw(t, "timer"))
		k.Conversation, k.User, k.ID = c, u, id
	case ClientIDRow:
		k.Conversation, k.Hash = c, clientIDHash(u, tidemark.ClientID(id))
	case HourRow:
		k.Conversation, k.Hour = c, uint32(u)
	case MentionRow:
		k.Conversation, k.User, k.Seq = c, u, seq
	case CommitRow:
		k.Position = drawPosition(t)
	case DeviceRow:
		k.ID, k.Device = id, tidemark.DeviceID(anyID.Draw(t, "device"))
	case CursorRow:
		k.User, k.Device = u, tidemark.DeviceID(id)
	}
	return k
}

// drawPosition is a number that takes six bytes in a key.
func drawPosition(t *rapid.T) tidemark.Position {
	return tidemark.Position(rapid.Uint64Range(0, uint64(PositionMax)).Draw(t, "position"))
}

func TestKeys(t *testing.T) {
	rapid.Check(t, roundTrip(drawKey, AppendKey, func(b []byte, _ Key) (Key, error) { return ParseKey(b) }))
}

// TestKeysOfReactions: a key of any bytes is told from its neighbours, and one event's from the next one's.
func TestKeysOfReactions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, seq := record.Conversation(anyOrdinal.Draw(t, "c")), tidemark.Seq(rapid.Uint64Range(1, uint64(SeqMax)-1).Draw(t, "seq"))
		i := record.Index{
			Kind: record.ReactionIndex, Conversation: c, Seq: seq, ID: rapid.StringN(1, 16, 64).Draw(t, "key"),
			User: record.User(anyOrdinal.Draw(t, "u")),
		}
		b := AppendKey(nil, indexKey(i))
		k, err := ParseKey(b)
		if err != nil || k.Index() != i {
			t.Fatalf("%+v becomes %+v, %v", i, k.Index(), err)
		}
		low := AppendKey(nil, Key{Kind: ReactionRow, Conversation: c, Seq: seq})
		high := AppendKey(nil, Key{Kind: ReactionRow, Conversation: c, Seq: seq + 1})
		if bytes.Compare(low, b) >= 0 || bytes.Compare(b, high) >= 0 {
			t.Fatalf("%x is not between %x and %x", b, low, high)
		}
	})
}

func TestKeysAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := record.Conversation(anyOrdinal.Draw(t, "c"))
		a, b := anyKeySeq.Draw(t, "a"), anyKeySeq.Draw(t, "b")
		got := bytes.Compare(
			AppendKey(nil, Key{Kind: EventRow, Conversation: c, Seq: tidemark.Seq(a)}),
			AppendKey(nil, Key{Kind: EventRow, Conversation: c, Seq: tidemark.Seq(b)}))
		if (got < 0) != (a < b) || (got == 0) != (a == b) {
			t.Fatalf("keys of %d and %d compare as %d", a, b, got)
		}
	})
}

func drawEvent(t *rapid.T) *record.Event {
	e := &record.Event{
		Seq: tidemark.Seq(anyKeySeq.Draw(t, "seq")), ID: tidemark.EventID(anyUint.Draw(t, "id")), TimeMs: anyUint.Draw(t, "time"),
		Sender: record.User(anyOrdinal.Draw(t, "sender")), ClientID: tidemark.ClientID(anyText.Draw(t, "client id")),
		Counted: anyUint.Draw(t, "counted"), IsCounted: rapid.Bool().Draw(t, "is counted"),
		Kind: record.BodyKind(rapid.Uint8Range(0, 15).Draw(t, "kind")), Erased: rapid.Bool().Draw(t, "erased"),
		Position: tidemark.Position(anyUint.Draw(t, "position")), Digest: anyDigest.Draw(t, "digest"),
	}
	if rapid.Bool().Draw(t, "usual client id") {
		e.ClientID = tidemark.ClientID(rapid.StringOfN(rapid.RuneFrom([]rune(base32Digits)), 1, tidemark.IDBytesMax, -1).Draw(t, "digits"))
	}
	if rapid.Bool().Draw(t, "usual id") {
		e.ID = testID(testNowMs+anyKeySeq.Draw(t, "ms"), 3, 5)
	}
	if e.Erased {
		e.BodyHash = anyDigest.Draw(t, "hash")
	} else {
		e.Body = append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "body")...)
		copy(e.Salt[:], rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "salt"))
		e.BodyHash = chain.BodyHash(e.Salt, e.Body)
	}
	return e
}

func drawCurrent(t *rapid.T) *record.Current {
	c := &record.Current{
		EditSeq: tidemark.Seq(anyUint.Draw(t, "edit")), RecallSeq: tidemark.Seq(anyUint.Draw(t, "recall")), IsLost: rapid.Bool().Draw(t, "lost"),
		EraseSeq: tidemark.Seq(anyUint.Draw(t, "erase")), PinSeq: tidemark.Seq(anyUint.Draw(t, "pin")),
	}
	for range rapid.IntRange(0, 3).Draw(t, "edits") {
		c.Edits = append(c.Edits, tidemark.Seq(anyUint.Draw(t, "edit seq")))
	}
	if edited := anyText.Draw(t, "edited"); edited != "" {
		c.Edited = []byte(edited)
	}
	for range rapid.IntRange(0, 3).Draw(t, "reactions") {
		r := record.Reaction{Key: anyText.Draw(t, "key"), Count: uint32(anyUint32.Draw(t, "count"))}
		for _, u := range rapid.SliceOfN(anyOrdinal, 0, 4).Draw(t, "users") {
			r.Users = append(r.Users, record.User(u))
		}
		slices.Sort(r.Users)
		c.Reactions = append(c.Reactions, r)
	}
	c.ThreadCount, c.ThreadSeq = uint32(anyUint32.Draw(t, "thread count")), tidemark.Seq(anyUint.Draw(t, "thread seq"))
	return c
}

func TestRecords(t *testing.T) {
	t.Run("event", rapid.MakeCheck(roundTrip(drawEvent,
		func(b []byte, e *record.Event) []byte { return appendEvent(b, 3, e) },
		func(b []byte, e *record.Event) (*record.Event, error) { return decodeEvent(b, 3, e.Seq) })))
	t.Run("current", rapid.MakeCheck(roundTrip(drawCurrent, appendCurrent,
		func(b []byte, _ *record.Current) (*record.Current, error) { return decodeCurrent(b) })))
	t.Run("info", rapid.MakeCheck(roundTrip(drawInfo, appendInfo,
		func(b []byte, i *record.Info) (*record.Info, error) { return decodeInfo(b, i.Ordinal) })))
	t.Run("head", rapid.MakeCheck(roundTrip(func(t *rapid.T) *record.Head {
		h := &record.Head{
			Seq: tidemark.Seq(anyUint.Draw(t, "seq")), Counted: anyUint.Draw(t, "counted"), Recalled: anyUint.Draw(t, "recalled"),
			Position: tidemark.Position(anyUint.Draw(t, "position")), TimeMs: anyUint.Draw(t, "time"), Digest: anyDigest.Draw(t, "digest"),
			Members: uint32(anyUint32.Draw(t, "members")), MentionAll: tidemark.Seq(anyUint.Draw(t, "mention")),
		}
		if rapid.Bool().Draw(t, "has floor") {
			h.Floor, h.FloorDigest = 1+tidemark.Seq(anyKeySeq.Draw(t, "floor")), anyDigest.Draw(t, "floor digest")
			h.FloorCounted = anyUint.Draw(t, "floor counted")
		}
		h.TrimMs = anyUint.Draw(t, "trim")
		return h
	}, appendHead, func(b []byte, _ *record.Head) (*record.Head, error) { return decodeHead(b) })))
	t.Run("hour", rapid.MakeCheck(roundTrip(func(t *rapid.T) record.Hour {
		return record.Hour{Hour: 7, First: tidemark.Seq(anyUint.Draw(t, "first")), Count: uint32(anyUint32.Draw(t, "count")), Digest: anyDigest.Draw(t, "digest")}
	}, appendHour, func(b []byte, _ record.Hour) (record.Hour, error) { return decodeHour(b, 7) })))
}

func TestRecordsOfPeople(t *testing.T) {
	t.Run("member", rapid.MakeCheck(roundTrip(func(t *rapid.T) *record.Member {
		seq := func(what string) tidemark.Seq { return tidemark.Seq(anyUint.Draw(t, what)) }
		m := &record.Member{
			Role: record.Role(rapid.Byte().Draw(t, "role")), JoinedSeq: seq("joined"), VisibleFrom: seq("visible"), LeftSeq: seq("left"),
			ReadSeq: seq("read"), ReadCounted: anyUint.Draw(t, "counted"), MentionSeq: seq("mention"), HiddenSeq: seq("hidden seq"),
			Position: tidemark.Position(anyUint.Draw(t, "position")), Pinned: rapid.Bool().Draw(t, "pinned"), Muted: rapid.Bool().Draw(t, "muted"),
			Hidden: rapid.Bool().Draw(t, "hidden"), MarkedUnread: rapid.Bool().Draw(t, "marked"), Alias: anyText.Draw(t, "alias"),
			PrivatePosition: tidemark.Position(anyUint.Draw(t, "private")), ClearedSeq: seq("cleared"), GrantedFrom: seq("granted"),
			ListPosition: tidemark.Position(anyUint.Draw(t, "list position")), Blocked: rapid.Bool().Draw(t, "blocked"),
		}
		if rapid.Bool().Draw(t, "governed") {
			m.SilencedUntilMs, m.LastPostMs = anyUint.Draw(t, "silenced"), anyUint.Draw(t, "last post")
			m.PrivatePosition = tidemark.Position(anyUint.Draw(t, "private position"))
		}
		if rapid.Bool().Draw(t, "of a direct conversation") {
			m.Contact, m.Remark = record.ContactState(rapid.Uint8Range(0, 3).Draw(t, "contact")), anyText.Draw(t, "remark")
			m.RequestText, m.ContactPosition = anyText.Draw(t, "request"), tidemark.Position(anyUint.Draw(t, "contact position"))
		}
		for own := m.ReadSeq; m.Own.Len() < record.OwnSeqsMax && own < 1<<62 && rapid.IntRange(0, 3).Draw(t, "another own") > 0; {
			own += tidemark.Seq(rapid.Uint64Range(1, 1<<40).Draw(t, "own"))
			m.Own = m.Own.With(own)
		}
		return m
	}, appendMember, func(b []byte, _ *record.Member) (*record.Member, error) { return decodeMember(b) })))
	t.Run("profile", rapid.MakeCheck(roundTrip(func(t *rapid.T) *record.Profile {
		return &record.Profile{
			ID: "alice", Nickname: anyText.Draw(t, "nickname"), Avatar: anyText.Draw(t, "avatar"), Custom: anyMap.Draw(t, "custom"),
			NicknamePosition: tidemark.Position(anyUint.Draw(t, "1")), AvatarPosition: tidemark.Position(anyUint.Draw(t, "2")),
			CustomPosition: tidemark.Position(anyUint.Draw(t, "3")), DeletedPosition: tidemark.Position(anyUint.Draw(t, "4")),
		}
	}, appendProfile, func(b []byte, p *record.Profile) (*record.Profile, error) { return decodeProfile(b, p.ID) })))
	t.Run("device", rapid.MakeCheck(roundTrip(func(t *rapid.T) *record.Device {
		return &record.Device{ID: "phone", Platform: anyText.Draw(t, "platform"), Client: anyText.Draw(t, "client"),
			FirstSeenMs: anyUint.Draw(t, "first"), LastSeenMs: anyUint.Draw(t, "last")}
	}, appendDevice, func(b []byte, d *record.Device) (*record.Device, error) { return decodeDevice(b, d.ID) })))
	t.Run("state", rapid.MakeCheck(roundTrip(func(t *rapid.T) record.Partition {
		return record.Partition{Position: tidemark.Position(anyUint.Draw(t, "position")), LastID: tidemark.EventID(anyUint.Draw(t, "id")),
			Users: record.User(anyOrdinal.Draw(t, "users")), Conversations: record.Conversation(anyOrdinal.Draw(t, "conversations"))}
	}, appendState, func(b []byte, _ record.Partition) (record.Partition, error) { return decodeState(b) })))
	t.Run("commit", rapid.MakeCheck(roundTrip(func(t *rapid.T) (events []record.ConversationSeq) {
		for range rapid.IntRange(0, 4).Draw(t, "runs") {
			c, first := record.Conversation(rapid.Uint32Range(1, 3).Draw(t, "c")), tidemark.Seq(rapid.Uint64Range(1, 1000).Draw(t, "first"))
			for i := range rapid.IntRange(1, 4).Draw(t, "n") {
				events = append(events, record.ConversationSeq{Conversation: c, Seq: first + tidemark.Seq(i)})
			}
		}
		return events
	}, appendCommit, func(b []byte, _ []record.ConversationSeq) ([]record.ConversationSeq, error) { return decodeCommit(b) })))
}

// drawInfo draws every field of a conversation's public data.
func drawInfo(t *rapid.T) *record.Info {
	role := func(what string) record.Role { return record.Role(rapid.Byte().Draw(t, what)) }
	i := &record.Info{
		Ordinal: record.Conversation(anyOrdinal.Draw(t, "c")), ID: tidemark.ConversationID(anyID.Draw(t, "id")),
		Kind: record.Kind(rapid.Byte().Draw(t, "kind")), Title: anyText.Draw(t, "title"), Avatar: anyText.Draw(t, "avatar"),
		Custom: anyMap.Draw(t, "custom"), Announcement: anyText.Draw(t, "announcement"),
		Settings: record.Settings{
			Join: rapid.Byte().Draw(t, "join"), HistoryFromStart: rapid.Bool().Draw(t, "history"), MuteAll: rapid.Bool().Draw(t, "mute"),
			Post: role("post"), Invite: role("invite"), Edit: role("edit"), Pin: role("pin"), MentionAll: role("mention all"),
			SlowModeMs: uint32(anyUint32.Draw(t, "slow")), MembersMax: uint32(anyUint32.Draw(t, "members")),
			Retention: record.Retention{Mode: rapid.Byte().Draw(t, "mode"), MaxAgeMs: anyUint.Draw(t, "age"), MaxCount: anyUint.Draw(t, "count")},
		},
		DissolvedSeq: tidemark.Seq(anyUint.Draw(t, "dissolved")), Requests: uint32(anyUint32.Draw(t, "requests")),
		CreatedMs: anyUint.Draw(t, "created"), InfoPosition: tidemark.Position(anyUint.Draw(t, "info position")),
		MembersPosition: tidemark.Position(anyUint.Draw(t, "members position")),
	}
	for range rapid.IntRange(0, 3).Draw(t, "attributes") {
		i.Attributes = append(i.Attributes, record.Attribute{
			Key: anyText.Draw(t, "key"), Value: anyText.Draw(t, "value"), Owner: record.User(anyOrdinal.Draw(t, "owner")),
			AutoDelete: rapid.Bool().Draw(t, "auto delete"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "staff") {
		i.Staff = append(i.Staff, record.User(anyOrdinal.Draw(t, "one of the staff")))
	}
	for range rapid.IntRange(0, 3).Draw(t, "pins") {
		i.Pins = append(i.Pins, tidemark.Seq(anyKeySeq.Draw(t, "pin")))
	}
	return i
}

// drawPrivate draws ascending seqs, as the rules keep them.
func drawPrivate(t *rapid.T) *record.Private {
	p := &record.Private{
		Draft: anyText.Draw(t, "draft"), DraftReplyTo: tidemark.Seq(anyUint.Draw(t, "reply to")), DraftMs: anyUint.Draw(t, "saved"),
	}
	for range rapid.IntRange(0, 4).Draw(t, "deleted") {
		p.Deleted = append(p.Deleted, tidemark.Seq(anyKeySeq.Draw(t, "seq")))
	}
	slices.Sort(p.Deleted)
	return p
}

func TestRecordsKeptForOnePerson(t *testing.T) {
	t.Run("account", rapid.MakeCheck(roundTrip(func(t *rapid.T) *record.Account {
		a := &record.Account{
			User: "alice", HidePresence: rapid.Bool().Draw(t, "hide presence"), HideTyping: rapid.Bool().Draw(t, "hide typing"),
			ContactsOnly: rapid.Bool().Draw(t, "contacts only"), TokensFromMs: anyUint.Draw(t, "tokens"), DeletedMs: anyUint.Draw(t, "deleted"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "revoked") {
			a.Revoked = append(a.Revoked, record.RevokedDevice{Device: tidemark.DeviceID(anyText.Draw(t, "device")), FromMs: anyUint.Draw(t, "from")})
		}
		return a
	}, appendAccount, func(b []byte, a *record.Account) (*record.Account, error) { return decodeAccount(b, a.User) })))
	t.Run("private", rapid.MakeCheck(roundTrip(drawPrivate, appendPrivate,
		func(b []byte, _ *record.Private) (*record.Private, error) { return decodePrivate(b) })))
	t.Run("scheduled", rapid.MakeCheck(roundTrip(func(t *rapid.T) *record.Scheduled {
		return &record.Scheduled{
			DueMs: anyUint.Draw(t, "due"), CreatedMs: anyUint.Draw(t, "created"), Body: append([]byte{}, anyText.Draw(t, "body")...),
			Reason: anyText.Draw(t, "reason"), Message: anyText.Draw(t, "message"),
		}
	}, appendScheduled, func(b []byte, _ *record.Scheduled) (*record.Scheduled, error) { return decodeScheduled(b) })))
	t.Run("request", rapid.MakeCheck(roundTrip(func(t *rapid.T) *record.JoinRequest {
		return &record.JoinRequest{TimeMs: anyUint.Draw(t, "time"), Text: anyText.Draw(t, "text")}
	}, appendJoinRequest, func(b []byte, _ *record.JoinRequest) (*record.JoinRequest, error) { return decodeJoinRequest(b) })))
}

func TestDecodersRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"another encoding":     {second(decodeHead([]byte{9, 0})), nil},
		"an unknown flag":      {second(decodeHead([]byte{headVersion, 0x80})), errFlag},
		"a digit too many":     {second(decodeEvent(append([]byte{eventPacked, 1, 1, 0, 0, 0, 0, 1, 0x01}, make([]byte, 40)...), 0, 1)), errTrailing},
		"no digits":            {second(decodeEvent(append([]byte{eventPacked, 1, 1, 0, 0, 0, 0, 0}, make([]byte, 40)...), 0, 1)), errShort},
		"more than an id has":  {second(decodeEvent(append([]byte{eventPacked, 1, 1, 0, 0, 0, 0, 65}, make([]byte, 90)...), 0, 1)), errNumber},
		"a short event":        {second(decodeEvent([]byte{0x01, 1}, 0, 1)), errShort},
		"trailing bytes":       {second(decodeUvarint([]byte{1, 2}, 9)), errTrailing},
		"a large number":       {second(decodeUvarint([]byte{10}, 9)), errNumber},
		"a commit of nothing":  {second(decodeCommit([]byte{1, 1, 0})), errNumber},
		"a commit too large":   {second(decodeCommit([]byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})), errNumber},
		"an unknown kind":      {second(ParseKey([]byte{0, 0xee})), nil},
		"a short key":          {second(ParseKey([]byte{0})), nil},
		"a key too long":       {second(ParseKey(append(AppendKey(nil, Key{Kind: HeadRow}), 0))), errTrailing},
		"a device with no dot": {second(ParseKey([]byte{0, byte(DeviceRow), 'a'})), nil},
	} {
		if c.err == nil || c.want != nil && !errors.Is(c.err, c.want) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzParseKey(f *testing.F) {
	f.Add([]byte{0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 1})
	f.Add([]byte{0, 0x11, 'a', 0, 'b'})
	for kind := PrivateRow; kind <= TimerRow; kind++ {
		f.Add(AppendKey(nil, Key{Kind: kind, Conversation: 1, User: 2, Root: 3, Seq: 4, Position: 5, DueMs: 6, Timer: 7, ID: "x"}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKey(b)
		if err == nil && !bytes.Equal(AppendKey(nil, k), b) {
			t.Errorf("%x is decoded as %+v, which is %x", b, k, AppendKey(nil, k))
		}
	})
}

// again fails if a value that could be decoded is not the same after another round.
func again[T any](t *testing.T, v T, err error, encode func([]byte, T) []byte, decode func([]byte) (T, error)) {
	t.Helper()
	if err != nil {
		return
	}
	b := encode(nil, v)
	got, err := decode(b)
	if err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("%+v becomes %+v, %v", v, got, err)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(appendEvent(nil, 3, testEvent(1, 3)))
	for _, c := range testChanges().Currents {
		f.Add(appendCurrent(nil, c.Current))
	}
	f.Add(appendInfo(nil, testChanges().Infos[0]))
	f.Add(appendHead(nil, testChanges().Heads[0].Head))
	f.Add(appendMember(nil, testChanges().Members[0].Member))
	f.Add(appendProfile(nil, testChanges().Profiles[0]))
	f.Add(appendDevice(nil, testChanges().Devices[0].Device))
	f.Add(appendAccount(nil, testChanges().Accounts[0]))
	f.Add(appendPrivate(nil, testChanges().Privates[0].Private))
	f.Add(appendScheduled(nil, testChanges().Scheduled[0].Scheduled))
	f.Add(appendJoinRequest(nil, testChanges().Requests[0].Request))
	f.Add(appendState(nil, testChanges().Partition))
	f.Add(appendCommit(nil, []record.ConversationSeq{{Conversation: 1, Seq: 2}, {Conversation: 1, Seq: 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		event := func(b []byte) (*record.Event, error) { return decodeEvent(b, 3, 9) }
		e, err := event(b)
		again(t, e, err, func(b []byte, e *record.Event) []byte { return appendEvent(b, 3, e) }, event)
		c, err := decodeCurrent(b)
		again(t, c, err, appendCurrent, decodeCurrent)
		info := func(b []byte) (*record.Info, error) { return decodeInfo(b, 1) }
		i, err := info(b)
		again(t, i, err, appendInfo, info)
		h, err := decodeHead(b)
		again(t, h, err, appendHead, decodeHead)
		hour := func(b []byte) (record.Hour, error) { return decodeHour(b, 1) }
		o, err := hour(b)
		again(t, o, err, appendHour, hour)
		m, err := decodeMember(b)
		again(t, m, err, appendMember, decodeMember)
		profile := func(b []byte) (*record.Profile, error) { return decodeProfile(b, "a") }
		p, err := profile(b)
		again(t, p, err, appendProfile, profile)
		device := func(b []byte) (*record.Device, error) { return decodeDevice(b, "a") }
		d, err := device(b)
		again(t, d, err, appendDevice, device)
		account := func(b []byte) (*record.Account, error) { return decodeAccount(b, "a") }
		a, err := account(b)
		again(t, a, err, appendAccount, account)
		private, err := decodePrivate(b)
		again(t, private, err, appendPrivate, decodePrivate)
		scheduled, err := decodeScheduled(b)
		again(t, scheduled, err, appendScheduled, decodeScheduled)
		request, err := decodeJoinRequest(b)
		again(t, request, err, appendJoinRequest, decodeJoinRequest)
		s, err := decodeState(b)
		again(t, s, err, appendState, decodeState)
		events, err := decodeCommit(b)
		if len(events) < 1000 {
			again(t, events, err, appendCommit, decodeCommit)
		}
		_, _ = decodeSeqs(b)
		_, _ = decodeUvarint(b, 9)
	})
}
