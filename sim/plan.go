// SPDX-License-Identifier: Apache-2.0

// The plan of a world: which actions and faults come when. It is drawn before anything happens, so that decisions can be
// left out one by one and the others stay.

package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
)

// decision is one action or fault of the plan. Whom it befalls is drawn from its own lot when its time has come.
type decision struct {
	atMs   uint64 // since the world began
	what   string
	fault  bool
	lot    uint64
	target string // what it has come to, once it was carried out
}

// plan draws all decisions, by time.
func (w *world) plan() []decision {
	chance := rand.New(rand.NewPCG(w.seed, 6))
	p := &w.profile
	var all []decision
	for range p.Actions {
		all = append(all, decision{atMs: chance.Uint64N(p.SafetyMs), what: p.actions.draw(chance), lot: chance.Uint64()})
	}
	for range p.Faults {
		all = append(all, decision{atMs: chance.Uint64N(p.SafetyMs), what: p.faults.draw(chance), fault: true, lot: chance.Uint64()})
	}
	slices.SortStableFunc(all, func(a, b decision) int { return cmp.Compare(a.atMs, b.atMs) })
	return all
}

// decide carries a decision out.
func (w *world) decide(d *decision) {
	chance := rand.New(rand.NewPCG(d.lot, w.seed))
	w.trace.add(d.what, d.atMs, d.lot)
	if d.fault {
		if w.counts.Faults == nil {
			w.counts.Faults = map[string]uint64{}
		}
		w.counts.Faults[d.what]++
		d.target = faults[d.what](w, chance)
		w.say(about{}, "fault: %s", d.text())
		return
	}
	w.counts.Actions++
	d.target = actions[d.what](w, chance)
}

// text is a decision for people.
func (d *decision) text() string {
	if d.target == "" {
		return d.what
	}
	return fmt.Sprintf("%s: %s", d.what, d.target)
}
