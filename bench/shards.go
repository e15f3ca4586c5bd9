// SPDX-License-Identifier: Apache-2.0

// Histograms shared by many receivers: one for each of 19,000 would be 400 MB, more than the server takes.

package bench

import "sync"

// shards are the histograms of all receivers.
type shards [64]shard

// shard is a histogram shared by some of the receivers.
type shard struct {
	mu sync.Mutex
	latencies
}

func newShards() *shards {
	s := &shards{}
	for i := range s {
		s[i].latencies = newLatencies()
	}
	return s
}

// of is the histogram of receiver i.
func (s *shards) of(i int) *shard { return &s[i%len(s)] }

// all is what all receivers have recorded. Nobody may record meanwhile.
func (s *shards) all() latencies {
	all := newLatencies()
	for i := range s {
		all.Merge(s[i].Histogram)
	}
	return all
}
