// SPDX-License-Identifier: Apache-2.0

// What must hold when all is said.

package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// settle lets the slow ones hurry and the visitors stay, waits until every device has what the server has, and checks it.
func (r *run) settle(ctx context.Context) error {
	begin := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, r.QuietMax, fmt.Errorf("replay: not all devices agree after %s", r.QuietMax))
	defer cancel()
	for _, d := range r.devices {
		if d.open != nil {
			d.open.Store(true)
		}
	}
	for _, v := range r.visitors {
		r.report.Visits += v.visits
		if err := r.stay(ctx, v); err != nil {
			return err
		}
	}
	truth, err := r.readLogs(ctx)
	if err != nil {
		return err
	}
	if err := r.checkLogs(truth); err != nil {
		return err
	}
	for _, d := range r.devices {
		if err := agrees(ctx, d, truth); err != nil {
			return err
		}
	}
	r.report.Quiet = time.Since(begin)
	r.say("all devices agree with the server after %s", r.report.Quiet.Round(time.Millisecond))
	return nil
}

// stay opens a visitor for the last time, until everything of its own is acknowledged and it has what the server has.
func (r *run) stay(ctx context.Context, v *visitor) error {
	c, store, err := v.open()
	if err != nil {
		return err
	}
	defer store.Close()
	ctx, cancel := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := c.Run(ctx); ctx.Err() == nil {
			return fmt.Errorf("replay: device %s stopped by itself: %w", v.name, err)
		}
		return nil
	})
	group.Go(func() error {
		defer cancel()
		for _, o := range c.Outbox() {
			if _, err := c.WaitSent(ctx, o.ClientID); err != nil {
				return fmt.Errorf("replay: device %s (%s) waits for %s, sent to %s and %s: %w", v.name, c.State(), o.ClientID, o.Conversation, o.State, err)
			}
		}
		truth, err := r.readLogs(ctx)
		if err != nil {
			return err
		}
		return agrees(ctx, &device{Client: c, name: v.name, user: r.Script.Authors[v.author]}, truth)
	})
	return group.Wait()
}

// conversationLog is a conversation as the server has it.
type conversationLog struct {
	head     tidemark.Seq
	digest   tidemark.Digest
	messages []*wire.Event
	unread   map[string]uint64 // user -> messages of others since the user's own last one
}

// readLogs reads every conversation from the server.
func (r *run) readLogs(ctx context.Context) (map[string]*conversationLog, error) {
	logs := map[string]*conversationLog{}
	for _, conversation := range r.Script.Conversations {
		log := &conversationLog{unread: map[string]uint64{}}
		digest, err := r.app.ReadLog(ctx, r.members[len(r.members)-1], conversation, func(event *wire.Event) error {
			log.head = tidemark.Seq(event.Seq)
			if event.Sender == string(tidemark.SystemUser) {
				return nil
			}
			log.messages = append(log.messages, event)
			for _, user := range r.Script.Authors {
				log.unread[user]++
			}
			log.unread[event.Sender] = 0
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("replay: read %s from the server: %w", conversation, err)
		}
		log.digest = digest
		logs[conversation] = log
	}
	return logs, nil
}

// checkLogs holds the server's logs against what was sent: everything once, as written, at the acknowledged place, each
// device's lines in order, and nothing else.
func (r *run) checkLogs(truth map[string]*conversationLog) error {
	type place struct {
		seq  uint64
		text string
	}
	stored := map[string]place{} // conversation, sender, client id
	total, expected := 0, 0
	for conversation, log := range truth {
		for _, event := range log.messages {
			var body wire.Body
			if err := body.UnmarshalVT(event.Body); err != nil {
				return fmt.Errorf("replay: body of %s/%d: %w", conversation, event.Seq, err)
			}
			key := conversation + "\x00" + event.Sender + "\x00" + event.ClientId
			if twice, found := stored[key]; found {
				return fmt.Errorf("replay: DOUBLED: %s of %s stands in %s at %d and at %d", event.ClientId, event.Sender, conversation, twice.seq, event.Seq)
			}
			stored[key] = place{event.Seq, body.GetMessage().GetText()}
			total++
		}
	}
	for device, lines := range r.sent {
		user, _, _ := strings.Cut(device, "/")
		last := map[string]uint64{}
		for i, line := range lines {
			expected++
			at, found := stored[line.conversation+"\x00"+user+"\x00"+string(line.clientID)]
			switch {
			case !found:
				return fmt.Errorf("replay: LOST: line %d of %s (%s in %s, acknowledged at %d) is not in the log", i+1, device, line.clientID, line.conversation, line.seq)
			case at.text != line.text:
				return fmt.Errorf("replay: CHANGED: line %d of %s was %q and is %q", i+1, device, line.text, at.text)
			case line.seq != 0 && uint64(line.seq) != at.seq:
				return fmt.Errorf("replay: MOVED: line %d of %s was acknowledged at %d of %s and stands at %d", i+1, device, line.seq, line.conversation, at.seq)
			case at.seq <= last[line.conversation]:
				return fmt.Errorf("replay: DISORDER: line %d of %s stands at %d of %s, after one at %d that it sent before", i+1, device, at.seq, line.conversation, last[line.conversation])
			}
			last[line.conversation] = at.seq
		}
	}
	if total != expected {
		return fmt.Errorf("replay: INVENTED: %d messages are stored, %d were sent", total, expected)
	}
	r.say("all %d lines are in the logs, once each and in order", total)
	return nil
}

// agrees waits until a device has what the server has of every conversation.
func agrees(ctx context.Context, d *device, truth map[string]*conversationLog) error {
	for conversation, log := range truth {
		for {
			err := differs(d.Client, d.user, conversation, log)
			if err == nil {
				break
			}
			if waited := pause(ctx, 20*time.Millisecond); waited != nil {
				return fmt.Errorf("replay: device %s (%s) disagrees on %s: %w; %w", d.name, d.State(), conversation, err, waited)
			}
		}
	}
	if left := d.Outbox(); len(left) > 0 {
		return fmt.Errorf("replay: device %s still has %d lines to send: %+v", d.name, len(left), left[0])
	}
	return nil
}

// differs says in what a device differs from the server.
func differs(c *client.Client, user, conversation string, log *conversationLog) error {
	seq, digest, err := c.Digest(tidemark.ConversationID(conversation))
	if err != nil {
		return err
	}
	if seq != log.head || digest != log.digest {
		return fmt.Errorf("it has %d events with digest %s, the server %d with %s", seq, digest, log.head, log.digest)
	}
	messages, err := c.Messages(tidemark.ConversationID(conversation), 1, log.head)
	if err != nil {
		return err
	}
	if len(messages) != int(log.head) {
		return fmt.Errorf("it shows %d of %d events", len(messages), log.head)
	}
	shown, found := c.Conversation(tidemark.ConversationID(conversation))
	if !found {
		return errors.New("it does not list the conversation")
	}
	if shown.Unread != log.unread[user] {
		return fmt.Errorf("it shows %d unread, %d are", shown.Unread, log.unread[user])
	}
	return nil
}
