// SPDX-License-Identifier: Apache-2.0

// What users do on their devices.

package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// actions are all that can be planned, by name: here those on devices, in calls_of_*.go those by HTTP. Each answers what it
// came to.
var actions = map[string]func(w *world, chance *rand.Rand) string{
	"send":    func(w *world, chance *rand.Rand) string { return w.sendMessage(chance, &wire.Message{}) },
	"burst":   burst,
	"direct":  sendDirect,
	"reply":   reply,
	"mention": mention,
	"transient": func(w *world, chance *rand.Rand) string {
		return w.sendMessage(chance, &wire.Message{Class: wire.MessageClass_TRANSIENT})
	},
	"edit": func(w *world, chance *rand.Rand) string {
		return w.change(chance, true, func(seq uint64) *wire.Body {
			return &wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: seq, Message: w.message(chance, &wire.Message{})}}}
		})
	},
	"recall": func(w *world, chance *rand.Rand) string {
		return w.change(chance, chance.IntN(4) > 0, func(seq uint64) *wire.Body {
			return &wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: seq}}}
		})
	},
	"react": func(w *world, chance *rand.Rand) string {
		return w.change(chance, false, func(seq uint64) *wire.Body {
			return &wire.Body{Body: &wire.Body_Reaction{Reaction: &wire.Reaction{
				Seq: seq, Key: []string{"+1", "heart", "no"}[chance.IntN(3)], Removed: chance.IntN(3) == 0,
			}}}
		})
	},
	"pin": func(w *world, chance *rand.Rand) string {
		return w.change(chance, false, func(seq uint64) *wire.Body {
			return &wire.Body{Body: &wire.Body_Pin{Pin: &wire.Pin{Seq: seq, Removed: chance.IntN(3) == 0}}}
		})
	},
	"read":   read,
	"typing": typing,
	"fetch":  fetchOnDevice,
	"watch":  watch,
	"retry":  retry,
}

func init() {
	for _, more := range []map[string]func(w *world, chance *rand.Rand) string{messageCalls, memberCalls, userCalls, accountCalls} {
		for name, do := range more {
			actions[name] = do
		}
	}
}

// on is a device that is on, drawn; nil if the lot fell on one that is off.
func (w *world) on(chance *rand.Rand) *device {
	d := w.devices[chance.IntN(len(w.devices))]
	if d.replica == nil {
		return nil
	}
	return d
}

// conversationOf is one of the conversations that a device knows; nil: none.
func (d *device) conversationOf(chance *rand.Rand) *replica.Conversation {
	list := d.replica.Conversations()
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b *replica.Conversation) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return list[chance.IntN(len(list))]
}

// some is a device that is on and one of its conversations; false: the lot fell on one without.
func (w *world) some(chance *rand.Rand) (*device, *replica.Conversation, bool) {
	d := w.on(chance)
	if d == nil {
		return nil, nil, false
	}
	c := d.conversationOf(chance)
	return d, c, c != nil
}

// message fills in a text that no other has.
func (w *world) message(chance *rand.Rand, m *wire.Message) *wire.Message {
	w.texts++
	m.Type, m.Text = "text", fmt.Sprintf("text %d", w.texts)
	if chance.IntN(20) == 0 {
		m.Data = make([]byte, 1+chance.IntN(3_000))
	}
	if chance.IntN(15) == 0 && m.Class == wire.MessageClass_NORMAL {
		m.Class = wire.MessageClass_SILENT
	}
	return m
}

// submit puts something into a device's outbox.
func (d *device) submit(in tidemark.ConversationID, to tidemark.UserID, body *wire.Body) string {
	d.sent++
	id := tidemark.ClientID(fmt.Sprintf("%s-%s-%d-%d", d.user, d.id, d.life, d.sent))
	err := d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
		return r.Submit(v, nowMs, in, to, id, body)
	})
	a := d.about()
	if a.conversation = in; to != "" {
		a.conversation = tidemark.Direct(d.user, to)
	}
	d.w.say(a, "submits %s to %s: %T", id, a.conversation, body.Body)
	return fmt.Sprintf("%s submits %s to %s%s%s", d.who(), id, in, to, errText(err))
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

func (w *world) sendMessage(chance *rand.Rand, m *wire.Message) string {
	d, c, ok := w.some(chance)
	if !ok {
		return "nobody can"
	}
	return d.submit(c.ID, "", &wire.Body{Body: &wire.Body_Message{Message: w.message(chance, m)}})
}

func burst(w *world, chance *rand.Rand) string {
	d, c, ok := w.some(chance)
	if !ok {
		return "nobody can"
	}
	n := 10 + chance.IntN(80)
	for range n {
		if d.replica == nil {
			break
		}
		d.submit(c.ID, "", &wire.Body{Body: &wire.Body_Message{Message: w.message(chance, &wire.Message{})}})
	}
	return fmt.Sprintf("%s submits %d to %s", d.who(), n, c.ID)
}

