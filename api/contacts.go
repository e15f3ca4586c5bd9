// SPDX-License-Identifier: Apache-2.0

// ContactService: who is whose contact.

package api

import (
	"context"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// contactService implements [wireconnect.ContactServiceHandler].
type contactService struct{ *API }

// Request asks a user to become a contact.
func (s *contactService) Request(ctx context.Context, request *wire.ContactRequest) (*wire.ContactResponse, error) {
	return s.contact(ctx, request.GetUser(), core.Contact{Action: core.AskContact, Text: request.GetText()})
}

// Answer accepts or rejects a request.
func (s *contactService) Answer(ctx context.Context, request *wire.AnswerContactRequest) (*wire.ContactResponse, error) {
	action := core.RejectContact
	if request.GetAccept() {
		action = core.AcceptContact
	}
	return s.contact(ctx, request.GetUser(), core.Contact{Action: action})
}

// Remove ends a contact, or takes a request back.
func (s *contactService) Remove(ctx context.Context, request *wire.RemoveContactRequest) (*wire.ContactResponse, error) {
	return s.contact(ctx, request.GetUser(), core.Contact{Action: core.RemoveContact})
}

// Block keeps a user from writing to the caller, and from asking.
func (s *contactService) Block(ctx context.Context, request *wire.BlockRequest) (*wire.ContactResponse, error) {
	return s.contact(ctx, request.GetUser(), core.Contact{Action: core.BlockPeer})
}

// Unblock ends a block.
func (s *contactService) Unblock(ctx context.Context, request *wire.BlockRequest) (*wire.ContactResponse, error) {
	return s.contact(ctx, request.GetUser(), core.Contact{Action: core.UnblockPeer})
}

// Remark sets the caller's own name for a user.
func (s *contactService) Remark(ctx context.Context, request *wire.RemarkRequest) (*wire.ContactResponse, error) {
	return s.contact(ctx, request.GetUser(), core.Contact{Action: core.RemarkPeer, Text: request.GetRemark()})
}

// contact carries out what the caller wants with a user.
func (s *contactService) contact(ctx context.Context, user string, cmd core.Contact) (*wire.ContactResponse, error) {
	peer, err := userID("user", user)
	if err != nil {
		return nil, err
	}
	cmd.User, cmd.Peer = caller(ctx).User, peer
	reply, err := s.config.Set.Contact(ctx, &cmd)
	if err != nil {
		return nil, err
	}
	return &wire.ContactResponse{Contact: wireContact(peer, tidemark.Direct(cmd.User, peer), reply.Member)}, nil
}

// Pages of contacts, and how many rows are looked at for one: where few of many are asked for, a page may be short.
const contactsNormal, contactsMax, contactsLookedAtMax = 100, 1000, 5000

// List pages through the caller's contacts, partition by partition in the order of their last change.
func (s *contactService) List(ctx context.Context, request *wire.ListContactsRequest) (*wire.ListContactsResponse, error) {
	for _, state := range request.GetStates() {
		if _, known := wire.ContactState_name[int32(state)]; !known {
			return nil, tidemark.Refuse(tidemark.BadArgument, "states: %d is not a state of a contact", state)
		}
	}
	place, err := readToken(contactsToken, request.GetPageToken(), 3)
	if err != nil {
		return nil, err
	}
	if place[0] >= uint64(s.config.Set.Partitions()) {
		return nil, badToken(request.GetPageToken())
	}
	user, size := caller(ctx).User, pageSize(request.GetPageSize(), contactsNormal, contactsMax)
	answer, lookedAt := &wire.ListContactsResponse{}, 0
	for n := uint32(place[0]); n < s.config.Set.Partitions(); n++ {
		more := false
		err := s.config.Set.At(n).Contacts(user, tidemark.Position(place[1]), record.Conversation(place[2]), func(row partition.ContactRow) bool {
			if len(answer.Contacts) == size || lookedAt == contactsLookedAtMax {
				more = true
				return false
			}
			lookedAt++
			place[1], place[2] = uint64(row.Position), uint64(row.Conversation)
			if wanted(request, row.Member) {
				answer.Contacts = append(answer.Contacts, wireContact(row.Peer, row.ID, row.Member))
			}
			return true
		})
		if err != nil {
			return nil, err
		}
		if more {
			answer.NextPageToken = pageToken(contactsToken, uint64(n), place[1], place[2])
			return answer, nil
		}
		place[1], place[2] = 0, 0
	}
	return answer, nil
}

// wanted reports whether a list shall have a contact. One that has ended is there no more, unless the caller still blocks
// or names it.
func wanted(request *wire.ListContactsRequest, m *record.Member) bool {
	states := request.GetStates()
	return m.HasContact() && (m.Blocked || !request.GetBlocked()) &&
		(len(states) == 0 || slices.Contains(states, wire.ContactState(m.Contact)))
}

// wireContact is how a user stands to a peer; m is nil where there is nothing between them.
func wireContact(peer tidemark.UserID, conversation tidemark.ConversationID, m *record.Member) *wire.Contact {
	c := &wire.Contact{User: string(peer), Conversation: string(conversation)}
	if m != nil {
		c.State, c.Remark, c.Blocked, c.RequestText = wire.ContactState(m.Contact), m.Remark, m.Blocked, m.RequestText
	}
	return c
}
