// SPDX-License-Identifier: Apache-2.0

// Copying a data directory file by file: for backups, for restoring one, for keeping what is damaged as it was.

package store

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// dataFiles are the files of a data directory that a copy needs, by their path in it: the database, the keys, and the
// file that says what it is, which comes last. LOCK files and whatever else is there are not among them.
func dataFiles(fs vfs.FS, dir string) ([]string, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	inside, err := fs.List(fs.PathJoin(dir, pebbleName))
	if err != nil {
		return nil, fmt.Errorf("its database (%s) is missing: %w", pebbleName, err)
	}
	var files []string
	for _, name := range inside {
		if name != lockName {
			files = append(files, fs.PathJoin(pebbleName, name))
		}
	}
	for _, name := range names {
		if name == reachedName || strings.HasSuffix(name, ".key") {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return append(files, metaName), nil
}

// copyData copies a data directory into another, which it makes or finds without such files, and syncs everything. Tables
// are never changed, so that where link is set they become further names of the same files if the file system can do that.
// The answer are the checksums of the files that were read, by their path. It ends early with the error of stop.
func copyData(stop func() error, fs vfs.FS, from, to string, link bool) (map[string]uint32, error) {
	files, err := dataFiles(fs, from)
	if err != nil {
		return nil, err
	}
	if err := makeDir(fs, to); err != nil {
		return nil, err
	}
	if err := makeDir(fs, fs.PathJoin(to, pebbleName)); err != nil {
		return nil, err
	}
	sums := make(map[string]uint32)
	for _, name := range files {
		if link && isTable(name) && fs.Link(fs.PathJoin(from, name), fs.PathJoin(to, name)) == nil {
			continue
		}
		if sums[name], err = copyFile(stop, fs, fs.PathJoin(from, name), fs.PathJoin(to, name)); err != nil {
			return nil, fmt.Errorf("copy %s: %w", name, err)
		}
	}
	if err := syncDir(fs, fs.PathJoin(to, pebbleName)); err != nil {
		return nil, err
	}
	return sums, syncDir(fs, to)
}

// castagnoli is the polynomial of all checksums in the files of a backup.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stoppable reads until stop says why not to go on.
type stoppable struct {
	stop func() error
	r    io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.stop(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// whole is the stop of a copy that nothing stops.
func whole() error { return nil }

// copyFile copies one file, syncs it, and answers its checksum. Nobody but its owner can read the copy.
func copyFile(stop func() error, fs vfs.FS, from, to string) (_ uint32, err error) {
	in, err := fs.Open(from, vfs.SequentialReadsOption)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	out, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}()
	if vfs.Root(fs) == vfs.Default {
		if err := os.Chmod(to, 0o600); err != nil {
			return 0, err
		}
	}
	sum := crc32.New(castagnoli) // written to first: a vfs.File may change the bytes that it is given
	if _, err := io.CopyBuffer(io.MultiWriter(sum, out), stoppable{stop, in}, make([]byte, 1<<20)); err != nil {
		return 0, err
	}
	return sum.Sum32(), out.Sync()
}

// sumOf is the checksum of a file.
func sumOf(fs vfs.FS, path string) (uint32, error) {
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	sum := crc32.New(castagnoli)
	_, err = io.CopyBuffer(sum, struct{ io.Reader }{f}, make([]byte, 1<<20))
	return sum.Sum32(), err
}

// keepCopy puts the files of a directory into another as they are, and fails where that exists.
func (cfg Config) keepCopy(dir string) error {
	if _, err := cfg.fs().Stat(dir); err == nil {
		return fmt.Errorf("%s: %w", dir, os.ErrExist)
	}
	_, err := copyData(whole, cfg.fs(), cfg.Dir, dir, true)
	return err
}

// sizesOf are the sizes of the files of a data directory, bytes, by their path in it.
func sizesOf(fs vfs.FS, dir string) (map[string]int64, error) {
	files, err := dataFiles(fs, dir)
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]int64, len(files))
	for _, name := range files {
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return nil, err
		}
		sizes[name] = info.Size()
	}
	return sizes, nil
}

func total(sizes map[string]int64) (bytes uint64) {
	for _, size := range sizes {
		bytes += uint64(size)
	}
	return bytes
}
