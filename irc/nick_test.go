// SPDX-License-Identifier: Apache-2.0

// Nicks to user ids: no two nicks become one user.

package irc

import (
	"strconv"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"pgregory.net/rapid"
)

func TestUserOf(t *testing.T) {
	for nick, want := range map[string]tidemark.UserID{
		"ann": "ann", "Ann_2-x": "Ann_2-x", "x|away": "x+7Caway", "[a]`^{}\\": "+5Ba+5D+60+5E+7B+7D+5C", "a+b": "a+2Bb",
		"é": "+C3+A9", "system": "+73ystem", "System": "System",
	} {
		if got := UserOf(nick); got != want {
			t.Errorf("UserOf(%q) = %q, want %q", nick, got, want)
		}
	}
	if got := (Naming{Prefix: "irc:"}).UserOf("system"); got != "irc:system" {
		t.Errorf("with a prefix: %q", got)
	}
}

func TestUserOfIsInjectiveAndValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nick := rapid.String().Filter(func(s string) bool { return s != "" && len(s) <= nickBytesMax }).Draw(t, "nick")
		prefix := rapid.SampledFrom([]string{"", "irc:", "0123456789abcdef"}).Draw(t, "prefix")
		id := Naming{prefix}.UserOf(nick)
		if !id.Valid() || id == tidemark.SystemUser {
			t.Fatalf("%q is no id of a user", id)
		}
		if strings.Contains(string(id), "+h") {
			return // hashed: too long to be told from
		}
		if back := nickOf(t, strings.TrimPrefix(string(id), prefix)); back != nick {
			t.Fatalf("%q -> %q -> %q", nick, id, back)
		}
	})
	long, longer := strings.Repeat("x", 65), strings.Repeat("x", 66)
	if a, b := UserOf(long), UserOf(longer); a == b || !a.Valid() || !b.Valid() {
		t.Errorf("long nicks: %q and %q", a, b)
	}
}

// nickOf is the inverse of UserOf for ids that were not too long.
func nickOf(t *rapid.T, id string) string {
	var nick []byte
	for len(id) > 0 {
		if id[0] != '+' {
			nick, id = append(nick, id[0]), id[1:]
			continue
		}
		b, err := strconv.ParseUint(id[1:3], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		nick, id = append(nick, byte(b)), id[3:]
	}
	return string(nick)
}
