// SPDX-License-Identifier: Apache-2.0

// A data directory with something of everything, made by the rules themselves; and hands that damage it.

package verify_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

const partitions = 2

// world writes what commands decide into a store.
type world struct {
	t      *testing.T
	db     *store.DB
	memory [partitions]*coretest.Memory
	nowMs  uint64
	salts  uint64
	limits tidemark.Limits
	team   tidemark.ConversationID // a group, in partition 0
}

func newWorld(t *testing.T, dir string) *world {
	db, err := store.Open(store.Config{Dir: dir, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, nowMs: 1_780_000_000_000, limits: tidemark.DefaultLimits()}
	for n := range w.memory {
		w.memory[n] = coretest.New()
	}
	w.team = w.group(0, "team")
	return w
}

// group is an id of a group in a partition.
func (w *world) group(partition uint32, prefix string) tidemark.ConversationID {
	for i := 0; ; i++ {
		id := tidemark.ConversationID(fmt.Sprintf("%s%d", prefix, i))
		if tidemark.PartitionOfConversation(id, partitions) == partition {
			return id
		}
	}
}

// do is one commit of a partition.
func (w *world) do(partition uint32, cmd core.Command) core.Reply {
	w.t.Helper()
	w.salts++
	w.nowMs += 1000
	env := core.Env{NowMs: w.nowMs, Partition: partition, Limits: &w.limits}
	binary.BigEndian.PutUint64(env.Salt[:], w.salts*0x9e3779b97f4a7c15)
	reply, changes := w.memory[partition].Do(cmd, env)
	if reply.Err != nil {
		w.t.Fatalf("%T %+v: %v", cmd, cmd, reply.Err)
	}
	if !changes.Empty() {
		b := w.db.NewBatch(partition)
		defer b.Close()
		b.Put(changes)
		if err := w.db.Commit(b); err != nil {
			w.t.Fatal(err)
		}
	}
	return reply
}

// in does a command in the partition of its conversation.
func (w *world) in(id tidemark.ConversationID, cmd core.Command) core.Reply {
	w.t.Helper()
	return w.do(tidemark.PartitionOfConversation(id, partitions), cmd)
}

// say submits as a user.
func (w *world) say(id tidemark.ConversationID, user tidemark.UserID, s core.Submit) tidemark.Seq {
	w.t.Helper()
	s.Actor, s.Conversation = core.Actor{User: user}, id
	s.ClientID = tidemark.ClientID(fmt.Sprintf("%s-%d", user, w.salts))
	return w.in(id, &s).Seq
}

func (w *world) text(id tidemark.ConversationID, user tidemark.UserID, text string, mentions ...string) tidemark.Seq {
	w.t.Helper()
	return w.say(id, user, core.Submit{Message: &wire.Message{Type: "text", Text: text, Mentions: mentions}})
}

// live fills the world with something of everything. The comments give the seqs in the team.
func (w *world) live() {
	for _, user := range []tidemark.UserID{"alice", "bob", "carol", "dave"} {
		home := tidemark.PartitionOfUser(user, partitions)
		w.do(home, &core.UpsertUser{User: user, Nickname: string(user), Custom: map[string]string{"k": "v"}})
		w.do(home, &core.SeeDevice{User: user, Device: "phone", Platform: "ios"})
	}
	team, app, title := w.team, core.Actor{App: true}, "The team"
	w.in(team, &core.Create{Actor: core.Actor{User: "alice"}, Conversation: team, Title: "Team", Members: []tidemark.UserID{"bob", "carol"},
		Custom: map[string]string{"a": "b"}}) // 1
	w.text(team, "alice", "hello", "bob")                                                                                           // 2
	w.say(team, "bob", core.Submit{Message: &wire.Message{Text: "everybody!", MentionAll: true}})                                   // 3
	w.say(team, "alice", core.Submit{Edit: &wire.Edit{Seq: 2, Message: &wire.Message{Text: "hello", Mentions: []string{"carol"}}}}) // 4
	w.say(team, "carol", core.Submit{Reaction: &wire.Reaction{Seq: 2, Key: "+1"}})                                                  // 5
	w.say(team, "bob", core.Submit{Reaction: &wire.Reaction{Seq: 2, Key: "+1"}})                                                    // 6
	w.say(team, "bob", core.Submit{Reaction: &wire.Reaction{Seq: 2, Key: "+1", Removed: true}})                                     // 7
	w.say(team, "alice", core.Submit{Pin: &wire.Pin{Seq: 3}})                                                                       // 8
	w.text(team, "bob", "a secret", "alice", "carol")                                                                               // 9
	w.say(team, "bob", core.Submit{Edit: &wire.Edit{Seq: 9, Message: &wire.Message{Text: "no secret"}}})                            // 10
	w.in(team, &core.Erase{Actor: app, Conversation: team, Seq: 9})                                                                 // 11
	w.nowMs += 2 * 3600 * 1000
	w.text(team, "carol", "nonsense")                                                                                        // 12
	w.say(team, "carol", core.Submit{Edit: &wire.Edit{Seq: 12, Message: &wire.Message{Text: "more of it"}}})                 // 13
	w.say(team, "carol", core.Submit{Recall: &wire.Recall{Seq: 12}})                                                         // 14
	w.say(team, "carol", core.Submit{Recall: &wire.Recall{Seq: 12}})                                                         // 15
	w.in(team, &core.Erase{Actor: app, Conversation: team, Seq: 12})                                                         // 16
	w.in(team, &core.AddMembers{Actor: app, Conversation: team, Members: []tidemark.UserID{"dave"}, Role: record.AdminRole}) // 17
	w.in(team, &core.RemoveMembers{Actor: app, Conversation: team, Members: []tidemark.UserID{"bob"}})                       // 18
	w.in(team, &core.Update{Actor: app, Conversation: team, Title: &title, Custom: map[string]string{"a": "", "c": "d"},
		Settings: &wire.Settings{Join: wire.JoinPolicy_OPEN, HistoryFromStart: true}}) // 19
	w.in(team, &core.Join{Actor: core.Actor{User: "bob"}, Conversation: team})                               // 20
	w.say(team, "dave", core.Submit{Message: &wire.Message{Text: "quiet", Class: wire.MessageClass_SILENT}}) // 21
	w.text(team, "dave", "bob, are you back?", "bob")                                                        // 22
	w.in(team, &core.Read{User: "alice", Conversation: team, Seq: 20})
	yes := true
	w.in(team, &core.Settings{User: "alice", Conversation: team, Pinned: &yes, Hidden: &yes})
	w.in(team, &core.SaveCursor{User: "alice", Device: "phone", Position: 5})
	w.more()
	w.accounts()
}

func (w *world) contact(user, peer tidemark.UserID, action core.ContactAction, text string) {
	w.t.Helper()
	w.in(tidemark.Direct(user, peer), &core.Contact{User: user, Peer: peer, Action: action, Text: text})
}

// more is the other conversations.
func (w *world) more() {
	w.text("alice~bob", "bob", "hi")
	w.text("alice~bob", "alice", "hi you")
	w.contact("alice", "bob", core.AskContact, "hi") // contacts; alice has a name for bob
	w.contact("bob", "alice", core.AcceptContact, "")
	w.contact("alice", "bob", core.RemarkPeer, "Bobby")
	w.contact("carol", "alice", core.AskContact, "please")
	w.contact("dave", "alice", core.BlockPeer, "") // alone in the conversation
	w.in("alice~system", &core.Submit{Actor: core.Actor{App: true}, Conversation: "alice~system", ClientID: "s1", Message: &wire.Message{Text: "welcome"}})
	old := w.group(0, "old")
	w.in(old, &core.Create{Actor: core.Actor{App: true}, Conversation: old})
	entries := []*wire.ImportEntry{
		{TimeMs: 1_000_000_000_000, ClientId: "i1", User: "zoe", Entry: &wire.ImportEntry_Join{Join: true}},
		{TimeMs: 1_000_000_001_000, ClientId: "i2", User: "zoe", Entry: &wire.ImportEntry_Message{Message: &wire.Message{Text: "old"}}},
		{TimeMs: 1_000_000_002_000, ClientId: "i3", User: "yan", Entry: &wire.ImportEntry_Message{Message: &wire.Message{Text: "older", Mentions: []string{"zoe"}}}},
		{TimeMs: 1_000_000_003_000, ClientId: "i4", User: "zoe", Entry: &wire.ImportEntry_Leave{Leave: true}},
	}
	w.in(old, &core.Import{Conversation: old, Entries: entries})
	w.club()
	lobby := w.group(1, "lobby")
	w.in(lobby, &core.Create{Actor: core.Actor{User: "bob"}, Conversation: lobby, Kind: record.Channel})
	w.text(lobby, "bob", "news")
}

// club is a group that is asked, ordered and dissolved.
func (w *world) club() {
	club, alice, text := w.group(0, "club"), core.Actor{User: "alice"}, "Tonight at eight"
	w.in(club, &core.Create{Actor: alice, Conversation: club, Members: []tidemark.UserID{"bob", "carol"}, Settings: &wire.Settings{Join: wire.JoinPolicy_REQUEST}})
	w.in(club, &core.SetRole{Actor: alice, Conversation: club, Members: []tidemark.UserID{"bob", "carol"}, Role: record.AdminRole})
	for _, user := range []tidemark.UserID{"dave", "yan", "zoe"} {
		w.in(club, &core.Join{Actor: core.Actor{User: user}, Conversation: club, Text: "I am " + string(user)})
	}
	w.in(club, &core.AnswerJoin{Actor: alice, Conversation: club, Users: []tidemark.UserID{"dave"}, Accept: true})
	w.in(club, &core.AnswerJoin{Actor: alice, Conversation: club, Users: []tidemark.UserID{"yan"}})
	w.in(club, &core.Mute{Actor: core.Actor{User: "bob"}, Conversation: club, Members: []tidemark.UserID{"dave"}, ForMs: 60_000})
	w.in(club, &core.Update{Actor: alice, Conversation: club, Announcement: &text, Settings: &wire.Settings{Join: wire.JoinPolicy_REQUEST, SlowModeMs: 1000, Post: wire.Role_MEMBER}})
	w.in(club, &core.Transfer{Actor: alice, Conversation: club, Member: "bob"})
	w.in(club, &core.Leave{Actor: alice, Conversation: club})
	w.in(club, &core.Dissolve{Actor: core.Actor{User: "bob"}, Conversation: club})
}

func (w *world) close() {
	w.t.Helper()
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
}

// makeDir is a directory with a whole world in it.
func makeDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	w := newWorld(t, dir)
	w.live()
	w.close()
	return dir
}

