// SPDX-License-Identifier: Apache-2.0

// Work counted, not timed: what each frame of a client costs the server and everybody who hears of it.
//
//	go test ./session -run TestWorkOfEachOperation -rewrite     writes docs/work.md anew; read the difference

package session

import (
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/internal/document"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

var rewrite = flag.Bool("rewrite", false, "write the table of docs/work.md anew")

const (
	workMembers = 100  // of the group, and in the room, all online
	workGroups  = 1000 // conversations of the user who comes back
	workRepeats = 15   // of each operation; the median is told
)

// cost is what one operation takes.
type cost struct {
	commits, rows, bytes int // written
	reads                int // rows looked for in the store
	frames, out          int // to everybody, and their bytes
	allocations          int // until all have their frames
}

func (c cost) figures() []int {
	return []int{c.commits, c.rows, c.bytes, c.reads, c.frames, c.out, c.allocations}
}

// working is a world whose work is counted.
type working struct {
	*testWorld
	journal counter
	online  []*Session
	actor   *Session
	buffer  []byte
	request uint64
	frames  int
	out     int
	last    uint64 // seq of the last event of the group
}

// counter is a journal that counts what is committed.
type counter struct {
	journal.Journal
	commits, rows, bytes int
}

func (c *counter) Commit(b *store.Batch) error {
	err := c.Journal.Commit(b)
	c.commits, c.rows, c.bytes = c.commits+1, c.rows+b.Rows(), c.bytes+b.Len()
	return err
}

func newWorking(t *testing.T) *working {
	w := &working{testWorld: newTest(t), buffer: make([]byte, 0, 1<<20)}
	w.config = func(c *partition.Config) { w.journal.Journal, c.Journal = c.Journal, &w.journal }
	w.must(w.db.Close())
	w.start()
	t.Cleanup(func() {
		for _, s := range w.online {
			s.Close()
		}
	})
	members := make([]tidemark.UserID, workMembers)
	for i := range members {
		members[i] = tidemark.UserID(fmt.Sprintf("user-%03d", i))
	}
	w.users(members...)
	w.users("carol", "olga")
	w.do(&core.Create{Actor: core.Actor{App: true}, Conversation: "team", Kind: record.Group, Owner: members[0], Members: members})
	w.room("hall", nil)
	for i := range workGroups {
		w.must(w.set.Submit(t.Context(), &core.Create{
			Actor: core.Actor{App: true}, Conversation: group(i), Kind: record.Group, Members: []tidemark.UserID{"carol", members[1]},
		}, nil))
	}
	w.step()
	for _, u := range members {
		w.online = append(w.online, w.connect(u, "phone", nil))
	}
	w.actor = w.online[0]
	w.online = append(w.online, w.connect(members[0], "laptop", nil))
	w.settle()
	return w
}

func group(i int) tidemark.ConversationID {
	return tidemark.ConversationID(fmt.Sprintf("group-%04d", i))
}

// connect opens a session; nobody has read of it yet.
func (w *working) connect(user tidemark.UserID, device tidemark.DeviceID, cursor *wire.Cursor) *Session {
	w.Helper()
	s := New(Config{
		User: user, Device: device, Platform: "test", Client: "test/1", Format: wire.Proto, Set: w.set, Registry: w.registry, NowMs: w.clock,
	})
	w.must(s.Open(w.Context(), &wire.Hello{Cursor: cursor}))
	return s
}

// settle lets everything that is queued happen, and everybody read.
func (w *working) settle() {
	w.step()
	for _, s := range w.online {
		w.read(s)
	}
}

func (w *working) read(s *Session) {
	for frame, ok := s.Next(w.buffer); ok; frame, ok = s.Next(w.buffer) {
		w.frames++
		w.out += len(frame)
	}
}

// send gives the actor's session a frame, as the gateway does.
func (w *working) send(f *wire.ClientFrame) {
	w.Helper()
	w.must(w.actor.Handle(w.Context(), f))
	w.settle()
}

func (w *working) submit(id string, m *wire.Submit) {
	w.Helper()
	w.request++
	m.Request, m.ClientId = w.request, id
	if m.Conversation == "" && m.ToUser == "" {
		m.Conversation = "team"
	}
	w.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: m}})
}

