// SPDX-License-Identifier: Apache-2.0

// Caches are bounded, and keep what is used.

package partition

import (
	"math/rand/v2"
	"testing"

	"github.com/tidemark-im/tidemark/record"
)

// recordConversation keeps signatures of tests short.
type recordConversation = record.Conversation

func TestClockIsBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	c := newClock[int, int](100)
	model := map[int]int{}
	for range 100_000 {
		k := r.IntN(300)
		switch r.IntN(10) {
		case 0, 1, 2, 3:
			v := r.Int()
			c.put(k, v, 1+r.IntN(5))
			model[k] = v
		default:
			if v, ok := c.get(k); ok && v != model[k] {
				t.Fatalf("%d is %d, want %d", k, v, model[k])
			}
		}
		sum := 0
		if len(c.ring) != len(c.entries) {
			t.Fatalf("%d in the ring, %d in the map", len(c.ring), len(c.entries))
		}
		if r.IntN(100) == 0 {
			for i, s := range c.ring {
				if s.index != i || c.entries[s.key] != s {
					t.Fatalf("slot %d is out of place", i)
				}
				sum += s.cost
			}
			if sum != c.cost || sum > 100 {
				t.Fatalf("the costs are %d, said to be %d, at most 100", sum, c.cost)
			}
		}
	}
}

// What is used stays when what is not must go.
func TestClockKeepsWhatIsUsed(t *testing.T) {
	c := newClock[int, int](10)
	c.put(-1, 7, 1)
	for i := range 1000 {
		if _, ok := c.get(-1); !ok {
			t.Fatalf("what is used all the time has gone after %d others", i)
		}
		c.put(i, i, 1)
	}
}

func TestHeadPagesAreBounded(t *testing.T) {
	p := headPages{max: 3}
	for i := range record.Conversation(10_000) {
		p.set(i, &record.Head{Position: 5, TimeMs: uint64(i)})
		if m := p.get(i); m.position != 5 || m.timeMs != uint64(i) {
			t.Fatalf("the mark of %d is %+v", i, m)
		}
		if p.there > 3 {
			t.Fatalf("%d pages, at most 3", p.there)
		}
	}
}

func TestGenerationsAreBounded(t *testing.T) {
	g := newGenerations[int, int](100)
	for i := range 10_000 {
		g.put(i, i)
		if n := len(g.young) + len(g.old); n > 100 {
			t.Fatalf("%d entries, at most 100", n)
		}
		for old := max(i-49, 0); old <= i; old++ {
			if v, ok := g.get(old); !ok || v != old {
				t.Fatalf("entry %d of the last 50 before %d is %d, %v", old, i, v, ok)
			}
		}
	}
	for i := range 10_000 {
		g.drop(i)
	}
	if n := len(g.young) + len(g.old); n > 0 {
		t.Errorf("%d entries are left", n)
	}
}
