// SPDX-License-Identifier: Apache-2.0

// A small client that believes everything, in JSON, with faults that can be switched on: whom the scenarios must catch.

package hostile_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tidemark-im/tidemark/conformance/hostile"
	"github.com/tidemark-im/tidemark/wire"
)

// naive is a device. It takes events in the order in which they come and verifies nothing.
type naive struct {
	fault    string
	url      string
	device   hostile.Device
	mu       sync.Mutex
	conn     *websocket.Conn // nil: none
	shown    map[string][]hostile.ShownEvent
	cursor   *wire.Cursor // stored
	outbox   []*letter
	read     map[string]uint64
	stopped  bool
	received int
}

// letter is an own message.
type letter struct {
	conversation, text, clientID string
	on                           *websocket.Conn // sent there
}

// run connects again and again.
func (n *naive) run(ctx context.Context) {
	pause := 100 * time.Millisecond
	for ctx.Err() == nil {
		wait, again := n.connection(ctx)
		if n.fault == "busy" {
			continue
		}
		if !again && n.fault != "returns" {
			n.mu.Lock()
			n.stopped = true
			n.mu.Unlock()
			return
		}
		if n.fault == "impatient" {
			wait = 0
		}
		select {
		case <-time.After(wait + rand.N(pause)):
		case <-ctx.Done():
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// connection is one connection; again tells whether to come back.
func (n *naive) connection(ctx context.Context) (wait time.Duration, again bool) {
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(n.url, "http")+"/v1/connect", &websocket.DialOptions{Subprotocols: []string{wire.SubprotocolJSON}})
	if err != nil {
		return 0, true
	}
	conn.SetReadLimit(16 << 20)
	n.mu.Lock()
	n.conn = conn
	n.write(ctx, &wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: &wire.Hello{Token: n.device.Token, DeviceId: n.device.DeviceID, Cursor: n.cursor}}})
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.conn = nil
		n.mu.Unlock()
		_ = conn.CloseNow()
	}()
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return 0, true
		}
		f, err := wire.DecodeServerFrame(wire.JSON, data)
		if err != nil {
			continue
		}
		n.mu.Lock()
		n.take(ctx, f)
		n.mu.Unlock()
		if b := f.GetBye(); b != nil {
			return time.Duration(b.RetryAfterMs) * time.Millisecond, b.Reason != wire.ByeReason_KICKED && b.Reason != wire.ByeReason_REPLACED
		}
	}
}

func (n *naive) write(ctx context.Context, f *wire.ClientFrame) {
	if data, err := wire.AppendClientFrame(nil, wire.JSON, f); err == nil && n.conn != nil {
		_ = n.conn.Write(ctx, websocket.MessageText, data)
	}
}

// take takes in a frame. The lock is held.
func (n *naive) take(ctx context.Context, f *wire.ServerFrame) {
	switch f := f.Frame.(type) {
	case *wire.ServerFrame_Delta:
		for _, d := range f.Delta.Conversations {
			for _, ev := range d.Events {
				n.show(d.Id, ev.Seq, ev.Id, ev.GetBodyJson().GetMessage().GetText())
			}
		}
		if len(f.Delta.Checkpoints) > 0 && n.cursor != nil {
			n.advance(ctx, f.Delta.Checkpoints)
		}
	case *wire.ServerFrame_Synced:
		if n.cursor == nil || n.cursor.Epoch != f.Synced.Cursor.Epoch {
			n.cursor = &wire.Cursor{Epoch: f.Synced.Cursor.Epoch}
		}
		n.advance(ctx, f.Synced.Cursor.Positions)
		for _, l := range n.outbox {
			if n.fault == "renames" {
				l.clientID += "'"
			}
			n.submit(ctx, l)
		}
		n.tellRead(ctx)
	case *wire.ServerFrame_Submitted:
		s := f.Submitted
		if i := int(s.Request) - 1; i < len(n.outbox) {
			n.show(s.Conversation, s.Seq, s.Id, n.outbox[i].text)
		}
		for _, l := range n.outbox {
			if n.holds(l) {
				l.clientID = ""
			}
		}
	}
}

// submit sends a message, unless it is settled.
func (n *naive) submit(ctx context.Context, l *letter) {
	if l.clientID == "" || l.on == n.conn {
		return
	}
	l.on = n.conn
	if n.fault == "garbles" {
		_ = n.conn.Write(ctx, websocket.MessageText, []byte("}{"))
	}
	times := 1
	if n.fault == "repeats" {
		times = 2
	}
	for range times {
		n.write(ctx, &wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{Request: uint64(slices.Index(n.outbox, l) + 1), ClientId: l.clientID,
			Conversation: l.conversation, Action: &wire.Submit_Message{Message: &wire.Message{Type: "text", Text: l.text}}}}})
	}
}