func sendDirect(w *world, chance *rand.Rand) string {
	d, to := w.on(chance), w.users[chance.IntN(len(w.users))].id
	if d == nil || to == d.user {
		return "nobody can"
	}
	return d.submit("", to, &wire.Body{Body: &wire.Body_Message{Message: w.message(chance, &wire.Message{})}})
}

// seqOf is a message of a conversation that a device stores, of the user's own or of anybody; 0: there is none.
func (d *device) seqOf(c *replica.Conversation, chance *rand.Rand, own bool) (seq uint64) {
	_ = d.store.View(func(v replica.View) error {
		list, err := replica.Messages(v, d.user, c.ID, 1, c.HeadSeq, 30, true)
		list = slices.DeleteFunc(list, func(m replica.Message) bool { return m.Kind != replica.KindMessage || own && m.Sender != d.user })
		if len(list) > 0 {
			seq = uint64(list[chance.IntN(len(list))].Seq)
		}
		return err
	})
	return seq
}

func reply(w *world, chance *rand.Rand) string {
	d, c, ok := w.some(chance)
	if !ok {
		return "nobody can"
	}
	m := &wire.Message{ReplyTo: d.seqOf(c, chance, false)}
	if chance.IntN(2) == 0 {
		m.ReplyTo, m.Thread = 0, m.ReplyTo
	}
	return d.submit(c.ID, "", &wire.Body{Body: &wire.Body_Message{Message: w.message(chance, m)}})
}

func mention(w *world, chance *rand.Rand) string {
	m := &wire.Message{MentionAll: chance.IntN(3) == 0}
	for range chance.IntN(3) {
		m.Mentions = append(m.Mentions, string(w.users[chance.IntN(len(w.users))].id))
	}
	slices.Sort(m.Mentions)
	m.Mentions = slices.Compact(m.Mentions)
	return w.sendMessage(chance, m)
}

// change submits something about a message.
func (w *world) change(chance *rand.Rand, own bool, body func(seq uint64) *wire.Body) string {
	d, c, ok := w.some(chance)
	if !ok {
		return "nobody can"
	}
	seq := d.seqOf(c, chance, own)
	if seq == 0 {
		return "there is no message"
	}
	return fmt.Sprint(d.submit(c.ID, "", body(seq)), " about ", seq)
}

func read(w *world, chance *rand.Rand) string {
	d, c, ok := w.some(chance)
	if !ok || c.HeadSeq == 0 {
		return "nobody can"
	}
	seq := c.HeadSeq
	if chance.IntN(3) == 0 {
		seq = 1 + tidemark.Seq(chance.Uint64N(uint64(seq)))
	}
	err := d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
		return r.MarkRead(v, nowMs, c.ID, seq)
	})
	return fmt.Sprintf("%s reads %s up to %d%s", d.who(), c.ID, seq, errText(err))
}

func typing(w *world, chance *rand.Rand) string {
	d, c, ok := w.some(chance)
	if !ok {
		return "nobody can"
	}
	on := chance.IntN(2) == 0
	err := d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
		return r.Typing(v, nowMs, c.ID, on)
	})
	return fmt.Sprintf("%s types in %s: %v%s", d.who(), c.ID, on, errText(err))
}

func fetchOnDevice(w *world, chance *rand.Rand) string {
	d, c, ok := w.some(chance)
	if !ok {
		return "nobody can"
	}
	page := replica.Page{Limit: chance.IntN(30)}
	any := tidemark.Seq(chance.Uint64N(uint64(c.HeadSeq) + 2))
	switch chance.IntN(6) {
	case 0:
		page.After = any + 1
	case 1:
		page.Before = any + 1
	case 2:
		page.AtMs = w.nowMs - chance.Uint64N(60_000)
	case 3:
		page.HourMs = w.nowMs
	case 4:
		page.Latest = true
	case 5:
		page.Start = true
	}
	d.pages++
	token := d.pages
	err := d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
		return r.Fetch(v, nowMs, token, c.ID, page)
	})
	return fmt.Sprintf("%s fetches %+v of %s%s", d.who(), page, c.ID, errText(err))
}

func watch(w *world, chance *rand.Rand) string {
	d := w.on(chance)
	if d == nil {
		return "nobody can"
	}
	var users []tidemark.UserID
	for _, u := range w.users {
		if chance.IntN(2) == 0 {
			users = append(users, u.id)
		}
	}
	err := d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
		return r.Watch(v, nowMs, users)
	})
	return fmt.Sprintf("%s watches %v%s", d.who(), users, errText(err))
}

// retry sends what was refused again, or gives it up.
func retry(w *world, chance *rand.Rand) string {
	d := w.on(chance)
	if d == nil {
		return "nobody can"
	}
	for _, o := range d.replica.Outbox() {
		if o.State != replica.Failed {
			continue
		}
		again := chance.IntN(2) == 0
		err := d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
			if again {
				return r.Retry(v, nowMs, o.ClientID)
			}
			return r.Discard(v, nowMs, o.ClientID)
		})
		return fmt.Sprintf("%s: %s, again %v%s", d.who(), o.ClientID, again, errText(err))
	}
	return "nothing has failed"
}
