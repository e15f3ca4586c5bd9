// SPDX-License-Identifier: Apache-2.0

// Trace: where is my message? For each member and device, whether it has it, and if not, why.

package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

const traceNormal, traceMax = 100, 500

// Trace finds an event and tells, member by member, what became of it.
func (s *messageService) Trace(ctx context.Context, request *wire.TraceRequest) (*wire.TraceResponse, error) {
	who := caller(ctx)
	sight, err := s.config.Set.See(who.User, tidemark.ConversationID(request.GetConversation()))
	if err != nil {
		return nil, err
	}
	numbers, err := readToken(traceToken, request.GetPageToken(), 2)
	if err != nil {
		return nil, err
	}
	event, err := traced(sight, request, who.User)
	if err != nil {
		return nil, s.refusedByBlock(who, sight, request, err)
	}
	if request.GetPageToken() != "" && numbers[0] != uint64(event.Seq) {
		return nil, badToken(request.GetPageToken())
	}
	if err := mayTrace(who, sight, event); err != nil {
		return nil, err
	}
	answer := &wire.TraceResponse{
		Conversation: request.GetConversation(), Seq: uint64(event.Seq), Id: uint64(event.ID), TimeMs: event.TimeMs,
		Sender: string(event.SenderID), ClientId: string(event.ClientID),
		Partition: sight.Partition.Number(), Position: uint64(event.Position),
	}
	size := pageSize(request.GetPageSize(), traceNormal, traceMax)
	rows, err := sight.Partition.EverMembers(sight.Info.Ordinal, record.User(numbers[1]), size)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if who.User != "" && row.Member.LeftSeq > 0 && row.Member.LeftSeq <= sight.Floor {
			continue // who was a member before the asker sees anything is not the asker's to know
		}
		member, err := s.traceMember(sight, event, row)
		if err != nil {
			return nil, err
		}
		if who.User == "" {
			addBlock(member, event, row.Member)
		} else if member, err = s.traceShown(who.User, sight, row.Ordinal, member); err != nil {
			return nil, err
		}
		answer.Members = append(answer.Members, member)
	}
	if len(rows) == size {
		answer.NextPageToken = pageToken(traceToken, uint64(event.Seq), uint64(rows[size-1].Ordinal))
	}
	return answer, nil
}

// traceShown is what a user is told of a member: not when a device was there, where the member hides it or there is a block
// between the two; and nothing but who it is, where the asker does not see how far the member has come.
func (s *messageService) traceShown(
	asking tidemark.UserID, sight *partition.Sight, of record.User, member *wire.TraceMember,
) (*wire.TraceMember, error) {
	if marks, err := sight.ShowsMarks(of); err != nil || !marks {
		return &wire.TraceMember{User: member.User}, err
	}
	shown, err := s.config.Set.ShowsPresence(tidemark.UserID(member.User), asking)
	if !shown {
		member.Devices = nil
	}
	return member, err
}

// traced finds the event that a request names, among those the caller may see. A client id is of the caller if the
// request names no sender.
func traced(sight *partition.Sight, request *wire.TraceRequest, user tidemark.UserID) (*record.Event, error) {
	seq, sender := tidemark.Seq(request.GetSeq()), cmp.Or(tidemark.UserID(request.GetSender()), user)
	switch byClientID := request.GetClientId() != ""; {
	case byClientID == (seq != 0):
		return nil, tidemark.Refuse(tidemark.BadArgument, "give seq, or clientId and the sender")
	case byClientID && sender == "":
		return nil, tidemark.Refuse(tidemark.BadArgument, "give the sender with clientId: client ids are unique per sender")
	case byClientID:
		var err error
		seq, err = sight.Partition.ByClientID(sight.Info.Ordinal, sender, tidemark.ClientID(request.GetClientId()))
		if err != nil {
			return nil, err
		}
	}
	if seq <= sight.Floor || seq > sight.Head.Seq {
		return nil, tidemark.Refuse(tidemark.UnknownEvent, "no such event between %d and the head %d", sight.Floor+1, sight.Head.Seq)
	}
	events, err := sight.Partition.Events(sight.Info.Ordinal, seq, seq, 1, 0, false)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("api: trace: event %d of %s is missing", seq, sight.Info.ID)
	}
	return events[0], nil
}

// mayTrace refuses members who neither sent the event nor keep the conversation.
func mayTrace(who gateway.Identity, sight *partition.Sight, event *record.Event) error {
	if inOwnName(who) || event.SenderID == who.User || sight.Member.Role >= record.AdminRole {
		return nil
	}
	return tidemark.Refuse(tidemark.NotAllowed, "only the sender, an admin or the owner may trace a message")
}

