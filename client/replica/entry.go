// SPDX-License-Identifier: Apache-2.0

// A stored event and its current form: a base that holds as of some seq, and the later events on top of it.

package replica

import (
	"bytes"
	"cmp"
	"errors"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// entry is a stored event. The first part never changes; content is dropped when it was recalled or erased.
//
// The current form is the base fields, which reflect every event up to asOf, with ops applied on top: all ops have
// seq > asOf and are ascending, so that the order and the number of times in which they came make no difference.
type entry struct {
	seq      tidemark.Seq
	id       tidemark.EventID
	timeMs   uint64
	sender   tidemark.UserID
	clientID tidemark.ClientID
	counted  uint64
	kind     Kind
	bodyHash tidemark.Digest
	digest   tidemark.Digest // chain value at seq

	salt [8]byte
	body []byte // the serialised Body as hashed; nil when withheld, dropped, or never told (edited before we came)

	asOf      tidemark.Seq
	editSeq   tidemark.Seq
	editBody  []byte // serialised Body{message} of the edit
	recallSeq tidemark.Seq
	eraseSeq  tidemark.Seq
	pinSeq    tidemark.Seq
	reactions []tally // by key
	threads   thread
	ops       []op

	hidden bool         // the user has deleted it for itself
	root   tidemark.Seq // of the thread it answers in, if hidden
}

// thread is how many answers a thread has that begins at an entry, and which is the last.
type thread struct {
	count uint32
	last  tidemark.Seq
}

// tally counts the reactions of one key. The server's pages give numbers, not names, so that those who reacted before a
// page are nameless; the log names everybody, and says also what changes nothing (reacting twice).
type tally struct {
	key     string
	count   uint32
	mine    bool
	in, out []tidemark.UserID // others of whom it is known that they react, or not any more
}

// op is a later event that changes the form of an entry.
type op struct {
	seq     tidemark.Seq
	kind    Kind // edit, recall, reaction, pin, erased; message: an answer in the thread that begins here
	user    tidemark.UserID
	key     string // of a reaction
	removed bool   // of a reaction or a pin
	body    []byte // of an edit: serialised Body{message}
}

// seqMax is above every seq that a conversation can come to: sums of seqs below it do not overflow.
const seqMax = 1 << 62

var errBadEvent = errors.New("replica: the server sent an event that makes no sense")

// entryOf is what is stored of an event that the server sent, its form holding as of the given seq (the event's own when
// it came from the log). The digest is computed later.
func entryOf(ev *wire.Event, asOf tidemark.Seq, me tidemark.UserID) (*entry, error) {
	if ev.GetSeq() == 0 || ev.Seq > seqMax || len(ev.Sender) > 3*tidemark.IDBytesMax || len(ev.ClientId) > tidemark.IDBytesMax || ev.Kind > 255 {
		return nil, errBadEvent
	}
	n := &entry{
		seq: tidemark.Seq(ev.Seq), id: tidemark.EventID(ev.Id), timeMs: ev.TimeMs, sender: tidemark.UserID(ev.Sender),
		clientID: tidemark.ClientID(ev.ClientId), counted: ev.Counted, kind: Kind(ev.Kind),
		editSeq: tidemark.Seq(ev.Edited), recallSeq: tidemark.Seq(ev.Recalled), eraseSeq: tidemark.Seq(ev.Erased),
		pinSeq: tidemark.Seq(ev.Pinned), threads: thread{ev.ThreadCount, tidemark.Seq(ev.ThreadSeq)}, hidden: ev.Hidden,
	}
	if n.hidden {
		n.root = tidemark.Seq(ev.Thread)
	}
	n.asOf = max(asOf, n.seq)
	original := len(ev.Salt) == len(n.salt) && len(ev.Body) > 0
	switch {
	case original:
		copy(n.salt[:], ev.Salt)
		n.body = bytes.Clone(ev.Body)
		n.bodyHash = chain.BodyHash(n.salt, n.body)
		if len(ev.BodyHash) > 0 && !bytes.Equal(ev.BodyHash, n.bodyHash[:]) {
			return nil, errBadEvent
		}
		if n.kind == 0 {
			n.kind = kindOf(n.body)
		}
	case len(ev.BodyHash) == len(n.bodyHash):
		copy(n.bodyHash[:], ev.BodyHash)
		if n.editSeq > 0 {
			n.editBody = bytes.Clone(ev.Body)
		}
	default:
		return nil, errBadEvent
	}
	if n.kind == 0 {
		return nil, errBadEvent
	}
	for _, r := range ev.Reactions {
		if r.GetCount() > 0 {
			n.reactions = append(n.reactions, tallyOf(r, me))
		}
	}
	slices.SortFunc(n.reactions, func(a, b tally) int { return cmp.Compare(a.key, b.key) })
	if n.withheld() {
		n.dropContent()
	}
	return n, nil
}

// tallyOf is what the server says of one key: how many, and who the first of them are.
func tallyOf(r *wire.ReactionCount, me tidemark.UserID) tally {
	t := tally{key: r.Key, count: r.Count, mine: r.Mine}
	for _, user := range r.Users {
		if id := tidemark.UserID(user); id != me && uint32(len(t.in)) < r.Count && !slices.Contains(t.in, id) {
			t.in = append(t.in, id)
		}
	}
	return t
}

// kindOf is the kind of an event with this body: the field number of its oneof, also one that only newer servers know. 0:
// there is none.
func kindOf(body []byte) Kind {
	field, _, n := protowire.ConsumeField(body)
	if n != len(body) || field > 255 {
		return Kind(wire.BodyKind(parseBody(body))) // more than the oneof: what is known of it decides
	}
	return Kind(field)
}

// parseBody is the body, or nil when it is not one.
func parseBody(data []byte) *wire.Body {
	b := &wire.Body{}
	if len(data) == 0 || b.UnmarshalVT(data) != nil {
		return nil
	}
	return b
}

// link is what the entry adds to the chain.
func (n *entry) link() chain.Link {
	return chain.Link{Seq: n.seq, ID: n.id, TimeMs: n.timeMs, Sender: n.sender, ClientID: n.clientID, Kind: uint8(n.kind), BodyHash: n.bodyHash}
}

// target is the op that this entry is to an earlier one.
func (n *entry) target() (seq tidemark.Seq, o op, ok bool) {
	if n.kind == KindMessage {
		root := n.answers()
		return root, op{seq: n.seq, kind: KindMessage, user: n.sender}, root > 0 && root < n.seq
	}
	if n.kind < KindEdit || n.kind > KindErased || n.kind == KindMembers || n.kind == KindInfo || n.body == nil {
		return 0, op{}, false
	}
	o = op{seq: n.seq, kind: n.kind, user: n.sender}
	switch b := parseBody(n.body).GetBody().(type) {
	case *wire.Body_Edit:
		seq, o.body = tidemark.Seq(b.Edit.GetSeq()), wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: b.Edit.GetMessage()}})
	case *wire.Body_Recall:
		seq = tidemark.Seq(b.Recall.GetSeq())
	case *wire.Body_Reaction:
		seq, o.key, o.removed = tidemark.Seq(b.Reaction.GetSeq()), b.Reaction.GetKey(), b.Reaction.GetRemoved()
	case *wire.Body_Pin:
		seq, o.removed = tidemark.Seq(b.Pin.GetSeq()), b.Pin.GetRemoved()
	case *wire.Body_Erased:
		seq = tidemark.Seq(b.Erased.GetSeq())
	}
	return seq, o, seq > 0 && seq < n.seq
}

