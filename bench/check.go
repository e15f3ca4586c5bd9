// SPDX-License-Identifier: Apache-2.0

// Reading a log back and holding it against what was sent: each message exactly once, in order, and the chain of the
// log equal to the digest that was acknowledged.

package bench

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// checkParallel is how many logs are read back at a time.
const checkParallel = 4

// checkPage is how many events are asked for at a time.
const checkPage = 500

// checkSenders reads the conversation of every sender back.
func checkSenders(ctx context.Context, a *App, senders []*sender) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(checkParallel)
	for _, s := range senders {
		group.Go(func() error {
			next := uint64(1)
			digest, err := a.ReadLog(ctx, s.member, s.conversation, func(event *wire.Event) error {
				if event.Sender == string(tidemark.SystemUser) || event.Seq <= s.before {
					return nil
				}
				err := s.isMessage(next, event)
				next++
				return err
			})
			switch {
			case err != nil:
				return fmt.Errorf("bench: WRONG ANSWER: conversation %s: %w", s.conversation, err)
			case next-1 != s.answered:
				return fmt.Errorf("bench: WRONG ANSWER: conversation %s holds %d messages, %d were acknowledged", s.conversation, next-1, s.answered)
			case s.answered > 0 && digest != s.digest:
				return fmt.Errorf("bench: WRONG ANSWER: conversation %s: its chain ends at %s, %x was acknowledged", s.conversation, digest, s.digest)
			}
			return nil
		})
	}
	return group.Wait()
}

// isMessage fails if an event of the log is not message n of the sender.
func (s *sender) isMessage(n uint64, event *wire.Event) error {
	if event.Sender != s.member.User || event.ClientId != s.nameOf(n) {
		return fmt.Errorf("seq %d is %q of %q, want %q of %q", event.Seq, event.ClientId, event.Sender, s.nameOf(n), s.member.User)
	}
	text, err := textOf(event)
	if err == nil && text != s.textOf(n) {
		err = fmt.Errorf("seq %d says %q, %q was sent", event.Seq, text, s.textOf(n))
	}
	return err
}

// textOf is the text of the message in an event; "" where it is none.
func textOf(event *wire.Event) (string, error) {
	var body wire.Body
	if err := body.UnmarshalVT(event.Body); err != nil {
		return "", fmt.Errorf("the body of seq %d: %w", event.Seq, err)
	}
	return body.GetMessage().GetText(), nil
}

// ReadLog fetches a whole conversation as a member, from a device of its own, and calls visit for each event in order.
// It verifies that seqs are dense and that the chain fits what the server says, and returns the chain's last value.
func (a *App) ReadLog(ctx context.Context, m Member, conversation string, visit func(*wire.Event) error) (tidemark.Digest, error) {
	c, err := connectSynced(ctx, dialConfig{address: a.address, token: m.Token, device: "check"})
	if err != nil {
		return tidemark.Digest{}, err
	}
	defer c.close()
	stop := c.until(ctx, time.Now().Add(2*drainMax))
	defer stop()
	digest := chain.Start(tidemark.ConversationID(conversation))
	for seq := uint64(0); ; {
		page, err := c.fetchAfter(conversation, seq)
		if err != nil {
			return digest, err
		}
		for _, event := range page.Events {
			if event.Seq != seq+1 {
				return digest, fmt.Errorf("seq %d follows %d", event.Seq, seq)
			}
			seq = event.Seq
			if digest, err = client.NextDigest(digest, event); err != nil {
				return digest, err
			}
			if err := visit(event); err != nil {
				return digest, err
			}
		}
		if seq >= page.HeadSeq {
			if string(page.HeadDigest) != string(digest[:]) {
				return digest, fmt.Errorf("the chain ends at %s, the server says %x", digest, page.HeadDigest)
			}
			return digest, nil
		}
		if len(page.Events) == 0 {
			return digest, fmt.Errorf("an empty page after seq %d, the head is %d", seq, page.HeadSeq)
		}
	}
}

// fetchAfter asks for the page after a seq.
func (c *conn) fetchAfter(conversation string, seq uint64) (*wire.Fetched, error) {
	return c.fetch(&wire.Fetch{Request: seq + 1, Conversation: conversation, From: &wire.Fetch_After{After: seq}, Limit: checkPage})
}

// fetch asks for a page and waits for it, passing over what else is told.
func (c *conn) fetch(request *wire.Fetch) (*wire.Fetched, error) {
	c.queue(&wire.ClientFrame{Frame: &wire.ClientFrame_Fetch{Fetch: request}})
	if err := c.flush(); err != nil {
		return nil, err
	}
	for {
		payload, err := c.read()
		if err != nil {
			return nil, err
		}
		var frame wire.ServerFrame
		if err := frame.UnmarshalVT(payload); err != nil {
			return nil, err
		}
		switch f := frame.Frame.(type) {
		case *wire.ServerFrame_Fetched:
			return f.Fetched, nil
		case *wire.ServerFrame_Delta, *wire.ServerFrame_Signal:
		default:
			kind, _, _ := skimFrame(payload)
			return nil, unexpected(kind, payload)
		}
	}
}
