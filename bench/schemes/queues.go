// SPDX-License-Identifier: Apache-2.0

// What the three designs with a row for each member share: the queue of a member, who is online, the push.

package schemes

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// queues are the rows that wait for members, one queue for each.
type queues struct {
	*table
	online []bool // by member: what the server believes
}

// theGroup is the number of the one group there is.
const theGroup = 1

func queueKey(member int) []byte {
	return binary.BigEndian.AppendUint32([]byte{'q'}, uint32(member))
}

func rowKey(member int, id uint64) []byte { return binary.BigEndian.AppendUint64(queueKey(member), id) }

func bodyKey(id uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32([]byte{'b'}, theGroup), id)
}

// copyOf is a message as a row carries it: group, writer, time and text.
func copyOf(m message, id uint64) []byte {
	row := binary.AppendUvarint(nil, theGroup)
	row = binary.AppendUvarint(row, uint64(m.writer))
	row = binary.AppendUvarint(row, id)
	return append(row, m.text...)
}

// textOf is the text of such a row.
func textOf(row []byte) (string, error) {
	for range 3 {
		_, n := binary.Uvarint(row)
		if n <= 0 {
			return "", fmt.Errorf("schemes: a row cannot be read: %x", row)
		}
		row = row[n:]
	}
	return string(row), nil
}

// openQueues opens the table. The list of members is kept in memory, which favours these designs: it is not read again
// for each message.
func openQueues(w *world, fresh bool) (queues, error) {
	t, err := openTable(w)
	if err != nil {
		return queues{}, err
	}
	q := queues{table: t, online: make([]bool, len(w.devices))}
	if fresh {
		err = t.inBatches(len(w.devices), func(b *pebble.Batch, i int) error {
			return b.Set(binary.BigEndian.AppendUint32([]byte{'m', theGroup}, uint32(i)), nil, nil)
		}, func() error { return nil })
	}
	return q, err
}

func (q *queues) disconnect(member int) { q.online[member] = false }

func (q *queues) rowsRead() uint64 { return q.read }

func (q *queues) close() error { return q.db.Close() }

// look divides the members.
func (q *queues) look() (online, offline []int) {
	for member, is := range q.online {
		if is {
			online = append(online, member)
		} else {
			offline = append(offline, member)
		}
	}
	return online, offline
}

// push hands a message to those who were seen online.
func (q *queues) push(online []int, m message, id uint64) error {
	half := (len(online) + 1) / 2
	for _, member := range online[:half] {
		q.w.handOver(member, id, m.text)
	}
	if err := q.w.at(Pushing); err != nil {
		return err
	}
	for _, member := range online[half:] {
		q.w.handOver(member, id, m.text)
	}
	return q.w.at(Pushed)
}

// waiting is one row of a member's queue.
type waiting struct {
	id    uint64
	value []byte
}

func (q *queues) queue(member int) (rows []waiting, err error) {
	prefix := queueKey(member)
	err = q.scan(prefix, func(key, value []byte) error {
		rows = append(rows, waiting{binary.BigEndian.Uint64(key[len(prefix):]), append([]byte{}, value...)})
		return nil
	})
	return rows, err
}

// ack removes what the devices acknowledge. The removals of all of them are gathered into few batches.
func (q *queues) ack(members []int) error {
	type pair struct {
		member int
		id     uint64
	}
	var all []pair
	for _, member := range members {
		for _, id := range q.w.takeUnacked(member) {
			all = append(all, pair{member, id})
		}
	}
	if err := q.w.at(Acked); err != nil {
		return err
	}
	return q.inBatches(len(all), func(b *pebble.Batch, i int) error {
		return b.Delete(rowKey(all[i].member, all[i].id), nil)
	}, func() error { return nil })
}
