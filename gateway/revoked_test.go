// SPDX-License-Identifier: Apache-2.0

// A revoked token is refused, remembered or not; the next one counts, though the clock has not moved.

package gateway

import (
	"math"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	tidemark "github.com/tidemark-im/tidemark"
)

func TestRevokedTokens(t *testing.T) {
	var all, ofPhone uint64
	a, clock := testAuth(t, func(c *AuthConfig) {
		c.Revoked = func(_ tidemark.UserID, device tidemark.DeviceID) (uint64, uint64, error) {
			if device == "phone" {
				return max(all, ofPhone), max(all, ofPhone), nil
			}
			return all, max(all, ofPhone), nil
		}
	})
	issue := func(device tidemark.DeviceID) string {
		t.Helper()
		token, _, err := a.Issue("alice", device, 0)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	foreign := sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "alice"}, "")
	seconds := sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "alice", "iat": clock.now()/1000 + 1}, "")
	phone, any := issue("phone"), issue("")
	for _, token := range []string{phone, any, foreign, seconds} {
		if _, err := a.Verify(token); err != nil {
			t.Fatal(err)
		}
	}

	// One device: its own tokens are refused, and those of any device when it is this one that comes.
	ofPhone = clock.now() + 1
	_, err := a.Verify(phone)
	wantRefusal(t, err, tidemark.BadToken, "revoked")
	id, err := a.Verify(any)
	if err != nil {
		t.Error(err)
	}
	wantRefusal(t, a.Admit(id, "phone"), tidemark.BadToken, "revoked")
	if err := a.Admit(id, "laptop"); err != nil {
		t.Errorf("another device: %v", err)
	}
	for _, device := range []tidemark.DeviceID{"", "phone"} {
		if next, err := a.Verify(issue(device)); err != nil || a.Admit(next, "phone") != nil {
			t.Errorf("a token issued after is refused: %v", err)
		}
	}

	// All of them, in the millisecond in which they were issued.
	all = clock.now() + 1
	for _, token := range []string{phone, any, foreign} {
		_, err := a.Verify(token)
		wantRefusal(t, err, tidemark.BadToken, "revoked")
	}
	if _, err := a.Verify(seconds); err != nil {
		t.Errorf("a token of a later second: %v", err)
	}
	if _, err := a.Verify(issue("")); err != nil {
		t.Errorf("a token issued after is refused: %v", err)
	}
	if err := a.Admit(Identity{App: true, User: "alice"}, "phone"); err != nil {
		t.Errorf("the app has no token that could be revoked: %v", err)
	}

	all = math.MaxUint64
	_, err = a.Verify(seconds)
	wantRefusal(t, err, tidemark.BadToken, "deleted")
	_, _, err = a.Issue("alice", "", 0)
	wantRefusal(t, err, tidemark.UnknownUser, "deleted")
}

// The claim iat goes through JSON to the millisecond, and what is no number is no token.
func TestIssuedAt(t *testing.T) {
	for _, ms := range []issuedAt{1, 999, 1_772_000_000_000, 1_772_000_000_001, 1_772_000_000_999, 4_102_444_800_123} {
		text, err := ms.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var read issuedAt
		if err := read.UnmarshalJSON(text); err != nil || read != ms {
			t.Errorf("%d is written %s and read %d, %v", ms, text, read, err)
		}
	}
	var read issuedAt
	if err := read.UnmarshalJSON([]byte(`-5`)); err != nil || read != 0 {
		t.Errorf("a time before all times: %d, %v", read, err)
	}
	if err := read.UnmarshalJSON([]byte(`1e300`)); err != nil || read != 1<<53 {
		t.Errorf("a time after all times: %d, %v", read, err)
	}
	if err := read.UnmarshalJSON([]byte(`"soon"`)); err == nil {
		t.Error("a text is read")
	}
}
