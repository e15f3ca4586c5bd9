// SPDX-License-Identifier: Apache-2.0

// Accounts in random histories, and that the histories have every command there is.

package core_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"pgregory.net/rapid"
)

// everyCommand is the names of the types that are a core.Command, as the code has them.
func everyCommand(t *testing.T) (names []string) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	method := regexp.MustCompile(`(?m)^func \(\*(\w+)\) command\(\)`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range method.FindAllStringSubmatch(string(code), -1) {
			names = append(names, match[1])
		}
	}
	if len(names) < 30 {
		t.Fatalf("only the commands %q are found", names)
	}
	return names
}

func (h *history) accountCommand(kind string) core.Command {
	if kind == "RevokeTokens" {
		device := rapid.SampledFrom([]tidemark.DeviceID{"", "", "phone", "tablet", "desk", "not an id"}).Draw(h.t, "revoked device")
		return &core.RevokeTokens{User: h.user(), Device: device}
	}
	cmd := &core.SetOptions{User: h.user()}
	for _, field := range []**bool{&cmd.HidePresence, &cmd.HideTyping, &cmd.ContactsOnly} {
		if h.bool("chosen") {
			value := h.bool("value")
			*field = &value
		}
	}
	return cmd
}

// tokensStayRefused: a token that was refused before the command is refused after it, of any user and device. An account
// that has ended takes none, until its id begins anew; and then none of those it had.
func (h *history) tokensStayRefused(before *coretest.Memory, cmd core.Command) {
	for _, id := range []tidemark.UserID{"alice", "bob", "carol", "dora", "eve", "frank"} {
		ended, ends := hasEnded(before, id), hasEnded(h.memory, id)
		if upsert, ok := cmd.(*core.UpsertUser); ended && !ends && (!ok || upsert.User != id || !upsert.Anew) {
			h.t.Fatalf("%+v has let the account of %s begin anew", cmd, id)
		}
		for _, device := range []tidemark.DeviceID{"", "phone", "tablet", "desk"} {
			was, is := countsFrom(before, id, device), countsFrom(h.memory, id, device)
			if is < was || ends && !ended && is == was {
				h.t.Fatalf("tokens of %s on %q count from %d, and before from %d; ended %t, before %t", id, device, is, was, ends, ended)
			}
		}
	}
}

func hasEnded(m *coretest.Memory, id tidemark.UserID) bool {
	a := m.Account(id)
	return a != nil && a.DeletedMs > 0
}

// countsFrom is the time of issue from which a device's tokens count; of an account that has ended, if its id began anew.
func countsFrom(m *coretest.Memory, id tidemark.UserID, device tidemark.DeviceID) uint64 {
	a := m.Account(id)
	if a == nil {
		return 0
	}
	from := a.TokensFromMs
	for _, r := range a.Revoked {
		if r.Device == device {
			from = max(from, r.FromMs)
		}
	}
	return from
}
