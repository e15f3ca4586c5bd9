// SPDX-License-Identifier: Apache-2.0

// Reading: the conversation list, messages from the store, and pages of history from the server where the store has gaps.

package client

import (
	"cmp"
	"context"
	"errors"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// Conversations is the conversation list: pinned ones first, then by last activity. Conversations that the user hid, or
// is not a member of any more, are left out.
func (c *Client) Conversations() []*Conversation {
	var list []*Conversation
	c.peek(func(r *replica.Replica) { list = r.Conversations() })
	list = slices.DeleteFunc(list, func(c *Conversation) bool { return c.Removed || c.Self.GetHidden() })
	slices.SortFunc(list, func(a, b *Conversation) int {
		if a.Self.GetPinned() != b.Self.GetPinned() {
			if a.Self.GetPinned() {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.LastTimeMs, a.LastTimeMs), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// Conversation is one entry of the list, also a hidden one or one that the user has left; ok is false when it is not known.
func (c *Client) Conversation(id tidemark.ConversationID) (conversation *Conversation, ok bool) {
	c.peek(func(r *replica.Replica) { conversation = r.Conversation(id) })
	return conversation, conversation != nil
}

// Messages are the stored events From..To of a conversation, ascending; what is not stored is left out: compare
// [Conversation.Gaps].
func (c *Client) Messages(in tidemark.ConversationID, from, to tidemark.Seq) ([]Message, error) {
	return c.stored(in, from, to, 0, false)
}

// stored reads messages and fills in the states of own ones.
func (c *Client) stored(in tidemark.ConversationID, from, to tidemark.Seq, limit int, latestFirst bool) (list []Message, err error) {
	if from > to {
		return nil, nil
	}
	conversation, _ := c.Conversation(in)
	user := c.User()
	err = c.cfg.Store.View(func(v View) error {
		list, err = replica.Messages(v, user, in, from, to, limit, latestFirst)
		return err
	})
	for i := range list {
		if m := &list[i]; m.Sender == user {
			m.State = stateOf(conversation, m.Seq)
		}
	}
	return list, err
}

// stateOf is how far a stored own message has come.
func stateOf(c *Conversation, seq tidemark.Seq) MessageState {
	switch {
	case c == nil:
		return Stored
	case c.Read >= seq:
		return Read
	case c.Delivered >= seq:
		return Delivered
	}
	return Stored
}

// Latest are the last n events of a conversation that are stored without a gap, followed by what waits in the outbox.
func (c *Client) Latest(in tidemark.ConversationID, n int) ([]Message, error) {
	var list []Message
	if conversation, ok := c.Conversation(in); ok && n > 0 && len(conversation.Segments) > 0 {
		last := conversation.Segments[len(conversation.Segments)-1]
		var err error
		if list, err = c.stored(in, last.From, last.To, n, true); err != nil {
			return nil, err
		}
	}
	return append(list, c.Pending(in)...), nil
}

// HistoryPage is a page of history, ascending.
type HistoryPage struct {
	Messages []Message
	More     bool // there is more in the direction asked
}

// History reads a page of history: from the store if it has all of it, otherwise from the server, which fills the store.
// Without a connection it gives what is stored next to the place asked for, and [replica.ErrDisconnected] when that is
// nothing. Of a conversation that the user has left it gives what is stored. Of a room it always asks the server, and
// stores nothing.
func (c *Client) History(ctx context.Context, in tidemark.ConversationID, page Page) (HistoryPage, error) {
	page.Limit = cmp.Or(max(page.Limit, 0), 50)
	if _, room := c.Room(in); room {
		done, err := c.fetch(ctx, in, page)
		return HistoryPage{Messages: done.Messages, More: done.More}, err
	}
	from, to, whole := tidemark.Seq(0), tidemark.Seq(0), false
	conversation, known := c.Conversation(in)
	if known {
		from, to, whole = c.storedPage(conversation, page)
	}
	if !whole && !(known && conversation.Removed) {
		done, err := c.fetch(ctx, in, page)
		switch {
		case err == nil:
			list, err := c.stored(in, done.First, max(done.End, 1)-1, 0, false)
			return HistoryPage{Messages: list, More: done.More}, err
		case !errors.Is(err, replica.ErrDisconnected) || to == 0:
			return HistoryPage{}, err
		}
	}
	list, err := c.stored(in, from, to, 0, false)
	return HistoryPage{Messages: list, More: conversation.MoreThan(from, to, page)}, err
}

// storedPage is the part of a page that is stored next to the place asked for, and whether that is the whole page.
func (c *Client) storedPage(conversation *Conversation, page Page) (from, to tidemark.Seq, whole bool) {
	limit := tidemark.Seq(page.Limit)
	switch {
	case page.AtMs > 0 || page.HourMs > 0:
		return 0, 0, false
	case page.After > 0 || page.Start:
		return conversation.StoredAfter(page.After, limit)
	case page.Before > 0:
		return conversation.StoredBefore(page.Before, limit)
	}
	return conversation.StoredBefore(conversation.Last()+1, limit)
}

// fetch asks the server for a page and waits until it is stored.
func (c *Client) fetch(ctx context.Context, in tidemark.ConversationID, page Page) (replica.Done, error) {
	return c.wait(ctx, func(r *replica.Replica, v View, nowMs, token uint64) (replica.Output, error) {
		return r.Fetch(v, nowMs, token, in, page)
	})
}

// wait runs a step that is answered by a Done with its token, and waits for that.
func (c *Client) wait(ctx context.Context, step func(r *replica.Replica, v View, nowMs, token uint64) (replica.Output, error)) (replica.Done, error) {
	answer := make(chan replica.Done, 1)
	var key uint64
	err := c.doWithin(ctx, func(r *replica.Replica, v View, nowMs uint64) (replica.Output, error) {
		c.page++ // mu is held
		key = c.page
		out, err := step(r, v, nowMs, key)
		if err == nil {
			c.pages[key] = answer
		}
		return out, err
	})
	if err != nil {
		return replica.Done{}, err
	}
	select {
	case done := <-answer:
		return done, done.Err
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.pages, key)
		c.mu.Unlock()
		return replica.Done{}, ctx.Err()
	}
}

// Digest is the chain value at the last stored event of a conversation: the same on every device that is as far.
func (c *Client) Digest(in tidemark.ConversationID) (tidemark.Seq, tidemark.Digest, error) {
	conversation, ok := c.Conversation(in)
	if !ok {
		return 0, tidemark.Digest{}, tidemark.Refuse(tidemark.UnknownConversation, "no conversation %s on this device", in)
	}
	seq, digest := conversation.Digest()
	return seq, digest, nil
}

// Fingerprint is a digest of everything the user sees, for comparing devices of one user: see
// [replica.Replica.Fingerprint].
func (c *Client) Fingerprint(depth int) (digest tidemark.Digest, err error) {
	err = c.read(func(r *replica.Replica, v View) error {
		digest, err = r.Fingerprint(v, depth)
		return err
	})
	return digest, err
}

// StoredProfile is a profile as last told, without asking the server; nil when it is not known.
func (c *Client) StoredProfile(id tidemark.UserID) (profile *wire.Profile, err error) {
	err = c.cfg.Store.View(func(v View) error {
		profile, err = replica.Profile(v, id)
		return err
	})
	return profile, err
}