const workText = "a message of about a hundred bytes, as people send them to each other all day long, or so it is"

func aMessage(m *wire.Message) *wire.Submit {
	m.Type, m.Text = "text", workText
	return &wire.Submit{Action: &wire.Submit_Message{Message: m}}
}

// measure carries an operation out some times, each after what before prepares; of each figure the median is taken.
func (w *working) measure(before, do func(i int)) cost {
	w.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // what is collected is allocated again by pools
	runs := make([][]int, 0, workRepeats)
	for i := range workRepeats {
		if before != nil {
			before(i)
		}
		w.settle()
		w.now += 60_000 // what is told at most once in a while is due
		w.settle()
		was, reads := w.journal, w.db.Metrics().RowsRead
		w.frames, w.out = 0, 0
		var from, to runtime.MemStats
		runtime.ReadMemStats(&from)
		do(i)
		w.settle()
		runtime.ReadMemStats(&to)
		c := cost{
			w.journal.commits - was.commits, w.journal.rows - was.rows, w.journal.bytes - was.bytes,
			int(w.db.Metrics().RowsRead - reads), w.frames, w.out, int(to.Mallocs - from.Mallocs),
		}
		runs = append(runs, c.figures())
	}
	median := func(figure int) int {
		all := make([]int, len(runs))
		for i, r := range runs {
			all[i] = r[figure]
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return cost{median(0), median(1), median(2), median(3), median(4), median(5), median(6)}
}

// line is a line of the table.
type line struct {
	name   string
	before func(i int) // not counted; may be nil
	do     func(i int)
}

// TestWorkOfEachOperation holds docs/work.md: what a frame costs may not grow unseen. Allocations may differ by a tenth, for
// other releases of Go; all else is exact.
func TestWorkOfEachOperation(t *testing.T) {
	w := newWorking(t)
	table := "| operation | commits | rows written | bytes written | rows read | frames | bytes sent | allocations |\n|---|---|---|---|---|---|---|---|\n"
	none := w.measure(nil, func(int) {}) // what the measuring itself allocates
	have := strings.Builder{}
	have.WriteString(table)
	for _, l := range slices.Concat(w.ofMessages(), w.ofMarks(), w.ofPages(), w.ofRooms(), w.ofHellos()) {
		c := w.measure(l.before, l.do)
		c.allocations -= none.allocations
		fmt.Fprintf(&have, "| %s", l.name)
		for _, n := range c.figures() {
			fmt.Fprintf(&have, " | %d", n)
		}
		have.WriteString(" |\n")
	}
	checkWork(t, have.String())
}

func (w *working) ofMessages() []line {
	post := func(int) { w.last = uint64(w.post("user-000", "team", workText).Seq) }
	id := func(what string, i int) string { return what + strconv.Itoa(1000+i) }
	about := func(what string, m func() *wire.Submit) func(i int) {
		return func(i int) { w.submit(id(what, i), m()) }
	}
	return []line{
		{"a message to a group of 100 who are online", nil, about("m", func() *wire.Submit { return aMessage(&wire.Message{}) })},
		{"the same message again", func(i int) { w.submit(id("again", i), aMessage(&wire.Message{})) }, about("again", func() *wire.Submit { return aMessage(&wire.Message{}) })},
		{"an answer in a thread", post, about("t", func() *wire.Submit { return aMessage(&wire.Message{Thread: w.last, ReplyTo: w.last}) })},
		{"a direct message", nil, about("d", func() *wire.Submit {
			m := aMessage(&wire.Message{})
			m.ToUser = "user-001"
			return m
		})},
		{"a transient message to a group of 100", nil, about("x", func() *wire.Submit { return aMessage(&wire.Message{Class: wire.MessageClass_TRANSIENT}) })},
		{"an edit", post, about("e", func() *wire.Submit {
			return &wire.Submit{Action: &wire.Submit_Edit{Edit: &wire.Edit{Seq: w.last, Message: &wire.Message{Type: "text", Text: workText}}}}
		})},
		{"a recall", post, about("r", func() *wire.Submit {
			return &wire.Submit{Action: &wire.Submit_Recall{Recall: &wire.Recall{Seq: w.last}}}
		})},
		{"a reaction", post, about("k", func() *wire.Submit {
			return &wire.Submit{Action: &wire.Submit_Reaction{Reaction: &wire.Reaction{Seq: w.last, Key: "+1"}}}
		})},
		{"a pin", post, func(i int) {
			w.submit(id("p", i), &wire.Submit{Action: &wire.Submit_Pin{Pin: &wire.Pin{Seq: w.last}}})
		}},
		{"a message that mentions one who has read all", func(i int) {
			post(i)
			w.must(w.online[7].Handle(w.Context(), &wire.ClientFrame{Frame: &wire.ClientFrame_Read{Read: &wire.Read{Conversation: "team", Seq: w.last}}}))
		}, about("at", func() *wire.Submit { return aMessage(&wire.Message{Mentions: []string{"user-007"}}) })},
	}
}

func (w *working) ofMarks() []line {
	other := func(int) { w.last = uint64(w.post("user-001", "team", workText).Seq) }
	return []line{
		{"a read mark, with receipts to the author", other, func(int) {
			w.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Read{Read: &wire.Read{Conversation: "team", Seq: w.last}}})
		}},
		{"a read mark that is reached", nil, func(int) {
			w.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Read{Read: &wire.Read{Conversation: "team", Seq: w.last}}})
		}},
		{"an acknowledgement; kept within a second, with others", other, func(int) {
			n := w.set.Of("team").Number()
			w.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Ack{Ack: &wire.Ack{Cursor: &wire.Cursor{
				Epoch: uint64(w.set.Epoch()), Positions: map[uint32]uint64{n: uint64(w.set.At(n).Published())},
			}}}})
		}},
		{"typing in a group of 100", nil, func(int) {
			w.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Typing{Typing: &wire.Typing{Conversation: "team", Typing: true}}})
		}},
		{"watching ten users", nil, func(i int) {
			watch := &wire.Watch{}
			for n := range 10 {
				watch.Users = append(watch.Users, fmt.Sprintf("user-%03d", 1+n+i%2))
			}
			w.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Watch{Watch: watch}})
		}},
		{"a ping", nil, func(int) { w.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Ping{Ping: &wire.Ping{Request: 1}}}) }},
	}
}

