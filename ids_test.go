// SPDX-License-Identifier: Apache-2.0

// What may be an id, and how the id of a direct conversation is made.

package tidemark_test

import (
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"pgregory.net/rapid"
)

func TestValidIDs(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "u-10493": true, "alice@example.org": true, "A.b_c:d+e#f-0": true, strings.Repeat("x", 64): true,
		"system": true, "": false, strings.Repeat("x", 65): false, "a b": false, "a~b": false, "a/b": false, "ä": false,
		"a\x00": false, "a\n": false,
	} {
		if got := tidemark.UserID(id).Valid(); got != want {
			t.Errorf("user %q: valid %v, want %v", id, got, want)
		}
		if got := tidemark.DeviceID(id).Valid(); got != want {
			t.Errorf("device %q: valid %v, want %v", id, got, want)
		}
		if got := tidemark.ConversationID(id).Valid(); got != want {
			t.Errorf("conversation %q: valid %v, want %v", id, got, want)
		}
	}
	for id, want := range map[string]bool{
		"c1": true, "~/{any}!": true, strings.Repeat("x", 64): true, "": false, strings.Repeat("x", 65): false,
		"a b": true, "ä": true, "a\x7f": true, "\xe4": false, strings.Repeat("ä", 32): true, strings.Repeat("ä", 33): false,
	} {
		if got := tidemark.ClientID(id).Valid(); got != want {
			t.Errorf("client id %q: valid %v, want %v", id, got, want)
		}
	}
}

func TestDirect(t *testing.T) {
	users := rapid.StringMatching(`[A-Za-z0-9._@:+#-]{1,64}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := tidemark.UserID(users.Draw(t, "a")), tidemark.UserID(users.Draw(t, "b"))
		id := tidemark.Direct(a, b)
		if id != tidemark.Direct(b, a) {
			t.Fatalf("%s depends on who comes first", id)
		}
		if id.Valid() {
			t.Fatalf("%s could be a group's id", id)
		}
		left, right, ok := id.Peers()
		if a == b {
			if ok {
				t.Fatalf("%s has peers %s and %s", id, left, right)
			}
			return
		}
		if !ok || left != min(a, b) || right != max(a, b) {
			t.Fatalf("%s has peers %s and %s, %v", id, left, right, ok)
		}
		if peer, ok := id.Peer(a); !ok || peer != b {
			t.Fatalf("the peer of %s in %s is %s, %v", a, id, peer, ok)
		}
		if _, ok := id.Peer(a + "x"); ok && a+"x" != b {
			t.Fatalf("%sx is in %s", a, id)
		}
	})
	for _, id := range []tidemark.ConversationID{"", "a", "~", "a~", "~b", "b~a", "a~a", "a~b~c", "a~b/c"} {
		if a, b, ok := id.Peers(); ok {
			t.Errorf("%q has peers %q and %q", id, a, b)
		}
	}
}
