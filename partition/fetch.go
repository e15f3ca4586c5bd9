// SPDX-License-Identifier: Apache-2.0

// Fetch: a page of history as one user may see it. The one way in which stored events leave other than by sync, for the
// WebSocket and for HTTP alike.

package partition

import (
	"cmp"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// pageEventsDefault is the page size of a fetch that names none.
const pageEventsDefault = 50

// hourMs is the length of a row of the hour index, ms.
const hourMs = 3600 * 1000

// Sight is what one user may see of a conversation: the events floor < seq <= head.Seq.
type Sight struct {
	Partition *Partition
	Info      *record.Info
	Head      record.Head
	Floor     tidemark.Seq    // nothing at or below is kept, or visible to this user
	Asking    record.User     // the user's ordinal; 0 for the app
	Member    *record.Member  // the user's record; nil for the app
	Private   *record.Private // what the user keeps here; nil: nothing, and for the app
}

// See finds what user may see of a conversation; the empty user is the app, which sees all that is kept. It refuses with
// UNKNOWN_CONVERSATION or NOT_MEMBER.
func (s *Set) See(user tidemark.UserID, id tidemark.ConversationID) (*Sight, error) {
	p := s.Of(id)
	info, err := p.Info(id)
	if err != nil {
		return nil, err
	}
	sight := &Sight{Partition: p, Info: info}
	if sight.Head, err = p.Head(info.Ordinal); err != nil { // before the member: who is one afterwards was one at this head
		return nil, err
	}
	if user != "" {
		if sight.Member, err = p.memberFor(info, user); err != nil {
			return nil, err
		}
		if sight.Member == nil || info.Kind != record.Room && !sight.Member.Active() {
			if info.Kind == record.Direct {
				return nil, unknown(id) // whether two users have one is known to its members only
			}
			return nil, tidemark.Refuse(tidemark.NotMember, "%s is not a member of %s", user, id)
		}
		if sight.Asking, _, err = p.User(user); err != nil {
			return nil, err
		}
		if sight.Member.PrivatePosition > 0 {
			if sight.Private, err = p.Private(info.Ordinal, sight.Asking); err != nil {
				return nil, err
			}
		}
	}
	sight.Floor = sight.Head.Floor
	if info.Kind == record.Room {
		sight.Floor = RoomFloor(info, &sight.Head)
	}
	if m := sight.Member; m != nil && m.VisibleFrom > 0 {
		sight.Floor = max(sight.Floor, m.VisibleFrom-1)
	}
	return sight, nil
}

// memberFor is the record with which a user sees a conversation.
func (p *Partition) memberFor(info *record.Info, user tidemark.UserID) (*record.Member, error) {
	if info.Kind == record.Room {
		return p.RoomMember(info.Ordinal, user)
	}
	return p.Member(info.Ordinal, user)
}

// Fetch reads a page of history for a user, events in their current form, oldest first; the empty user is the app. A
// limit above the server's is lowered to it; a page is also cut, never below one event, where it would be larger than
// PageBytesMax. Request is copied into the answer. Refusals are those of [Set.See], and BAD_ARGUMENT.
func (s *Set) Fetch(user tidemark.UserID, f *wire.Fetch) (*wire.Fetched, error) {
	sight, err := s.See(user, tidemark.ConversationID(f.GetConversation()))
	if err != nil {
		return nil, err
	}
	limits := s.Limits()
	page := page{sight: sight, limit: int(f.GetLimit()), bytesMax: int(limits.PageBytesMax)}
	if page.limit == 0 {
		page.limit = pageEventsDefault
	}
	page.limit = min(page.limit, int(limits.PageEventsMax))
	answer := &wire.Fetched{
		Request: f.GetRequest(), Conversation: f.GetConversation(),
		HeadSeq: uint64(sight.Head.Seq), HeadDigest: sight.Head.Digest[:], FloorSeq: uint64(sight.Floor + 1),
		HeadSeal: s.SealBytes(sight.Info.ID, sight.Head.Seq, sight.Head.Digest),
	}
	if f.GetThread() > 0 {
		return page.fetchThread(f, answer)
	}
	if err := page.choose(f); err != nil {
		return nil, err
	}
	events, err := page.read()
	if err != nil || len(events) == 0 {
		return answer, err
	}
	answer.Events = events
	first, last := tidemark.Seq(events[0].Seq), tidemark.Seq(events[len(events)-1].Seq)
	answer.HasMore = last < sight.Head.Seq
	if page.backwards {
		answer.HasMore = first > sight.Floor+1
	}
	digest, err := sight.Partition.Digest(sight.Info.Ordinal, first-1)
	if Gone(err) { // trimmed meanwhile; the floor is above the page now
		return s.Fetch(user, f)
	}
	if err != nil {
		return nil, err
	}
	answer.PrevDigest = digest[:]
	return answer, nil
}

// page is a stretch of a log, from..to, of which the first or, backwards, the last events are read.
type page struct {
	sight     *Sight
	from, to  tidemark.Seq // always inside what the user may see
	backwards bool
	limit     int
	bytesMax  int
}

// choose turns what was asked into from, to and direction.
func (g *page) choose(f *wire.Fetch) error {
	g.from, g.to = g.sight.Floor+1, g.sight.Head.Seq
	switch from := f.GetFrom().(type) {
	case *wire.Fetch_After:
		if from.After >= uint64(g.to) {
			g.from = g.to + 1 // nothing, also for a seq so great that the next would be 0
		} else {
			g.from = max(g.from, tidemark.Seq(from.After)+1)
		}
	case *wire.Fetch_Before:
		g.backwards = true
		if from.Before == 0 {
			return tidemark.Refuse(tidemark.BadArgument, "before must be at least 1; to read from the beginning ask after 0")
		}
		g.to = min(g.to, tidemark.Seq(from.Before)-1)
	case *wire.Fetch_At:
		first, err := g.sight.firstAt(from.At)
		if err != nil {
			return err
		}
		g.from = max(g.from, first)
	case *wire.Fetch_Hour:
		g.backwards = true
		row, found, err := g.sight.Partition.LastHour(g.sight.Info.Ordinal, hourOf(from.Hour))
		if err != nil {
			return err
		}
		if !found {
			g.to = 0
			return nil
		}
		g.from = max(g.from, row.First)
		g.to = min(g.to, row.First+tidemark.Seq(row.Count)-1)
	default: // latest, or nothing said
		g.backwards = true
	}
	return nil
}

// read reads the page.
func (g *page) read() ([]*wire.Event, error) {
	if g.from > g.to {
		return nil, nil
	}
	p, c := g.sight.Partition, g.sight.Info.Ordinal
	records, err := p.Events(c, g.from, g.to, g.limit, g.bytesMax, g.backwards)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	low, high := records[0].Seq, records[len(records)-1].Seq
	currents, err := p.Currents(c, min(low, high), max(low, high))
	if err != nil {
		return nil, err
	}
	events, bytes := make([]*wire.Event, 0, len(records)), 0
	for _, e := range records {
		event, err := g.sight.Show(e, currents[e.Seq])
		if err != nil {
			return nil, err
		}
		bytes += event.SizeVT() // the current form may be larger than what was stored
		if bytes > g.bytesMax && len(events) > 0 {
			break
		}
		events = append(events, event)
	}
	slices.SortFunc(events, func(a, b *wire.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	return events, nil
}

// firstAt is the first event whose time is not before timeMs: head+1 if there is none. The time of events never falls, so
// the hour index gives the hour and halving finds the event in it.
func (t *Sight) firstAt(timeMs uint64) (tidemark.Seq, error) {
	hour := hourOf(timeMs)
	row, found, err := t.Partition.LastHour(t.Info.Ordinal, hour)
	if err != nil || !found {
		return t.Floor + 1, err
	}
	low, high := row.First, min(row.First+tidemark.Seq(row.Count), t.Head.Seq+1) // the answer is in low..high
	if row.Hour < hour {
		return high, nil
	}
	low = max(low, t.Floor+1)
	for low < high {
		middle := low + (high-low)/2
		events, err := t.Partition.Events(t.Info.Ordinal, middle, middle, 1, 0, false)
		if err != nil {
			return 0, err
		}
		if len(events) == 0 || events[0].TimeMs < timeMs { // none: trimmed meanwhile
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// hourOf is the row of the hour index that a time falls into.
func hourOf(timeMs uint64) uint32 { return uint32(min(timeMs/hourMs, 1<<32-1)) }
