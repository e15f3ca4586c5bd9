// SPDX-License-Identifier: Apache-2.0

// ConversationService: creating conversations, changing them, and who is in them.

package api

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/wire"
)

// Sizes of pages.
const (
	conversationsNormal, conversationsMax = 100, 500
	membersNormal, membersMax             = 100, 1000
)

// conversationService implements [wireconnect.ConversationServiceHandler].
type conversationService struct{ *API }

// Create makes a conversation; without an id it gets one.
func (s *conversationService) Create(ctx context.Context, request *wire.CreateRequest) (*wire.CreateResponse, error) {
	who := caller(ctx)
	owner := tidemark.UserID(request.GetOwner())
	if !who.App {
		if owner != "" && owner != who.User {
			return nil, tidemark.Refuse(tidemark.NotAllowed, "only the app may make somebody else the owner")
		}
		owner = who.User
	} else if owner == "" {
		owner = who.User // "" when the app acts for nobody: then there is no owner
	}
	id := tidemark.ConversationID(request.GetId())
	if id == "" {
		id = tidemark.ConversationID(strings.ToLower(rand.Text()))
	}
	kind, err := kindOf(request.GetKind())
	if err != nil {
		return nil, err
	}
	members := userIDs(request.GetMembers())
	everybody := members
	if owner != "" {
		everybody = append(slices.Clone(members), owner)
	}
	if err := s.checkUsers(everybody...); err != nil {
		return nil, err
	}
	reply, err := s.do(ctx, &core.Create{
		Actor: actorOf(who), Conversation: id, Kind: kind, Title: request.GetTitle(), Avatar: request.GetAvatar(),
		Custom: request.GetCustom(), Settings: request.GetSettings(), Owner: owner, Members: members,
		CreatedMs: request.GetCreatedMs(),
	})
	if err != nil {
		return nil, err
	}
	info, err := s.infoOf(id)
	if err != nil {
		return nil, err
	}
	return &wire.CreateResponse{Id: string(id), Info: info, HeadSeq: uint64(reply.Seq)}, nil
}

// kindOf is the kind to create; nothing said is a group.
func kindOf(asked wire.Kind) (record.Kind, error) {
	if asked == wire.Kind_KIND_UNSPECIFIED {
		return record.Group, nil
	}
	if _, known := wire.Kind_name[int32(asked)]; !known || asked == wire.Kind_DIRECT {
		return 0, tidemark.Refuse(tidemark.BadArgument, "kind %s cannot be created; use GROUP, CHANNEL or ROOM (a direct conversation begins with its first message)", asked)
	}
	return record.Kind(asked), nil
}

// infoOf is a conversation's public data.
func (s *conversationService) infoOf(id tidemark.ConversationID) (*wire.ConversationInfo, error) {
	p := s.config.Set.Of(id)
	info, err := p.Info(id)
	if err != nil {
		return nil, err
	}
	head, err := p.Head(info.Ordinal)
	if err != nil {
		return nil, err
	}
	return p.WireInfo(info, head.Members), nil
}

// Get answers a conversation as it stands for the caller.
func (s *conversationService) Get(ctx context.Context, request *wire.GetRequest) (*wire.GetResponse, error) {
	summary, err := session.Summary(s.config.Set, caller(ctx).User, tidemark.ConversationID(request.GetConversation()))
	if err != nil {
		return nil, err
	}
	return &wire.GetResponse{Conversation: summary}, nil
}

// listed is one conversation in the order of List: most recent activity first.
type listed struct {
	timeMs    uint64
	partition uint32
	ordinal   record.Conversation
}

// compare orders by time descending; the rest only makes the order total.
func (l listed) compare(m listed) int {
	switch {
	case l.timeMs != m.timeMs:
		return descending(l.timeMs, m.timeMs)
	case l.partition != m.partition:
		return descending(uint64(l.partition), uint64(m.partition))
	}
	return descending(uint64(l.ordinal), uint64(m.ordinal))
}

