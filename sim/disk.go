// SPDX-License-Identifier: Apache-2.0

// The server's disk: in memory, and able to lose what was not synced.

package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tidemark-im/tidemark/store/faultfs"
)

// trouble is what the disk does at the next write or sync of the database's log.
type trouble uint8

const (
	noTrouble    trouble = iota
	crashAtWrite         // the machine stops before the write
	crashAtSync          // the machine stops before the sync: of what was written, some is there
	failWrite            // the write fails
	failSync             // the sync fails: nobody knows what is there
	fullAtWrite          // there is no room for the log
	troubleKinds         // how many there are
)

// disk is the disk of one server process. Its hook runs on goroutines of the database.
type disk struct {
	mem *vfs.MemFS

	mu      sync.Mutex
	next    trouble    // guarded by mu; comes with the next write or sync of the log
	seed    uint64     // guarded by mu; of what is left by a crash
	crashed *vfs.MemFS // guarded by mu; what the crash has left; nil: there was none
	copying copying    // guarded by mu; of the disk, while it is in use
}

// copying is a copy that is taken just before the next write or sync of the log.
type copying struct {
	take   func() *vfs.MemFS // nil: none is due
	atSync bool
	taken  *vfs.MemFS
}

// fs is the file system that the store sees.
func (d *disk) fs() vfs.FS { return faultfs.New(d.mem, d.before) }

// trap sets what comes with the next write or sync of the log.
func (d *disk) trap(t trouble, seed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next, d.seed = t, seed
}

// trapped reports whether something will come with the next write or sync of the log.
func (d *disk) trapped() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.next != noTrouble
}

// copyAt lets a copy be taken just before the next write of the log, or its next sync.
func (d *disk) copyAt(sync bool, take func() *vfs.MemFS) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.copying = copying{take: take, atSync: sync}
}

// copied is the copy that was taken, once; nil: none was.
func (d *disk) copied() *vfs.MemFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	mem := d.copying.taken
	d.copying.taken = nil
	return mem
}

// left is what a crash in the middle of a commit has left; nil: there was none.
func (d *disk) left() *vfs.MemFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.crashed
}

// before is told of every operation that changes something. After a crash the process goes on into nothing: what it does
// then is thrown away with it.
func (d *disk) before(op faultfs.Op) error {
	if !strings.HasPrefix(op.Name, dataDir) || !strings.HasSuffix(op.Name, ".log") || op.What != "write" && op.What != "sync" {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	write := op.What == "write"
	if c := &d.copying; c.take != nil && c.atSync != write {
		c.taken, c.take = c.take(), nil
	}
	switch {
	case d.next == crashAtWrite && write, d.next == crashAtSync && !write:
		d.next, d.crashed = noTrouble, torn(d.mem, d.seed)
	case d.next == failWrite && write, d.next == failSync && !write:
		d.next = noTrouble
		return syscall.EIO
	case d.next == fullAtWrite && write:
		d.next = noTrouble
		return syscall.ENOSPC
	}
	return nil
}

// torn is the disk after a crash: all that was synced, and of the rest what the seed says: a file's last bytes are there,
// or some of them, or damaged, or not; a new name is there or not. (MemFS.CrashClone draws its lots in the order of a map,
// so that the same seed would not tear in the same place.)
func torn(mem *vfs.MemFS, seed uint64) *vfs.MemFS {
	whole := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(seed, 0))})
	synced := mem.CrashClone(vfs.CrashCloneCfg{})
	tearDir(whole, synced, "", seed)
	return synced.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(seed, 0))}) // and that is synced
}

// copyOf is the disk as it is.
func copyOf(mem *vfs.MemFS) *vfs.MemFS {
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
}

func tearDir(whole, synced *vfs.MemFS, dir string, seed uint64) {
	names, _ := whole.List(dir)
	slices.Sort(names)
	for _, name := range names {
		path := whole.PathJoin(dir, name)
		if info, err := whole.Stat(path); err == nil && info.IsDir() {
			_ = synced.MkdirAll(path, 0o700)
			tearDir(whole, synced, path, seed)
			continue
		}
		now, _ := contentOf(whole, path)
		safe, there := contentOf(synced, path)
		if there && string(now) == string(safe) {
			continue
		}
		entire := !there && !strings.HasPrefix(name, "REACHED") // all else is synced before it gets its name
		if left, ok := tear(safe, now, entire, chanceOf(seed, numberless(names, name))); ok {
			f, err := synced.Create(path, vfs.WriteCategoryUnspecified)
			if err != nil {
				panic("sim: a file in memory cannot be made: " + err.Error())
			}
			_, _ = f.Write(left)
			_ = f.Close()
		}
	}
	names, _ = synced.List(dir)
	slices.Sort(names)
	for _, name := range names {
		path := synced.PathJoin(dir, name)
		if _, err := whole.Stat(path); err != nil && chanceOf(seed, numberless(names, name)).IntN(2) == 0 {
			_ = synced.Remove(path) // its removal was not synced
		}
	}
}

// numberless is a name by which lots are drawn. The database's own goroutines draw the numbers of its files, which are not
// the same each time: so it is the kind, and how many of the kind are newer.
func numberless(names []string, name string) string {
	kind := func(name string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, name)
	}
	newer := 0
	for _, other := range names {
		if other > name && kind(other) == kind(name) {
			newer++
		}
	}
	return fmt.Sprint(kind(name), newer)
}

// tear is what a crash leaves of a file, or of one that is there whole or not at all; false: what was synced.
func tear(safe, now []byte, whole bool, chance *rand.Rand) ([]byte, bool) {
	kept := 0
	for kept < len(safe) && kept < len(now) && safe[kept] == now[kept] {
		kept++
	}
	switch lot := chance.IntN(4); {
	case lot == 0:
		return nil, false
	case lot == 1, whole, kept < len(safe): // the last: it was replaced, not lengthened
		return now, true
	}
	left := slices.Clone(now[:kept+chance.IntN(len(now)-kept+1)])
	if torn := len(left) - kept; torn > 0 && chance.IntN(2) == 0 { // a block of the end was not written
		for i := kept + chance.IntN(torn); i < len(left); i++ {
			left[i] = 0
		}
	}
	return left, true
}

func contentOf(fs *vfs.MemFS, path string) ([]byte, bool) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	return data, err == nil
}

// chanceOf are the lots of one name under a seed.
func chanceOf(seed uint64, name string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}
