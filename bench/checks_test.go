// SPDX-License-Identifier: Apache-2.0

// A fast wrong answer must fail: each check sees the mistake it is there for. And what results look like on paper.

package bench

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

func TestSenderRefusesWrongAnswers(t *testing.T) {
	right := submitted{request: 5, seq: 6, digest: make([]byte, 32)}
	for name, spoil := range map[string]func(*submitted){
		"":          func(*submitted) {},
		"order":     func(s *submitted) { s.request = 6 },
		"again":     func(s *submitted) { s.request = 4 },
		"gap":       func(s *submitted) { s.seq = 7 },
		"same seq":  func(s *submitted) { s.seq = 5 },
		"duplicate": func(s *submitted) { s.duplicate = true },
		"no digest": func(s *submitted) { s.digest = nil },
	} {
		s := &sender{course: &course{}, window: 8, answered: 4, lastSeq: 5, latencies: newLatencies()}
		answer := right
		spoil(&answer)
		if err := s.acknowledged(answer, time.Now()); (err != nil) != (name != "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestPusherRefusesWrongAnswers(t *testing.T) {
	refusal := func(request uint64, reason wire.Reason) []byte {
		frame := &wire.ServerFrame{Frame: &wire.ServerFrame_Error{Error: &wire.Error{Request: request, Reason: reason, RetryAfterMs: 5}}}
		payload, err := frame.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		return payload
	}
	right := submitted{request: 4, seq: 4, digest: make([]byte, 32)}
	for name, spoil := range map[string]func(p *pusher, s *submitted) error{
		"":              func(*pusher, *submitted) error { return nil },
		"refused again": func(p *pusher, _ *submitted) error { return p.turnedAway(refusal(3, wire.Reason_RATE_LIMITED)) },
		"refused, then taken": func(p *pusher, s *submitted) error {
			s.request = 5
			return p.turnedAway(refusal(5, wire.Reason_RATE_LIMITED))
		},
		"another reason": func(p *pusher, _ *submitted) error { return p.turnedAway(refusal(5, wire.Reason_NOT_MEMBER)) },
		"never sent":     func(_ *pusher, s *submitted) error { s.request = 7; return nil },
		"again":          func(_ *pusher, s *submitted) error { s.request = 2; return nil },
		"order":          func(_ *pusher, s *submitted) error { s.request = 1; return nil },
		"gap":            func(_ *pusher, s *submitted) error { s.seq = 5; return nil },
		"duplicate":      func(_ *pusher, s *submitted) error { s.duplicate = true; return nil },
		"no digest":      func(_ *pusher, s *submitted) error { s.digest = nil; return nil },
	} {
		p := newPusher(&sender{}, 1000, &course{})
		p.written.Store(6)
		for request := range uint64(2) {
			if err := p.taken(submitted{request: request + 1, seq: request + 2, digest: make([]byte, 32)}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.turnedAway(refusal(3, wire.Reason_RATE_LIMITED)); err != nil {
			t.Fatal(err)
		}
		answer := right
		err := spoil(p, &answer)
		if err == nil {
			err = p.taken(answer, time.Now())
		}
		if (err != nil) != (name != "") {
			t.Errorf("%q: %v", name, err)
		}
		if name == "" && (p.limited != 1 || len(p.acked) != 3 || p.settled.Load() != 4) {
			t.Errorf("%d refused, %d acknowledged, %d answered", p.limited, len(p.acked), p.settled.Load())
		}
	}
}

func TestRecoveryNeedsSeveralQuickOnes(t *testing.T) {
	end := time.Now()
	slow, quick := 80*time.Millisecond, 20*time.Millisecond
	for name, c := range map[string]struct {
		took []time.Duration
		want int // index of the first quick one; -1: not recovered
	}{
		"at once": {[]time.Duration{quick, quick, quick}, 0}, "later": {[]time.Duration{slow, quick, slow, quick, quick, quick}, 3},
		"not yet": {[]time.Duration{slow, quick, quick}, -1}, "nothing": {nil, -1},
	} {
		w := &work{took: []workTime{{end.Add(-3 * time.Second), quick}, {end.Add(-2 * time.Second), quick}, {end.Add(-time.Second), quick}}}
		for i, took := range c.took {
			w.took = append(w.took, workTime{end.Add(time.Duration(i) * time.Second), took})
		}
		at, ok := w.quickFrom(end, 50*time.Millisecond)
		if ok != (c.want >= 0) || ok && at.Sub(end) != time.Duration(c.want)*time.Second {
			t.Errorf("%s: recovered %v, %s after the end", name, ok, at.Sub(end))
		}
	}
}

func TestLogsRefuseWhatWasNotSent(t *testing.T) {
	s := &sender{member: Member{User: "ann"}, texts: []string{"zero", "one", "two"}, named: randomIDs(7)}
	for name, spoil := range map[string]func(e *wire.Event, said *wire.Message){
		"":        func(*wire.Event, *wire.Message) {},
		"sender":  func(e *wire.Event, _ *wire.Message) { e.Sender = "eve" },
		"another": func(e *wire.Event, _ *wire.Message) { e.ClientId = randomIDs(7)(6) },
		"text":    func(_ *wire.Event, said *wire.Message) { said.Text = "twp" },
	} {
		e, said := &wire.Event{Seq: 9, Sender: "ann", ClientId: randomIDs(7)(5)}, &wire.Message{Text: "two"}
		spoil(e, said)
		e.Body = wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: said}})
		if err := s.isMessage(5, e); (err != nil) != (name != "") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if id := randomIDs(1)(1); len(id) != 26 || id == randomIDs(1)(2) || id == randomIDs(2)(1) {
		t.Errorf("client id %q is not one of its own, or not as long as the SDK's", id)
	}
}

func TestImportRefusesWhatIsNotInTheLogs(t *testing.T) {
	dir := t.TempDir()
	if err := WriteIRC(dir, 300, 1); err != nil {
		t.Fatal(err)
	}
	logs, err := OpenIRC(dir, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	expected, lines, err := entriesOf(logs)
	if err != nil || lines != 300 || len(expected) < 200 {
		t.Fatalf("%d lines with %d messages: %v", lines, len(expected), err)
	}
	for name, spoil := range map[string]func(events []*wire.Event) []*wire.Event{
		"":       func(es []*wire.Event) []*wire.Event { return es },
		"short":  func(es []*wire.Event) []*wire.Event { return es[:len(es)-1] },
		"gap":    func(es []*wire.Event) []*wire.Event { return slices.Delete(es, 3, 4) },
		"double": func(es []*wire.Event) []*wire.Event { return append(es, es[len(es)-1]) },
		"order":  func(es []*wire.Event) []*wire.Event { es[3], es[4] = es[4], es[3]; return es },
		"text":   func(es []*wire.Event) []*wire.Event { es[5].Body = es[6].Body; return es },
	} {
		var events []*wire.Event
		for i, entry := range expected {
			body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: entry.GetMessage()}})
			events = append(events, &wire.Event{Seq: uint64(i + 1), Sender: entry.User, ClientId: entry.ClientId, Body: body})
		}
		check := &importCheck{expected: expected}
		var err error
		for _, e := range spoil(events) {
			if err = check.event(e); err != nil {
				break
			}
		}
		if err == nil {
			err = check.end()
		}
		if (err != nil) != (name != "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTextsAreCutToSize(t *testing.T) {
	dir := t.TempDir()
	log := "[10:00] <ann> one äöü two\n=== bob [~b@h]  has joined #c\n[10:01] <bob> three\n"
	if err := os.WriteFile(filepath.Join(dir, "2005-01-01.txt"), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	logs, err := OpenIRC(dir, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for payload, want := range map[int][]string{0: {"one äöü two", "three"}, 5: {"one ", "äö", "ü tw", "o thr"}} {
		got, err := TextsOf(logs, payload, 10)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("of %d bytes: %q, %v; want %q", payload, got, err, want)
		}
	}
}

func TestListenerRefusesGapsAndDoubles(t *testing.T) {
	for name, seqs := range map[string][]uint64{"": {1, 2, 3}, "gap": {1, 3}, "double": {1, 2, 2}, "order": {2, 1}} {
		l := &listener{fanout: &fanout{}, shard: newShards().of(0)}
		for _, seq := range seqs {
			l.event([]byte("g"), seq, []byte("0-1.2"))
		}
		if (l.err != nil) != (name != "") {
			t.Errorf("%q: %v", name, l.err)
		}
		if got := l.fanout.course.done.Load(); got != uint64(len(seqs)) {
			t.Errorf("%q: %d deliveries counted", name, got)
		}
	}
}

func TestReceivedSeesDoubles(t *testing.T) {
	got := received{}
	got.event([]byte("c"), 1, []byte("new"))
	got.event([]byte("c"), 1, []byte("new"))
	if got["c"] == "new" {
		t.Error("an event that came twice looks like one that came once")
	}
}

func TestChainedFollowsTheChain(t *testing.T) {
	start := chain.Start("c")
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Text: "hello"}}})
	salt := [8]byte{1, 2, 3}
	want := chain.Next(start, chain.Link{Seq: 1, ID: 2, TimeMs: 3, Sender: "alice", ClientID: "x", Kind: 1, BodyHash: chain.BodyHash(salt, body)})
	whole := &wire.Event{Seq: 1, Id: 2, TimeMs: 3, Sender: "alice", ClientId: "x", Salt: salt[:], Body: body}
	hash := chain.BodyHash(salt, body)
	erased := &wire.Event{Seq: 1, Id: 2, TimeMs: 3, Sender: "alice", ClientId: "x", BodyHash: hash[:], Kind: 1}
	for name, event := range map[string]*wire.Event{"whole": whole, "erased": erased} {
		if got, err := client.NextDigest(start, event); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	whole.Body = append(bytes.Clone(body[:len(body)-1]), 'O')
	if got, err := client.NextDigest(start, whole); err == nil && got == want {
		t.Error("another body gives the same chain")
	}
	if _, err := client.NextDigest(tidemark.Digest{}, &wire.Event{Seq: 1}); err == nil {
		t.Error("an event without body, salt and hash is no error")
	}
}