func descending(a, b uint64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// List pages through the caller's conversations, most recent activity first. A conversation that gets an event between
// two pages moves before them: the caller who wants every change follows it by sync.
func (s *conversationService) List(ctx context.Context, request *wire.ListRequest) (*wire.ListResponse, error) {
	user := caller(ctx).User
	numbers, err := readToken(conversationsToken, request.GetPageToken(), 3)
	if err != nil {
		return nil, err
	}
	rows, err := s.rowsOf(user)
	if err != nil {
		return nil, err
	}
	if request.GetPageToken() != "" {
		last := listed{numbers[0], uint32(numbers[1]), record.Conversation(numbers[2])}
		next, found := slices.BinarySearchFunc(rows, last, listed.compare)
		if found {
			next++
		}
		rows = rows[next:]
	}
	answer := &wire.ListResponse{}
	size := pageSize(request.GetPageSize(), conversationsNormal, conversationsMax)
	for i, row := range rows {
		if len(answer.Conversations) == size {
			last := rows[i-1]
			answer.NextPageToken = pageToken(conversationsToken, last.timeMs, uint64(last.partition), uint64(last.ordinal))
			break
		}
		summary, err := s.summaryOf(user, row)
		if err != nil {
			return nil, err
		}
		if summary != nil {
			answer.Conversations = append(answer.Conversations, summary)
		}
	}
	return answer, nil
}

// rowsOf are all conversations of a user in the order of List, those the user has left included.
func (s *conversationService) rowsOf(user tidemark.UserID) ([]listed, error) {
	var rows []listed
	for n := range s.config.Set.Partitions() {
		part, err := s.config.Set.At(n).Conversations(user)
		if err != nil {
			return nil, err
		}
		for _, row := range part {
			rows = append(rows, listed{row.TimeMs, n, row.Conversation})
		}
	}
	slices.SortFunc(rows, listed.compare)
	return rows, nil
}

// summaryOf is a row's conversation as the user sees it; nil if the user has left it.
func (s *conversationService) summaryOf(user tidemark.UserID, row listed) (*wire.ConversationDelta, error) {
	info, err := s.config.Set.At(row.partition).InfoOf(row.ordinal)
	if err != nil {
		return nil, err
	}
	summary, err := session.Summary(s.config.Set, user, info.ID)
	var refusal *tidemark.Error
	if errors.As(err, &refusal) && (refusal.Reason == tidemark.NotMember || refusal.Reason == tidemark.UnknownConversation) {
		return nil, nil
	}
	if err == nil && summary.Self != nil {
		summary.Self.Private = nil // thousands of seqs, perhaps: Get has them
	}
	return summary, err
}

// Update changes public data.
func (s *conversationService) Update(ctx context.Context, request *wire.UpdateRequest) (*wire.UpdateResponse, error) {
	id := tidemark.ConversationID(request.GetConversation())
	reply, err := s.do(ctx, &core.Update{
		Actor: actorOf(caller(ctx)), Conversation: id, Title: request.Title, Avatar: request.Avatar,
		Custom: request.GetCustom(), Settings: request.GetSettings(), Announcement: request.Announcement,
	})
	if err != nil {
		return nil, err
	}
	info, err := s.infoOf(id)
	if err != nil {
		return nil, err
	}
	return &wire.UpdateResponse{Info: info, HeadSeq: uint64(reply.Seq)}, nil
}

// AddMembers adds users that exist.
func (s *conversationService) AddMembers(ctx context.Context, request *wire.AddMembersRequest) (*wire.MembersResponse, error) {
	members := userIDs(request.GetMembers())
	if err := s.checkUsers(members...); err != nil {
		return nil, err
	}
	role, err := roleOf(request.GetRole())
	if err != nil {
		return nil, err
	}
	return s.changeMembers(ctx, &core.AddMembers{
		Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation()), Members: members,
		Role: role,
	})
}

// RemoveMembers removes users.
func (s *conversationService) RemoveMembers(ctx context.Context, request *wire.RemoveMembersRequest) (*wire.MembersResponse, error) {
	return s.changeMembers(ctx, &core.RemoveMembers{
		Actor: actorOf(caller(ctx)), Conversation: tidemark.ConversationID(request.GetConversation()), Members: userIDs(request.GetMembers()),
	})
}

