// SPDX-License-Identifier: Apache-2.0

// Limits on the rate of calls, and on how many may wait.

package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/gateway"
)

func TestLimiter(t *testing.T) {
	l := newLimiter(Rate{PerSecond: 2, Burst: 3})
	now := time.Unix(1000, 0)
	for i := range 3 {
		if err := l.allow("alice", now); err != nil {
			t.Fatalf("call %d of the burst: %v", i, err)
		}
	}
	var refusal *tidemark.Error
	if err := l.allow("alice", now); !errors.As(err, &refusal) || refusal.Reason != tidemark.RateLimited || refusal.RetryAfterMs < 500 || refusal.RetryAfterMs > 502 {
		t.Errorf("after the burst: %v", refusal)
	}
	if err := l.allow("bob", now); err != nil {
		t.Errorf("another caller: %v", err)
	}
	later := now.Add(time.Duration(refusal.RetryAfterMs) * time.Millisecond)
	if err := l.allow("alice", later); err != nil {
		t.Errorf("after the time it was told to wait: %v", err)
	}
	if unlimited := newLimiter(Rate{}); unlimited.allow("alice", now) != nil {
		t.Error("the zero rate limits")
	}
}

func TestWaitersAreCounted(t *testing.T) {
	var w waiters
	for range waitersMax {
		if err := w.enter("bob"); err != nil {
			t.Fatal(err)
		}
	}
	var refusal *tidemark.Error
	if err := w.enter("bob"); !errors.As(err, &refusal) || refusal.Reason != tidemark.TooMany {
		t.Errorf("%v", err)
	}
	if err := w.enter("alice"); err != nil {
		t.Error(err)
	}
	w.leave("bob")
	if err := w.enter("bob"); err != nil {
		t.Error(err)
	}
	w.leave("alice")
	if len(w.count) != 1 {
		t.Errorf("who does not wait is remembered: %v", w.count)
	}
}

// connection notes how long a call is given.
type connection struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (c *connection) SetReadDeadline(t time.Time) error  { c.read = t; return nil }
func (c *connection) SetWriteDeadline(t time.Time) error { c.write = t; return nil }

// Who may not ask for a backup cannot keep a connection open as if it waited for one.
func TestOnlyTheAppIsGivenTheTimeOfABackup(t *testing.T) {
	key := strings.Repeat("k", 16)
	auth, err := gateway.NewAuth(gateway.AuthConfig{AdminKey: key, HS256Secret: strings.Repeat("s", 32)})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := auth.Issue("alice", "", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	a := &API{config: Config{Auth: auth}}
	for authorization, given := range map[string]bool{"Bearer " + key: true, "Bearer " + key + "x": false, "Bearer " + token: false, "": false} {
		c, r := &connection{ResponseRecorder: httptest.NewRecorder()}, httptest.NewRequest(http.MethodPost, "/", nil)
		r.Header.Set("Authorization", authorization)
		if a.giveTime(c, r); c.read.IsZero() == given || c.write.IsZero() == given {
			t.Errorf("%q: read until %v, written until %v", authorization, c.read, c.write)
		}
	}
}
