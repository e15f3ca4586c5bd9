// SPDX-License-Identifier: Apache-2.0

// One partition: the order in which its rows are read, and where damage is noted.

package verify

import (
	"context"
	"errors"
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// progressEvery so many events progress is told.
const progressEvery = 20_000

// checker checks one partition. It is used by one goroutine.
type checker struct {
	ctx         context.Context
	p           *store.Partition
	number      uint32
	partitions  uint32
	reached     tidemark.Position // up to which there were commits once
	state       record.Partition
	counts      Counts
	told        Counts
	teller      *teller
	damages     []Damage
	damagesMax  int
	undescribed int
	at          tidemark.ConversationID // the conversation being checked

	// rows of conversations, read side by side
	info, heads, events, members, clientIDs, hours, currents, mentions, recalls, memberships, requests *reader
	threads, reactions, privates                                                                       *reader

	unlisted uint64 // member records in rooms, which are in nobody's list

	appended sum // events with their positions, to be compared with the commits
	contacts sum // entries that the index of contacts must have
	named    sum // entries that the index of where users are named must have
}

func newChecker(ctx context.Context, db *store.DB, n uint32, damagesMax int, t *teller) *checker {
	return &checker{
		ctx: ctx, p: db.Partition(n), reached: db.Reached(n), number: n, partitions: db.Meta().Partitions, damagesMax: damagesMax, teller: t,
	}
}

// unreadable ends the check of a partition whose rows cannot be read on; it has been noted as a damage.
var errUnreadable = errors.New("unreadable")

// run checks everything; its error is that of ctx.
func (c *checker) run() (err error) {
	defer func() {
		c.teller.tell(c.counts.minus(c.told), true)
		if errors.Is(err, errUnreadable) {
			err = nil
		}
	}()
	if c.state, err = c.p.State(); err != nil {
		return c.unreadable("partition state", err)
	}
	if c.state.Position < c.reached {
		c.damaged(0, "last position (commits that were acknowledged are lost)", c.state.Position, c.reached)
	}
	for _, check := range []func() error{
		c.checkUsers, c.checkConversations, c.checkConversationIDs, c.checkLists, c.checkCommits,
		c.checkProfiles, c.checkProfileIndex, c.checkDevices, c.checkCursors, c.checkTimers, c.checkContactIndex, c.checkNamed, c.checkAccounts,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// damaged notes a damage in the conversation being checked; seq 0 is none.
func (c *checker) damaged(seq tidemark.Seq, what string, found, expected any) {
	if len(c.damages) == c.damagesMax {
		c.undescribed++
		return
	}
	c.damages = append(c.damages, Damage{
		Partition: c.number, Conversation: c.at, Seq: seq, What: what,
		Found: fmt.Sprint(found), Expected: fmt.Sprint(expected),
	})
}

// equal notes a damage unless found is what is expected.
func equal[T comparable](c *checker, seq tidemark.Seq, what string, found, expected T) bool {
	if found != expected {
		c.damaged(seq, what, found, expected)
	}
	return found == expected
}

// unreadable notes what cannot be read and ends the check of the partition.
func (c *checker) unreadable(what string, err error) error {
	c.damaged(0, what, err, "a row that can be read")
	return errUnreadable
}

// reader walks over the rows of one kind, one row ahead.
type reader struct {
	*store.Rows
	c     *checker
	kind  store.Kind
	ready bool // there is a row
}

// read starts a walk; close it.
func (c *checker) read(kind store.Kind) (*reader, error) {
	rows, err := c.p.Rows(kind)
	if err != nil {
		return nil, c.unreadable(kind.String(), err)
	}
	r := &reader{Rows: rows, c: c, kind: kind}
	return r, r.next()
}

func (r *reader) next() error {
	r.ready = r.Next()
	if err := r.Err(); err != nil {
		return r.c.unreadable(r.kind.String(), err)
	}
	return nil
}

// take decodes the row and goes to the next; ok is false if the row is damaged, which is noted.
func take[T any](r *reader, decode func() (T, error)) (v T, ok bool, err error) {
	v, decodeErr := decode()
	if decodeErr != nil {
		r.c.damaged(r.Key().Seq, r.kind.String(), decodeErr, "a row that can be decoded")
	}
	return v, decodeErr == nil, r.next()
}

// in reports whether the row is one of a conversation. Rows of conversations before it belong to none: they are noted
// and passed over.
func (r *reader) in(conversation record.Conversation) (bool, error) {
	for r.ready && r.Key().Conversation < conversation {
		r.stray()
		if err := r.next(); err != nil {
			return false, err
		}
	}
	return r.ready && r.Key().Conversation == conversation, nil
}

func (r *reader) stray() {
	defer func(at tidemark.ConversationID) { r.c.at = at }(r.c.at)
	r.c.at = ""
	r.c.damaged(r.Key().Seq, fmt.Sprintf("%s of conversation ordinal %d", r.kind, r.Key().Conversation), "a row", "none: there is no such conversation")
}

// each takes the rows of a conversation, those that can be decoded.
func each[T any](r *reader, conversation record.Conversation, decode func() (T, error), fn func(store.Key, T)) error {
	for {
		in, err := r.in(conversation)
		if err != nil || !in {
			return err
		}
		key := r.Key()
		v, ok, err := take(r, decode)
		if ok {
			fn(key, v)
		}
		if err != nil {
			return err
		}
	}
}

// checkConversations walks over all conversations.
func (c *checker) checkConversations() (err error) {
	readers := []struct {
		r    **reader
		kind store.Kind
	}{
		{&c.info, store.InfoRow}, {&c.heads, store.HeadRow}, {&c.events, store.EventRow}, {&c.members, store.MemberRow},
		{&c.clientIDs, store.ClientIDRow}, {&c.hours, store.HourRow}, {&c.currents, store.CurrentRow},
		{&c.mentions, store.MentionRow}, {&c.recalls, store.RecallRow}, {&c.memberships, store.MembershipRow},
		{&c.requests, store.RequestRow},
		{&c.threads, store.ThreadRow}, {&c.reactions, store.ReactionRow}, {&c.privates, store.PrivateRow},
	}
	defer func() {
		for _, k := range readers {
			if *k.r != nil {
				err = errors.Join(err, (*k.r).Close())
			}
		}
	}()
	for _, k := range readers {
		if *k.r, err = c.read(k.kind); err != nil {
			return err
		}
	}
	for expected := record.Conversation(1); c.info.ready; expected++ {
		ordinal := c.info.Key().Conversation
		for ; expected < ordinal; expected++ {
			c.damaged(0, fmt.Sprintf("info of conversation ordinal %d", expected), "none", "a row")
		}
		if err := c.checkConversation(ordinal); err != nil {
			return err
		}
	}
	c.at = ""
	equal(c, 0, "conversations counted by the partition state", uint64(c.state.Conversations), c.counts.Conversations)
	for _, k := range readers[1:] {
		if _, err := (*k.r).in(1<<32 - 1); err != nil {
			return err
		}
		if r := *k.r; r.ready {
			r.stray()
		}
	}
	return nil
}

// checkConversation checks one conversation, whose info is the next row.
func (c *checker) checkConversation(ordinal record.Conversation) error {
	info, ok, err := take(c.info, c.info.Info)
	c.counts.Conversations++
	if err != nil {
		return err
	}
	if !ok {
		info = &record.Info{Ordinal: ordinal, ID: tidemark.ConversationID(fmt.Sprintf("?%d", ordinal))}
	}
	c.at = info.ID
	defer func() { c.at = "" }()
	if at := tidemark.PartitionOfConversation(info.ID, c.partitions); ok {
		equal(c, 0, "partition of the conversation", c.number, at)
	}
	var head *record.Head
	if err := each(c.heads, ordinal, c.heads.Head, func(_ store.Key, h *record.Head) { head = h }); err != nil {
		return err
	}
	if head == nil {
		c.damaged(0, "head", "none", "a row")
		head = new(record.Head)
	}
	return (&conversation{checker: c, info: info, head: head, infoKnown: ok}).check()
}

// tellProgress tells how far the check is, and whether to go on.
func (c *checker) tellProgress() error {
	if c.counts.Events%progressEvery == 0 {
		c.teller.tell(c.counts.minus(c.told), false)
		c.told = c.counts
	}
	return c.ctx.Err()
}