// changeMembers runs a command that changes the member list.
func (s *conversationService) changeMembers(ctx context.Context, command core.Command) (*wire.MembersResponse, error) {
	reply, err := s.do(ctx, command)
	if err != nil {
		return nil, err
	}
	count := reply.Members
	if reply.Info != nil && reply.Info.Kind == record.Room {
		count = uint32(s.config.Set.Of(reply.Info.ID).InRoom(reply.Info.Ordinal))
	}
	return &wire.MembersResponse{HeadSeq: uint64(reply.Seq), MemberCount: count, Requested: reply.Requested}, nil
}

// ListMembers pages through the members in the order in which the partition met them; in a room through those who are in
// it, by id.
func (s *conversationService) ListMembers(ctx context.Context, request *wire.ListMembersRequest) (*wire.ListMembersResponse, error) {
	sight, err := s.config.Set.See(caller(ctx).User, tidemark.ConversationID(request.GetConversation()))
	if err != nil {
		return nil, err
	}
	if sight.Info.Kind == record.Room {
		return listInRoom(sight, request)
	}
	numbers, err := readToken(membersToken, request.GetPageToken(), 1)
	if err != nil {
		return nil, err
	}
	size := pageSize(request.GetPageSize(), membersNormal, membersMax)
	rows, err := sight.Partition.Members(sight.Info.Ordinal, record.User(numbers[0]), size)
	if err != nil {
		return nil, err
	}
	answer := &wire.ListMembersResponse{}
	for _, row := range rows {
		member, err := memberOf(sight, row)
		if err != nil {
			return nil, err
		}
		answer.Members = append(answer.Members, member)
	}
	if len(rows) == size {
		answer.NextPageToken = pageToken(membersToken, uint64(rows[size-1].Ordinal))
	}
	return answer, nil
}

// memberOf is a member as the asker sees it.
func memberOf(sight *partition.Sight, row partition.MemberRow) (*wire.Member, error) {
	m := row.Member
	answer := &wire.Member{
		User: string(row.User), Role: wire.Role(m.Role), JoinedSeq: uint64(m.JoinedSeq), SilencedUntilMs: m.SilencedUntilMs,
	}
	if shown, err := sight.ShowsMarks(row.Ordinal); err != nil || !shown {
		return answer, err
	}
	cursors, err := sight.Partition.Cursors(row.User)
	if err != nil {
		return nil, err
	}
	delivered := tidemark.Seq(0)
	if len(cursors) > 0 {
		furthest := slices.MaxFunc(cursors, func(a, b partition.DeviceCursor) int { return -descending(uint64(a.Position), uint64(b.Position)) })
		if delivered, err = sight.Partition.SeqAt(sight.Info.Ordinal, furthest.Position); err != nil {
			return nil, err
		}
	}
	answer.ReadSeq = uint64(m.ReadSeq)
	answer.DeliveredSeq = uint64(max(delivered, m.ReadSeq)) // what was read was delivered, on whatever way
	return answer, nil
}

// Settings changes the caller's own settings.
func (s *conversationService) Settings(ctx context.Context, request *wire.SettingsRequest) (*wire.SettingsResponse, error) {
	who := caller(ctx)
	reply, err := s.do(ctx, &core.Settings{
		User: who.User, Conversation: tidemark.ConversationID(request.GetConversation()), Pinned: request.Pinned, Muted: request.Muted,
		Hidden: request.Hidden, MarkedUnread: request.MarkedUnread, Alias: request.Alias,
		Draft: request.GetDraft(),
	})
	if err != nil {
		return nil, err
	}
	return &wire.SettingsResponse{Self: ownRecord(reply)}, nil
}

// ownRecord is what a command on the caller's own record answers: the record, and what the caller keeps if that was touched.
func ownRecord(reply core.Reply) *wire.Self {
	self := partition.WireSelf(reply.Info, reply.Member, reply.Seq)
	if reply.Private != nil {
		self.Private = partition.WirePrivate(reply.Private)
	}
	return self
}

// userIDs converts.
func userIDs(names []string) []tidemark.UserID {
	ids := make([]tidemark.UserID, len(names))
	for i, name := range names {
		ids[i] = tidemark.UserID(name)
	}
	return ids
}