func (w *working) ofPages() []line {
	page := func(f *wire.Fetch) func(int) {
		return func(int) {
			f.Conversation = "team"
			w.request++
			f.Request = w.request
			w.send(&wire.ClientFrame{Frame: &wire.ClientFrame_Fetch{Fetch: f}})
		}
	}
	return []line{
		{"the last page of 50", nil, page(&wire.Fetch{From: &wire.Fetch_Latest{Latest: true}})},
		{"a page of 50 further back", nil, page(&wire.Fetch{From: &wire.Fetch_Before{Before: 70}})},
		{"one event", nil, page(&wire.Fetch{From: &wire.Fetch_Before{Before: 70}, Limit: 1})},
	}
}

func (w *working) ofRooms() []line {
	enter := func(s *Session) {
		w.request++
		w.must(s.Handle(w.Context(), &wire.ClientFrame{Frame: &wire.ClientFrame_Enter{Enter: &wire.Enter{Request: w.request, Conversation: "hall"}}}))
	}
	leave := func(s *Session) {
		w.must(s.Handle(w.Context(), &wire.ClientFrame{Frame: &wire.ClientFrame_Leave{Leave: &wire.LeaveRoom{Conversation: "hall"}}}))
	}
	full := func(int) {
		for _, s := range w.online[1:] {
			enter(s)
		}
		w.settle()
	}
	return []line{
		{"entering a room with 100 in it", func(i int) { full(i); leave(w.actor) }, func(int) { enter(w.actor); w.settle() }},
		{"a message in a room with 101 in it", nil, func(i int) {
			m := aMessage(&wire.Message{})
			m.Conversation = "hall"
			w.submit("h"+strconv.Itoa(i), m)
		}},
		{"leaving it", func(int) { enter(w.actor) }, func(int) { leave(w.actor); w.settle() }},
	}
}

