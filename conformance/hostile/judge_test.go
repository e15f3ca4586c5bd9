// SPDX-License-Identifier: Apache-2.0

// Judging, without a server: what can only be seen at the end of the time, and what the services show.

package hostile

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

// a run that is over in time, with one report.
func judged(t *testing.T, change func(*run), report Report) Verdict {
	t.Helper()
	r := newRun("r", &scenarios[0], "", func() string { return "token" })
	r.playedAt = time.Now().Add(-time.Second)
	r.deadline = time.Now().Add(-time.Millisecond)
	if change != nil {
		change(r)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.judge(&report)
}

// whole is what a device shows that has everything.
func whole(r *run) DeviceReport {
	d := DeviceReport{DeviceID: "phone"}
	for id, h := range r.devices[0].world.logs {
		s := Shown{ID: id}
		for i := range h.events {
			s.Events = append(s.Events, ShownEvent{Seq: Number(h.events[i].Seq), ID: Number(h.events[i].Id), Text: h.events[i].text})
		}
		d.Conversations = append(d.Conversations, s)
	}
	return d
}

func TestTheTimeIsOver(t *testing.T) {
	full := whole(newRun("r", &scenarios[0], "", func() string { return "token" }))
	without := full
	without.Conversations = full.Conversations[:1]
	short := full
	short.Conversations = []Shown{{ID: full.Conversations[0].ID, Events: full.Conversations[0].Events[:3]}, full.Conversations[1]}
	gap := short
	gap.Conversations = []Shown{{ID: short.Conversations[0].ID, Events: short.Conversations[0].Events, Gaps: []Range{{4, 6}}}, full.Conversations[1]}
	sent := func(r *run) {
		r.tasks = []Task{{Number: 1, DeviceID: "phone", Do: "send", Conversation: "team", Text: "own"}}
	}
	for _, c := range []struct {
		what   string
		change func(*run)
		report Report
		reason string // empty: it passes
	}{
		{"everything", nil, Report{Devices: []DeviceReport{full}}, ""},
		{"no report of the device", nil, Report{}, "no report"},
		{"a conversation is missing", nil, Report{Devices: []DeviceReport{without}}, "does not show"},
		{"events are missing", nil, Report{Devices: []DeviceReport{short}}, "does not show"},
		{"a gap where there need not be one", nil, Report{Devices: []DeviceReport{gap}}, "does not show"},
		{"a gap where there may be one", func(r *run) { r.expect.gaps = true }, Report{Devices: []DeviceReport{gap}}, ""},
		{"a task not done", sent, Report{Devices: []DeviceReport{full}}, "task 1 is not done"},
		{"a message that was never sent", sent, Report{Tasks: 1, Devices: []DeviceReport{full}}, "never reached the server"},
		{"a refused message that is not shown", func(r *run) { sent(r); r.expect.failed = []string{"own"} }, Report{Tasks: 1, Devices: []DeviceReport{full}}, "not shown as failed"},
		{"a rewritten history that is not told", func(r *run) { r.expect.rewritten = []string{"team"} }, Report{Devices: []DeviceReport{full}}, "is not reported"},
		{"not stopped", func(r *run) { r.expect.stopped = true }, Report{Devices: []DeviceReport{full}}, "stopped for good"},
		{"a message stored twice", func(r *run) {
			sent(r)
			w := r.devices[0].world
			w.say("team", "alice", "own")
			w.say("team", "alice", "own")
		}, Report{Tasks: 1, Devices: []DeviceReport{full}}, "twice"},
		{"too many pages", func(r *run) { r.expect.fetchesMax, r.devices[0].fetches = 5, 6 }, Report{Devices: []DeviceReport{full}}, "asked for 6 pages"},
	} {
		v := judged(t, c.change, c.report)
		reasons := strings.Join(v.Reasons, "\n")
		if (v.Verdict == Passed) != (c.reason == "") || !strings.Contains(reasons, c.reason) {
			t.Errorf("%s: %s: %s", c.what, v.Verdict, reasons)
		}
	}
}

func TestTakingBackNeedsTheSeal(t *testing.T) {
	w := newRun("r", &scenarios[0], "", func() string { return "token" }).worlds[0]
	h := w.logs["team"]
	head := h.digest(h.head())
	mark := seal("team", h.head(), head)
	lost := []*wire.Event{h.events[4].Event, h.events[5].Event}
	w.restore("team", 2)
	forged := proto.CloneOf(lost[0])
	forge(forged)
	for what, give := range map[string][]*wire.Event{"forged": {forged, lost[1]}, "one missing": {lost[1]}, "too few": {lost[0]}, "none": {}} {
		if w.takeBack(h, give, mark) || h.head() != 4 {
			t.Fatalf("%s: taken, the head is %d", what, h.head())
		}
	}
	if !w.takeBack(h, lost, mark) || h.head() != 6 || h.digest(6) != head || h.events[5].text != "m5" {
		t.Fatalf("what was lost is not as it was: head %d", h.head())
	}
	if !w.takeBack(h, lost, mark) || h.head() != 6 {
		t.Fatal("given back twice, it is there twice")
	}
}

// A run that nobody finishes fails, and takes its connections and its tokens with it.
func TestRunThatNobodyFinishes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := New(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	begun, _ := s.newRun(&scenarios[0], "")
	conn, answer, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(s.URL(), "http")+"/v1/connect", &websocket.DialOptions{Subprotocols: []string{wire.SubprotocolProto}})
	if err != nil {
		t.Fatal(err, answer)
	}
	defer conn.CloseNow()
	hello, err := wire.AppendClientFrame(nil, wire.Proto, &wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: &wire.Hello{Token: begun.Devices[0].Token, DeviceId: "phone"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Write(ctx, websocket.MessageBinary, hello); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Read(ctx); err != nil {
		t.Fatal("no welcome: ", err)
	}
	over := func() {
		s.within(begun.Run, func(r *run) { r.deadline, r.decidedAt = time.Now().Add(-2*afterMax), time.Now().Add(-2*afterMax) })
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forget()
	}
	over() // its time is over
	for err == nil {
		_, _, err = conn.Read(ctx)
	}
	over() // and long so
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.runs) != 0 || len(s.tokens) != 0 || len(s.open) != 0 || len(s.results) != 1 || s.results[0].Verdict != Failed {
		t.Errorf("%d runs, %d tokens, connections %v, results %v are left", len(s.runs), len(s.tokens), s.open, s.results)
	}
}
