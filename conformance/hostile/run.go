// SPDX-License-Identifier: Apache-2.0

// A run of a scenario: its world, its devices, its script.

package hostile

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

// scenario is a story with a fault in it.
type scenario struct {
	name, group    string
	server, client string        // what the server does; what a right client does
	limit          time.Duration // 0: limitUsual
	devices        int           // 0: 1
	play           func(*stage)
}

const limitUsual = 45 * time.Second

func (s *scenario) row() Scenario {
	return Scenario{Name: s.name, Group: s.group, Server: s.server, Client: s.client, LimitMs: s.time().Milliseconds(), Devices: max(1, s.devices)}
}

func (s *scenario) time() time.Duration {
	if s.limit > 0 {
		return s.limit
	}
	return limitUsual
}

// hooks are where a scenario does something else than a right server. A hook that answers true has handled the frame. The
// run's lock is held.
type hooks struct {
	hello   func(*session) bool
	submit  func(*session, *wire.Submit) bool
	fetch   func(*session, *wire.Fetch) bool
	ping    func(*session, *wire.Ping) bool
	out     func(*session, *wire.ServerFrame) []*wire.ServerFrame
	encoded func(*session, []byte) []byte
	give    func(*device) error // what a device that gives back is told; nil: what it gives is taken
}

// expectation is what the end must look like, besides what holds in every scenario.
type expectation struct {
	rewritten  []string // conversations of which the devices must have reported that history was rewritten
	only       *device  // the device of which rewritten is expected; nil: all
	mayReport  bool     // the server lies so that a report is in order although nothing was rewritten
	either     bool     // a device may keep the history that it had, whole
	gaps       bool     // events may be missing where the device knows of the gap
	incomplete bool     // the server does not let the device have everything
	stopped    bool     // the device must have stopped for good
	failed     []string // texts that must be in the outbox as failed
	order      bool     // own messages are stored in the order in which they were sent
	fetchesMax int      // 0: not counted
}

// run is one run of a scenario.
type run struct {
	id       string
	sdk      string
	scenario *scenario
	begun    time.Time
	deadline time.Time

	mu         sync.Mutex // guards all below and what it leads to
	changed    chan struct{}
	worlds     []*world
	devices    []*device
	hooks      hooks
	expect     expectation
	tasks      []Task
	tasksDone  int
	playedAt   time.Time // the script has ended; zero: not yet
	violations []string
	verdict    string // "": not yet
	decidedAt  time.Time
	reasons    []string
}

// poke wakes who waits for something to happen. The lock is held.
func (r *run) poke() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// sessions are those that are open.
func (r *run) sessions() (list []*session) {
	for _, d := range r.devices {
		if d.session != nil && !d.session.closed {
			list = append(list, d.session)
		}
	}
	return list
}

// play runs the script.
func (r *run) play(ctx context.Context) {
	ctx, cancel := context.WithDeadline(ctx, r.deadline)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &stage{run: r, ctx: ctx}
	r.scenario.play(s)
	if !s.over {
		r.playedAt = time.Now()
		r.poke()
	}
}

// stage is what a script has in hand. The script holds the run's lock except while it waits. After the end of the run
// waiting returns at once.
type stage struct {
	*run
	ctx  context.Context
	over bool
}

// wait waits until something holds; false: the run is over.
func (s *stage) wait(holds func() bool) bool {
	for !s.over && !holds() {
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-s.ctx.Done():
		}
		s.mu.Lock()
		s.over = s.ctx.Err() != nil || s.verdict != ""
	}
	return !s.over
}

// pause lets time pass.
func (s *stage) pause(d time.Duration) {
	if s.over {
		return
	}
	s.mu.Unlock()
	select {
	case <-time.After(d):
	case <-s.ctx.Done():
	}
	s.mu.Lock()
	s.over = s.ctx.Err() != nil || s.verdict != ""
}

// dev is a device by its number, from 0.
func (s *stage) dev(i int) *device { return s.devices[i] }

// say appends messages of somebody else to a conversation, without telling the devices.
func (s *stage) say(id, sender string, texts ...string) {
	for _, d := range s.distinctWorlds() {
		for _, text := range texts {
			d.say(id, sender, text)
		}
	}
}

