// SPDX-License-Identifier: Apache-2.0

// The world around a design: the disk, the clock, the members' devices and what they got.

package schemes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidemark-im/tidemark/store/faultfs"
	"github.com/tidemark-im/tidemark/wire"
)

// dataDir is where a design keeps its files on the world's disk.
const dataDir = "data"

// storeTables is the directory in which package store keeps its tables.
const storeTables = "db"

// errCrash is what a design is told when the machine has crashed.
var errCrash = errors.New("schemes: crashed")

// message is what a writer sends. There are two writers, who take turns; what they get themselves is left out.
type message struct {
	number int
	writer int
	text   string // starts with the number
}

// numberDigits is how many digits a message's number has in its text.
const numberDigits = 8

// newMessage makes a text that is the same for the same number, and that compresses no better than letters do.
func newMessage(number, payload int) message {
	random := rand.New(rand.NewPCG(uint64(number), 0))
	text := fmt.Appendf(nil, "%0*d", numberDigits, number)
	for len(text) < payload {
		text = append(text, byte('a'+random.IntN(26)))
	}
	return message{number: number, writer: number % 2, text: string(text)}
}

// device is one member's; what it has survives crashes of the server.
type device struct {
	connected bool
	got       []int        // numbers of messages in the order of their arrival, with those that came again
	unacked   []uint64     // ids under which they came, that were not acknowledged yet
	cursor    *wire.Cursor // of the design that has one
}

// world is one run of a design. It belongs to one goroutine.
type world struct {
	ctx     context.Context
	cfg     Config
	design  Design
	server  scheme
	disk    *vfs.MemFS
	random  *rand.Rand
	nowMs   uint64
	devices []device
	stored  map[int]bool // numbers whose writer was answered
	ranks   map[int]int  // when a number first reached anybody: 1 for the first
	meter   *tally       // of what goes on now

	race    func() error // what happens elsewhere at the moment raceAt, once; nil: nothing
	raceAt  Moment
	crashAt Moment // momentEnd: at none
	crashOf int    // the message at whose moment
	crash   atomic.Pointer[vfs.MemFS]
	tear    atomic.Bool  // crash at the next sync of the log
	syncs   atomic.Int64 // of the log
}

func newWorld(ctx context.Context, cfg Config, design Design, members int) (*world, error) {
	w := &world{
		ctx: ctx, cfg: cfg, design: design, disk: vfs.NewCrashableMem(), random: rand.New(rand.NewPCG(cfg.Seed, uint64(members))),
		nowMs: 1_800_000_000_000, devices: make([]device, members), stored: map[int]bool{}, ranks: map[int]int{},
		meter: &tally{}, crashAt: momentEnd, raceAt: Looked,
	}
	var err error
	w.server, err = design.open(w, true)
	return w, err
}

func (w *world) clock() uint64 { return w.nowMs }

// nextID is a server's id of a message: the time, never the same twice.
func (w *world) nextID() uint64 {
	w.nowMs++
	return w.nowMs
}

// fs is the disk, watched.
func (w *world) fs() vfs.FS {
	disk := w.disk
	return faultfs.New(disk, func(op faultfs.Op) error {
		if op.What != "sync" || !strings.HasSuffix(op.Name, ".log") {
			return nil
		}
		w.syncs.Add(1)
		if w.tear.CompareAndSwap(true, false) {
			w.crash.Store(disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(w.cfg.Seed, 1))}))
		}
		return nil
	})
}

// at tells that the server passes a moment, and answers an error if it crashes there.
func (w *world) at(m Moment) error {
	if m == w.raceAt && w.race != nil {
		race := w.race
		w.race = nil
		if err := race(); err != nil {
			return err
		}
	}
	if m != w.crashAt || m == Acked && !w.stored[w.crashOf] { // earlier messages are acknowledged in its round, too
		return nil
	}
	w.crashAt = momentEnd
	w.crash.Store(w.disk.CrashClone(vfs.CrashCloneCfg{}))
	return errCrash
}

// tearNextSync makes a commit that is one batch crash in its middle, where the moment is Partly.
func (w *world) tearNextSync() {
	if w.crashAt == Partly {
		w.crashAt = momentEnd
		w.tear.Store(true)
	}
}

// crashed reports whether the machine has crashed and the server not been started again.
func (w *world) crashed() bool { return w.crash.Load() != nil }

// answered tells a message's writer that it is stored.
func (w *world) answered(m message) { w.stored[m.number] = true }

// handOver gives a message to a member's device. If its connection is dead, it is gone.
func (w *world) handOver(member int, id uint64, text string) {
	d := &w.devices[member]
	if !d.connected || len(text) < numberDigits {
		return
	}
	number, err := strconv.Atoi(text[:numberDigits])
	if err != nil {
		return // the welcome of the group
	}
	d.got = append(d.got, number)
	d.unacked = append(d.unacked, id)
	if w.ranks[number] == 0 {
		w.ranks[number] = len(w.ranks) + 1
	}
}

// takeUnacked are the ids that a device sends as acknowledged. It does not send them again.
func (w *world) takeUnacked(member int) []uint64 {
	ids := w.devices[member].unacked
	w.devices[member].unacked = nil
	return ids
}

// these are the members whose devices are connected, or are not.
func (w *world) these(connected bool) (members []int) {
	for member := range w.devices {
		if w.devices[member].connected == connected {
			members = append(members, member)
		}
	}
	return members
}

// some are n members of these, or all if there are fewer, chosen by the seed.
func (w *world) some(n int, connected bool) []int {
	members := w.these(connected)
	w.random.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return members[:min(n, len(members))]
}

// come connects devices, one after the other; what they have is then acknowledged.
func (w *world) come(members []int) error {
	for _, member := range members {
		w.devices[member].connected = true
		if err := w.server.connect(member); err != nil {
			return err
		}
	}
	return w.server.ack(members)
}

// leave disconnects devices that say so, and acknowledge what they have before.
func (w *world) leave(members []int) error {
	if err := w.ack(members); err != nil {
		return err
	}
	for _, member := range members {
		w.devices[member].connected = false
		w.server.disconnect(member)
	}
	return nil
}

// ack lets those of these members acknowledge who have something to.
func (w *world) ack(members []int) error {
	var some []int
	for _, member := range members {
		if len(w.devices[member].unacked) > 0 {
			some = append(some, member)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return w.server.ack(some)
}

// restart closes the server and starts it again on a disk: its own, or what a crash has left of it.
func (w *world) restart(disk *vfs.MemFS) error {
	if err := w.server.close(); err != nil {
		return err
	}
	w.disk = disk
	var err error
	w.server, err = w.design.open(w, false)
	return err
}
