// SPDX-License-Identifier: Apache-2.0

// The third design: the message is stored once, and every member gets its id in a queue before anything is pushed; the
// id is removed when the member's device acknowledges it.

package schemes

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

type allIDs struct{ queues }

func (s *allIDs) send(m message) error {
	if err := s.w.at(Arrived); err != nil {
		return err
	}
	id := s.w.nextID()
	row := binary.AppendUvarint(nil, theGroup)
	err := s.inBatches(len(s.online), func(b *pebble.Batch, member int) error {
		if member == 0 { // the message itself goes with the first of them
			if err := b.Set(bodyKey(id), copyOf(m, id), nil); err != nil {
				return err
			}
		}
		return b.Set(rowKey(member, id), row, nil)
	}, func() error { return s.w.at(Partly) })
	if err != nil {
		return err
	}
	return s.tell(m, id)
}

func (s *allIDs) connect(member int) error {
	return s.pull(member, func(row waiting) (string, error) {
		body, err := s.get(bodyKey(row.id))
		if err != nil {
			return "", err
		}
		return textOf(body)
	})
}
