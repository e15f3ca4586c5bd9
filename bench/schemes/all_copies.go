// SPDX-License-Identifier: Apache-2.0

// The second design: every member gets a copy in a queue before anything is pushed; it is removed when the member's
// device acknowledges it.

package schemes

import "github.com/cockroachdb/pebble/v2"

type allCopies struct{ queues }

func (s *allCopies) send(m message) error {
	if err := s.w.at(Arrived); err != nil {
		return err
	}
	id := s.w.nextID()
	row := copyOf(m, id)
	err := s.inBatches(len(s.online), func(b *pebble.Batch, member int) error {
		return b.Set(rowKey(member, id), row, nil)
	}, func() error { return s.w.at(Partly) })
	if err != nil {
		return err
	}
	return s.tell(m, id)
}

// tell answers the writer and pushes the message, once it is stored.
func (q *queues) tell(m message, id uint64) error {
	if err := q.w.at(Stored); err != nil {
		return err
	}
	q.w.answered(m)
	if err := q.w.at(Answered); err != nil {
		return err
	}
	online, _ := q.look()
	if err := q.w.at(Looked); err != nil {
		return err
	}
	return q.push(online, m, id)
}

func (s *allCopies) connect(member int) error {
	return s.pull(member, func(row waiting) (string, error) { return textOf(row.value) })
}

// pull hands over a member's queue. The device first acknowledges what it had not yet.
func (q *queues) pull(member int, text func(waiting) (string, error)) error {
	q.online[member] = true
	err := q.removeUnacked(member)
	if err != nil {
		return err
	}
	rows, err := q.queue(member)
	if err != nil {
		return err
	}
	texts := make([]string, len(rows))
	for i, row := range rows {
		if texts[i], err = text(row); err != nil {
			return err
		}
	}
	if err := q.w.at(Pulling); err != nil {
		return err
	}
	for i, row := range rows {
		q.w.handOver(member, row.id, texts[i])
	}
	return q.w.at(Pulled)
}

func (q *queues) removeUnacked(member int) error {
	ids := q.w.takeUnacked(member)
	return q.inBatches(len(ids), func(b *pebble.Batch, i int) error {
		return b.Delete(rowKey(member, ids[i]), nil)
	}, func() error { return nil })
}