// ofHellos is the cost of coming back, up to synced.
func (w *working) ofHellos() []line {
	first := w.device("carol", "phone").connect()
	first.drain()
	kept := func() *wire.Cursor { return proto.CloneOf(first.cursor) }
	first.disconnect()
	back := func(cursor func() *wire.Cursor) func(int) {
		return func(int) {
			var c *wire.Cursor
			if cursor != nil {
				c = cursor()
			}
			s := w.connect("carol", "phone", c)
			w.step()
			w.read(s)
			s.Close()
		}
	}
	return []line{
		{"hello of a new device with 1,000 conversations", nil, back(nil)},
		{"hello of a known device, nothing changed", nil, back(kept)},
		{"hello of a known device, 10 of 1,000 conversations changed", func(i int) {
			for n := range 10 {
				if i == 0 {
					w.post("user-001", group(100*n), workText)
				}
			}
		}, back(kept)},
	}
}

// checkWork compares the table with that of the document, or writes it there.
func checkWork(t *testing.T, table string) {
	t.Helper()
	const path, begin, end = "../docs/work.md", "<!-- table: begin -->", "<!-- table: end -->"
	old, err := document.Between(path, begin, end)
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := document.Replace(path, begin, end, table); err != nil {
			t.Fatal(err)
		}
		return
	}
	if difference := compareWork(old, table); difference != "" {
		t.Errorf("%s does not say what is counted now (go test ./session -run TestWorkOfEachOperation -rewrite):\n%s", path, difference)
	}
}

// compareWork tells the lines that differ: allocations, the last figure, by more than a tenth and two.
func compareWork(old, now string) string {
	olds, nows := strings.Split(old, "\n"), strings.Split(now, "\n")
	var b strings.Builder
	for i := range max(len(olds), len(nows)) {
		var was, is string
		if i < len(olds) {
			was = olds[i]
		}
		if i < len(nows) {
			is = nows[i]
		}
		if was == is {
			continue
		}
		wasRest, wasAllocations := lastFigure(was)
		isRest, isAllocations := lastFigure(is)
		if d := isAllocations - wasAllocations; wasRest == isRest && (raceDetector || 10*max(d, -d) <= wasAllocations+20) { // the race detector allocates
			continue
		}
		fmt.Fprintf(&b, "was %s\nis  %s\n", was, is)
	}
	return b.String()
}

func lastFigure(line string) (rest string, figure int) {
	cells := strings.Split(line, " | ")
	figure, _ = strconv.Atoi(strings.TrimSuffix(cells[len(cells)-1], " |"))
	return strings.Join(cells[:len(cells)-1], " | "), figure
}

// A table that costs grew in is not taken.
func TestWorkThatGrowsIsFound(t *testing.T) {
	const old = "| a message | 1 | 7 | 272 | 0 | 3 | 400 | 40 |\n"
	for now, found := range map[string]bool{
		old: false,
		"| a message | 1 | 7 | 272 | 0 | 3 | 400 | 45 |\n": false,
		"| a message | 1 | 7 | 272 | 0 | 3 | 400 | 60 |\n": !raceDetector,
		"| a message | 1 | 7 | 273 | 0 | 3 | 400 | 40 |\n": true,
		"| a message | 2 | 7 | 272 | 0 | 3 | 400 | 40 |\n": true,
		old + "| a ping | 0 | 0 | 0 | 0 | 1 | 4 | 2 |\n":   true,
		"": true,
	} {
		if got := compareWork(old, now) != ""; got != found {
			t.Errorf("%q: found %v, want %v", now, got, found)
		}
	}
}
