// SPDX-License-Identifier: Apache-2.0

// Judging: a report against the truth and against what the server saw. Some things are wrong at any moment; others must be
// right only in the end, and until then the verdict waits.

package hostile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// settle is how long after the end of the script a run goes on before it can pass: what a client does too often shows.
const settle = 500 * time.Millisecond

// judge answers a report. The lock is held.
func (r *run) judge(report *Report) Verdict {
	if r.verdict == "" {
		r.tasksDone = max(r.tasksDone, min(report.Tasks, len(r.tasks)))
		missing := r.compare(report)
		now := time.Now()
		if r.playedAt.IsZero() {
			missing = append(missing, "the scenario has not come to its end")
		} else if now.Sub(r.playedAt) < settle {
			missing = append(missing, "the scenario has just come to its end")
		}
		switch {
		case len(r.violations) > 0:
			r.decide(Failed, r.violations)
		case len(missing) == 0:
			r.decide(Passed, nil)
		case now.After(r.deadline):
			r.decide(Failed, append([]string{"the time is over"}, missing...))
		default:
			r.reasons = missing
		}
		for _, d := range r.devices {
			d.settled = maps.Clone(d.acked)
		}
		r.poke()
	}
	v := Verdict{Scenario: r.scenario.name, Verdict: r.verdict, Reasons: append([]string{}, r.reasons...), Tasks: []Task{}, RemainingMs: max(0, time.Until(r.deadline).Milliseconds())}
	if v.Verdict == "" {
		v.Verdict = Undecided
		v.Tasks = r.tasks[r.tasksDone:]
	}
	return v
}

func (r *run) decide(verdict string, reasons []string) {
	r.verdict, r.reasons, r.decidedAt = verdict, reasons, time.Now()
}

// compare notes violations, and answers what is missing for a good end.
func (r *run) compare(report *Report) (missing []string) {
	if r.tasksDone < len(r.tasks) {
		missing = append(missing, fmt.Sprintf("task %d is not done", r.tasksDone+1))
	}
	for _, d := range r.devices {
		i := slices.IndexFunc(report.Devices, func(x DeviceReport) bool { return x.DeviceID == d.id })
		if i < 0 {
			missing = append(missing, d.id+": no report")
			continue
		}
		c := comparison{run: r, d: d, report: &report.Devices[i]}
		c.compare()
		missing = append(missing, c.missing...)
	}
	return missing
}

// comparison is that of one device.
type comparison struct {
	*run
	d       *device
	report  *DeviceReport
	missing []string
}

func (c *comparison) lacks(format string, args ...any) {
	c.missing = append(c.missing, c.d.id+": "+fmt.Sprintf(format, args...))
}

func (c *comparison) compare() {
	for i := range c.report.Conversations {
		c.shown(&c.report.Conversations[i])
	}
	for _, id := range slices.Sorted(maps.Keys(c.d.world.logs)) {
		h := c.d.world.logs[id]
		i := slices.IndexFunc(c.report.Conversations, func(s Shown) bool { return s.ID == id })
		s := &Shown{ID: id}
		if i >= 0 {
			s = &c.report.Conversations[i]
		}
		c.acknowledged(h, s)
		if !c.expect.incomplete && !h.gone[c.d.user] {
			c.complete(h, s)
		}
	}
	c.rewritten()
	c.outbox()
	if c.expect.stopped && !c.report.Stopped {
		c.lacks("it has not said that it has stopped for good")
	}
	if !c.expect.stopped && c.report.Stopped {
		c.d.violation("it has stopped for good, without reason")
	}
	if n := c.expect.fetchesMax; n > 0 && c.d.fetches > n {
		c.d.violation("asked for %d pages, where %d are plenty", c.d.fetches, n)
	}
}

// shown checks that what is shown is ascending, and belongs to one history that there was.
func (c *comparison) shown(s *Shown) {
	last := Number(0)
	for _, e := range s.Events {
		if e.Seq <= last {
			c.d.violation("shows seq %d of %s after %d: each event once, ascending", e.Seq, s.ID, last)
			return
		}
		last = e.Seq
	}
	var strangest *ShownEvent
	for _, w := range c.worlds {
		h := w.logs[s.ID]
		if h == nil {
			continue
		}
		at := slices.IndexFunc(s.Events, func(e ShownEvent) bool { return !h.has(e) })
		if at < 0 {
			return
		}
		strangest = &s.Events[at]
	}
	if strangest == nil {
		if len(s.Events) > 0 {
			c.d.violation("shows %s, which does not exist", s.ID)
		}
		return
	}
	for _, e := range s.Events {
		if !slices.ContainsFunc(c.worlds, func(w *world) bool { return w.logs[s.ID] != nil && w.logs[s.ID].has(e) }) {
			c.d.violation("shows %q at seq %d of %s, which no history has", brief(e.Text), e.Seq, s.ID)
			return
		}
	}
	c.d.violation("shows events of %s that are not of one history: %q at seq %d does not belong to the others", s.ID, brief(strangest.Text), strangest.Seq)
}

// brief is a text as reasons cite it: at most 40 bytes.
func brief(text string) string {
	if len(text) > 40 {
		return strings.ToValidUTF8(text[:40], "") + "..."
	}
	return text
}

// has reports whether an event that a device shows is in the history.
func (h *history) has(e ShownEvent) bool {
	if e.Seq == 0 || uint64(e.Seq) > h.head() {
		return false
	}
	t := &h.events[e.Seq-1]
	return (e.ID == 0 || uint64(e.ID) == t.Id) && e.Text == t.text
}

