// SPDX-License-Identifier: Apache-2.0

// AdminService: how the server stands, who is connected, and importing history.

package api

import (
	"context"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

const (
	sessionsNormal, sessionsMax = 100, 1000
	importEntriesMax            = 5000
)

// adminService implements [wireconnect.AdminServiceHandler].
type adminService struct{ *API }

// Stats answers what this server is and how it stands.
func (s *adminService) Stats(context.Context, *wire.StatsRequest) (*wire.StatsResponse, error) {
	set := s.config.Set
	answer := &wire.StatsResponse{
		Version: s.config.Version, Epoch: uint64(set.Epoch()), UptimeMs: s.config.NowMs() - s.config.StartedMs,
		State: "serving", Sessions: uint64(s.config.Registry.Count()),
	}
	if s.config.State != nil {
		answer.State = s.config.State()
	}
	if s.config.Disk != nil {
		answer.DiskBytes, answer.DiskFreeBytes = s.config.Disk()
	}
	answer.TakeBackMs = set.TakeBackMs()
	answer.TakenBackEvents, answer.TakenBackConversations = set.TakenBack()
	answer.Partitions = s.partitions()
	return answer, nil
}

// Partitions answers how each partition stands.
func (s *adminService) Partitions(context.Context, *wire.PartitionsRequest) (*wire.PartitionsResponse, error) {
	return &wire.PartitionsResponse{Partitions: s.partitions()}, nil
}

// Checkpoint makes a backup. It goes on when the caller does not wait for it.
func (s *adminService) Checkpoint(_ context.Context, request *wire.CheckpointRequest) (*wire.CheckpointResponse, error) {
	if s.config.Checkpoint == nil {
		return nil, tidemark.Refuse(tidemark.Unavailable, "this server makes no backups")
	}
	return s.config.Checkpoint(request.GetName())
}

func (a *API) partitions() []*wire.PartitionStats {
	set := a.config.Set
	all := make([]*wire.PartitionStats, set.Partitions())
	for n := range set.Partitions() {
		stats := set.At(n).Stats()
		all[n] = &wire.PartitionStats{
			Partition: n, Position: uint64(stats.Position), Users: stats.Users, Conversations: stats.Conversations,
			Queued: stats.Queued, Events: stats.Events,
		}
	}
	return all
}

// Sessions pages through the open connections, by user and device.
func (s *adminService) Sessions(_ context.Context, request *wire.SessionsRequest) (*wire.SessionsResponse, error) {
	after, err := readTextToken(sessionsToken, request.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := pageSize(request.GetPageSize(), sessionsNormal, sessionsMax)
	sessions := s.config.Registry.List(tidemark.UserID(request.GetUserId()), after, size+1)
	answer := &wire.SessionsResponse{Sessions: sessions}
	if len(sessions) > size {
		answer.Sessions = sessions[:size]
		last := sessions[size-1]
		answer.NextPageToken = textToken(sessionsToken, last.GetUser()+" "+last.GetDeviceId())
	}
	return answer, nil
}

// Import appends entries of the past.
func (s *adminService) Import(ctx context.Context, request *wire.ImportRequest) (*wire.ImportResponse, error) {
	entries := request.GetEntries()
	if len(entries) > importEntriesMax {
		return nil, tidemark.Refuse(tidemark.TooMany, "%d entries; at most %d a call", len(entries), importEntriesMax)
	}
	seen := map[tidemark.UserID]bool{}
	var users []tidemark.UserID
	for i, entry := range entries {
		user, err := userID("user", entry.GetUser())
		if err != nil {
			return nil, tidemark.Refuse(tidemark.BadArgument, "entries[%d]: user %.80q cannot be a user", i, entry.GetUser())
		}
		if !seen[user] {
			seen[user] = true
			users = append(users, user)
		}
	}
	if err := s.checkUsers(users...); err != nil {
		return nil, err
	}
	reply, err := s.do(ctx, &core.Import{Conversation: tidemark.ConversationID(request.GetConversation()), Entries: entries})
	if err != nil {
		return nil, err
	}
	return &wire.ImportResponse{Appended: uint64(reply.Appended), Skipped: uint64(reply.Skipped), HeadSeq: uint64(reply.Seq)}, nil
}
