// SPDX-License-Identifier: Apache-2.0

// Whoever has something to give must have said so: a session that was not announced as ready has nothing, or a device would
// wait for it until something else happens.

package sim

import "fmt"

// checkWakes asks sessions that nobody was told of, now and then all of them. It comes where nothing is half done.
func (w *world) checkWakes() {
	if w.checks.chance.IntN(wakesEvery) != 0 {
		return
	}
	for _, c := range w.server.conns {
		if c.session == nil || c.ready || c.busy || c.over {
			continue
		}
		if data, ok := c.session.Next(nil); ok {
			w.broken("S8", c.d.who(), "", 0, fmt.Sprintf("the session has a frame of %d bytes to give, and nobody was told", len(data)))
			return
		}
	}
}
