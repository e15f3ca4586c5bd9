// SPDX-License-Identifier: Apache-2.0

// What a design must do, and which there are.

package schemes

import "fmt"

// scheme is one design: a server of one group. It belongs to one goroutine. It tells the world of every moment it
// passes, and stops where the world answers with an error: then it has crashed, and is only closed.
type scheme interface {
	// send takes a message of a writer. It calls world.answered when it would answer the writer.
	send(m message) error
	// connect takes a device that came, and hands over what waits for it.
	connect(member int) error
	// disconnect notices that a device has gone.
	disconnect(member int)
	// ack takes what the devices of these members acknowledge, all at once.
	ack(members []int) error
	// rowsRead is how many rows were read since the server was started.
	rowsRead() uint64
	close() error
}

// Design names a scheme.
type Design int

// The designs, in the order in which they were thought of.
const (
	OfflineCopies Design = iota
	AllCopies
	AllIDs
	OneCopyAndMarks
	designEnd
)

// String is the design's name.
func (d Design) String() string {
	return [designEnd]string{"copies for the offline", "copies for all", "ids for all", "one copy and marks"}[d]
}

// open starts a server of the design on the world's disk; fresh makes the group and its members.
func (d Design) open(w *world, fresh bool) (scheme, error) {
	switch d {
	case OfflineCopies:
		q, err := openQueues(w, fresh)
		return &offlineCopies{q}, err
	case AllCopies:
		q, err := openQueues(w, fresh)
		return &allCopies{q}, err
	case AllIDs:
		q, err := openQueues(w, fresh)
		return &allIDs{q}, err
	case OneCopyAndMarks:
		return openMarks(w, fresh)
	}
	return nil, fmt.Errorf("schemes: there is no design %d", d)
}
