// SPDX-License-Identifier: Apache-2.0

// Crashes: what a disk would hold after a crash at any operation.

package faultfs

import (
	"math/rand/v2"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Crash is the disk as it would be found after a crash just before an operation.
type Crash[T any] struct {
	Op   Op
	FS   *vfs.MemFS
	Note T // what the test knew at that moment
}

// Crashes takes such a disk at each operation while it watches. Of what was written and not synced each keeps another
// share, from nothing to all, torn anywhere. Safe for concurrent use.
type Crashes[T any] struct {
	mem  *vfs.MemFS
	seed uint64
	note func() T

	mu       sync.Mutex
	watching bool
	taken    []Crash[T]
}

// NewCrashes makes a disk in memory and who watches it. note, which may be nil, is called at each crash, one at a time and
// never beside [Crashes.Do]; the same seed tears in the same places.
func NewCrashes[T any](seed uint64, note func() T) (*Crashes[T], *FS) {
	c := &Crashes[T]{mem: vfs.NewCrashableMem(), seed: seed, note: note}
	disk := New(c.mem, c.hook)
	disk.alone = c.Do // Pebble's disk in memory locks itself twice in Lock and in Link, and is stuck where it is cloned in between
	return c, disk
}

func (c *Crashes[T]) hook(op Op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.watching {
		return nil
	}
	crash := Crash[T]{Op: op, FS: c.mem.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: int(op.N*37) % 101, RNG: rand.New(rand.NewPCG(uint64(op.N), c.seed)),
	})}
	if c.note != nil {
		crash.Note = c.note()
	}
	c.taken = append(c.taken, crash)
	return nil
}

// Watch begins or ends watching.
func (c *Crashes[T]) Watch(on bool) { c.Do(func() { c.watching = on }) }

// Do runs fn while no crash is taken: to change what note reads. fn must not touch the disk.
func (c *Crashes[T]) Do(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
}

// Taken are the crashes so far.
func (c *Crashes[T]) Taken() []Crash[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken
}
