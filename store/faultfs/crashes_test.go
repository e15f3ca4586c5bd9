// SPDX-License-Identifier: Apache-2.0

// Crashes are taken beside links.

package faultfs

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble's disk in memory takes the same lock twice for a link: one that is cloned in between is stuck for ever.
func TestCrashesBesideLinks(t *testing.T) {
	crashes, disk := NewCrashes[struct{}](1, nil)
	f, err := disk.Create("file", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	crashes.Watch(true)
	const times = 2000
	written := make(chan error, 1)
	go func() {
		for range times {
			if _, err := f.Write([]byte("x")); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	for i := range times {
		if err := disk.Link("file", fmt.Sprint("link", i)); err != nil {
			t.Fatal(err)
		}
		if err := disk.Remove(fmt.Sprint("link", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
