// SPDX-License-Identifier: Apache-2.0

// What users do by HTTP with messages.

package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/contract"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// messageCalls are the actions of this file.
var messageCalls = map[string]func(w *world, chance *rand.Rand) string{
	"call send":  callSend,
	"call burst": callBurst,
	"call read":  callRead,
	"call fetch": callFetch,
	"erase": func(w *world, chance *rand.Rand) string {
		return w.callAbout(chance, func(u tidemark.UserID, id tidemark.ConversationID, seq tidemark.Seq) core.Command {
			return &core.Erase{Actor: core.Actor{User: u}, Conversation: id, Seq: seq}
		})
	},
	"delete": func(w *world, chance *rand.Rand) string {
		return w.callAbout(chance, func(u tidemark.UserID, id tidemark.ConversationID, seq tidemark.Seq) core.Command {
			w.checks.withdraw(id, seq, seq)
			return &core.Delete{User: u, Conversation: id, Seqs: []tidemark.Seq{seq}}
		})
	},
	"clear": func(w *world, chance *rand.Rand) string {
		return w.callAbout(chance, func(u tidemark.UserID, id tidemark.ConversationID, seq tidemark.Seq) core.Command {
			w.checks.withdraw(id, 1, seq)
			return &core.Clear{User: u, Conversation: id, Seq: seq}
		})
	},
	"settings":   settings,
	"draft":      draft,
	"schedule":   schedule,
	"unschedule": unschedule,
	"receipts":   receipts,
	"badge":      badge,
	"pull":       pull,
}

// anyone is a user.
func (w *world) anyone(chance *rand.Rand) tidemark.UserID {
	return w.users[chance.IntN(len(w.users))].id
}

// anywhere is a conversation: a group, or a direct one, that may exist or not.
func (w *world) anywhere(chance *rand.Rand) tidemark.ConversationID {
	if chance.IntN(4) == 0 {
		a, b := w.anyone(chance), w.anyone(chance)
		if a != b {
			return tidemark.Direct(a, b)
		}
	}
	return w.groups[chance.IntN(len(w.groups))]
}

// headOf is the last seq of a conversation; 0: there is none.
func (w *world) headOf(id tidemark.ConversationID) tidemark.Seq {
	if w.server == nil {
		return 0
	}
	p := w.server.set.Of(id)
	info, err := p.Info(id)
	if err != nil || info == nil {
		return 0
	}
	head, err := p.Head(info.Ordinal)
	if err != nil {
		return 0
	}
	return head.Seq
}

// callAs makes a call of a user that is repeated until it is answered.
func (w *world) callAs(chance *rand.Rand, u tidemark.UserID, command func() core.Command) {
	w.call(chance, &call{who: invariant.Who{User: u}, command: command, tries: chance.IntN(4)})
}

// callAbout makes a call about some message.
func (w *world) callAbout(chance *rand.Rand, command func(tidemark.UserID, tidemark.ConversationID, tidemark.Seq) core.Command) string {
	u, id := w.anyone(chance), w.anywhere(chance)
	head := w.headOf(id)
	if head == 0 {
		return "there is nothing"
	}
	seq := head - tidemark.Seq(chance.Uint64N(min(uint64(head), 20)))
	w.callAs(chance, u, func() core.Command { return command(u, id, seq) })
	return fmt.Sprintf("%s, %d of %s", u, seq, id)
}

func callSend(w *world, chance *rand.Rand) string {
	return callSendTo(w, chance, w.anyone(chance), w.anywhere(chance))
}

// callBurst sends more at once than one delta takes.
func callBurst(w *world, chance *rand.Rand) string {
	u, id := w.anyone(chance), w.anywhere(chance)
	n := 66 + chance.IntN(70)
	for range n {
		callSendTo(w, chance, u, id)
	}
	return fmt.Sprintf("%d messages of %s to %s", n, u, id)
}

func callSendTo(w *world, chance *rand.Rand, u tidemark.UserID, id tidemark.ConversationID) string {
	c, clientID := w.sendCall(chance, u, id)
	w.call(chance, c)
	return fmt.Sprintf("%s submits %s to %s by a call", c.who, clientID, id)
}

