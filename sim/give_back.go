// SPDX-License-Identifier: Apache-2.0

// Taking back what a restore has lost: for a while after it the server is open for it, and devices offer what they have
// kept, by HTTP. What comes back must be what was (S1, S2), what was taken must stay (Y2), and what could have been taken
// while all was calm must have been.

package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	sealKeyName   = "seal.key"
	openInCalmMs  = 180_000 // so long a server that takes lost events back goes on doing so when nothing breaks any more
	offerWaitMs   = 6_000   // a device waits so long for an answer to its offer, at least
	offersLookMax = 20      // offers of one device that are looked at in the end
)

// sealKey is the key of the seals of a data directory; it is made at the first start.
func (w *world) sealKey(mem *vfs.MemFS) []byte {
	path := mem.PathJoin(dataDir, sealKeyName)
	if key, there := contentOf(mem, path); there && len(key) > 0 {
		return key
	}
	key := make([]byte, 32)
	_, _ = rand.NewChaCha8([32]byte{byte(w.seed), byte(w.seed >> 8), byte(w.processes)}).Read(key)
	f, err := mem.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(key)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	dir, dirErr := mem.OpenDir(dataDir)
	if err = errors.Join(err, dirErr); err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		panic("sim: a file in memory cannot be written: " + err.Error())
	}
	return key
}

// takeBackUntil is until when a server that starts now takes lost events back, by its clock; 0: it does not.
func (w *world) takeBackUntil() uint64 {
	if w.takeBackEndMs <= w.nowMs {
		return 0
	}
	return w.serverMs() + w.takeBackEndMs - w.nowMs
}

// takeBackFor lets the servers from now on take lost events back, for a while. Then the operator starts one that does not.
func (w *world) takeBackFor(ms uint64) {
	end := w.nowMs + ms
	w.takeBackEndMs = end
	w.at(end, func() {
		if w.takeBackEndMs != end {
			return
		}
		w.takeBackEndMs = 0
		if s := w.server; s != nil && s.set.TakeBackMs() > 0 {
			if w.calm {
				w.checkTaken()
			}
			w.stop()
		}
	})
}

// offer makes an offer of a device by HTTP. The call may be lost on the way there or back, carried out twice, and late.
func (d *device) offer(request *wire.GiveBackRequest) {
	w, chance, c, life := d.w, d.w.chance.network, d.conn, d.life
	data, err := request.MarshalVT()
	if err != nil {
		panic("sim: an offer cannot be encoded: " + err.Error())
	}
	w.counts.Calls++
	w.counts.Offers++
	a := d.about()
	a.conversation = tidemark.ConversationID(request.Conversation)
	w.say(a, "offers to give %s back of %s", span(request.Events), request.Conversation)
	heard := false
	hear := func(answer *wire.GiveBackResponse, refusal *tidemark.Error) {
		if heard || d.life != life || d.conn != c || d.replica == nil {
			return
		}
		heard = true
		w.say(a, "hears of its offer: head %d, %d taken (%v)", answer.GetHeadSeq(), answer.GetTaken(), refusal)
		var err error
		if refusal != nil {
			err = refusal
		}
		_ = d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
			return r.GaveBack(v, nowMs, request, answer, err)
		})
	}
	lostThere, lostBack, twice := w.goesWrong(w.profile.LostPercent), w.goesWrong(w.profile.LostPercent), w.goesWrong(w.profile.TwicePercent)
	if !lostThere {
		w.after(w.latency(), func() {
			w.takeBack(d.user, data, func(answer *wire.GiveBackResponse, refusal *tidemark.Error) {
				if !lostBack {
					w.after(w.latency(), func() { hear(answer, refusal) })
				}
			})
		})
	}
	if twice {
		w.after(w.latency()+w.delay(8_000), func() { w.takeBack(d.user, data, func(*wire.GiveBackResponse, *tidemark.Error) {}) })
	}
	if chance.IntN(4) == 0 {
		w.after(w.latency(), func() { w.forge(d.user, data) })
	}
	w.after(offerWaitMs+w.delay(offerWaitMs), func() { hear(nil, tidemark.Refuse(tidemark.Unavailable, "nobody answers")) })
}

// goesWrong draws whether something befalls a call.
func (w *world) goesWrong(percent int) bool { return !w.calm && w.chance.network.IntN(100) < percent }

// takeBack carries an offer out at the server, as [partition.Set.GiveBack] does beside its waiting.
func (w *world) takeBack(user tidemark.UserID, data []byte, done func(*wire.GiveBackResponse, *tidemark.Error)) {
	s, request := w.server, new(wire.GiveBackRequest)
	if err := request.UnmarshalVT(data); err != nil {
		panic("sim: an offer does not come out as it went in: " + err.Error())
	}
	if s == nil {
		done(nil, tidemark.Refuse(tidemark.Unavailable, "nobody listens"))
		return
	}
	give, standing, err := s.set.CheckOffer(user, request)
	switch {
	case err != nil:
		done(nil, refusalOf(err))
		return
	case len(give) == 0:
		done(standing, nil)
		return
	}
	t := &taking{s: s, give: give, standing: standing, left: len(give), done: done}
	t.next()
}

func refusalOf(err error) *tidemark.Error {
	refused := tidemark.Refuse(tidemark.Internal, "%v", err)
	errors.As(err, &refused)
	return refused
}

// taking is an offer whose events are being appended.
type taking struct {
	s        *server
	give     []*core.GiveBack // not queued yet
	standing *wire.GiveBackResponse
	left     int // not answered
	refused  *tidemark.Error
	done     func(*wire.GiveBackResponse, *tidemark.Error)
}

