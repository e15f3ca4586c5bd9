// SPDX-License-Identifier: Apache-2.0

// What calls are answered, against brute force: pages (S5), counts and receipts (S11).

package sim

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// checkAnswer looks at the answer of a call as the server gives it.
func (w *world) checkAnswer(who invariant.Who, request, answer proto.Message) {
	switch a := answer.(type) {
	case *wire.Fetched:
		w.checkPage(who, request.(*wire.FetchRequest), a)
	case *wire.PullResponse:
		for _, d := range a.Conversations {
			w.checkDelta(who, d)
		}
		w.checkPublished(who, a.Cursor.GetPositions())
	}
}

// checkPage checks that a page shows what the user may see and leaves nothing of it out.
func (w *world) checkPage(who invariant.Who, ask *wire.FetchRequest, a *wire.Fetched) {
	v := w.view(who, tidemark.ConversationID(ask.Conversation))
	if v == nil || ask.Thread > 0 {
		return
	}
	w.checkEvents(who, v, a.Events)
	first, last := max(v.from, v.floor+1), tidemark.Seq(len(v.Log))
	if tidemark.Seq(a.HeadSeq) != last || tidemark.Seq(a.FloorSeq) != first {
		w.broken("S5", who, v.ID, 0, fmt.Sprintf("the page says floor %d and head %d; the user sees %d to %d", a.FloorSeq, a.HeadSeq, first, last))
	}
	backwards := false
	switch from := ask.From.(type) {
	case *wire.FetchRequest_After:
		first = max(first, tidemark.Seq(min(from.After, uint64(last)))+1)
	case *wire.FetchRequest_Before:
		last, backwards = min(last, tidemark.Seq(max(from.Before, 1)-1)), true
	case *wire.FetchRequest_Latest:
		backwards = true
	case *wire.FetchRequest_At:
		for first <= last && v.Log[first-1].Event.TimeMs < from.At {
			first++
		}
	default:
		return
	}
	got := a.Events
	switch {
	case first > last && len(got) == 0:
	case first > last || len(got) == 0:
		w.broken("S5", who, v.ID, first, fmt.Sprintf("the page has %d events; %d to %d were asked for", len(got), first, last))
	case !backwards && tidemark.Seq(got[0].Seq) != first, backwards && tidemark.Seq(got[len(got)-1].Seq) != last:
		w.broken("S5", who, v.ID, first, fmt.Sprintf("the page has %d to %d; %d to %d were asked for, backwards %t", got[0].Seq, got[len(got)-1].Seq, first, last, backwards))
	default:
		for i, e := range got {
			if e.Seq != got[0].Seq+uint64(i) {
				w.broken("S5", who, v.ID, tidemark.Seq(e.Seq), "the page has a hole")
				return
			}
		}
		whole := tidemark.Seq(got[len(got)-1].Seq) == tidemark.Seq(len(v.Log))
		if backwards {
			whole = tidemark.Seq(got[0].Seq) == max(v.from, v.floor+1)
		}
		if a.HasMore == whole {
			w.broken("S9", who, v.ID, 0, fmt.Sprintf("the page says that there is more: %t, and it has all: %t", a.HasMore, whole))
		}
	}
}

