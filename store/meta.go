// SPDX-License-Identifier: Apache-2.0

// TIDEMARK, the file that says what a data directory is: written once at creation, atomically, and read before anything
// else is touched.

package store

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
)

// FormatVersion of the data directories that this program writes and reads.
const FormatVersion = 3

// The names inside a data directory.
const (
	metaName     = "TIDEMARK"
	metaTempName = "TIDEMARK.tmp"
	lockName     = "LOCK"
	pebbleName   = "db"

	backupName    = "BACKUP"    // makes a directory a backup: what it holds; written last
	restoringName = "RESTORING" // a directory in which one is restored; gone when it is whole
)

// Meta says what a data directory is.
type Meta struct {
	FormatVersion uint32         `json:"format"`
	Partitions    uint32         `json:"partitions"`
	Epoch         tidemark.Epoch `json:"epoch,string"`
	CreatedMs     uint64         `json:"createdMs"`            // when, in ms since the Unix epoch
	Unfinished    bool           `json:"unfinished,omitempty"` // its creation was interrupted: nothing is in it yet
}

// directory is what stands in the place of a data directory.
type directory struct {
	exists    bool
	meta      *Meta // nil: it is new
	backup    bool
	restoring bool // a restore into it was interrupted; meta is nil
}

// inspect finds out what is at dir and refuses what is not ours to use. It changes nothing.
func inspect(fs vfs.FS, dir string) (directory, error) {
	info, err := fs.Stat(dir)
	if oserror.IsNotExist(err) {
		return directory{}, nil
	}
	if err != nil {
		return directory{}, fmt.Errorf("store: open %s: %w", dir, err)
	}
	if !info.IsDir() {
		return directory{}, fmt.Errorf("store: open %s: it is a file; name a directory", dir)
	}
	names, err := fs.List(dir)
	if err != nil {
		return directory{}, fmt.Errorf("store: open %s: %w", dir, err)
	}
	found := directory{exists: true, backup: slices.Contains(names, backupName), restoring: slices.Contains(names, restoringName)}
	if found.restoring {
		return found, nil
	}
	var foreign []string
	for _, name := range names {
		switch {
		case name == metaName:
			found.meta, err = readMeta(fs, dir)
			return found, err
		case name == lockName, name == metaTempName, name == "lost+found", strings.HasSuffix(name, ".key"):
		default:
			foreign = append(foreign, name)
		}
	}
	if len(foreign) > 0 {
		return directory{}, fmt.Errorf("store: open %s: it is not empty and holds no Tidemark data (no file %s, but %s); "+
			"name an empty or new directory, or the one that holds the data", dir, metaName, someOf(foreign))
	}
	return found, nil
}

// someOf names the first few.
func someOf(names []string) string {
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}

func readMeta(fs vfs.FS, dir string) (*Meta, error) {
	path := fs.PathJoin(dir, metaName)
	b, err := readFile(fs, path)
	if err != nil {
		return nil, fmt.Errorf("store: open %s: %w", path, err)
	}
	var m Meta
	if err := json.Unmarshal(b, &m); err != nil || m.FormatVersion == 0 {
		return nil, fmt.Errorf("store: open %s: %w: it is not what Tidemark wrote (%v); restore the file from a backup",
			path, ErrDamaged, err)
	}
	if m.FormatVersion > FormatVersion {
		return nil, fmt.Errorf("store: open %s: it was written by a newer version of Tidemark (format %d, this program "+
			"reads %d); use that version", dir, m.FormatVersion, FormatVersion)
	}
	if m.FormatVersion < FormatVersion {
		return nil, fmt.Errorf("store: open %s: it was written by an older version of Tidemark (format %d, this program "+
			"reads %d); use that version, or start with another directory", dir, m.FormatVersion, FormatVersion)
	}
	if m.Partitions == 0 || m.Partitions > tidemark.PartitionsMax {
		return nil, fmt.Errorf("store: open %s: %w: %d partitions; restore the file from a backup", path, ErrDamaged, m.Partitions)
	}
	return &m, nil
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 1<<16))
}

// writeMeta replaces the file: a crash leaves the old or the new one, and after return it is the new one.
func writeMeta(fs vfs.FS, dir string, m Meta) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return replaceFile(fs, dir, metaTempName, metaName, append(b, '\n'), true)
}

// replaceFile writes a file under another name and renames it. Without sync a power cut may leave anything in it.
func replaceFile(fs vfs.FS, dir, tempName, name string, content []byte, sync bool) error {
	temp := fs.PathJoin(dir, tempName)
	f, err := fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil && sync {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = fs.Rename(temp, fs.PathJoin(dir, name))
	}
	if err == nil && sync {
		err = syncDir(fs, dir)
	}
	return err
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
