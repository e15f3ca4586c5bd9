// SPDX-License-Identifier: Apache-2.0

// A log as it goes over the wire, to be given back.

package coretest

import (
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// LogForm is what a device holds of a conversation that has heard every event that is kept: each as it was written, but
// for the content that was recalled or erased. It is empty for a conversation that does not exist.
func (m *Memory) LogForm(id tidemark.ConversationID) []*wire.Event {
	info, found := m.conversations[id]
	if !found {
		return nil
	}
	var log []*wire.Event
	for _, e := range m.Events(info.Ordinal) {
		w := m.written[eventKey{info.Ordinal, e.Seq}]
		ev := &wire.Event{
			Seq: uint64(w.Seq), Id: uint64(w.ID), TimeMs: w.TimeMs, Sender: string(m.names[w.Sender]), ClientId: string(w.ClientID),
			Counted: w.Counted,
		}
		if current := m.currents[eventKey{info.Ordinal, e.Seq}]; current != nil && (current.RecallSeq > 0 || current.EraseSeq > 0) {
			ev.BodyHash, ev.Kind = w.BodyHash[:], uint32(w.Kind)
			ev.Recalled, ev.Erased = uint64(current.RecallSeq), uint64(current.EraseSeq)
		} else {
			ev.Salt, ev.Body = w.Salt[:], w.Body
		}
		log = append(log, ev)
	}
	return log
}

// DigestAt answers the chain's value of a conversation at a seq from its floor to its head; of one that does not exist,
// where its chain begins.
func (m *Memory) DigestAt(id tidemark.ConversationID) func(tidemark.Seq) (tidemark.Digest, error) {
	info, found := m.conversations[id]
	return func(seq tidemark.Seq) (tidemark.Digest, error) {
		if seq == 0 || !found {
			return chain.Start(id), nil
		}
		if head := m.heads[info.Ordinal]; seq == head.Floor {
			return head.FloorDigest, nil
		}
		e, kept := m.Event(info.Ordinal, seq)
		if !kept {
			return tidemark.Digest{}, fmt.Errorf("coretest: event %d of %s is not kept", seq, id)
		}
		return e.Digest, nil
	}
}
