// SPDX-License-Identifier: Apache-2.0

// Run: one world from its beginning to its end.

package sim

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-im/tidemark/sim/invariant"
)

// Config of one world.
type Config struct {
	Seed    uint64
	Profile string // one of Profiles; "": drawn from the seed
	Without []int  // decisions that are left out, by number; see Result.Decisions
	Story   bool   // tell what happens

	spoil func(*world) // by tests: looks at the end of a world
}

// Result is what has become of one world.
type Result struct {
	Seed      uint64
	Profile   string
	Trace     uint64 // hash over all that has happened: the same for the same Config
	Decisions int    // that were planned: actions and faults
	Counts    Counts
	Failure   *Failure // nil: every promise was kept
}

// Counts says what has happened in a world.
type Counts struct {
	Steps          uint64            // events of the timeline
	VirtualMs      uint64            // that the world took
	Actions        uint64            // of apps and users
	Messages       uint64            // submissions that were acknowledged
	Commits        uint64            // that were published
	Connections    uint64            // opened
	FramesUp       uint64            // sent by devices
	FramesDown     uint64            // sent by servers
	Waits          uint64            // times a frame waited for room
	Calls          uint64            // by HTTP
	Crashes        uint64            // of servers
	Stops          uint64            // of servers, in an orderly way
	Restores       uint64            // from older copies
	Offers         uint64            // to give lost events back
	TakenBack      uint64            // events that came back
	DeviceCrashes  uint64            // devices that died
	HistoryChanged uint64            // histories that devices found to be others
	Faults         map[string]uint64 // that were brought about, by kind
}

// Add adds the counts of another world.
func (c *Counts) Add(o *Counts) {
	c.Steps += o.Steps
	c.VirtualMs += o.VirtualMs
	c.Actions += o.Actions
	c.Messages += o.Messages
	c.Commits += o.Commits
	c.Connections += o.Connections
	c.FramesUp += o.FramesUp
	c.FramesDown += o.FramesDown
	c.Waits += o.Waits
	c.Calls += o.Calls
	c.Crashes += o.Crashes
	c.Stops += o.Stops
	c.Restores += o.Restores
	c.Offers += o.Offers
	c.TakenBack += o.TakenBack
	c.DeviceCrashes += o.DeviceCrashes
	c.HistoryChanged += o.HistoryChanged
	for k, n := range o.Faults {
		if c.Faults == nil {
			c.Faults = map[string]uint64{}
		}
		c.Faults[k] += n
	}
}

// FaultsText is the faults by kind, for people.
func (c *Counts) FaultsText() string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(c.Faults)) {
		parts = append(parts, fmt.Sprintf("%s %d", kind, c.Faults[kind]))
	}
	return strings.Join(parts, ", ")
}

// Failure is a promise that was broken.
type Failure struct {
	invariant.Violation
	Command string   // repeats it
	History []string // the decisions that lead to it, in order
	Story   []string // what has happened to those concerned, in order; with Config.Story
}

// Run runs one world to its end. The same Config gives the same Result, whatever runs beside it.
func Run(ctx context.Context, cfg Config) (result Result) {
	w := newWorld(ctx, cfg)
	result = Result{Seed: cfg.Seed, Profile: w.profile.Name}
	var plan []decision
	begun := w.nowMs
	defer func() {
		if p := recover(); p != nil {
			w.fail(&invariant.Violation{Invariant: "panic", Text: fmt.Sprint(p, "\n", string(debug.Stack()))})
		}
		w.end()
		w.counts.VirtualMs = w.nowMs - begun
		result.Trace, result.Counts, result.Decisions = w.trace.sum, w.counts, len(plan)
		if w.failure != nil {
			result.Failure = w.report(cfg, plan)
		}
	}()
	plan = w.plan()
	w.live(plan, cfg.Without)
	w.settle()
	if cfg.spoil != nil {
		cfg.spoil(w)
	}
	return result
}

// live lets happen what is planned, but for some decisions by number.
func (w *world) live(plan []decision, without []int) {
	w.populate()
	for n := range plan {
		if !slices.Contains(without, n) {
			d := &plan[n]
			w.at(beginMs+d.atMs, func() { w.decide(d) })
		}
	}
	w.run(beginMs + w.profile.SafetyMs)
}

// end gives back what the world holds.
func (w *world) end() {
	defer func() { _ = recover() }() // of a server in which something is broken
	if s := w.server; s != nil {
		w.server = nil
		s.close()
	}
}

// report is the failure for people.
func (w *world) report(cfg Config, plan []decision) *Failure {
	f := &Failure{Violation: *w.failure, Command: cfg.command()}
	for n := range plan {
		if d := &plan[n]; !slices.Contains(cfg.Without, n) && beginMs+d.atMs <= w.nowMs {
			f.History = append(f.History, fmt.Sprintf("%4d  %s  %s", n, clock(d.atMs), d.text()))
		}
	}
	for _, l := range w.story {
		if w.concerns(l.about) {
			who := strings.Trim(fmt.Sprintf("%s/%s", l.about.user, l.about.device), "/")
			if who != "" {
				who += " "
			}
			f.Story = append(f.Story, fmt.Sprintf("%s  %s%s", clock(l.atMs-beginMs), who, l.text))
		}
	}
	return f
}

// concerns reports whether a line is about what the failure is about.
func (w *world) concerns(a about) bool {
	v := w.failure
	switch {
	case a.conversation != "" && v.Conversation != "" && a.conversation != v.Conversation:
		return false
	case a.user != "" && v.User != "" && v.Conversation == "" && a.user != v.User: // of a conversation, all are told
		return false
	case a.user != "" && v.User != "" && a.conversation == "" && a.user != v.User:
		return false
	case a.device != "" && v.Device != "" && a.user == v.User && a.conversation == "" && a.device != v.Device:
		return false
	}
	return true
}

// command repeats a run.
func (cfg Config) command() string {
	text := fmt.Sprintf("tidemark sim --seed %d", cfg.Seed)
	if cfg.Profile != "" {
		text += " --profile " + cfg.Profile
	}
	if len(cfg.Without) > 0 {
		text += " --without " + ranges(cfg.Without)
	}
	return text + " --story"
}

// ranges writes ascending numbers as 1-4,7,9-12.
func ranges(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		if parts = append(parts, fmt.Sprint(list[i])); j > i {
			parts[len(parts)-1] = fmt.Sprintf("%d-%d", list[i], list[j])
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

// clock is a time since the world began.
func clock(ms uint64) string {
	d := time.Duration(ms) * time.Millisecond
	return fmt.Sprintf("%3d:%06.3f", int(d.Minutes()), (d % time.Minute).Seconds())
}
