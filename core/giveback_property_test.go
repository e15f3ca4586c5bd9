// SPDX-License-Identifier: Apache-2.0

// Property: whatever happened, and wherever the copy was taken, a server that was restored from it and is given back what
// came afterwards has the log that it had, and everything that follows from it.

package core_test

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"pgregory.net/rapid"
)

func TestWhatIsGivenBackIsAsItWas(t *testing.T) {
	kinds, begun, withdrawn := make(map[record.BodyKind]int), 0, 0
	rapid.Check(t, func(t *rapid.T) {
		h := &history{
			t: t, memory: coretest.New(), limits: tidemark.DefaultLimits(), nowMs: 1_772_000_000_000,
			accepted: make(map[string]int), tokens: make(map[place][]string),
		}
		restored := h.memory.Clone()
		h.begin()
		steps := rapid.SampledFrom([]int{10, 40, 100}).Draw(t, "steps")
		cut := rapid.IntRange(0, steps).Draw(t, "copy taken after")
		for i := range steps {
			if i == cut {
				restored = h.memory.Clone()
			}
			h.step()
		}
		for _, info := range h.memory.Conversations() {
			log := h.memory.LogForm(info.ID)
			offer, ok := readOffer(t, restored, info.ID, log)
			if !ok {
				continue
			}
			if _, known := restored.Conversation(info.ID); !known {
				begun++
			}
			for _, give := range offer.Give {
				env := h.env()
				env.TakeBackMs, env.Position = 1, restored.Partition().Position+1
				if reply, _ := restored.Do(give, env); reply.Err != nil {
					t.Fatalf("%s: event %d: %v", info.ID, give.Event.Seq, reply.Err)
				}
				if len(give.Event.Body) == 0 {
					withdrawn++
					if err := restored.Check(); err != nil { // what took the content away has not come yet
						t.Fatalf("%s: after event %d: %v", info.ID, give.Event.Seq, err)
					}
				}
			}
			if want := h.memory.Head(info.Ordinal); offer.Last != want.Seq || offer.Digest != want.Digest {
				t.Fatalf("%s: the offer leads to %d, %s; the log to %d, %s", info.ID, offer.Last, offer.Digest, want.Seq, want.Digest)
			}
			sameLog(t, info.ID, h.memory, restored, kinds)
			again(t, restored, info.ID, log)
		}
		if err := restored.Check(); err != nil {
			t.Fatal(err)
		}
	})
	for kind := record.MessageBody; kind <= record.ErasedBody; kind++ {
		if kinds[kind] == 0 {
			t.Errorf("no event of kind %d was ever given back: nothing of it is tested", kind)
		}
	}
	if begun == 0 || withdrawn == 0 {
		t.Errorf("%d conversations began by being given back, %d events came without content", begun, withdrawn)
	}
}

// readOffer reads an offer of a whole log; ok is false if events between the two were kept by neither.
func readOffer(t *rapid.T, m *coretest.Memory, id tidemark.ConversationID, log []*wire.Event) (offer *core.Offer, ok bool) {
	head := &record.Head{}
	info, known := m.Conversation(id)
	if known {
		head = m.Head(info.Ordinal)
	}
	if len(log) == 0 || tidemark.Seq(log[0].Seq) > head.Seq+1 || tidemark.Seq(log[len(log)-1].Seq) <= head.Floor {
		return nil, false
	}
	offer, err := core.ReadOffer(id, head, m.DigestAt(id), log)
	if err != nil {
		t.Fatalf("%s: %v", id, err)
	}
	return offer, true
}

// sameLog holds the log that was given back to the one that was lost.
func sameLog(t *rapid.T, id tidemark.ConversationID, lost, restored *coretest.Memory, kinds map[record.BodyKind]int) {
	was, _ := lost.Conversation(id)
	is, _ := restored.Conversation(id)
	a, b := lost.Head(was.Ordinal), restored.Head(is.Ordinal)
	floor := max(a.Floor, b.Floor)
	if a.Seq != b.Seq || a.Digest != b.Digest || a.Counted != b.Counted || a.TimeMs != b.TimeMs || a.Members != b.Members ||
		a.Floor == b.Floor && a.Recalled != b.Recalled {
		t.Fatalf("%s: was %+v, is %+v", id, a, b)
	}
	for _, e := range restored.Events(is.Ordinal) {
		kinds[e.Kind]++
		w, kept := lost.Event(was.Ordinal, e.Seq)
		if !kept || e.Seq <= floor {
			continue
		}
		if e.ID != w.ID || e.Digest != w.Digest || e.Counted != w.Counted || e.IsCounted != w.IsCounted ||
			restored.UserID(e.Sender) != lost.UserID(w.Sender) || a.Floor == b.Floor && w.Erased && !e.Erased {
			t.Fatalf("%s: event %d was %+v, is %+v", id, e.Seq, w, e)
		}
	}
}

// again gives the same back once more: it is all there, and nothing is written.
func again(t *rapid.T, m *coretest.Memory, id tidemark.ConversationID, log []*wire.Event) {
	offer, ok := readOffer(t, m, id, log)
	if !ok {
		return
	}
	if len(offer.Give) > 0 {
		t.Fatalf("%s: %d events are taken twice", id, len(offer.Give))
	}
	info, _ := m.Conversation(id)
	for _, ev := range log {
		e, kept := m.Event(info.Ordinal, tidemark.Seq(ev.Seq))
		if !kept {
			continue
		}
		reply, changes := m.Do(&core.GiveBack{Conversation: id, Event: ev, Digest: e.Digest}, core.Env{TakeBackMs: 1})
		if reply.Err != nil || !reply.Duplicate || !changes.Empty() {
			t.Fatalf("%s: event %d once more: %+v", id, ev.Seq, reply)
		}
	}
}
