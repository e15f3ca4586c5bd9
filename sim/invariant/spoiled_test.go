// SPDX-License-Identifier: Apache-2.0

// What a network that changes bodies may have spoiled for good, and what it may not.

package invariant_test

import (
	"testing"

	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

func TestOnlyAnEarlierStayMayBeSpoiledForGood(t *testing.T) {
	for _, c := range []struct {
		name    string
		spoiled bool
		from    uint64 // the first visible seq of the stay
		found   bool
	}{
		{"of this stay", true, 1, true},
		{"of an earlier stay", true, 3, false},
		{"of an earlier stay, of a device whose network is good", false, 3, true},
	} {
		w := begun(t)
		w.write("cat", "s1", text("one"))
		w.write("cat", "s2", text("two"))
		s := w.state(ann, 1)
		s.Spoiled = c.spoiled
		of := s.Conversations[0]
		of.Self = &wire.Self{VisibleFrom: c.from}
		of.Segments = []replica.Segment{{From: 1, To: 1, Prev: w.digests[0], Last: w.digests[1]}, {From: 3, To: 3, Prev: w.digests[2], Last: w.digests[3]}}
		s.Messages["team"] = append(s.Messages["team"][:1], s.Messages["team"][2:]...)
		of.Segments[0].Last[0]++
		v := invariant.Segments(s, of, w.team())
		if (v != nil) != c.found || v != nil && v.Invariant != "C1" {
			t.Errorf("%s: %v", c.name, v)
		}
	}
}
