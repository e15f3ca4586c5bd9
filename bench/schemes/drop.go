// SPDX-License-Identifier: Apache-2.0

// Connections that die or are opened at the wrong time, where nothing crashes.

package schemes

import "context"

// Drop is what one member's connection does.
type Drop int

// The drops.
const (
	DropsUnnoticed Drop = iota // dies after the server has seen the member online
	ComesUnnoticed             // is opened after the server has seen the member offline
	DropsPulling               // dies while what waited for the member is on its way
	dropEnd
)

// String says what the connection does.
func (d Drop) String() string {
	return [dropEnd]string{
		"dies, its member having been seen online", "is opened, its member having been seen offline", "dies while its member pulls",
	}[d]
}

// disturb runs the workload with one drop at the message in its middle.
func disturb(ctx context.Context, cfg Config, design Design, drop Drop) (Crash, error) {
	return inTheMiddle(ctx, cfg, design, func(w *world, number int) (string, bool, error) {
		return drop.String(), true, w.disturb(drop, number)
	})
}

// disturb is a round with a drop.
func (w *world) disturb(drop Drop, number int) error {
	var none tally
	var dropped []int
	switch drop {
	case DropsUnnoticed:
		dropped = w.some(1, true)
		w.race = w.dropAndCome(dropped, nil)
	case ComesUnnoticed:
		w.race = w.dropAndCome(nil, w.some(1, false))
	case DropsPulling:
		dropped = w.some(1, false)
		w.race, w.raceAt = w.dropAndCome(dropped, nil), Pulling
		if err := w.come(dropped); err != nil {
			return err
		}
		w.server.disconnect(dropped[0])
		w.raceAt = Looked
	}
	if err := w.write(number, &none); err != nil {
		return err
	}
	for _, member := range dropped {
		w.server.disconnect(member)
	}
	return nil
}
