// SPDX-License-Identifier: Apache-2.0

// The authors: each says its lines from its first device, as fast as they are acknowledged.

package replay

import (
	"context"
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
)

// unansweredMax is how many lines an author says before the first of them must be acknowledged.
const unansweredMax = 16

// speak says the lines of one author.
func (r *run) speak(ctx context.Context, author int) error {
	d := r.devices[author] // first devices come first
	var said []sent
	answered := 0
	settle := func(upTo int) error {
		for ; answered < upTo; answered++ {
			m, err := d.WaitSent(ctx, said[answered].clientID)
			if err != nil {
				return fmt.Errorf("replay: %s, line %d: %w", d.name, answered+1, err)
			}
			said[answered].seq = m.Seq
			r.count()
		}
		return nil
	}
	for _, line := range r.Script.Lines {
		if line.Author != author {
			continue
		}
		conversation := r.Script.Conversations[line.Conversation]
		id, err := d.Send(ctx, tidemark.ConversationID(conversation), line.Text)
		if err != nil {
			return fmt.Errorf("replay: %s, line %d: %w", d.name, len(said)+1, err)
		}
		said = append(said, sent{conversation: conversation, clientID: id, text: line.Text})
		if err := settle(len(said) - unansweredMax); err != nil {
			return err
		}
	}
	if err := settle(len(said)); err != nil {
		return err
	}
	r.remember(d.name, said...)
	return nil
}

// remember notes what a device has sent.
func (r *run) remember(device string, lines ...sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent[device] = append(r.sent[device], lines...)
}
