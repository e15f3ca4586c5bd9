// SPDX-License-Identifier: Apache-2.0

// Giving back what a restored server lost, and sending again what it lost for good.

package client

import (
	"context"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// giver offers to the server what the replica says that it has lost, one offer after the other, until the connection ends.
func (c *Client) giver(ctx context.Context, l *link) {
	for {
		var offer *wire.GiveBackRequest
		select {
		case offer = <-l.offers:
		case <-ctx.Done():
			return
		}
		answer, err := c.calls.sync.GiveBack(ctx, offer)
		if ctx.Err() != nil {
			return
		}
		c.cfg.Logger.Info("offered what the server lost", "conversation", offer.Conversation, "events", len(offer.Events),
			"taken", answer.GetTaken(), "err", refused(err))
		if err := c.do(func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
			return r.GaveBack(v, nowMs, offer, answer, refused(err))
		}); err != nil {
			return // the store has failed, which ends the connection
		}
	}
}

// Resend sends a message again that the server lost: one of [HistoryChanged.Own]. It keeps its client id, so that it is at
// the server once, also if another device sends it again or the server gets it back; for the rest it is as new.
func (c *Client) Resend(ctx context.Context, lost Message) error {
	return c.doWithin(ctx, func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
		if lost.Content == nil || lost.Sender != r.User() {
			return replica.Output{}, tidemark.Refuse(tidemark.BadArgument, "event %d of %s is no message of one's own", lost.Seq, lost.Conversation)
		}
		body := &wire.Body{Body: &wire.Body_Message{Message: lost.Content}}
		return r.Submit(v, nowMs, lost.Conversation, "", lost.ClientID, body)
	})
}
