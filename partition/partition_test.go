// SPDX-License-Identifier: Apache-2.0

package partition

import (
	"testing"
)

func TestSendAndRead(t *testing.T) {
	w := newWorld(t, nil)
	w.users("alice", "bob")
	info := w.group("team", "alice", "bob")
	r := w.do(w.text("alice", "team", "hello"))
	if r.Seq != 2 {
		t.Fatalf("the first message has seq %d, want 2", r.Seq)
	}
	p := w.set.Of("team")
	unread, _, err := p.Counts(info.Ordinal, "bob")
	w.must(err)
	if unread != 1 {
		t.Errorf("bob has %d unread, want 1", unread)
	}
	if unread, _, _ = p.Counts(info.Ordinal, "alice"); unread != 0 {
		t.Errorf("alice has %d unread of her own, want 0", unread)
	}
}
