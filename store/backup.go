// SPDX-License-Identifier: Apache-2.0

// Backups: copies of a data directory that are whole or not there. One is made under a temporary name, opened and looked
// at, synced, and only then given its own.

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
)

const (
	unfinishedSuffix = ".unfinished"
	backupsMax       = 1000      // in one folder
	backupFileMax    = 256 << 20 // bytes of the file BACKUP
	backupCacheBytes = 8 << 20
)

// What can be wrong with a request for a backup.
var (
	ErrBackupName     = errors.New("a backup's name is 1 to 64 letters, digits, '.', '_' and '-', and begins with a letter or digit")
	ErrBackupExists   = errors.New("there is a backup of that name")
	ErrTooManyBackups = errors.New("there are too many backups")
)

// Backup says what a copy of a data directory holds.
type Backup struct {
	Dir       string              `json:"-"`
	MadeMs    uint64              `json:"madeMs"` // when it was complete, ms since the Unix epoch
	Epoch     tidemark.Epoch      `json:"epoch,string"`
	Positions []tidemark.Position `json:"positions"` // by partition: every commit up to it is there, and none after
	Files     map[string]int64    `json:"files"`     // sizes, bytes, by path
	Sums      map[string]uint32   `json:"sums"`      // CRC-32C of the files but the tables, whose blocks have their own, by path
	Sum       uint32              `json:"sum"`       // over the rest
}

// Bytes is how large the backup is. Tables that are shared with the directory it was made of count.
func (b *Backup) Bytes() uint64 { return total(b.Files) }

func (b *Backup) sum() uint32 {
	unsigned := *b
	unsigned.Sum = 0
	text, _ := json.Marshal(unsigned) // maps are written in the order of their keys
	return crc32.Checksum(text, castagnoli)
}

// nameOfBackup is what a backup may be called: no path, nothing hidden.
var nameOfBackup = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// BackupName is a name for a backup made at a time, ms since the Unix epoch: names in order are in the order of time.
func BackupName(ms uint64) string {
	return time.UnixMilli(int64(ms)).UTC().Format("20060102T150405.000Z")
}

// Checkpoint makes a backup folder/name of the open directory while commits go on: what a crash at that moment would have
// left, and at least all that was acknowledged before the call. The folder is made if it is not there; tables become
// further names of the same files where it is on the same file system, and are copied elsewhere. It returns once the
// backup is durable under its name. Several calls take turns. The key files of the directory are in the backup.
//
// The error wraps [ErrBackupName], [ErrBackupExists], [ErrTooManyBackups], [ErrLowSpace] or [ErrInUse] (another process makes
// one in that folder), or is of the disk; then there is no backup, and the directory goes on as before.
func (db *DB) Checkpoint(folder, name string) (*Backup, error) {
	db.copying.Lock()
	defer db.copying.Unlock()
	if err := db.writable(); err != nil {
		return nil, err
	}
	if db.fs.leaving.Load() {
		return nil, fmt.Errorf("store: backup %s: %w", name, errLeaving)
	}
	durable := make([]tidemark.Position, len(db.partitions))
	for n := range durable {
		durable[n] = tidemark.Position(db.reached.positions[n].Load())
	}
	making := making{
		fs: db.fs.FS, folder: folder, name: name, from: db.dir, meta: db.meta, cfg: Config{FS: db.given, NowMs: db.reached.nowMs},
		space: db.space, durable: durable,
	}
	b, err := making.run(func(temp string) error {
		db.fs.copyFailed.Store(nil)
		if err := db.pebble.Checkpoint(db.fs.PathJoin(temp, pebbleName)); err != nil {
			return err
		}
		if failed := db.fs.copyFailed.Load(); failed != nil {
			return *failed
		}
		return errors.Join(making.copyKeys(temp), db.Failed()) // the log may have gone into nothing meanwhile
	})
	if err != nil {
		return nil, fmt.Errorf("store: backup %s: %w", name, err)
	}
	return b, nil
}