// sendCall is a call by which a user, or the app, sends a message.
func (w *world) sendCall(chance *rand.Rand, u tidemark.UserID, id tidemark.ConversationID) (c *call, clientID string) {
	who, actor := invariant.Who{User: u}, core.Actor{User: u}
	if chance.IntN(6) == 0 {
		who, actor = invariant.Who{}, core.Actor{App: true}
	}
	m := w.message(chance, &wire.Message{})
	clientID = fmt.Sprintf("call-%d", w.texts)
	n, epoch := tidemark.PartitionOfConversation(id, w.profile.Partitions), w.epoch
	return &call{
		who:     who,
		request: &wire.SubmitRequest{ClientId: clientID, Conversation: string(id), Action: &wire.SubmitRequest_Message{Message: m}},
		command: func() core.Command {
			return &core.Submit{Actor: actor, Conversation: id, ClientID: tidemark.ClientID(clientID), Message: m}
		},
		answer: func(r core.Reply) proto.Message {
			a := &wire.Submitted{
				Conversation: string(id), Seq: uint64(r.Seq), Id: uint64(r.ID), TimeMs: r.TimeMs, Partition: n, Position: uint64(r.Position),
				Duplicate: r.Duplicate, Counted: r.Counted,
			}
			if !r.Transient {
				a.Digest, a.Salt = r.Digest[:], r.Salt[:]
			}
			return a
		},
		then: func(r core.Reply) {
			if r.Err == nil && r.Seq > 0 && w.isNow(epoch) {
				w.noteAck(ack{cmp.Or(actor.User, tidemark.SystemUser), id, tidemark.ClientID(clientID), r.Seq, n, r.Position})
			}
		},
		tries: chance.IntN(4),
	}, clientID
}

// isNow reports whether what was said under an epoch still holds: no older copy has come in its place since.
func (w *world) isNow(epoch tidemark.Epoch) bool { return w.epoch == epoch }

// noteAck remembers what the server has said to be stored.
func (w *world) noteAck(a ack) {
	w.counts.Messages++
	w.acked = append(w.acked, a)
}

func callRead(w *world, chance *rand.Rand) string {
	u, id := w.anyone(chance), w.anywhere(chance)
	seq := tidemark.Seq(chance.Uint64N(uint64(w.headOf(id)) + 2))
	w.callAs(chance, u, func() core.Command { return &core.Read{User: u, Conversation: id, Seq: seq} })
	return fmt.Sprintf("%s reads %s up to %d by a call", u, id, seq)
}

func callFetch(w *world, chance *rand.Rand) string {
	u, id := w.anyone(chance), w.anywhere(chance)
	ask := &wire.FetchRequest{Conversation: string(id), Limit: chance.Uint32N(30)}
	any := chance.Uint64N(uint64(w.headOf(id)) + 2)
	switch chance.IntN(5) {
	case 0:
		ask.From = &wire.FetchRequest_After{After: any}
	case 1:
		ask.From = &wire.FetchRequest_Before{Before: any + 1}
	case 2:
		ask.From = &wire.FetchRequest_At{At: w.nowMs - chance.Uint64N(60_000)}
	case 3:
		ask.From = &wire.FetchRequest_Hour{Hour: w.nowMs}
	case 4:
		ask.From = &wire.FetchRequest_Latest{Latest: true}
	}
	w.call(chance, &call{who: invariant.Who{User: u}, request: ask, read: func(s *server) (proto.Message, error) {
		f := &wire.Fetch{Conversation: ask.Conversation, Limit: ask.Limit}
		switch from := ask.From.(type) {
		case *wire.FetchRequest_After:
			f.From = &wire.Fetch_After{After: from.After}
		case *wire.FetchRequest_Before:
			f.From = &wire.Fetch_Before{Before: from.Before}
		case *wire.FetchRequest_At:
			f.From = &wire.Fetch_At{At: from.At}
		case *wire.FetchRequest_Hour:
			f.From = &wire.Fetch_Hour{Hour: from.Hour}
		case *wire.FetchRequest_Latest:
			f.From = &wire.Fetch_Latest{Latest: from.Latest}
		}
		return s.set.Fetch(u, f)
	}})
	return fmt.Sprintf("%s fetches %v of %s by a call", u, ask.From, id)
}

func settings(w *world, chance *rand.Rand) string {
	u, id, on := w.anyone(chance), w.anywhere(chance), chance.IntN(2) == 0
	alias, what := fmt.Sprintf("alias %d", chance.IntN(9)), chance.IntN(5)
	w.callAs(chance, u, func() core.Command {
		c := &core.Settings{User: u, Conversation: id}
		switch what {
		case 0:
			c.Pinned = &on
		case 1:
			c.Muted = &on
		case 2:
			c.Hidden = &on
		case 3:
			c.MarkedUnread = &on
		case 4:
			c.Alias = &alias
		}
		return c
	})
	return fmt.Sprintf("%s in %s", u, id)
}

