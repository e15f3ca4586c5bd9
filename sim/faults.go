// SPDX-License-Identifier: Apache-2.0

// What breaks.

package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/sim/invariant"
)

// faults are all that can be planned, by name. Each answers whom it befell.
var faults = map[string]func(w *world, chance *rand.Rand) string{
	"crash": func(w *world, chance *rand.Rand) string {
		if w.server == nil {
			return "no server runs"
		}
		if chance.IntN(3) == 0 { // the process alone: what it has written is there, synced or not
			w.crash(copyOf(w.server.disk.mem), "alone: the machine goes on")
			return "the process"
		}
		w.crash(torn(w.server.disk.mem, chance.Uint64()), "with its machine")
		return "the machine"
	},
	"crash in a commit": func(w *world, chance *rand.Rand) string {
		return w.trap([]trouble{crashAtWrite, crashAtSync, crashAtSync}[chance.IntN(3)], chance, false)
	},
	"failing sync":  func(w *world, chance *rand.Rand) string { return w.trap(failSync, chance, true) },
	"failing write": func(w *world, chance *rand.Rand) string { return w.trap(failWrite, chance, true) },
	"full log":      func(w *world, chance *rand.Rand) string { return w.trap(fullAtWrite, chance, true) },
	"low space":     lowSpace,
	"stop": func(w *world, _ *rand.Rand) string {
		if w.server == nil {
			return "no server runs"
		}
		w.stop()
		return ""
	},
	"cut": func(w *world, chance *rand.Rand) string {
		return w.ofDevice(chance, func(d *device) {
			if d.conn != nil {
				d.conn.cut(chance.Uint64N(3_000), chance.Uint64N(3_000))
			}
		})
	},
	"half-open": func(w *world, chance *rand.Rand) string {
		return w.ofDevice(chance, func(d *device) {
			if c := d.conn; c != nil { // one end, or both, must find out by the silence
				up := chance.IntN(3) > 0
				down := !up || chance.IntN(2) == 0
				c.up.lost, c.down.lost = c.up.lost || up, c.down.lost || down // what was lost does not come later
			}
		})
	},
	"no network": func(w *world, chance *rand.Rand) string {
		return w.ofDevice(chance, func(d *device) {
			w.partedMs[d] = w.nowMs + 1_000 + chance.Uint64N(30_000)
			if d.conn != nil {
				d.conn.cut(chance.Uint64N(30_000), chance.Uint64N(1_000))
			}
		})
	},
	"slow device": func(w *world, chance *rand.Rand) string {
		return w.ofDevice(chance, func(d *device) { d.stuckMs = w.nowMs + 500 + chance.Uint64N(15_000) })
	},
	"device dies": func(w *world, chance *rand.Rand) string {
		return w.ofDevice(chance, func(d *device) { d.crash = beforeStored + deviceCrash(chance.IntN(2)) })
	},
	"device wiped": func(w *world, chance *rand.Rand) string {
		return w.ofDevice(chance, func(d *device) {
			if d.replica == nil {
				return
			}
			w.observer.Happened(invariant.Incident{Kind: invariant.DeviceWiped, Who: d.who()})
			d.off()
			d.own, d.told = nil, nil
			d.store = client.NewMemory()
			w.after(chance.Uint64N(5_000), d.on)
		})
	},
	"server clock": func(w *world, chance *rand.Rand) string {
		was := w.serverSkewMs
		w.serverSkewMs = skew(chance)
		return fmt.Sprintf("from %d ms to %d ms beside the right time", was, w.serverSkewMs)
	},
	"device clock": func(w *world, chance *rand.Rand) string { // with its next start: within a run time goes forward
		return w.ofDevice(chance, func(d *device) { d.skewNextMs = skew(chance) })
	},
	"flush": func(w *world, _ *rand.Rand) string {
		return w.ofStore(func(s *server) error { return s.db.Flush(w.ctx) })
	},
	"compact": func(w *world, _ *rand.Rand) string {
		return w.ofStore(func(s *server) error { return s.db.Compact(w.ctx) })
	},
	"copy":    copyData,
	"restore": restore,
}

// skew is how far a clock may be beside the right time.
func skew(chance *rand.Rand) int64 {
	most := []int64{2_000, 60_000, 3_600_000, 26 * 3_600_000}[chance.IntN(4)]
	return chance.Int64N(2*most+1) - most
}

// ofDevice does something to a device that is drawn.
func (w *world) ofDevice(chance *rand.Rand, do func(*device)) string {
	d := w.devices[chance.IntN(len(w.devices))]
	do(d)
	return d.who().String()
}

// ofStore does something with the store of the server that runs.
func (w *world) ofStore(do func(*server) error) string {
	if w.server == nil {
		return "no server runs"
	}
	if err := do(w.server); err != nil {
		return err.Error()
	}
	return ""
}

// trap lets the disk do something with the next commit. A server whose disk has failed is started again later.
func (w *world) trap(t trouble, chance *rand.Rand, again bool) string {
	s := w.server
	if s == nil {
		return "no server runs"
	}
	s.disk.trap(t, chance.Uint64())
	if again {
		crash, seed := chance.IntN(2) == 0, chance.Uint64()
		w.after(1_000+chance.Uint64N(15_000), func() { w.replace(s, crash, seed) })
	}
	return ""
}

// replace ends a server whose disk may have failed.
func (w *world) replace(s *server, crash bool, seed uint64) {
	switch {
	case w.server != s:
	case crash:
		w.crash(torn(s.disk.mem, seed), "with its machine, after its disk has failed")
	default:
		w.stop()
	}
}

// lowSpace lets little room be left on the disk, for a while.
func lowSpace(w *world, chance *rand.Rand) string {
	s := w.server
	if s == nil {
		return "no server runs"
	}
	s.disk.mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 1 << 20, TotalBytes: 100 << 30, UsedBytes: 100<<30 - 1<<20})
	w.after(500+chance.Uint64N(8_000), func() { enough(s.disk.mem) })
	return ""
}

// enough gives the disk room.
func enough(mem *vfs.MemFS) {
	mem.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 50 << 30, TotalBytes: 100 << 30, UsedBytes: 50 << 30})
}