// BackUp makes a backup folder/name of a directory that no process has open. Dir and FS of cfg count. Errors are those of
// [DB.Checkpoint], ErrInUse where the directory is open, and ctx's where it ends while files are copied.
func BackUp(ctx context.Context, cfg Config, folder, name string) (_ *Backup, err error) {
	cfg.MustExist = true
	cfg = cfg.withDefaults()
	found, err := cfg.look()
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	making := making{
		fs: cfg.fs(), folder: folder, name: name, from: cfg.Dir, meta: *found.meta, cfg: cfg,
		space: newSpaceWatch(cfg.fs(), cfg.Dir, cfg.ReserveBytes, cfg.Log),
	}
	b, err := making.run(func(temp string) error {
		_, err := copyData(ctx.Err, cfg.fs(), cfg.Dir, temp, true)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store: backup %s: %w", name, err)
	}
	return b, nil
}

// making is one backup under way.
type making struct {
	fs           vfs.FS
	folder, name string
	from         string // the data directory
	meta         Meta
	cfg          Config // of which FS and NowMs count
	space        *spaceWatch
	durable      []tidemark.Position // by partition: what must be in it
}

// run makes the backup. fill puts the files into a directory.
func (m *making) run(fill func(temp string) error) (*Backup, error) {
	if !nameOfBackup.MatchString(m.name) || strings.HasSuffix(m.name, unfinishedSuffix) || m.name == lockName {
		return nil, fmt.Errorf("%w: %.80q", ErrBackupName, m.name)
	}
	if err := makeDir(m.fs, m.folder); err != nil {
		return nil, err
	}
	lock, err := lockDir(Config{Dir: m.folder, FS: m.cfg.FS})
	if err != nil {
		return nil, err
	}
	final := m.fs.PathJoin(m.folder, m.name)
	temp := final + unfinishedSuffix
	b, err := m.fill(temp, final, fill)
	if err != nil {
		_ = m.fs.RemoveAll(temp) // or the next one does
	}
	if err = errors.Join(err, lock.Close()); err != nil {
		return nil, err
	}
	return b, nil
}

// fill makes the backup under its temporary name and gives it its own.
func (m *making) fill(temp, final string, fill func(temp string) error) (*Backup, error) {
	if err := m.clear(); err != nil {
		return nil, err
	}
	if err := makeDir(m.fs, temp); err != nil {
		return nil, err
	}
	if err := m.checkRoom(temp); err != nil {
		return nil, err
	}
	if err := fill(temp); err != nil {
		return nil, err
	}
	b, err := m.lookAt(temp)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(b)
	if err == nil {
		err = replaceFile(m.fs, temp, backupName+".tmp", backupName, append(text, '\n'), true)
	}
	if err != nil {
		return nil, err
	}
	if err := m.fs.Rename(temp, final); err != nil {
		return nil, err
	}
	b.Dir = final
	return b, syncDir(m.fs, m.folder)
}

// clear looks at what is in the folder, and removes what was begun and not finished; nobody is at it, as the lock is held.
func (m *making) clear() error {
	names, err := m.fs.List(m.folder)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == m.name {
			return fmt.Errorf("%w: %s", ErrBackupExists, m.fs.PathJoin(m.folder, name))
		}
		if strings.HasSuffix(name, unfinishedSuffix) {
			if err := m.fs.RemoveAll(m.fs.PathJoin(m.folder, name)); err != nil {
				return err
			}
		}
	}
	if len(names) > backupsMax {
		return fmt.Errorf("%w: %d in %s; remove those that are not needed any more", ErrTooManyBackups, len(names), m.folder)
	}
	return nil
}

// checkRoom refuses a backup for which the disk has no room beside the reserve of the data.
func (m *making) checkRoom(temp string) error {
	links, need := false, uint64(0)
	probe := m.fs.PathJoin(temp, metaName)
	if m.fs.Link(m.fs.PathJoin(m.from, metaName), probe) == nil { // then tables take no room
		links = true
		if err := m.fs.Remove(probe); err != nil {
			return err
		}
	}
	usage, err := m.fs.GetDiskUsage(m.folder)
	if err != nil {
		return nil // a file system that cannot tell has room
	}
	names, err := m.fs.List(m.fs.PathJoin(m.from, pebbleName))
	if err != nil {
		return err
	}
	for _, name := range names {
		if info, err := m.fs.Stat(m.fs.PathJoin(m.from, pebbleName, name)); err == nil && !(links && isTable(name)) {
			need += uint64(info.Size()) // one that has gone meanwhile is not needed
		}
	}
	if need += m.space.reserveOf(usage); usage.AvailBytes < need {
		return fmt.Errorf("%w: %d MiB free at %s, %d MiB are needed for a backup", ErrLowSpace, usage.AvailBytes>>20, m.folder, need>>20)
	}
	return nil
}