// distinctWorlds are the worlds that devices are told now.
func (s *stage) distinctWorlds() (list []*world) {
	for _, d := range s.devices {
		if !slices.Contains(list, d.world) {
			list = append(list, d.world)
		}
	}
	return list
}

// history is a conversation as the first device is told it.
func (s *stage) history(id string) *history { return s.devices[0].world.logs[id] }

// deliver tells all sessions what is new.
func (s *stage) deliver() {
	for _, ss := range s.sessions() {
		ss.round()
	}
}

// tell says something new and delivers it.
func (s *stage) tell(id, sender string, texts ...string) {
	s.say(id, sender, texts...)
	s.deliver()
}

// synced waits until every device has been synchronised for the nth time, on a connection that is open.
func (s *stage) synced(n int) bool {
	return s.wait(func() bool {
		for _, d := range s.devices {
			if d.syncs < n || d.session == nil || !d.session.opened {
				return false
			}
		}
		return true
	})
}

// cut breaks all connections.
func (s *stage) cut() {
	for _, ss := range s.sessions() {
		ss.cut()
	}
}

// again breaks all connections and waits until all devices are synchronised anew.
func (s *stage) again() bool {
	most := 0
	for _, d := range s.devices {
		most = max(most, d.syncs)
		d.syncs = most
	}
	s.cut()
	return s.synced(most + 1)
}

// rewrite gives devices another world, made from the one that they had. Numbers of devices; none: all.
func (s *stage) rewrite(change func(*world), numbers ...int) *world {
	list := s.devices
	if len(numbers) > 0 {
		list = nil
		for _, i := range numbers {
			list = append(list, s.devices[i])
		}
	}
	w := list[0].world.clone()
	change(w)
	s.worlds = append(s.worlds, w)
	for _, d := range list {
		d.world = w
	}
	return w
}

// task asks the app of a device for something.
func (s *stage) task(device int, do, conversation, text string) {
	s.tasks = append(s.tasks, Task{Number: len(s.tasks) + 1, DeviceID: s.devices[device].id, Do: do, Conversation: conversation, Text: text})
	s.poke()
}

// send asks the first device's app to send texts.
func (s *stage) send(id string, texts ...string) {
	for _, text := range texts {
		s.task(0, "send", id, text)
	}
}

// reported waits until the driver has posted a report after all tasks given so far.
func (s *stage) reported() bool {
	n := len(s.tasks)
	return s.wait(func() bool { return s.tasksDone >= n })
}

// stored waits until texts are in the log that the first device is told.
func (s *stage) stored(id string, texts ...string) bool {
	return s.wait(func() bool {
		for _, text := range texts {
			if !slices.ContainsFunc(s.history(id).events, func(e event) bool { return e.text == text }) {
				return false
			}
		}
		return true
	})
}

// upTo makes a hook for connections up to a number: further ones get a right server.
func upTo(n int, hook func(*session) bool) func(*session) bool {
	return func(ss *session) bool { return ss.number <= n && hook(ss) }
}

// newRun makes a run with its usual beginning: the user alice, in "team" with bob and carol, and in "news" with bob.
func newRun(id string, sc *scenario, sdk string, token func() string) *run {
	now := time.Now()
	r := &run{id: id, sdk: sdk, scenario: sc, begun: now, deadline: now.Add(sc.time()), changed: make(chan struct{})}
	w := newWorld()
	w.create("team", "alice", "bob", "carol")
	w.create("news", "alice", "bob")
	for i := range 5 {
		w.say("team", "bob", fmt.Sprintf("m%d", i+1))
		w.say("news", "bob", fmt.Sprintf("n%d", i+1))
	}
	r.worlds = []*world{w}
	for i := range max(1, sc.devices) {
		r.devices = append(r.devices, &device{
			run: r, id: []string{"phone", "laptop"}[i], user: "alice", world: w, tokens: []string{token()}, revoked: map[string]bool{},
			given: map[uint32]uint64{}, acked: map[uint32]uint64{}, settled: map[uint32]uint64{}, epoch: w.epoch,
			sentIDs: map[string]*submission{}, byText: map[string]string{},
		})
	}
	return r
}
