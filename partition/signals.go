// SPDX-License-Identifier: Apache-2.0

// Signals: what is told to those who are online and not stored: typing, transient messages, receipts, presence.

package partition

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Bounds of what one signal may cost.
const (
	receiptMembersMax  = 32 // in a larger conversation authors hear counts, not names
	deliveredAtOnceMax = 64 // conversations of one acknowledgement whose authors are told
)

// signal tells all online members of a conversation, of a room all who are in it, but one user.
func (p *Partition) signal(c record.Conversation, but tidemark.UserID, sig *wire.Signal) {
	if info, err := p.InfoOf(c); err == nil && info != nil && info.Kind == record.Room {
		p.rooms.signal(p, c, but, sig)
		return
	}
	if _, err := p.loadMembers(c); err != nil {
		p.log.Error("members cannot be read", "conversation", c, "err", err)
		return
	}
	p.online.mu.RLock()
	present := p.present(c, false)
	p.online.mu.RUnlock()
	for _, a := range present {
		if a.user != but {
			p.signalTo(a, sig)
		}
	}
}

func (p *Partition) signalTo(a *audience, sig *wire.Signal) {
	for _, sub := range a.all() {
		p.stats.signals.Add(1)
		sub.Signal(sig)
	}
}

// tellTransients delivers the transient messages of the batch: to all online members, the sender's other sessions too.
func (p *Partition) tellTransients(n int, nowMs uint64) {
	for i := range p.work[:n] {
		if !p.replies[i].Transient {
			continue
		}
		cmd, ok := p.work[i].cmd.(*core.Submit)
		if !ok {
			continue
		}
		info, err := p.infoByID(cmd.Conversation)
		if err != nil || info == nil {
			continue // a direct conversation that does not exist has nobody to tell
		}
		p.signal(info.Ordinal, "", &wire.Signal{Signal: &wire.Signal_Transient{Transient: &wire.TransientSignal{
			Conversation: string(cmd.Conversation), Sender: string(cmd.Actor.User), ClientId: string(cmd.ClientID),
			Message: cmd.Message, TimeMs: nowMs,
		}}})
	}
}
