// SPDX-License-Identifier: Apache-2.0

// For how long lost events are taken back.

package partition

import "testing"

// The clock of the events may be put right by days: taking back lasts as long as was said, and nothing else is written so long.
func TestTakingBackDoesNotFollowTheClockOfEvents(t *testing.T) {
	const day = 24 * 3_600_000
	elapsed := uint64(0)
	w := newWorld(t, nil)
	w.users("ann", "bob")
	w.group("team", "ann", "bob")
	w.close()
	w.open(func(c *Config) { c.TakeBackUntilMs, c.TakeBackNowMs = 60_000, func() uint64 { return elapsed } })
	w.now += 10 * day
	if left := w.set.TakeBackMs(); left != 60_000 {
		t.Errorf("after a step of the clock forward %d ms are left", left)
	}
	if r := w.try(w.text("ann", "team", "too early")); r.Err == nil || r.Err.RetryAfterMs == 0 {
		t.Errorf("it is written: %+v", r)
	}
	w.now, elapsed = w.now-20*day, 60_000
	if left := w.set.TakeBackMs(); left != 0 {
		t.Errorf("after its time, and a step of the clock back, %d ms are left", left)
	}
	w.do(w.text("ann", "team", "later"))
}
