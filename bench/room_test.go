// SPDX-License-Identifier: Apache-2.0

// The checks of tidemark bench room see the mistakes they are there for.

package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

// roomDelta is what a receiver reads: events of a room, by seq and client id, after a seq.
func roomDelta(t *testing.T, c *wire.ConversationDelta, checkpoints map[uint32]uint64) []byte {
	t.Helper()
	payload, err := wire.AppendServerFrame(nil, wire.Proto, &wire.ServerFrame{Frame: &wire.ServerFrame_Delta{
		Delta: &wire.Delta{Live: true, Conversations: []*wire.ConversationDelta{c}, Checkpoints: checkpoints},
	}})
	if err != nil {
		t.Fatal(err)
	}
	kind, content, err := skimFrame(payload)
	if err != nil || kind != frameDelta {
		t.Fatalf("kind %d, %v", kind, err)
	}
	return content
}

// roomEvents is a stretch of a room's log with the given seqs, after the seq prev.
func roomEvents(prev uint64, seqs ...uint64) *wire.ConversationDelta {
	c := &wire.ConversationDelta{Id: "room", Partition: 3, PrevSeq: prev, HeadSeq: seqs[len(seqs)-1], HeadDigest: make([]byte, 32)}
	for _, seq := range seqs {
		c.Events = append(c.Events, &wire.Event{Seq: seq, ClientId: fmt.Sprintf("0-%d.2", seq)})
	}
	return c
}

func newReceiver(r *room) *roomReceiver {
	shard := &shard{latencies: newLatencies()}
	l := &roomReceiver{room: r, shard: shard, last: r.first}
	r.receivers = append(r.receivers, l)
	return l
}

func newTestRoom() *room {
	r := &room{first: 5, begin: time.Now(), missing: missing{changes: make(map[uint64]int64)}}
	r.course.phase.Store(int32(measuring))
	return r
}

func TestReceiverRefusesWrongDeltas(t *testing.T) {
	explained := func(c *wire.ConversationDelta) *wire.ConversationDelta {
		c.PrevDigest = make([]byte, 32)
		return c
	}
	altered := func(c *wire.ConversationDelta, change func(*wire.ConversationDelta)) *wire.ConversationDelta {
		change(c)
		return c
	}
	for name, second := range map[string]*wire.ConversationDelta{
		"":                     roomEvents(7, 8, 9),
		" gap":                 explained(roomEvents(20, 21)),
		"gap without digest":   roomEvents(20, 21),
		"gap without prevSeq":  roomEvents(7, 21),
		"digest without a gap": explained(roomEvents(7, 8)),
		"gap in a stretch":     roomEvents(7, 8, 10),
		"twice":                roomEvents(7, 8, 8),
		"again":                roomEvents(6, 7, 8),
		"back":                 explained(roomEvents(4, 5)),
		"order":                roomEvents(7, 9, 8),
		"another head":         altered(roomEvents(7, 8), func(c *wire.ConversationDelta) { c.HeadSeq = 9 }),
		"of nobody":            altered(roomEvents(7, 8), func(c *wire.ConversationDelta) { c.Events[0].ClientId = "" }),
		"removed":              {Id: "room", Removed: true},
	} {
		r := newTestRoom()
		l := newReceiver(r)
		if err := l.delta(roomDelta(t, roomEvents(5, 6, 7), nil), time.Now()); err != nil || l.counted != 2 || l.shard.TotalCount() != 2 {
			t.Fatalf("%q: the first delta: %v, counted %d", name, err, l.counted)
		}
		err := l.delta(roomDelta(t, second, nil), time.Now())
		if right := strings.TrimSpace(name) != name || name == ""; (err == nil) != right {
			t.Errorf("%q: %v", name, err)
		}
	}
	if err := newReceiver(newTestRoom()).delta(roomDelta(t, roomEvents(5, 6), map[uint32]uint64{3: 4}), time.Now()); err == nil {
		t.Error("a checkpoint is no error")
	}
}

func TestRoomSenderRefusesWrongAnswers(t *testing.T) {
	for name, second := range map[string]submitted{
		"": {request: 2, seq: 9}, "order": {request: 3, seq: 9}, "same seq": {request: 2, seq: 6}, "duplicate": {request: 2, seq: 9, duplicate: true},
	} {
		s := &roomSender{room: newTestRoom()}
		if err := s.acknowledged(submitted{request: 1, seq: 6}); err != nil {
			t.Fatal(err)
		}
		if err := s.acknowledged(second); (err != nil) != (name != "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// What all receivers miss together is known by priority, and the whole is held against what was acknowledged.
func TestRoomAsAWhole(t *testing.T) {
	for name, spoil := range map[string]func(r *room){
		"":                      func(*room) {},
		"one more acknowledged": func(r *room) { r.senders[0].seqs = append(r.senders[0].seqs, 99) },
		"one not acknowledged":  func(r *room) { r.senders[1].seqs = r.senders[1].seqs[:1] },
		"one seq twice":         func(r *room) { r.senders[1].seqs[1] = 6 },
		"the end is left out":   func(r *room) { r.missing.add(10, 10) },
		"a receiver is short":   func(r *room) { r.receivers[0].last-- },
		"a delivery is lost":    func(r *room) { r.receivers[0].delivered-- },
		"a gap is not counted":  func(r *room) { r.receivers[1].left-- },
		"the log is shorter":    func(r *room) { r.last = 2 },
	} {
		r := newTestRoom()
		r.config = RoomConfig{LowPercent: 50} // the odd messages of each sender
		r.senders = []*roomSender{{seqs: []uint64{6, 8}}, {seqs: []uint64{7, 9}}}
		end := roomEvents(9, 10)
		end.Events[0].ClientId = roomEnd
		whole, behind := newReceiver(r), newReceiver(r)
		for l, deltas := range map[*roomReceiver][]*wire.ConversationDelta{whole: {roomEvents(5, 6, 7, 8, 9), end}, behind: {roomEvents(5, 6), end}} {
			for i, c := range deltas {
				c.PrevDigest = nil
				if i > 0 && c.PrevSeq > l.last {
					c.PrevDigest = make([]byte, 32)
				}
				if err := l.delta(roomDelta(t, c, nil), time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if !l.ended {
				t.Fatal("the end is not seen")
			}
		}
		r.last = 10
		spoil(r)
		left, err := r.check()
		if (err != nil) != (name != "") {
			t.Errorf("%q: %v", name, err)
		}
		if want := (shed{low: 1, normal: 2}); err == nil && left != want {
			t.Errorf("left out are %+v, want %+v", left, want)
		}
	}
}

func TestMetricIsRead(t *testing.T) {
	page := "# HELP tidemark_room_shed_total x\ntidemark_room_shed_total{priority=\"low\"} 1.5e+06\ntidemark_room_shed_total{priority=\"normal\"} 7\n"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) }))
	defer server.Close()
	got, err := shedOf(t.Context(), &Target{URL: server.URL})
	if want := (shed{low: 1_500_000, normal: 7}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	page = "tidemark_room_shed_total{priority=\"low\"} 3\n"
	if _, err := shedOf(t.Context(), &Target{URL: server.URL}); err == nil {
		t.Error("a metric that is not there is no error")
	}
}