func TestResultsOnPaper(t *testing.T) {
	result := Result{Name: "send", What: "2 connections", PerSecond: 12345.6, Operations: 99, ServerCPUUsPerOp: 17.25, Checked: true}
	times := newLatencies()
	for range 100 {
		times.record(2 * time.Millisecond)
	}
	times.record(3 * time.Hour) // beyond what is tracked: recorded as the greatest
	result.latency(times)
	if result.P50Ms < 1.9 || result.P50Ms > 2.1 || result.MaxMs < 100_000 {
		t.Errorf("p50 %v, max %v", result.P50Ms, result.MaxMs)
	}

	var lines bytes.Buffer
	if err := WriteJSON(&lines, []Result{result, result}); err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal([]byte(strings.Split(lines.String(), "\n")[0]), &back); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"name", "perSecond", "p50Ms", "p99Ms", "maxMs", "serverCpuUsPerOp", "checked"} {
		if _, there := back[name]; !there {
			t.Errorf("the JSON has no %s: %s", name, lines.String())
		}
	}

	document := filepath.Join(t.TempDir(), "performance.md")
	if err := os.WriteFile(document, []byte("# Before\n"+markerBegin+"\nold\n"+markerEnd+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time, its own output is replaced
		if err := UpdateDocument(document, "Taken today.", []Result{result}); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	if strings.Count(text, "12,346") != 1 || strings.Contains(text, "old") || !strings.HasPrefix(text, "# Before\n") || !strings.HasSuffix(text, markerEnd+"\nafter\n") {
		t.Errorf("the document is now:\n%s", text)
	}
	if err := UpdateDocument(document+"x", "", nil); err == nil {
		t.Error("a document that is not there is no error")
	}
}

func TestMachineIsMeasured(t *testing.T) {
	machine, err := MeasureMachine(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if machine.EchoPerSecond < 100 || machine.EchoP50Ms <= 0 || machine.FdatasyncP50Ms < 0 {
		t.Errorf("implausible: %+v", machine)
	}
}