// traceMember tells what became of the event for one member, past members included.
func (s *messageService) traceMember(sight *partition.Sight, event *record.Event, row partition.MemberRow) (*wire.TraceMember, error) {
	m := row.Member
	answer := &wire.TraceMember{User: string(row.User), Read: m.ReadSeq >= event.Seq || row.User == event.SenderID}
	switch {
	case m.LeftSeq > 0 && m.LeftSeq < event.Seq:
		answer.Reason = fmt.Sprintf("not a member then: left at seq %d", m.LeftSeq)
		answer.Read = false
		return answer, nil
	case m.Granted() > event.Seq:
		answer.Reason = fmt.Sprintf("not a member then: joined later, at seq %d", m.JoinedSeq)
		answer.Read = false
		return answer, nil
	}
	devices, err := s.traceDevices(sight, event, row.User)
	if err != nil {
		return nil, err
	}
	answer.Devices = devices
	has := slices.ContainsFunc(devices, func(d *wire.TraceDevice) bool { return d.Delivered })
	switch {
	case has || answer.Read:
	case len(devices) == 0:
		answer.Reason = "has never connected a device"
	default:
		answer.Reason = "no device has it yet"
	}
	if m.LeftSeq > 0 {
		answer.Reason = fmt.Sprintf("left since, at seq %d: devices that were not up to date then do not get it", m.LeftSeq)
	}
	return answer, nil
}

// addBlock says to the app, and to nobody else, that the member has blocked the sender.
func addBlock(answer *wire.TraceMember, event *record.Event, m *record.Member) {
	if !m.Blocked || answer.Read || answer.User == string(event.SenderID) {
		return
	}
	answer.Reason = strings.TrimSuffix("blocked the sender, "+answer.Reason, ", ")
}

// refusedByBlock says to the app, instead of that there is no such message, that the other user has blocked the sender of
// the client id: such a message was never stored.
func (s *messageService) refusedByBlock(who gateway.Identity, sight *partition.Sight, request *wire.TraceRequest, err error) error {
	peer, direct := sight.Info.ID.Peer(tidemark.UserID(request.GetSender()))
	if who.User != "" || !direct || request.GetClientId() == "" {
		return err
	}
	if m, failed := sight.Partition.Member(sight.Info.Ordinal, peer); failed == nil && m != nil && m.Blocked {
		return tidemark.Refuse(tidemark.UnknownEvent, "no such event: %s has blocked the sender, whose messages are refused", peer)
	}
	return err
}

// traceDevices tells for each device of a user whether it has the event.
func (s *messageService) traceDevices(sight *partition.Sight, event *record.Event, user tidemark.UserID) ([]*wire.TraceDevice, error) {
	cursors, err := sight.Partition.Cursors(user)
	if err != nil {
		return nil, err
	}
	position := map[tidemark.DeviceID]tidemark.Position{}
	for _, c := range cursors {
		position[c.Device] = c.Position
	}
	devices, err := s.config.Set.OfUser(user).Devices(user)
	if err != nil {
		return nil, err
	}
	var answer []*wire.TraceDevice
	for _, d := range devices {
		at := position[d.ID]
		device := &wire.TraceDevice{DeviceId: string(d.ID), Delivered: at >= event.Position}
		device.Online, device.LastSeenMs = s.seen(user, d)
		if !device.Delivered {
			if device.Reason, err = whyNot(sight, device, at); err != nil {
				return nil, err
			}
		}
		answer = append(answer, device)
	}
	slices.SortFunc(answer, func(a, b *wire.TraceDevice) int { return cmp.Compare(a.DeviceId, b.DeviceId) })
	return answer, nil
}

// whyNot says why a device that has acknowledged up to position at does not have a later event.
func whyNot(sight *partition.Sight, device *wire.TraceDevice, at tidemark.Position) (string, error) {
	has, err := sight.Partition.SeqAt(sight.Info.Ordinal, at)
	if err != nil {
		return "", err
	}
	behind := fmt.Sprintf("behind by %d", sight.Head.Seq-has)
	switch {
	case device.Online:
		return "online, " + behind, nil
	case device.LastSeenMs == 0:
		return "offline, " + behind, nil
	}
	since := time.UnixMilli(int64(device.LastSeenMs)).UTC().Format(time.RFC3339)
	return "offline since " + since + ", " + behind, nil
}