func draft(w *world, chance *rand.Rand) string {
	u, id, text := w.anyone(chance), w.anywhere(chance), ""
	if chance.IntN(3) > 0 {
		text = fmt.Sprintf("draft %d", chance.IntN(1000))
	}
	w.callAs(chance, u, func() core.Command { return &core.Settings{User: u, Conversation: id, Draft: &wire.Draft{Text: text}} })
	return fmt.Sprintf("%s in %s: %q", u, id, text)
}

func schedule(w *world, chance *rand.Rand) string {
	u, id := w.anyone(chance), w.anywhere(chance)
	w.scheduled++
	m, clientID := w.message(chance, &wire.Message{}), tidemark.ClientID(fmt.Sprintf("later-%d", w.scheduled))
	at := w.serverMs() + 200 + chance.Uint64N(20_000)
	w.callAs(chance, u, func() core.Command {
		return &core.Schedule{Submit: &core.Submit{Actor: core.Actor{User: u}, Conversation: id, ClientID: clientID, Message: m}, AtMs: at}
	})
	return fmt.Sprintf("%s schedules %s in %s", u, clientID, id)
}

func unschedule(w *world, chance *rand.Rand) string {
	if w.scheduled == 0 {
		return "there is nothing"
	}
	u, id := w.anyone(chance), w.anywhere(chance)
	clientID := tidemark.ClientID(fmt.Sprintf("later-%d", 1+chance.IntN(w.scheduled)))
	w.callAs(chance, u, func() core.Command {
		return &core.Unschedule{Actor: core.Actor{User: u}, Conversation: id, ClientID: clientID}
	})
	return fmt.Sprintf("%s takes %s in %s back", u, clientID, id)
}

func receipts(w *world, chance *rand.Rand) string {
	u, id := w.anyone(chance), w.anywhere(chance)
	head := w.headOf(id)
	if head == 0 {
		return "there is nothing"
	}
	seq := 1 + chance.Uint64N(uint64(head))
	w.call(chance, &call{
		who: invariant.Who{User: u}, request: &wire.ReceiptsRequest{Conversation: string(id), Seq: seq},
		read: func(s *server) (proto.Message, error) {
			r, err := s.set.Receipts(u, id, tidemark.Seq(seq), partition.ReceiptsAsk{Limit: 100})
			if err != nil {
				return nil, err
			}
			return &wire.ReceiptsResponse{Read: r.Read, Delivered: r.Delivered, Members: r.Members}, nil
		},
	})
	return fmt.Sprintf("%s asks who has read %d of %s", u, seq, id)
}

func badge(w *world, chance *rand.Rand) string {
	u := w.anyone(chance)
	w.call(chance, &call{who: invariant.Who{User: u}, request: &wire.BadgeRequest{}, read: func(s *server) (proto.Message, error) {
		b, err := s.set.Badge(u)
		return &wire.BadgeResponse{Unread: b.Unread, Mentions: b.Mentions, Conversations: b.Conversations}, err
	}})
	return string(u)
}

// pull asks what is new for a bot that has no connection, and acknowledges it.
func pull(w *world, chance *rand.Rand) string {
	u := w.anyone(chance)
	who := invariant.Who{User: u, Device: "bot"}
	ask := &wire.PullRequest{DeviceId: "bot", Tail: 5}
	w.call(chance, &call{who: who, request: ask, read: func(s *server) (proto.Message, error) {
		if s.set.OfUser(u).Full() {
			return nil, tidemark.Refuse(tidemark.Unavailable, "the queue is full")
		}
		answer, err := session.Pull(w.ctx, session.Config{
			User: u, Device: "bot", Platform: "sim", Client: "sim/1", Set: s.set, NowMs: w.serverMs, Entropy: s.entropy,
		}, ask)
		if err != nil {
			return nil, err
		}
		for n := range s.set.Partitions() {
			s.set.Ack(u, "bot", n, tidemark.Position(answer.Cursor.GetPositions()[n]))
		}
		return answer, nil
	}})
	return string(u)
}

// refreshSoon brings the profiles of contacts here, as the SDK does after each synchronisation.
func (d *device) refreshSoon() { d.planned(250, d.refresh) }

func (d *device) refresh() {
	w := d.w
	if w.server == nil || d.conn == nil || !d.synced || w.nowMs < w.partedMs[d] {
		return
	}
	ask, err := d.versions()
	if err != nil {
		panic("sim: what is stored cannot be read: " + err.Error())
	}
	answer, err := contract.Changes(w.server.set, d.user, ask)
	if err != nil {
		w.say(d.about(), "cannot refresh: %v", err)
		return
	}
	life := d.life
	w.after(w.latency()+w.latency(), func() {
		if d.life == life && d.replica != nil {
			d.refreshed(ask, answer)
		}
	})
}
