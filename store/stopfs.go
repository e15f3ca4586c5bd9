// SPDX-License-Identifier: Apache-2.0

// The file system that Pebble sees.

package store

import "github.com/cockroachdb/pebble/v2/vfs"

type stopFS struct{ vfs.FS }

func newStopFS(fs vfs.FS, f *failure) *stopFS { return &stopFS{fs} }

func (fs *stopFS) Unwrap() vfs.FS { return fs.FS }