// look compares everything that is counted for a user with brute force: badge, counts, receipts of one message, the list and
// the members by contract; and that read marks never fall.
func (w *world) look(user tidemark.UserID) {
	s := w.server
	if s.set.Health() != nil {
		return // it writes no more: what it has taken of acknowledgements is in memory alone
	}
	if w.gone(user) {
		return // conversation by conversation it leaves
	}
	who := invariant.Who{User: user}
	var want partition.Badge
	groups := make(map[tidemark.ConversationID]bool)
	for _, id := range w.checks.ids {
		l := w.checks.logs[id]
		stay, member := l.Member(user)
		if l.room() || !member {
			continue
		}
		v, err := w.viewOf(user, l, stay)
		if err != nil {
			w.broken("S12", who, id, 0, err.Error())
			return
		}
		groups[id] = true
		unread, mentions := v.counts(user)
		w.lookAtCounts(who, v, unread, mentions)
		if !v.member.Muted && !v.member.HiddenAt(tidemark.Seq(len(l.Log))) {
			want.Unread += unread
		}
		want.Mentions += mentions
		if unread > 0 || v.member.MarkedUnread {
			want.Conversations++
		}
		if mark := w.checks.reads[seat{id, user}]; v.member.ReadSeq < mark {
			w.broken("S10", who, id, v.member.ReadSeq, fmt.Sprintf("the read mark falls from %d to %d", mark, v.member.ReadSeq))
		}
		w.checks.reads[seat{id, user}] = v.member.ReadSeq
		w.lookAtReceipts(who, v)
	}
	if got, err := s.set.Badge(user); err != nil || got != want {
		w.broken("S11", who, "", 0, fmt.Sprintf("the badge is %+v (%v), by brute force %+v", got, err, want))
	}
	w.lookAtContracts(who, groups)
}

func (w *world) lookAtCounts(who invariant.Who, v *view, unread, mentions uint64) {
	p := w.server.set.Of(v.ID)
	info, err := p.Info(v.ID)
	if err != nil {
		w.broken("S11", who, v.ID, 0, err.Error())
		return
	}
	gotUnread, gotMentions, err := p.Counts(info.Ordinal, who.User)
	if err != nil || gotUnread != unread || gotMentions != mentions {
		w.broken("S11", who, v.ID, 0, fmt.Sprintf("%d unread and %d mentions (%v), by brute force %d and %d", gotUnread, gotMentions, err, unread, mentions))
	}
	if v.member.ReadSeq > tidemark.Seq(len(v.Log)) {
		w.broken("S10", who, v.ID, v.member.ReadSeq, fmt.Sprintf("the read mark is past the head, %d", len(v.Log)))
	}
}

// lookAtReceipts compares the receipts of one message, drawn, with the marks of all members.
func (w *world) lookAtReceipts(who invariant.Who, v *view) {
	p := w.server.set.Of(v.ID)
	seq := max(v.from, v.floor+1)
	if v.kind == record.Direct || int(seq) > len(v.Log) { // there, who has blocked whom matters too
		return
	}
	seq += tidemark.Seq(w.checks.chance.Uint64N(uint64(len(v.Log)) - uint64(seq) + 1))
	if !isMessage(v.Log[seq-1].Event) {
		return
	}
	var want partition.ReceiptCounts
	for _, reader := range v.Readers(seq) {
		stay, _ := v.Member(reader)
		other, err := w.viewOf(reader, v.logged, stay)
		if err != nil {
			w.broken("S12", invariant.Who{User: reader}, v.ID, 0, err.Error())
			return
		}
		cursors, err := p.Cursors(reader)
		if err != nil {
			w.broken("S12", invariant.Who{User: reader}, v.ID, 0, err.Error())
			return
		}
		received := slices.ContainsFunc(cursors, func(c partition.DeviceCursor) bool { return c.Position >= v.positions[seq-1] })
		want.Members++
		if other.member.ReadSeq >= seq {
			want.Read++
		}
		if received || other.member.ReadSeq >= seq {
			want.Delivered++
		}
	}
	got, err := w.server.set.Receipts(who.User, v.ID, seq, partition.ReceiptsAsk{Limit: 100})
	if err != nil || got.ReceiptCounts != want {
		w.broken("S11", who, v.ID, seq, fmt.Sprintf("receipts are %+v (%v), by brute force %+v", got, err, want))
	}
}

// isMessage reports whether an event was written as a message; of one that was taken back, its kind says so.
func isMessage(e *wire.Event) bool {
	link, _ := invariant.LinkOf(e)
	return link.Kind == 1
}
