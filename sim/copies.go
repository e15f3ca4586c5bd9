// SPDX-License-Identifier: Apache-2.0

// Copies of the data directory, taken as an operator takes them while the server runs, at any moment of a commit too, and
// what takes the place of the data from one of them.

package sim

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/verify"
)

// Names on the simulated disk.
const (
	backupsDir = "backups"
	backupName = "copy"
	olderDir   = "older" // a plain copy of the data directory, beside the one that is made of it
)

// oldCopy is a disk as it was.
type oldCopy struct {
	mem   *vfs.MemFS
	plain bool // the data directory as it is; otherwise a backup that the store has made
}

// copyData plans or takes a copy: a backup by the store, or the files as they are, of the process that goes on or as a machine's
// snapshot has them; now, or in the middle of the next commit.
func copyData(w *world, chance *rand.Rand) string {
	s := w.server
	if s == nil {
		return "no server runs"
	}
	seed, inCommit := chance.Uint64(), chance.IntN(2) == 0
	switch chance.IntN(3) {
	case 0:
		if inCommit {
			s.backUp = 1 + chance.IntN(2)
			return "a backup in the next commit"
		}
		return "a backup: " + s.checkpoint()
	case 1:
		return s.copyFiles("the files", inCommit, chance.IntN(2) == 0, func() *vfs.MemFS { return copyOf(s.disk.mem) })
	default:
		return s.copyFiles("a snapshot", inCommit, chance.IntN(2) == 0, func() *vfs.MemFS { return torn(s.disk.mem, seed) })
	}
}

// copyFiles copies the disk as it is, now or just before the next write or sync of the log.
func (s *server) copyFiles(what string, inCommit, atSync bool, take func() *vfs.MemFS) string {
	if !inCommit {
		s.w.copies = append(s.w.copies, oldCopy{mem: take(), plain: true})
		return what
	}
	s.disk.copyAt(atSync, take)
	return what + " in the next commit"
}

// checkpoint makes a backup by the store, and takes it away from the disk.
func (s *server) checkpoint() string {
	mem := s.disk.mem
	defer func() { _ = mem.RemoveAll(backupsDir) }()
	b, err := s.db.Checkpoint(backupsDir, backupName)
	if err != nil {
		s.w.say(about{}, "there is no backup: %v", err) // of a disk that fails
		return "refused"
	}
	s.w.copies = append(s.w.copies, oldCopy{mem: copyOf(mem)})
	return fmt.Sprint(b.Positions)
}

// backUpIn makes the backup that is due at this moment of a commit: 1 before it is written, 2 before it is told.
func (s *server) backUpIn(moment int) {
	if s.backUp == moment {
		s.backUp = 0
		s.w.say(about{}, "in the middle of a commit a backup is made: %s", s.checkpoint())
	}
}

// collect takes the copy that was made in the middle of a commit.
func (s *server) collect() {
	if mem := s.disk.copied(); mem != nil {
		s.w.copies = append(s.w.copies, oldCopy{mem: mem, plain: true})
		s.w.say(about{}, "in the middle of a commit a copy was taken")
	}
}

// restore puts an older copy of the data in the place of what is there, under a new epoch.
func restore(w *world, chance *rand.Rand) string {
	s := w.server
	if s == nil || len(w.copies) == 0 {
		return "there is nothing to restore"
	}
	n := chance.IntN(len(w.copies))
	old := w.copies[n]
	w.copies = w.copies[:n+1] // later ones are of a history that is no more
	mem := copyOf(old.mem)
	enough(mem)
	how, epoch, err := old.restoreOn(w.ctx, mem, w.epoch, chance)
	if err != nil {
		w.fail(&invariant.Violation{Invariant: "S7", Text: "a copy that was taken cannot be restored: " + err.Error()})
		return err.Error()
	}
	w.counts.Restores++
	w.observer.Happened(invariant.Incident{Kind: invariant.Crashed})
	w.observer.Happened(invariant.Incident{Kind: invariant.Restored, Epoch: epoch})
	w.server, w.epoch, w.restored = nil, epoch, true
	s.close()
	w.disk = mem
	w.takeBackEndMs = 0
	if chance.IntN(100) < w.profile.TakeBackPercent {
		w.takeBackFor(w.profile.DownMs + chance.Uint64N(40_000))
	}
	w.after(chance.Uint64N(w.profile.DownMs)+1, w.restart)
	return fmt.Sprintf("%s, epoch %d", how, epoch)
}

// restoreOn makes a data directory of a copy, on the disk that has it.
func (c oldCopy) restoreOn(ctx context.Context, mem *vfs.MemFS, was tidemark.Epoch, chance *rand.Rand) (how string, epoch tidemark.Epoch, err error) {
	var key [32]byte
	for i := range key {
		key[i] = byte(chance.Uint32())
	}
	cfg := store.Config{Dir: dataDir, FS: mem, Entropy: rand.NewChaCha8(key)}
	switch way := chance.IntN(4); {
	case c.plain && way == 0: // a disk that was set back as a whole
		meta, err := store.NewEpoch(cfg)
		return "the files, as they are", meta.Epoch, differs(was, meta.Epoch, err)
	case c.plain && way == 1:
		loss, err := store.AcceptLoss(cfg, "")
		if err != nil {
			return "", 0, err
		}
		return "the files, whose loss is accepted", loss.New, differs(was, loss.New, nil)
	case c.plain:
		err = mem.Rename(dataDir, olderDir)
		how, cfg.Dir = "a copy of the files", olderDir
	default:
		err = mem.RemoveAll(dataDir)
		how, cfg.Dir = "a backup", mem.PathJoin(backupsDir, backupName)
	}
	if err != nil {
		return "", 0, err
	}
	r := store.RestoreConfig{From: cfg.Dir, To: dataDir, FS: mem, Entropy: cfg.Entropy}
	if chance.IntN(2) == 0 {
		r.Check = func(dir string) error { return wholeIn(ctx, mem, dir) }
	}
	done, err := store.Restore(ctx, r)
	if err != nil {
		return "", 0, err
	}
	for _, dir := range []string{olderDir, backupsDir} {
		if err := mem.RemoveAll(dir); err != nil {
			return "", 0, err
		}
	}
	return fmt.Sprintf("%s up to %v", how, done.Backup.Positions), done.Meta.Epoch, differs(was, done.Meta.Epoch, nil)
}

// differs is an error where a copy would go on under the epoch that was in use.
func differs(was, is tidemark.Epoch, err error) error {
	if err == nil && (is == was || is == 0) {
		err = fmt.Errorf("epoch %d is in use", is)
	}
	return err
}

// wholeIn looks at a copy as tidemark restore does.
func wholeIn(ctx context.Context, mem *vfs.MemFS, dir string) error {
	db, err := store.Open(store.Config{Dir: dir, FS: mem, ReadOnly: true, CacheBytes: 1 << 20})
	if err != nil {
		return err
	}
	defer db.Close()
	report, err := verify.Run(ctx, verify.Config{DB: db})
	if err == nil && !report.OK() {
		err = fmt.Errorf("it is not what its logs say: %s", report.String())
	}
	return err
}

// forgetLost forgets what was acknowledged and is not in the copy that took the place of the data.
func (w *world) forgetLost() {
	if !w.restored {
		return
	}
	w.restored = false
	kept := w.acked[:0]
	for _, a := range w.acked {
		if a.position <= w.server.set.At(a.partition).Published() {
			kept = append(kept, a)
		}
	}
	w.acked = kept
}
