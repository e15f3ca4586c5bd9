// SPDX-License-Identifier: Apache-2.0

// Shrinking: leaving decisions out of a failure, as many as can be, while the same promise is broken.

package sim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// shrinkRuns bounds how many runs shrinking takes.
const shrinkRuns = 400

// Shrink is the Config of a failure with as many decisions left out as could be found, so that the same invariant is
// broken. It tries halves, then quarters, and so on, at most some hundred runs, and ends early with the context.
func Shrink(ctx context.Context, cfg Config, failed *Result) Config {
	if failed.Failure == nil {
		return cfg
	}
	want, runs := failed.Failure.Invariant, 0
	var kept []int
	for n := range failed.Decisions {
		if !slices.Contains(cfg.Without, n) {
			kept = append(kept, n)
		}
	}
	fails := func(kept []int) bool {
		runs++
		try := cfg
		try.Without = others(kept, failed.Decisions)
		f := Run(ctx, try).Failure
		return f != nil && f.Invariant == want
	}
	for size := (len(kept) + 1) / 2; size >= 1 && runs < shrinkRuns && ctx.Err() == nil; {
		smaller := false
		for from := 0; from < len(kept) && runs < shrinkRuns && ctx.Err() == nil; {
			fewer := slices.Delete(slices.Clone(kept), from, min(from+size, len(kept)))
			if fails(fewer) {
				kept, smaller = fewer, true
			} else {
				from += size
			}
		}
		if !smaller || size > 1 {
			if size == 1 {
				break
			}
			size = (size + 1) / 2
		}
	}
	cfg.Without = others(kept, failed.Decisions)
	return cfg
}

// others are the numbers below n that are not in a list.
func others(list []int, n int) (rest []int) {
	for i := range n {
		if !slices.Contains(list, i) {
			rest = append(rest, i)
		}
	}
	return rest
}

// ParseRanges reads numbers as a failure's command writes them: 1-4,7,9-12.
func ParseRanges(text string) (list []int, err error) {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		first, last, found := strings.Cut(part, "-")
		if !found {
			last = first
		}
		from, fromErr := strconv.Atoi(first)
		to, toErr := strconv.Atoi(last)
		if fromErr != nil || toErr != nil || from < 0 || to < from || to > 1_000_000 {
			return nil, fmt.Errorf("%q is neither a number nor a range of numbers, such as 7 or 9-12", part)
		}
		for n := from; n <= to; n++ {
			list = append(list, n)
		}
	}
	return list, nil
}