func (n *naive) holds(l *letter) bool {
	return slices.ContainsFunc(n.shown[l.conversation], func(e hostile.ShownEvent) bool { return e.Text == l.text })
}

// show adds an event unless there is one at its seq.
func (n *naive) show(id string, seq, event uint64, text string) {
	list := n.shown[id]
	at, found := slices.BinarySearchFunc(list, seq, func(e hostile.ShownEvent, seq uint64) int { return cmp.Compare(uint64(e.Seq), seq) })
	if n.received++; found && n.fault != "doubles" || n.fault == "drops" && n.received%4 == 0 {
		return
	}
	n.shown[id] = slices.Insert(list, at, hostile.ShownEvent{Seq: hostile.Number(seq), ID: hostile.Number(event), Text: text})
}

// advance stores positions, and acknowledges them.
func (n *naive) advance(ctx context.Context, positions map[uint32]uint64) {
	stored, ack := map[uint32]uint64{}, map[uint32]uint64{}
	for p, position := range n.cursor.Positions {
		stored[p] = position
	}
	for p, position := range positions {
		if position > stored[p] || n.fault == "falls" {
			stored[p], ack[p] = position, position
		}
		if n.fault == "ahead" {
			ack[p] = position + 1
		}
	}
	if n.fault != "early" || n.cursor.Positions == nil { // early: what is acknowledged is never stored
		n.cursor = &wire.Cursor{Epoch: n.cursor.Epoch, Positions: stored}
	}
	if len(ack) > 0 {
		n.write(ctx, &wire.ClientFrame{Frame: &wire.ClientFrame_Ack{Ack: &wire.Ack{Cursor: &wire.Cursor{Epoch: n.cursor.Epoch, Positions: ack}}}})
	}
}

// do does a task.
func (n *naive) do(ctx context.Context, t hostile.Task) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch t.Do {
	case "send":
		l := &letter{conversation: t.Conversation, text: t.Text, clientID: fmt.Sprintf("c%d", t.Number)}
		n.outbox = append(n.outbox, l)
		if n.conn != nil && n.cursor != nil {
			n.submit(ctx, l)
		}
	case "read":
		seq := uint64(len(n.shown[t.Conversation]))
		if n.fault == "foresees" {
			seq += 5
		}
		n.read[t.Conversation] = seq
		n.tellRead(ctx)
	}
}

// tellRead sends the read marks, again on each connection.
func (n *naive) tellRead(ctx context.Context) {
	for id, seq := range n.read {
		n.write(ctx, &wire.ClientFrame{Frame: &wire.ClientFrame_Read{Read: &wire.Read{Conversation: id, Seq: seq}}})
	}
}

func (n *naive) report() hostile.DeviceReport {
	n.mu.Lock()
	defer n.mu.Unlock()
	d := hostile.DeviceReport{DeviceID: n.device.DeviceID, Stopped: n.stopped}
	for id, events := range n.shown {
		d.Conversations = append(d.Conversations, hostile.Shown{ID: id, Events: slices.Clone(events)})
	}
	if n.fault == "alarms" {
		d.Rewritten = append(d.Rewritten, hostile.Rewritten{Conversation: "team", From: 2, To: 3})
	}
	for _, l := range n.outbox {
		if l.clientID != "" {
			d.Outbox = append(d.Outbox, hostile.Pending{Conversation: l.conversation, ClientID: l.clientID, Text: l.text, State: "sent"})
		}
	}
	return d
}

// post makes a call of the driver protocol.
func post(t *testing.T, url string, request, response any) {
	t.Helper()
	data, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	a, err := http.Post(url, "application/json", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	if err := json.NewDecoder(a.Body).Decode(response); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, a.Status, err)
	}
}

// drive puts a naive client through a scenario.
func drive(t *testing.T, s *hostile.Server, scenario, fault string) hostile.Verdict {
	t.Helper()
	var run hostile.BeginResponse
	post(t, s.URL()+"/hostile/runs", hostile.BeginRequest{Scenario: scenario, SDK: "naive " + fault}, &run)
	n := &naive{fault: fault, url: run.URL, device: run.Devices[0], shown: map[string][]hostile.ShownEvent{}, read: map[string]uint64{}}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { n.run(ctx) })
	defer work.Wait()
	defer cancel()
	report := hostile.Report{}
	for {
		report.Devices = []hostile.DeviceReport{n.report()}
		var v hostile.Verdict
		post(t, s.URL()+"/hostile/runs/"+run.Run+"/report", report, &v)
		if v.Verdict != hostile.Undecided {
			return v
		}
		for _, task := range v.Tasks {
			n.do(ctx, task)
			report.Tasks = task.Number
		}
		time.Sleep(100 * time.Millisecond)
	}
}