// answers is the root of the thread that the entry is an answer in; 0: none, or not known any more.
func (n *entry) answers() tidemark.Seq {
	if n.kind != KindMessage || n.root > 0 {
		return n.root
	}
	return tidemark.Seq(max(parseBody(n.body).GetMessage().GetThread(), parseBody(n.editBody).GetMessage().GetThread()))
}

// hide takes the content away from a message that the user has deleted for itself.
func (n *entry) hide() {
	n.root = n.answers()
	n.hidden = true
	n.dropContent()
}

// add puts an op on top, once; false when it was there, or is in the base already.
func (n *entry) add(o op) bool {
	if o.seq <= n.asOf {
		return false
	}
	i, found := slices.BinarySearchFunc(n.ops, o.seq, func(a op, seq tidemark.Seq) int { return cmp.Compare(a.seq, seq) })
	if found {
		return false
	}
	n.ops = slices.Insert(n.ops, i, o)
	if n.withheld() {
		n.dropContent()
	}
	return true
}

// fold moves the ops up to a seq into the base: all events up to it are stored here. sure is false if reactions had to be
// counted on an assumption.
func (n *entry) fold(to tidemark.Seq, me tidemark.UserID) (sure bool) {
	i := 0
	sure = true
	for ; i < len(n.ops) && n.ops[i].seq <= to; i++ {
		sure = n.apply(n.ops[i], me) && sure
		n.asOf = n.ops[i].seq
	}
	n.ops = slices.Delete(n.ops, 0, i)
	if len(n.ops) == 0 {
		n.ops = nil
	}
	return sure
}

