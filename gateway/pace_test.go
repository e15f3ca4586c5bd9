// SPDX-License-Identifier: Apache-2.0

// The rate of a user: bursts, waits and rests.

package gateway

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	for _, c := range []struct {
		perSecond float64
		burst     int
		wait      time.Duration // after the burst
	}{{5, 5, 200 * time.Millisecond}, {20_000, 20_000, 50 * time.Microsecond}, {0.5, 1, 2 * time.Second}} {
		r := rhythmOf(c.perSecond)
		var p pace
		for _, now := range []time.Duration{time.Millisecond, time.Hour} { // from the start, and after a rest
			for i := range c.burst {
				if wait := p.step(now, r); wait != 0 {
					t.Fatalf("%v a second: number %d of a burst waits %v", c.perSecond, i+1, wait)
				}
			}
			wait := p.step(now, r)
			if wait != c.wait {
				t.Fatalf("%v a second: after a burst of %d one waits %v, want %v", c.perSecond, c.burst, wait, c.wait)
			}
			if again := p.step(now+wait-1, r); again != 1 {
				t.Errorf("%v a second: a moment too early it waits %v", c.perSecond, again)
			}
			if again := p.step(now+wait, r); again != 0 {
				t.Errorf("%v a second: in time it waits %v", c.perSecond, again)
			}
		}
	}
	var p pace
	for i := range 1000 {
		now := time.Duration(1000 - i) // another connection of the user read the clock before
		if wait := p.step(now, rhythmOf(-1)); wait != 0 {
			t.Fatalf("without a limit it waits %v", wait)
		}
	}
}