// copyKeys adds to the database what else belongs to a data directory.
func (m *making) copyKeys(temp string) error {
	names, err := m.fs.List(m.from)
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".key") {
			if _, err := copyFile(whole, m.fs, m.fs.PathJoin(m.from, name), m.fs.PathJoin(temp, name)); err != nil {
				return err
			}
		}
	}
	return writeMeta(m.fs, temp, m.meta)
}

// lookAt opens the copy as a reader, which it must be fit for, and tells what it holds.
func (m *making) lookAt(temp string) (*Backup, error) {
	b := &Backup{MadeMs: m.cfg.NowMs(), Epoch: m.meta.Epoch}
	var err error
	if b.Positions, err = positionsOf(Config{Dir: temp, FS: m.cfg.FS}); err != nil {
		return nil, err
	}
	for n, durable := range m.durable {
		if b.Positions[n] < durable {
			return nil, fmt.Errorf("%w: partition %d ends at %d in the copy, and %d was acknowledged", ErrDamaged, n, b.Positions[n], durable)
		}
	}
	r := reachedFile{Epoch: b.Epoch, Positions: b.Positions}
	r.Sum = r.sum()
	text, err := json.Marshal(&r)
	if err == nil {
		err = replaceFile(m.fs, temp, reachedTempName, reachedName, append(text, '\n'), true)
	}
	if err != nil {
		return nil, err
	}
	for _, lock := range []string{m.fs.PathJoin(temp, lockName), m.fs.PathJoin(temp, pebbleName, lockName)} {
		if err := m.fs.Remove(lock); err != nil && !oserror.IsNotExist(err) {
			return nil, err
		}
	}
	if b.Files, err = sizesOf(m.fs, temp); err != nil {
		return nil, err
	}
	b.Sums = make(map[string]uint32)
	for name := range b.Files {
		if isTable(name) {
			continue
		}
		if b.Sums[name], err = sumOf(m.fs, m.fs.PathJoin(temp, name)); err != nil {
			return nil, err
		}
	}
	b.Sum = b.sum()
	return b, nil
}

// positionsOf opens a directory as a reader and answers how far its partitions have come. A directory that has less than
// its REACHED says is refused.
func positionsOf(cfg Config) ([]tidemark.Position, error) {
	cfg.ReadOnly, cfg.CacheBytes = true, backupCacheBytes
	db, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	reached := db.checkReached()
	positions := make([]tidemark.Position, len(db.partitions))
	for n := range positions {
		positions[n] = tidemark.Position(db.reached.positions[n].Load())
	}
	if err := errors.Join(reached, db.Close()); err != nil {
		return nil, explain(err)
	}
	return positions, nil
}

// ReadBackup reads what a backup says that it holds, and whether the files are there with their sizes: not what is in
// them. Where dir is no backup, but a copy of a data directory, the answer is nil. fs may be nil: the disk.
func ReadBackup(fs vfs.FS, dir string) (*Backup, error) {
	fs = Config{FS: fs}.fs()
	f, err := fs.Open(fs.PathJoin(dir, backupName))
	if oserror.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: backup %s: %w", dir, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, backupFileMax))
	b := &Backup{Dir: dir}
	if err == nil {
		err = json.Unmarshal(text, b)
	}
	if err != nil || b.Sum != b.sum() {
		return nil, fmt.Errorf("store: backup %s: %w: its file %s is not what Tidemark wrote (%v)", dir, ErrDamaged, backupName, err)
	}
	for name, size := range b.Files {
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return nil, fmt.Errorf("store: backup %s: %w: it was not copied whole: %w", dir, ErrDamaged, err)
		}
		if info.Size() != size {
			return nil, fmt.Errorf("store: backup %s: %w: %s has %d bytes of %d", dir, ErrDamaged, name, info.Size(), size)
		}
	}
	return b, nil
}