// apply changes the base by one op; see fold for sure.
func (n *entry) apply(o op, me tidemark.UserID) (sure bool) {
	switch o.kind {
	case KindEdit:
		n.editSeq, n.editBody = o.seq, inThread(o.body, n.answers())
	case KindRecall:
		n.recallSeq = firstOf(n.recallSeq, o.seq)
	case KindErased:
		n.eraseSeq = firstOf(n.eraseSeq, o.seq)
	case KindPin:
		if o.removed {
			n.pinSeq = 0
		} else {
			n.pinSeq = firstOf(n.pinSeq, o.seq)
		}
	case KindReaction:
		return n.react(o, me)
	case KindMessage:
		n.threads.count++
		n.threads.last = o.seq
	}
	return true
}

// inThread is what an edit says, in the thread of the message that it edits.
func inThread(edit []byte, root tidemark.Seq) []byte {
	body := parseBody(edit)
	if m := body.GetMessage(); m != nil && tidemark.Seq(m.Thread) != root {
		m.Thread = uint64(root)
		return wire.MarshalBody(body)
	}
	return edit
}

// react counts one reaction, or its removal; see fold for sure.
func (n *entry) react(o op, me tidemark.UserID) (sure bool) {
	i, found := slices.BinarySearchFunc(n.reactions, o.key, func(t tally, key string) int { return cmp.Compare(t.key, key) })
	if !found {
		if o.removed {
			return true
		}
		n.reactions = slices.Insert(n.reactions, i, tally{key: o.key})
	}
	t := &n.reactions[i]
	if o.user == me {
		t.setMine(!o.removed)
		sure = true
	} else {
		sure = t.set(o.user, !o.removed)
	}
	if t.count == 0 {
		n.reactions = slices.Delete(n.reactions, i, i+1)
	}
	return sure
}

// setMine notes whether the user reacts.
func (t *tally) setMine(reacts bool) {
	switch {
	case reacts && !t.mine:
		t.count++
	case !reacts && t.mine:
		t.count--
	}
	t.mine = reacts
}

// set notes whether another user reacts. Of one never heard of while there are nameless ones, it is assumed that this
// changes something, and not sure.
func (t *tally) set(user tidemark.UserID, reacts bool) (sure bool) {
	named := uint32(len(t.in))
	if t.mine {
		named++
	}
	in, out := slices.Index(t.in, user), slices.Index(t.out, user)
	sure = in >= 0 || out >= 0 || t.count <= named
	switch {
	case reacts && in < 0:
		t.count++
		t.in = append(t.in, user)
		if out >= 0 {
			t.out = slices.Delete(t.out, out, out+1)
		}
	case !reacts && in >= 0:
		t.count--
		t.in = slices.Delete(t.in, in, in+1)
		t.out = append(t.out, user)
	case !reacts && out < 0 && t.count > named:
		t.count--
		t.out = append(t.out, user)
	}
	return sure
}

