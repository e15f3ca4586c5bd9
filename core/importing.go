// SPDX-License-Identifier: Apache-2.0

// Import: a past that another system has logged, appended with its own times.

package core

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// importing is the evaluation of one Import.
type importing struct {
	*turn
	seen map[entryKey]bool // what this command has stored so far
}

type entryKey struct {
	user record.User
	id   tidemark.ClientID
}

// handleImport appends all entries or, if one is wrong, none. An entry whose client id its user has used here already
// is skipped, so that an import that was cut off is repeated as a whole.
//
// Times never fall inside a conversation: an entry older than the event before it gets that event's time. An author who
// is not a member joins first, by an event without a client id. A join by a member is stored as an event that changes
// nothing, so that its client id is remembered and repeating the import cannot bring back who has left since.
func (t *turn) handleImport(cmd *Import) Reply {
	if err := t.enter(Actor{App: true}, cmd.Conversation); err != nil {
		return Reply{Err: err}
	}
	if err := t.may(ToImport); err != nil {
		return Reply{Err: err}
	}
	t.many = true
	t.members = make(map[record.User]int)
	im := importing{turn: t, seen: make(map[entryKey]bool, len(cmd.Entries))}
	appended := 0
	for i, entry := range cmd.Entries {
		stored, err := im.entry(entry)
		if err != nil {
			return refuse(err.Reason, "entry %d: %s", i, err.Message)
		}
		if stored {
			appended++
		}
	}
	reply := t.unchanged()
	reply.Appended, reply.Skipped = appended, len(cmd.Entries)-appended
	return reply
}

// entry appends one entry; stored is false if it was there already.
func (im *importing) entry(entry *wire.ImportEntry) (stored bool, err *tidemark.Error) {
	id, clientID := tidemark.UserID(entry.GetUser()), tidemark.ClientID(entry.GetClientId())
	switch {
	case !id.Valid():
		return false, tidemark.Refuse(tidemark.BadArgument, "user %q is not an id: it takes %s", id, tidemark.IDAlphabet)
	case !clientID.Valid():
		return false, tidemark.Refuse(tidemark.BadArgument, "client id %q: give 1 to %d bytes of UTF-8, "+
			"the same whenever the entry is imported", clientID, tidemark.IDBytesMax)
	case entry.TimeMs == 0 || entry.TimeMs > im.env.NowMs:
		return false, tidemark.Refuse(tidemark.BadArgument, "time %d is not in the past", entry.TimeMs)
	}
	user := im.ordinal(id)
	if key := (entryKey{user, clientID}); im.seen[key] {
		return false, nil
	} else if _, there := im.view.ByClientID(im.info.Ordinal, user, clientID); there {
		return false, nil
	} else {
		im.seen[key] = true
	}
	at := draft{writer: id, user: user, clientID: clientID, timeMs: entry.TimeMs}
	switch action := entry.Entry.(type) {
	case *wire.ImportEntry_Message:
		return true, im.message(at, action.Message)
	case *wire.ImportEntry_Join:
		return true, im.join(at)
	case *wire.ImportEntry_Leave:
		return true, im.leave(at)
	}
	return false, tidemark.Refuse(tidemark.BadArgument, "an entry carries one of message, join, leave")
}

func (im *importing) message(at draft, m *wire.Message) *tidemark.Error {
	if m == nil || m.Class == wire.MessageClass_TRANSIENT {
		return tidemark.Refuse(tidemark.BadArgument, "a message of class TRANSIENT, or none, cannot be imported")
	}
	if err := im.checkMessage(m); err != nil {
		return err
	}
	if err := im.checkRoot(tidemark.Seq(m.Thread)); err != nil {
		return err
	}
	if err := checkForward(m, nil); err != nil {
		return err
	}
	if err := im.needIn(at); err != nil {
		return err
	}
	at.kind, at.body = record.MessageBody, marshalMessage(m)
	at.counted = m.Class == wire.MessageClass_NORMAL
	e := im.append(at)
	if at.counted && at.writer != tidemark.SystemUser {
		im.readBy(im.ownMember(at.user, true))
	}
	im.messageTakesEffect(e, m)
	return nil
}

// needIn lets an author who is not a member join first. The system writes without being one.
func (im *importing) needIn(at draft) *tidemark.Error {
	if at.writer == tidemark.SystemUser || im.memberOf(at.user).Active() {
		return nil
	}
	at.clientID = ""
	return im.join(at)
}

func (im *importing) join(at draft) *tidemark.Error {
	if at.writer == tidemark.SystemUser {
		return tidemark.Refuse(tidemark.BadArgument, "the user %q is reserved and cannot be a member", at.writer)
	}
	if im.memberOf(at.user).Active() {
		return im.tell(at, &wire.Members{})
	}
	if err := im.canAdmit([]tidemark.UserID{at.writer}); err != nil {
		return err
	}
	return im.tell(at, &wire.Members{Added: []string{string(at.writer)}})
}

func (im *importing) leave(at draft) *tidemark.Error {
	if err := im.needIn(at); err != nil {
		return err
	}
	if at.writer == tidemark.SystemUser {
		return tidemark.Refuse(tidemark.BadArgument, "the user %q is reserved and cannot be a member", at.writer)
	}
	return im.tell(at, &wire.Members{Removed: []string{string(at.writer)}})
}

// tell appends an event about members, written by the author.
func (im *importing) tell(at draft, body *wire.Members) *tidemark.Error {
	_, err := im.writeMembers(body, at.clientID, at.writer, at.user, at.timeMs)
	return err
}
