// SPDX-License-Identifier: Apache-2.0

// The words of scenarios about accounts and devices, and their bounds.

package core_test

import (
	"fmt"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
)

// accountCommand is a command about an account; nil if it is none.
func accountCommand(w words) core.Command {
	switch w.plain[0] {
	case "options":
		return &core.SetOptions{
			User: w.user(), HidePresence: w.flag("hide-presence"), HideTyping: w.flag("hide-typing"),
			ContactsOnly: w.flag("contacts-only"),
		}
	case "revoke":
		return &core.RevokeTokens{User: w.user(), Device: tidemark.DeviceID(w.named["device"])}
	case "delete-user":
		return &core.DeleteUser{User: w.user()}
	case "depart":
		cmd := &core.Depart{User: w.user(), Conversation: tidemark.ConversationID(w.named["in"])}
		for _, id := range w.list("scheduled") {
			cmd.Scheduled = append(cmd.Scheduled, tidemark.ClientID(id))
		}
		return cmd
	}
	return nil
}

func seeDevice(w words) core.Command {
	cmd := &core.SeeDevice{
		User: w.user(), Device: tidemark.DeviceID(w.named["device"]), Platform: w.named["platform"],
		Client: w.named["client"], PlatformMax: uint32(w.number("platform-max")), Refuse: !w.has("replace"), Gone: w.has("gone"),
	}
	for _, id := range w.list("online") {
		cmd.Online = append(cmd.Online, tidemark.DeviceID(id))
	}
	return cmd
}

func (s *story) account(w words) string {
	a := s.memory.Account(w.user())
	if a == nil {
		return "none"
	}
	parts := []string{}
	for i, on := range []bool{a.HidePresence, a.HideTyping, a.ContactsOnly} {
		if on {
			parts = append(parts, [...]string{"hides presence", "hides typing", "contacts only"}[i])
		}
	}
	if a.TokensFromMs > 0 {
		parts = append(parts, "tokens from "+clock(a.TokensFromMs))
	}
	for _, r := range a.Revoked {
		parts = append(parts, fmt.Sprintf("those of %s from %s", r.Device, clock(r.FromMs)))
	}
	if a.DeletedMs > 0 {
		parts = append(parts, "deleted at "+clock(a.DeletedMs))
	}
	return "account: " + strings.Join(parts, ", ")
}

func (s *story) devices(w words) string {
	var parts []string
	for _, d := range s.memory.Devices(w.user()) {
		parts = append(parts, fmt.Sprintf("%s (%s, last at %s)", d.ID, d.Platform, clock(d.LastSeenMs)))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, "\n")
}

// Devices that are revoked one by one are bounded; those of all make room.
func TestRevokedDevicesAreBounded(t *testing.T) {
	m, env := coretest.New(), core.Env{NowMs: 1_772_000_000_000}
	m.Do(&core.UpsertUser{User: "alice"}, env)
	revoke := func(device tidemark.DeviceID) core.Reply {
		env.NowMs++
		reply, _ := m.Do(&core.RevokeTokens{User: "alice", Device: device}, env)
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		return reply
	}
	for i := range core.RevokedMax {
		if r := revoke(tidemark.DeviceID(fmt.Sprint("d", i))); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	if r := revoke("another"); r.Err == nil || r.Err.Reason != tidemark.TooMany {
		t.Errorf("one more is answered %v", r.Err)
	}
	if r := revoke("d7"); r.Err != nil || len(r.Account.Revoked) != core.RevokedMax {
		t.Errorf("one of them again: %v", r.Err)
	}
	if r := revoke(""); r.Err != nil || len(r.Account.Revoked) != 0 || r.Account.TokensFromMs != env.NowMs+1 {
		t.Errorf("all of them: %+v", r)
	}
	if r := revoke("another"); r.Err != nil || len(r.Account.Revoked) != 1 {
		t.Errorf("after that: %+v", r)
	}
}

// TestRevokedWithoutTimePassing: who issues a token dates it not before the last revocation. So a later revocation must
// refuse that very time, also where the clock has stepped back or the millisecond is the same.
func TestRevokedWithoutTimePassing(t *testing.T) {
	m := coretest.New()
	revoke := func(device tidemark.DeviceID, nowMs uint64) *record.Account {
		t.Helper()
		reply, _ := m.Do(&core.RevokeTokens{User: "alice", Device: device}, core.Env{NowMs: nowMs})
		if reply.Err != nil {
			t.Fatal(reply.Err)
		}
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		return m.Account("alice")
	}
	if reply, _ := m.Do(&core.UpsertUser{User: "alice"}, core.Env{NowMs: 1}); reply.Err != nil {
		t.Fatal(reply.Err)
	}
	last := uint64(0)
	for i, nowMs := range []uint64{1000, 1000, 400} {
		a := revoke("", nowMs)
		if a.TokensFromMs <= last {
			t.Errorf("revocation %d at %d refuses tokens before %d: one issued at %d counts", i, nowMs, a.TokensFromMs, last)
		}
		last = a.TokensFromMs
	}
	for i, nowMs := range []uint64{400, 400, 300} {
		a := revoke("phone", nowMs)
		if len(a.Revoked) != 1 || a.Revoked[0].FromMs <= last {
			t.Fatalf("revocation %d of a device at %d: %+v; a token issued at %d counts", i, nowMs, a.Revoked, last)
		}
		last = a.Revoked[0].FromMs
	}
	if a := revoke("", 200); a.TokensFromMs <= last || len(a.Revoked) > 0 {
		t.Errorf("the revocation of all: %+v; a token of the phone issued at %d counts", a, last)
	}
	last = revoke("phone", 150).Revoked[0].FromMs
	for _, cmd := range []core.Command{&core.DeleteUser{User: "alice"}, &core.UpsertUser{User: "alice", Anew: true}} {
		if reply, _ := m.Do(cmd, core.Env{NowMs: 100}); reply.Err != nil {
			t.Fatal(reply.Err)
		}
	}
	if a := m.Account("alice"); a.TokensFromMs <= last {
		t.Errorf("the id has begun anew: %+v; a token of the phone issued at %d, before the end, counts", a, last)
	}
}
