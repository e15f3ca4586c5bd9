// SPDX-License-Identifier: Apache-2.0

// A rate for many: what each user with a connection holds of it is one number.

package gateway

import (
	"sync/atomic"
	"time"
)

// rhythm is a rate as everybody has it: one every so often, and after a rest as many at once as come within the slack.
type rhythm struct {
	every, slack time.Duration // 0: no limit
}

// rhythmOf is so many a second, and a second's worth of them at once, but one at least; negative: no limit.
func rhythmOf(perSecond float64) rhythm {
	if perSecond < 0 {
		return rhythm{}
	}
	every := max(time.Duration(float64(time.Second)/perSecond), 1)
	return rhythm{every: every, slack: max(time.Second, every)}
}

// pace is how far one has come in a rhythm. Safe for concurrent use.
type pace struct {
	due atomic.Int64 // when the next would come if all had kept to the rhythm; ns of a clock that does not jump
}

// step takes one at a time of that clock, or answers after what time it may be tried again.
func (p *pace) step(now time.Duration, r rhythm) (wait time.Duration) {
	if r.every == 0 {
		return 0
	}
	for {
		due := p.due.Load()
		next := max(time.Duration(due), now) + r.every
		if early := next - now - r.slack; early > 0 {
			return early
		}
		if p.due.CompareAndSwap(due, int64(next)) {
			return 0
		}
	}
}

// rested reports, after a step, whether there was nothing before it that one has to rest from.
func (p *pace) rested(now time.Duration, r rhythm) bool {
	return time.Duration(p.due.Load())-now <= r.every
}
