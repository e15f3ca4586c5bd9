// SPDX-License-Identifier: Apache-2.0

// What is looked at when all is calm, and of the disk at any time: the store by package verify (S12), every device against
// the logs and against one that begins anew (C3, Y1), everything that was told against the logs.

package sim

import (
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/verify"
)

// checkStore checks S12: whatever is derived from the logs is as package verify derives it.
func (w *world) checkStore() {
	report, err := verify.Run(w.ctx, verify.Config{DB: w.server.db})
	switch {
	case err != nil:
		w.broken("S12", invariant.Who{}, "", 0, "the store cannot be read: "+err.Error())
	case !report.OK():
		w.broken("S12", invariant.Who{}, "", 0, "the store is not what its logs say: "+report.String())
	}
}

// checkEnd checks everything once all has settled.
func (w *world) checkEnd() {
	w.checkStore()
	for _, u := range w.users {
		w.look(u.id)
		if w.gone(u.id) {
			w.checkGone(u.id)
		}
	}
	logs := w.logs()
	w.checker.Check(logs)
	var states []*invariant.State
	for _, d := range w.devices {
		if w.gone(d.user) {
			continue
		}
		state, err := d.state()
		if err != nil {
			w.broken("C2", d.who(), "", 0, err.Error())
			return
		}
		w.checkTold(d, state)
		states = append(states, state)
	}
	if p := w.checks.puller; p != nil && !w.gone(p.user) {
		w.pull(p)
		state, err := p.state()
		if err != nil {
			w.broken("Y4", p.who(), "", 0, err.Error())
			return
		}
		states = append(states, state)
	}
	w.checker.Converged(states, logs)
	if v := w.checker.Violation(); v != nil {
		w.fail(v)
	}
	for _, d := range w.devices {
		w.checkReloaded(d)
		w.checkReplayed(d)
	}
}

// logs are the logs with all that was ever in them, from the store but for what is kept no longer.
func (w *world) logs() []*invariant.Log {
	var logs []*invariant.Log
	for _, id := range w.checks.ids {
		logs = append(logs, w.whole(w.checks.logs[id]))
	}
	return logs
}
