// SPDX-License-Identifier: Apache-2.0

// A device that hears no push: it begins anew when all is calm, pulls until there is no more, keeps what it is told in a
// replica of its own, and must then have everything that the user's other devices have (Y4, C3).

package sim

import (
	"errors"
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// puller is the device; it belongs to one user of the world.
type puller struct {
	user  tidemark.UserID
	store *client.Memory
}

const pullerID = tidemark.DeviceID("puller")

func (p *puller) who() invariant.Who { return invariant.Who{User: p.user, Device: pullerID} }

// pull lets the device pull until there is no more, as if it had come and gone: nothing but what is stored stays.
func (w *world) pull(p *puller) {
	s := w.server
	if s == nil || s.set.Health() != nil || s.set.OfUser(p.user).Full() {
		return
	}
	err := p.store.Update(func(tx client.Tx) error {
		if fresh, err := replica.CheckFormat(tx); err != nil || fresh {
			if err = errors.Join(err, tx.Put(replica.FormatKey, []byte(replica.Format))); err != nil {
				return err
			}
		}
		r, err := replica.Load(replica.Config{Device: pullerID, Backfill: replica.FillAll, Tail: 3, Full: 2}, tx)
		if err != nil {
			return err
		}
		for more := true; more && err == nil; {
			more, err = w.pullOnce(p, r, tx)
		}
		return err
	})
	if err != nil {
		w.broken("Y4", p.who(), "", 0, "a device that pulls gets no further: "+err.Error())
	}
}

// pullOnce is one pull, told to the replica as a connection would.
func (w *world) pullOnce(p *puller, r *replica.Replica, tx client.Tx) (more bool, err error) {
	out, err := r.Connect(tx, w.nowMs, "")
	if err != nil || len(out.Frames) == 0 {
		return false, errors.Join(err, errors.New("the replica says no hello"))
	}
	hello := out.Frames[0].GetHello()
	ask := &wire.PullRequest{DeviceId: string(pullerID), Cursor: hello.GetCursor(), Tail: hello.GetTail(), Full: hello.GetFull()}
	answer, err := session.Pull(w.ctx, session.Config{
		User: p.user, Device: pullerID, Platform: "sim", Client: "sim/1", Set: w.server.set, NowMs: w.serverMs, Entropy: w.server.entropy,
	}, ask)
	if err != nil {
		return false, err
	}
	w.checkAnswer(p.who(), ask, answer)
	frames := []*wire.ServerFrame{
		{Frame: &wire.ServerFrame_Welcome{Welcome: &wire.Welcome{
			User: string(p.user), DeviceId: string(pullerID), Epoch: answer.Epoch, Partitions: answer.Partitions, Reset_: answer.Reset_, HeartbeatMs: heartbeatMs,
		}}},
		{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{Conversations: answer.Conversations, Profiles: answer.Profiles}}},
		{Frame: &wire.ServerFrame_Synced{Synced: &wire.Synced{Cursor: answer.Cursor}}},
	}
	nowMs := w.nowMs
	for endMs := nowMs + heartbeatMs/2; ; {
		switch due := r.DeadlineMs(); {
		case len(frames) > 0:
			out, err = r.Receive(tx, nowMs, frames[0])
			frames = frames[1:]
		case due > 0 && due <= endMs: // it waits a little before it asks for what may be on the way
			nowMs = max(nowMs, due)
			out, err = r.Tick(tx, nowMs)
		default:
			out, err = r.Disconnect(tx, nowMs)
			put(tx, out.Writes)
			return answer.HasMore, err
		}
		if err = errors.Join(err, out.Fatal); err != nil {
			return false, err
		}
		put(tx, out.Writes)
		for _, f := range out.Frames {
			frames = append(frames, w.serve(p, f)...)
		}
	}
}

// serve answers what the replica asks for beside pulling: pages, by HTTP.
func (w *world) serve(p *puller, f *wire.ClientFrame) []*wire.ServerFrame {
	switch f := f.Frame.(type) {
	case *wire.ClientFrame_Fetch:
		page, err := w.server.set.Fetch(p.user, f.Fetch)
		if err != nil {
			refused := tidemark.Refuse(tidemark.Internal, "%v", err)
			errors.As(err, &refused)
			return []*wire.ServerFrame{wire.ErrorFrame(f.Fetch.Request, refused)}
		}
		return []*wire.ServerFrame{{Frame: &wire.ServerFrame_Fetched{Fetched: page}}}
	case *wire.ClientFrame_Ack:
		for n := range w.server.set.Partitions() { // in one order
			w.server.set.Ack(p.user, pullerID, n, tidemark.Position(f.Ack.GetCursor().GetPositions()[n]))
		}
	}
	return nil
}

func put(tx client.Tx, writes []replica.Write) {
	for _, write := range writes {
		if write.Value == nil {
			_ = tx.Delete(write.Key) // of a store in memory
		} else {
			_ = tx.Put(write.Key, write.Value)
		}
	}
}

// state is what the device has stored.
func (p *puller) state() (state *invariant.State, err error) {
	err = p.store.View(func(v replica.View) error {
		r, err := replica.Load(replica.Config{Device: pullerID}, v)
		if err != nil {
			return fmt.Errorf("what a device that pulls has stored: %w", err)
		}
		if state, err = invariant.StateOf(p.who(), r, v); err == nil {
			state.Pulls = true
		}
		return err
	})
	return state, err
}
