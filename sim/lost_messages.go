// SPDX-License-Identifier: Apache-2.0

// What a device is told of its own messages that a restore has lost for good: Y3. The app may send them again.

package sim

import (
	"fmt"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// resendMax is how many lost messages an app sends again at once.
const resendMax = 20

// ownMessage names a message that was submitted on a device.
type ownMessage struct {
	conversation tidemark.ConversationID
	clientID     tidemark.ClientID
}

// storedAs says where a message was stored.
type storedAs struct {
	event uint64 // its id
	seq   tidemark.Seq
}

// tell notes which own messages the app is told of as lost: by name, or, of very many, how many there are before those.
func (d *device) tell(n replica.HistoryChanged) {
	for _, m := range n.Own {
		d.told = with(d.told, ownMessage{n.Conversation, m.ClientID})
	}
	if n.OwnEarlier == 0 {
		return
	}
	for m, as := range d.own {
		if m.conversation == n.Conversation && as.seq >= n.From && as.seq < n.Own[0].Seq {
			d.told = with(d.told, m)
		}
	}
}

// historyChanged takes in that a history is another one. Half the time the app sends again what was lost of its user's.
func (d *device) historyChanged(n replica.HistoryChanged) {
	w := d.w
	d.tell(n)
	if len(n.Own) == 0 || w.chance.network.IntN(2) == 0 {
		return
	}
	d.planned(1+w.delay(2_000), func() {
		for _, lost := range n.Own[len(n.Own)-min(len(n.Own), resendMax):] {
			body := &wire.Body{Body: &wire.Body_Message{Message: lost.Content}}
			err := d.do(func(r *replica.Replica, v replica.View, nowMs uint64) (replica.Output, error) {
				return r.Submit(v, nowMs, lost.Conversation, "", lost.ClientID, body)
			})
			w.say(about{n.Conversation, d.user, d.id}, "sends %s again, which was lost%s", lost.ClientID, errText(err))
		}
	})
}

// unheard are notes of a step that the app does not live to hear, though the step was stored.
func (d *device) unheard(outs []replica.Output) {
	for i := range outs {
		for _, n := range outs[i].Notes {
			if n, is := n.(replica.HistoryChanged); is {
				d.tell(n)
			}
		}
	}
}

func with(set map[ownMessage]bool, m ownMessage) map[ownMessage]bool {
	if set == nil {
		set = map[ownMessage]bool{}
	}
	set[m] = true
	return set
}

// noteOwn notes that a message is stored at the server, as the device that has submitted it was told.
func (d *device) noteOwn(m *wire.Submit, a *wire.Submitted) {
	c := d.replica.Conversation(tidemark.ConversationID(a.Conversation))
	own := ownMessage{tidemark.ConversationID(a.Conversation), tidemark.ClientID(m.ClientId)}
	if m.GetMessage() == nil || a.Seq == 0 || c == nil || c.Removed { // who is no member keeps nothing
		delete(d.own, own)
		return
	}
	if d.own == nil {
		d.own = map[ownMessage]storedAs{}
	}
	d.own[own] = storedAs{a.Id, tidemark.Seq(a.Seq)}
}

// noteLeft notes which own messages a device has not come to when a frame says that their user is no member any more: it was
// told that they are stored, has not got the log so far, and so keeps nothing of them. Call what it returns after the frame was
// taken in.
func (d *device) noteLeft(r *replica.Replica, f *wire.ServerFrame) func() {
	removed := slices.ContainsFunc(f.GetDelta().GetConversations(), func(c *wire.ConversationDelta) bool { return c.Removed })
	if len(d.own) == 0 || !removed && f.GetSynced() == nil {
		return func() {}
	}
	before := r.Outbox()
	return func() {
		for _, o := range before {
			c := r.Conversation(o.Conversation)
			if o.State == replica.Stored && r.OutgoingState(o.ClientID) == 0 && c != nil && c.Removed {
				delete(d.own, ownMessage{o.Conversation, o.ClientID})
			}
		}
	}
}

// noteFloors forgets own messages that are no longer kept, or cleared by the user: of what lies there the server says nothing,
// so that no device can tell whether it was lost.
func (d *device) noteFloors() {
	for m, as := range d.own {
		if c := d.replica.Conversation(m.conversation); c != nil && as.seq <= max(c.Floor, tidemark.Seq(max(c.Self.GetVisibleFrom(), 1)-1)) {
			delete(d.own, m)
		}
	}
}

// goOn lets life go on in conversations whose end a restore has lost and nobody has given back: the app posts there, and
// devices hear that what they have kept is lost for good.
func (w *world) goOn() {
	if w.server == nil || w.server.set.TakeBackMs() > 0 {
		return
	}
	for _, id := range w.checks.ids {
		if w.posted[id] || w.checks.logs[id].room() {
			continue
		}
		for _, d := range w.devices {
			if d.replica == nil || !d.synced {
				continue
			}
			c := d.replica.Conversation(id)
			if c == nil || c.Removed {
				continue
			}
			if _, ahead := c.Ahead(); ahead {
				if w.posted == nil {
					w.posted = map[tidemark.ConversationID]bool{}
				}
				w.posted[id] = true
				w.post(id)
				break
			}
		}
	}
}

// post lets the app post a message.
func (w *world) post(id tidemark.ConversationID) {
	m := w.message(w.chance.network, &wire.Message{})
	clientID := tidemark.ClientID(fmt.Sprintf("on-%d", w.texts))
	w.say(about{conversation: id}, "the app posts in %s", id)
	w.call(w.chance.network, &call{command: func() core.Command {
		return &core.Submit{Actor: core.Actor{App: true}, Conversation: id, ClientID: clientID, Message: m}
	}})
}

// checkTold checks Y3 in the end: what a device's own messages have come to. Each is at the server, or still here, or the app
// was told that it is lost. Not looked at: what the user, a recall or the retention has taken away here.
func (w *world) checkTold(d *device, state *invariant.State) {
	here := map[ownMessage]bool{}
	for id, list := range state.Messages {
		for i := range list {
			here[ownMessage{id, list[i].ClientID}] = list[i].Sender == d.user || here[ownMessage{id, list[i].ClientID}]
		}
	}
	for _, o := range state.Outbox {
		here[ownMessage{o.Conversation, o.ClientID}] = true
	}
	for _, id := range w.checks.ids { // what its user has left is another story
		l, c := w.checks.logs[id], d.replica.Conversation(id)
		if c == nil || c.Removed || l.room() {
			continue
		}
		for i := range l.Log {
			if e := l.Log[i].Event; e.Sender == string(d.user) {
				here[ownMessage{id, tidemark.ClientID(e.ClientId)}] = true
			}
		}
		for m, as := range d.own {
			if m.conversation == id && !here[m] && !d.told[m] && !w.checks.withdrawn[as.event] {
				w.broken("Y3", d.who(), id, 0, fmt.Sprintf("%s was stored at the server, which has lost it, and the app was not told", m.clientID))
				return
			}
		}
	}
}
