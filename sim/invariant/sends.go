// SPDX-License-Identifier: Apache-2.0

// Submissions and what they were answered, over all retries: S3 and S4.

package invariant

import (
	"slices"

	"github.com/anishathalye/porcupine"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// opsMax is how many operations on one log are looked at together, the last: what comes before them is not doubted any more.
const opsMax = 2000

// send names one message of a user, however often it is submitted.
type send struct {
	user         tidemark.UserID
	conversation tidemark.ConversationID
	clientID     tidemark.ClientID
}

// sending is what became of it.
type sending struct {
	first     int64 // when it was first submitted
	device    Who   // that did
	refused   bool  // some answer was that it cannot be
	transient bool  // it leaves no event
	answers   map[tidemark.Epoch]*wire.Submitted
}

// operation is a submission or a fetch that was answered: between call and back there was a moment at which it happened.
type operation struct {
	fetch      bool
	seq        tidemark.Seq // that the submission got, or the head that the fetch saw
	call, back int64
}

func (h *history) keep(o operation) {
	if h.ops = append(h.ops, o); len(h.ops) > 2*opsMax {
		h.ops = slices.Clone(h.ops[len(h.ops)-opsMax:])
	}
}

func sendOf(who Who, m *wire.Submit) send {
	in := tidemark.ConversationID(m.Conversation)
	if in == "" {
		in = tidemark.Direct(who.User, tidemark.UserID(m.ToUser))
	}
	return send{who.User, in, tidemark.ClientID(m.ClientId)}
}

// submits notes that something is submitted.
func (c *Checker) submits(who Who, m *wire.Submit) *sending {
	s := c.sends[sendOf(who, m)]
	if s == nil {
		s = &sending{first: c.now, device: who, transient: transient(m), answers: make(map[tidemark.Epoch]*wire.Submitted)}
		c.sends[sendOf(who, m)] = s
	}
	return s
}

// answer compares an answer with those before: S4, every retry gets the first one. A message that is kept no longer may be
// sent anew, so what differs is judged when the floors are known.
func (c *Checker) answer(from source, m *wire.Submit, a *wire.Submitted) {
	s := c.submits(from.who, m)
	first := s.answers[from.epoch]
	if first == nil {
		s.answers[from.epoch] = a
		call := s.first
		if a.Duplicate { // made by another try, or by the server at a time for which it was scheduled
			call = 0
		}
		c.history(from.epoch, tidemark.ConversationID(a.Conversation)).keep(operation{seq: tidemark.Seq(a.Seq), call: call, back: c.now})
		return
	}
	if first.Seq != a.Seq || first.Id != a.Id || first.TimeMs != a.TimeMs || string(first.Digest) != string(a.Digest) {
		h := c.history(from.epoch, tidemark.ConversationID(a.Conversation))
		h.redone = append(h.redone, redone{tidemark.Seq(first.Seq), about("S4", from.who, tidemark.ConversationID(a.Conversation), tidemark.Seq(a.Seq),
			"client id %q was answered seq %d id %d first, and seq %d id %d now", m.ClientId, first.Seq, first.Id, a.Seq, a.Id)})
	}
}

// inOrder checks the order of one connection's sends: S3, two submissions to one conversation keep theirs.
func (c *Checker) inOrder(conn *connection, request uint64, m *wire.Submit, a *wire.Submitted) {
	if m == nil || a.Duplicate || a.Seq == 0 {
		return
	}
	in := tidemark.ConversationID(a.Conversation)
	for _, other := range conn.answered[in] {
		if (other.order < conn.order[request]) != (other.seq < tidemark.Seq(a.Seq)) {
			c.report(about("S3", conn.who, in, tidemark.Seq(a.Seq),
				"of two submissions of one connection, one became seq %d and the other seq %d: not in their order", other.seq, a.Seq))
			return
		}
	}
	list := append(conn.answered[in], ordered{conn.order[request], tidemark.Seq(a.Seq)})
	conn.answered[in] = list[max(0, len(list)-64):]
}

// linear checks that there is an order of all operations on a log which agrees with what each was told and with the times at
// which they were asked and answered (S3). What somebody else appended may have happened at any time.
func linear(in tidemark.ConversationID, ops []operation) *Violation {
	if len(ops) > opsMax {
		ops = ops[len(ops)-opsMax:]
	}
	ours := make(map[tidemark.Seq]bool) // seqs that a submission among these got
	for _, o := range ops {
		if !o.fetch {
			ours[o.seq] = true
		}
	}
	var last tidemark.Seq
	history := make([]porcupine.Operation, 0, len(ops))
	for _, o := range ops {
		last = max(last, o.seq)
		history = append(history, porcupine.Operation{Input: o, Call: o.call, Output: o, Return: o.back})
	}
	before := make([]int, last+1) // submissions among these at or below a seq
	for seq := tidemark.Seq(1); seq <= last; seq++ {
		before[seq] = before[seq-1]
		if ours[seq] {
			before[seq]++
		}
	}
	model := porcupine.Model{
		Init: func() any { return tidemark.Seq(0) },
		Step: func(state, input, _ any) (bool, any) {
			head, o := state.(tidemark.Seq), input.(operation)
			if o.fetch { // only others' events lie between
				return o.seq >= head && before[o.seq] == before[head], o.seq
			}
			return o.seq > head && before[o.seq-1] == before[head], o.seq
		},
	}
	if !porcupine.CheckOperations(model, history) {
		return about("S3", Who{}, in, 0, "no order of %d submissions and fetches agrees with what they were told and when", len(ops))
	}
	return nil
}