func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

// hand edits rows below the store.
type hand struct {
	t  *testing.T
	db *pebble.DB
}

func (h hand) get(k store.Key) []byte {
	h.t.Helper()
	v, closer, err := h.db.Get(store.AppendKey(nil, k))
	if err != nil {
		h.t.Fatalf("%s %+v: %v", k.Kind, k, err)
	}
	defer closer.Close()
	return append([]byte{}, v...)
}

func (h hand) set(k store.Key, v []byte) {
	h.t.Helper()
	if err := h.db.Set(store.AppendKey(nil, k), v, pebble.Sync); err != nil {
		h.t.Fatal(err)
	}
}

func (h hand) delete(k store.Key) {
	h.t.Helper()
	h.get(k)
	if err := h.db.Delete(store.AppendKey(nil, k), pebble.Sync); err != nil {
		h.t.Fatal(err)
	}
}

// find is the key of the one row of a kind in partition 0 that is meant.
func (h hand) find(kind store.Kind, meant func(k store.Key, v []byte) bool) (found store.Key) {
	h.t.Helper()
	it, err := h.db.NewIter(&pebble.IterOptions{LowerBound: []byte{0, byte(kind)}, UpperBound: []byte{0, byte(kind) + 1}})
	if err != nil {
		h.t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		k, err := store.ParseKey(it.Key())
		if err != nil {
			h.t.Fatal(err)
		}
		if meant(k, it.Value()) {
			return k
		}
	}
	h.t.Fatalf("no such %s", kind)
	return found
}

// flip changes the last byte of a row: of a digest, a position or a number.
func (h hand) flip(k store.Key) {
	v := h.get(k)
	v[len(v)-1] ^= 1
	h.set(k, v)
}

// edit opens the database of a directory below the store.
func edit(t *testing.T, dir string, do func(h hand)) {
	t.Helper()
	db, err := pebble.Open(filepath.Join(dir, "db"), &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: quiet{t}})
	if err != nil {
		t.Fatal(err)
	}
	do(hand{t, db})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

type quiet struct{ t *testing.T }

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (q quiet) Fatalf(f string, args ...any) { q.t.Errorf(f, args...) }

// rewrite changes records through the store.
func rewrite(t *testing.T, dir string, partition uint32, change func(p *store.Partition, c *record.Changes)) {
	t.Helper()
	db, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	p := db.Partition(partition)
	state, err := p.State()
	if err != nil {
		t.Fatal(err)
	}
	c := &record.Changes{Partition: state}
	change(p, c)
	b := db.NewBatch(partition)
	b.Put(c)
	if err := db.Commit(b); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
