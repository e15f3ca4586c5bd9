// SPDX-License-Identifier: Apache-2.0

// What waits for its time.

package coretest

import (
	"cmp"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// ScheduledRows are the messages that wait for their time or could not be submitted, by conversation, user and client id.
func (m *Memory) ScheduledRows() []record.ScheduledChange {
	var rows []record.ScheduledChange
	for k, s := range m.scheduled {
		rows = append(rows, record.ScheduledChange{Conversation: k.c, User: k.u, ClientID: k.id, Scheduled: s})
	}
	slices.SortFunc(rows, func(a, b record.ScheduledChange) int {
		return cmp.Or(cmp.Compare(a.Conversation, b.Conversation), cmp.Compare(a.User, b.User), cmp.Compare(a.ClientID, b.ClientID))
	})
	return rows
}

// WhenDue is the command that a partition makes of the timer of a scheduled message, without what it finds out elsewhere.
func (m *Memory) WhenDue(i record.Index) *core.SubmitScheduled {
	user := m.names[i.User]
	cmd := &core.SubmitScheduled{Timer: i, Submit: &core.Submit{Actor: core.Actor{User: user}, ClientID: tidemark.ClientID(i.ID)}}
	if i.Conversation == 0 {
		var peer tidemark.UserID
		peer, cmd.Submit.ClientID = core.PendingPeer(tidemark.ClientID(i.ID))
		cmd.Submit.Conversation = tidemark.Direct(user, peer)
	}
	for _, info := range m.Conversations() {
		if info.Ordinal == i.Conversation {
			cmd.Submit.Conversation = info.ID
		}
	}
	if row := m.Scheduled(i.Conversation, i.User, tidemark.ClientID(i.ID)); row != nil {
		var body wire.Body
		if body.UnmarshalVT(row.Body) == nil {
			cmd.Submit.Message = body.GetMessage()
		}
	}
	return cmd
}
