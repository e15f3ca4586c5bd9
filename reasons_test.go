// SPDX-License-Identifier: Apache-2.0

// The table of reasons is total, and is that of the protocol.

package tidemark_test

import (
	"errors"
	"fmt"
	"testing"

	"connectrpc.com/connect"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

func TestReasonsAreThoseOfTheProtocol(t *testing.T) {
	for number, name := range wire.Reason_name {
		if number == 0 {
			continue
		}
		if got := tidemark.Reason(number).String(); got != name {
			t.Errorf("reason %d is %s here and %s in the protocol", number, got, name)
		}
	}
	last := tidemark.Internal
	if n := len(wire.Reason_name) - 1; n != int(last) {
		t.Errorf("%d reasons here, %d in the protocol", last, n)
	}
	for _, outside := range []tidemark.Reason{0, last + 1, 255} {
		if !panics(func() { outside.Info() }) {
			t.Errorf("reason %d has a row, outside the closed list", outside)
		}
	}
}

func panics(f func()) (panicked bool) {
	defer func() { panicked = recover() != nil }()
	f()
	return false
}

// TestReasonsFitTheirCodes holds code and status to those of Connect's protocol, and retries to codes that allow them.
func TestReasonsFitTheirCodes(t *testing.T) {
	status := map[string]int{
		"unauthenticated": 401, "permission_denied": 403, "not_found": 404, "already_exists": 409,
		"invalid_argument": 400, "resource_exhausted": 429, "failed_precondition": 400, "unavailable": 503, "internal": 500,
	}
	for reason := tidemark.BadToken; reason <= tidemark.Internal; reason++ {
		info := reason.Info()
		var code connect.Code
		if err := code.UnmarshalText([]byte(info.Code)); err != nil {
			t.Errorf("%s: %q is no Connect code", reason, info.Code)
		}
		if info.Status != status[info.Code] {
			t.Errorf("%s: status %d, for code %s it is %d", reason, info.Status, info.Code, status[info.Code])
		}
		if info.Retryable && info.Code != "unavailable" && info.Code != "resource_exhausted" {
			t.Errorf("%s: code %s promises that a retry does not help", reason, info.Code)
		}
	}
}

func TestRefusal(t *testing.T) {
	err := fmt.Errorf("api: %w", tidemark.Refuse(tidemark.NotMember, "%s is not a member", "zoe"))
	var refusal *tidemark.Error
	if !errors.As(err, &refusal) || refusal.Reason != tidemark.NotMember {
		t.Fatalf("%v does not carry its reason", err)
	}
	if got, want := refusal.Error(), "NOT_MEMBER: zoe is not a member"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
