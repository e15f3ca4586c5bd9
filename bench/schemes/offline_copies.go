// SPDX-License-Identifier: Apache-2.0

// The first design: those online are pushed the message, which is not stored for them; a member who is offline gets a
// copy in a queue, which is removed when the member has pulled it.

package schemes

import "github.com/cockroachdb/pebble/v2"

type offlineCopies struct{ queues }

func (s *offlineCopies) send(m message) error {
	if err := s.w.at(Arrived); err != nil {
		return err
	}
	id := s.w.nextID()
	online, offline := s.look()
	if err := s.w.at(Looked); err != nil {
		return err
	}
	if err := s.push(online, m, id); err != nil {
		return err
	}
	row := copyOf(m, id)
	err := s.inBatches(len(offline), func(b *pebble.Batch, i int) error {
		return b.Set(rowKey(offline[i], id), row, nil)
	}, func() error { return s.w.at(Partly) })
	if err != nil {
		return err
	}
	if err := s.w.at(Stored); err != nil {
		return err
	}
	s.w.answered(m)
	return s.w.at(Answered)
}

// connect answers with the queue and removes it: there are no acknowledgements.
func (s *offlineCopies) connect(member int) error {
	s.online[member] = true
	rows, err := s.queue(member)
	if err != nil {
		return err
	}
	if err := s.w.at(Pulling); err != nil {
		return err
	}
	for _, row := range rows {
		text, err := textOf(row.value)
		if err != nil {
			return err
		}
		s.w.handOver(member, row.id, text)
	}
	if err := s.w.at(Pulled); err != nil {
		return err
	}
	return s.inBatches(len(rows), func(b *pebble.Batch, i int) error {
		return b.Delete(rowKey(member, rows[i].id), nil)
	}, func() error { return nil })
}

// ack has nothing to do.
func (s *offlineCopies) ack(members []int) error {
	for _, member := range members {
		s.w.takeUnacked(member)
	}
	return nil
}
