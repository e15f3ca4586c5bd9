// SPDX-License-Identifier: Apache-2.0

// Versions and page tokens come back from clients as they like.

package contract

import (
	"slices"
	"testing"
)

// FuzzVersion: what opens says the same after it was sealed again; nothing opens for another kind, purpose or epoch; and no
// position past now is taken.
func FuzzVersion(f *testing.F) {
	mine, other := tagOf("alice"), tagOf("ali", "ce")
	f.Add(seal(groupsList, mine, 9, "", 1, 2, 1<<63))
	f.Add(seal(groupsList, mine, 9, "and a text", 0, 0, 0))
	f.Add(seal(membersList, mine, 9, "", 1, 2, 3))
	f.Add("AWc")
	f.Fuzz(func(t *testing.T, version string) {
		numbers, text, ok := open(groupsList, mine, 9, version, 3)
		if !ok {
			if numbers != nil || text != "" {
				t.Fatalf("refused, and still %v, %q", numbers, text)
			}
			return
		}
		again, textAgain, ok := open(groupsList, mine, 9, seal(groupsList, mine, 9, text, numbers...), 3)
		if !ok || !slices.Equal(again, numbers) || textAgain != text {
			t.Fatalf("%v, %q became %v, %q", numbers, text, again, textAgain)
		}
		for name, opens := range map[string]bool{
			"kind":  opensAs(membersList, mine, version),
			"tag":   opensAs(groupsList, other, version),
			"epoch": func() bool { _, _, ok := open(groupsList, mine, 8, version, 3); return ok }(),
		} {
			if opens {
				t.Fatalf("%q opens with another %s", version, name)
			}
		}
		now := vector{5, 5, 5}
		if v, ok := toVector(numbers, now); ok && (v[0] > 5 || v[1] > 5 || v[2] > 5) {
			t.Fatalf("%v is taken, and now is %v", v, now)
		}
	})
}

func opensAs(k kind, t tag, version string) bool {
	_, _, ok := open(k, t, 9, version, 3)
	return ok
}
