// SPDX-License-Identifier: Apache-2.0

// How often one caller may call: token buckets by user, and by address for those who could not be identified.

package api

import (
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	tidemark "github.com/tidemark-im/tidemark"
)

// Rate is a limit on calls. The zero value allows everything.
type Rate struct {
	PerSecond float64 // calls a second in the long run; 0 is no limit
	Burst     int     // calls at once; 0 is twice PerSecond, at least 1
}

// callersMax bounds the callers remembered; one that is forgotten begins with a full bucket again.
const callersMax = 50_000

// limiter holds a bucket for each recent caller. Safe for concurrent use.
type limiter struct {
	rate    Rate
	buckets *lru.Cache[string, *rate.Limiter]
}

func newLimiter(r Rate) *limiter {
	if r.PerSecond <= 0 {
		return &limiter{}
	}
	if r.Burst <= 0 {
		r.Burst = max(1, int(2*r.PerSecond))
	}
	buckets, err := lru.New[string, *rate.Limiter](callersMax)
	if err != nil {
		panic("api: " + err.Error()) // only for a size that is not positive
	}
	return &limiter{rate: r, buckets: buckets}
}

// bucket is the caller's.
func (l *limiter) bucket(caller string) *rate.Limiter {
	if bucket, found := l.buckets.Get(caller); found {
		return bucket
	}
	fresh := rate.NewLimiter(rate.Limit(l.rate.PerSecond), l.rate.Burst)
	if earlier, found, _ := l.buckets.PeekOrAdd(caller, fresh); found {
		return earlier
	}
	return fresh
}

// allow takes one call out of the caller's bucket, or refuses with the time after which one will be there.
func (l *limiter) allow(caller string, now time.Time) error {
	if l.buckets == nil {
		return nil
	}
	reservation := l.bucket(caller).ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	reservation.CancelAt(now)
	refusal := tidemark.Refuse(tidemark.RateLimited, "more than %g calls a second; wait %d ms", l.rate.PerSecond, wait.Milliseconds()+1)
	refusal.RetryAfterMs = uint32(wait.Milliseconds() + 1)
	return refusal
}