// withheld reports whether the content was taken back or erased, by the base or by an op.
func (n *entry) withheld() bool {
	return n.recallSeq > 0 || n.eraseSeq > 0 || n.hidden ||
		slices.ContainsFunc(n.ops, func(o op) bool { return o.kind == KindRecall || o.kind == KindErased })
}

// dropContent forgets what must not be shown again; the chain needs the hash only.
func (n *entry) dropContent() {
	n.body, n.salt, n.editBody, n.editSeq, n.pinSeq, n.reactions = nil, [8]byte{}, nil, 0, 0, nil
	n.ops = slices.DeleteFunc(n.ops, func(o op) bool {
		return o.kind != KindRecall && o.kind != KindErased && o.kind != KindMessage
	})
}

// merge takes over a form that the server gave of the same event, if it is not older than what is known.
func (n *entry) merge(given *entry) {
	if n.body == nil && given.body != nil && !n.withheld() {
		n.body, n.salt = given.body, given.salt
	}
	// A recall or an erasure is never taken back: whoever knows of one is right.
	recall, erase := firstOf(n.recallSeq, given.recallSeq), firstOf(n.eraseSeq, given.eraseSeq)
	if given.asOf >= n.asOf {
		n.asOf, n.editSeq, n.editBody = given.asOf, given.editSeq, given.editBody
		n.pinSeq, n.reactions, n.threads = given.pinSeq, given.reactions, given.threads
		n.ops = slices.DeleteFunc(n.ops, func(o op) bool { return o.seq <= n.asOf })
		if len(n.ops) == 0 {
			n.ops = nil
		}
	}
	n.recallSeq, n.eraseSeq = recall, erase
	if known := n.kind == KindMessage && (recall > 0 || erase > 0); given.hidden && !n.hidden && !known { // else that is why
		n.hide()
		n.root = max(n.root, given.root)
	}
	if n.withheld() {
		n.dropContent()
	}
}

// firstOf is the smaller of two seqs of which 0 means none.
func firstOf(a, b tidemark.Seq) tidemark.Seq {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// clone is a copy that may be changed.
func (n *entry) clone() *entry {
	c := *n
	c.reactions, c.ops = slices.Clone(n.reactions), slices.Clone(n.ops)
	for i := range c.reactions {
		t := &c.reactions[i]
		t.in, t.out = slices.Clone(t.in), slices.Clone(t.out)
	}
	return &c
}

// message is the entry as an app shows it.
func (n *entry) message(in tidemark.ConversationID, me tidemark.UserID) Message {
	if len(n.ops) > 0 {
		n = n.clone()
		n.fold(n.ops[len(n.ops)-1].seq, me)
	}
	m := Message{
		Conversation: in, Seq: n.seq, ID: n.id, TimeMs: n.timeMs, Sender: n.sender, ClientID: n.clientID, Kind: n.kind,
		EditSeq: n.editSeq, RecallSeq: n.recallSeq, EraseSeq: n.eraseSeq, PinSeq: n.pinSeq, Hidden: n.hidden,
		ThreadCount: n.threads.count, ThreadSeq: n.threads.last,
	}
	if n.hidden && n.kind == KindEdit {
		m.RecallSeq, m.EraseSeq = 0, 0 // of the message that it edits, which need not be known any more
	}
	for _, t := range n.reactions {
		m.Reactions = append(m.Reactions, Reaction{Key: t.key, Count: t.count, Mine: t.mine, Users: slices.Clone(t.in)})
	}
	if n.recallSeq > 0 || n.eraseSeq > 0 || n.hidden {
		return m
	}
	m.Body = parseBody(n.body)
	if n.kind == KindMessage {
		m.Content = m.Body.GetMessage()
		if n.editSeq > 0 {
			m.Content = parseBody(n.editBody).GetMessage()
		}
	}
	return m
}