// covers reports whether the device shows a seq; in a gap: it knows that it has not.
func (s *Shown) covers(seq uint64) (shown, gap bool) {
	_, shown = slices.BinarySearchFunc(s.Events, seq, func(e ShownEvent, seq uint64) int { return int(int64(e.Seq) - int64(seq)) })
	return shown, slices.ContainsFunc(s.Gaps, func(g Range) bool { return uint64(g.From) <= seq && seq <= uint64(g.To) })
}

// acknowledged checks that the device has what it had acknowledged before it was asked to report.
func (c *comparison) acknowledged(h *history, s *Shown) {
	for i := range h.events {
		e := &h.events[i]
		if shown, gap := s.covers(e.Seq); e.kind == 1 && e.position <= c.d.settled[h.partition] && !shown && !gap && !h.gone[c.d.user] {
			c.d.violation("acknowledged position %d, where %q is seq %d of %s, and neither shows it nor knows of the gap", e.position, brief(e.text), e.Seq, h.id)
			return
		}
	}
}

// complete checks that all messages are there.
func (c *comparison) complete(h *history, s *Shown) {
	want := []*history{h}
	if c.expect.either {
		for _, w := range c.worlds {
			want = append(want, w.logs[h.id])
		}
	}
	var first string
	for _, h := range want {
		why := c.lack(h, s)
		if why == "" {
			return
		}
		if first == "" {
			first = why
		}
	}
	c.lacks("%s", first)
}

// lack is the first message of a history that the device does not show; empty: it shows all.
func (c *comparison) lack(h *history, s *Shown) string {
	for i := range h.events {
		e := &h.events[i]
		if e.kind != 1 {
			continue
		}
		shown, gap := s.covers(e.Seq)
		switch {
		case shown && h.has(s.at(e.Seq)), !shown && gap && c.expect.gaps:
		case shown:
			return fmt.Sprintf("shows %q at seq %d of %s, where %q is right", brief(s.at(e.Seq).Text), e.Seq, h.id, brief(e.text))
		default:
			return fmt.Sprintf("does not show %q, seq %d of %s", brief(e.text), e.Seq, h.id)
		}
	}
	if n := len(s.Events); n > 0 && uint64(s.Events[n-1].Seq) > h.head() {
		return fmt.Sprintf("shows seq %d of %s, where the last is %d", s.Events[n-1].Seq, h.id, h.head())
	}
	return ""
}

func (s *Shown) at(seq uint64) ShownEvent {
	i, _ := slices.BinarySearchFunc(s.Events, seq, func(e ShownEvent, seq uint64) int { return int(int64(e.Seq) - int64(seq)) })
	return s.Events[i]
}

// rewritten checks the reports of rewritten history: those that must be there, and no false ones.
func (c *comparison) rewritten() {
	for _, id := range c.expect.rewritten {
		if c.expect.only != nil && c.expect.only != c.d {
			break
		}
		if !slices.ContainsFunc(c.report.Rewritten, func(x Rewritten) bool { return x.Conversation == id }) {
			c.lacks("the rewritten history of %s is not reported", id)
		}
	}
	for _, x := range c.report.Rewritten {
		if !c.expect.mayReport && !c.differs(x.Conversation) {
			c.d.violation("reports rewritten history of %s, where nothing was rewritten", x.Conversation)
		}
	}
}

// differs reports whether a conversation has had two histories of which one does not just go on from the other.
func (c *comparison) differs(id string) bool {
	for i, w := range c.worlds {
		for _, later := range c.worlds[i+1:] {
			a, b := w.logs[id], later.logs[id]
			if a == nil || b == nil || b.head() < a.head() || a.digest(a.head()) != b.digest(a.head()) {
				return true
			}
		}
	}
	return false
}

// outbox checks what became of the messages that the app was asked to send.
func (c *comparison) outbox() {
	order := map[string]uint64{}
	for _, t := range c.tasks[:c.tasksDone] {
		if t.Do != "send" || t.DeviceID != c.d.id {
			continue
		}
		i := slices.IndexFunc(c.report.Outbox, func(p Pending) bool { return p.Text == t.Text })
		if slices.Contains(c.expect.failed, t.Text) {
			if i < 0 || c.report.Outbox[i].State != "failed" {
				c.lacks("%q was refused and is not shown as failed", brief(t.Text))
			}
			continue
		}
		if i >= 0 {
			c.lacks("%q is still %s", brief(t.Text), c.report.Outbox[i].State)
		}
		at := c.found(t)
		if at != nil && c.expect.order {
			if at.Seq < order[t.Conversation] {
				c.d.violation("%q was stored before what was sent before it", brief(t.Text))
			}
			order[t.Conversation] = at.Seq
		}
		if at == nil {
			c.lacks("%q never reached the server", brief(t.Text))
		}
	}
}

// found is the event that a task's message became, in the world that the device is told.
func (c *comparison) found(t Task) (at *event) {
	h := c.d.world.logs[t.Conversation]
	if h == nil {
		return nil
	}
	for i := range h.events {
		if e := &h.events[i]; e.text == t.Text && e.kind == 1 {
			if at != nil {
				c.d.violation("%q is in %s twice", brief(t.Text), h.id)
			}
			at = e
		}
	}
	return at
}