// next queues what there is room for, and comes back for the rest.
func (t *taking) next() {
	w := t.s.w
	if w.server != t.s || !t.s.up {
		return
	}
	for len(t.give) > 0 {
		cmd := t.give[0]
		if !t.s.set.Offer(cmd, t.s.answered(func(r core.Reply) { t.answered(cmd, r) })) {
			w.after(1+w.delay(20), t.next)
			break
		}
		t.give = t.give[1:]
	}
	t.s.poke()
}

// answered takes in what has become of one event.
func (t *taking) answered(cmd *core.GiveBack, r core.Reply) {
	w := t.s.w
	if w.server != t.s {
		return
	}
	t.left--
	switch {
	case r.Err != nil:
		t.refused = r.Err
	case !r.Duplicate:
		t.standing.Taken++
		w.counts.TakenBack++
		w.noteAck(ack{
			tidemark.UserID(cmd.Event.Sender), cmd.Conversation, tidemark.ClientID(cmd.Event.ClientId), r.Seq, t.s.set.Of(cmd.Conversation).Number(), r.Position,
		})
	}
	if r.Err == nil && uint64(r.Seq) > t.standing.HeadSeq {
		t.standing.HeadSeq, t.standing.HeadDigest = uint64(r.Seq), r.Digest[:]
	}
	if t.left == 0 {
		if t.refused != nil {
			t.standing = nil
		}
		t.done(t.standing, t.refused)
	}
}

// forge offers what the server never had: nothing of it may be taken. What is said of events that are kept no longer is not
// looked at.
func (w *world) forge(user tidemark.UserID, data []byte) {
	request := new(wire.GiveBackRequest)
	if err := request.UnmarshalVT(data); err != nil || w.server == nil {
		return
	}
	e, seal := request.Events[w.chance.faults.IntN(len(request.Events))], false
	switch w.chance.faults.IntN(6) {
	case 0:
		e.Sender = string(w.anyone(w.chance.faults)) + "x"
	case 1:
		e.TimeMs++
	case 2:
		e.Id++
	case 3:
		e.ClientId += "x"
	case 4:
		e.Kind, e.Salt, e.Body, e.BodyHash = uint32(record.MessageBody), nil, nil, make([]byte, 32)
	default:
		request.Seal[0]++
		seal = true
	}
	give, _, err := w.server.set.CheckOffer(user, request)
	if err == nil && len(give) > 0 && (seal || tidemark.Seq(e.Seq) > w.floor(tidemark.ConversationID(request.Conversation))) {
		w.broken("S1", invariant.Who{User: user}, tidemark.ConversationID(request.Conversation), tidemark.Seq(e.Seq), "a forged offer would be taken")
	}
}

// floor is the last event of a conversation that is kept no longer.
func (w *world) floor(id tidemark.ConversationID) tidemark.Seq {
	p := w.server.set.Of(id)
	info, err := p.Info(id)
	if err != nil || info == nil {
		return 0
	}
	head, err := p.Head(info.Ordinal)
	if err != nil {
		return 0
	}
	return head.Floor
}

// checkTakenBack checks S1 and S2 across epochs of an event that a server has appended while it took lost ones back: it is one
// that there was, in the same place of the same chain.
func (w *world) checkTakenBack(in tidemark.ConversationID, e *record.Event) {
	const closing = 2_001 // an orderly stop may have gone past the end
	if w.server.set.TakeBackMs() > closing && !w.checks.ever[e.Digest] {
		w.broken("S1", invariant.Who{}, in, e.Seq, fmt.Sprintf("while lost events are taken back event %d is appended, which never was", e.ID))
	}
}

// checkTaken looks at a server that was open for long while nothing broke: no device has an offer that would be taken.
func (w *world) checkTaken() {
	for _, d := range w.devices {
		if d.replica == nil || d.conn == nil || !d.synced {
			continue
		}
		if offer := w.offerLeft(d); offer != nil {
			w.broken("Y2", d.who(), tidemark.ConversationID(offer.Conversation), 0, fmt.Sprintf(
				"the server takes lost events back, the device can prove that it had %s, and they are not there", span(offer.Events)))
		}
	}
}

// offerLeft is an offer that a device would make if it connected now, and that would be taken; nil: there is none.
func (w *world) offerLeft(d *device) (left *wire.GiveBackRequest) {
	err := d.store.Clone().Update(func(tx client.Tx) error {
		r, err := replica.Load(d.config, tx)
		if err != nil {
			return err
		}
		out, err := r.Connect(tx, d.nowMs(), "")
		for _, f := range []*wire.ServerFrame{
			{Frame: &wire.ServerFrame_Welcome{Welcome: &wire.Welcome{
				User: string(d.user), DeviceId: string(d.id), Epoch: uint64(w.epoch), Partitions: w.profile.Partitions, HeartbeatMs: heartbeatMs, TakeBack: true,
			}}},
			{Frame: &wire.ServerFrame_Synced{Synced: &wire.Synced{Cursor: wire.CursorOf(r.Cursor())}}},
		} {
			put(tx, out.Writes)
			if err == nil {
				out, err = r.Receive(tx, d.nowMs(), f)
			}
		}
		for range offersLookMax {
			offer := out.GiveBack
			if err != nil || offer == nil {
				return err
			}
			give, _, refusal := w.server.set.CheckOffer(d.user, offer)
			if refusal == nil && len(give) > 0 {
				left = offer
				return nil
			}
			put(tx, out.Writes)
			out, err = r.GaveBack(tx, d.nowMs(), offer, nil, tidemark.Refuse(tidemark.AlreadyExists, "not now"))
		}
		return err
	})
	if err != nil {
		w.broken("C2", d.who(), "", 0, "a device that would connect now could not: "+err.Error())
	}
	return left
}
