// SPDX-License-Identifier: Apache-2.0

// Where an import goes: the directory of a stopped server, through the server's own partitions, or a running server.

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/errgroup"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/gateway"
	"github.com/tidemark-im/tidemark/irc"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

// withDirectory opens a data directory, lets use work on it, and closes it. The directory is made if there is none.
func withDirectory(ctx context.Context, dir string, use func(*directoryTarget) error) (err error) {
	nowMs := func() uint64 { return uint64(time.Now().UnixMilli()) }
	db, err := store.Open(store.Config{Dir: dir, NowMs: nowMs, Entropy: rand.Reader})
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("%s is in use: stop its server, or import into the running server with --url", dir)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	set, err := partition.Open(partition.Config{DB: db, Journal: journal.NewLocal(db), NowMs: nowMs, Entropy: rand.Reader})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx)) // what is under way ends before the partitions do
	ended := make(chan error, 1)
	go func() { ended <- set.Run(running) }()
	err = use(&directoryTarget{set: set})
	stop()
	return errors.Join(err, <-ended)
}

// directoryTarget imports into the partitions of this process.
type directoryTarget struct {
	set          *partition.Set
	conversation tidemark.ConversationID
	title        string
}

// Users implements [irc.Target]: what is to be written is queued as a whole and shares commits.
func (d *directoryTarget) Users(ctx context.Context, users []irc.User) error {
	var waiting sync.WaitGroup
	refused := make(chan error, len(users))
	for _, user := range users {
		profile, err := d.set.OfUser(user.ID).Profile(user.ID)
		if err != nil {
			return err
		}
		var command core.Command
		switch {
		case profile == nil:
			command = &core.UpsertUser{User: user.ID, Nickname: user.Nickname}
		case profile.Nickname != user.Nickname:
			command = &core.UpdateUser{User: user.ID, Nickname: &user.Nickname}
		default:
			continue
		}
		waiting.Add(1)
		err = d.set.Submit(ctx, command, func(reply core.Reply) {
			if reply.Err != nil {
				refused <- fmt.Errorf("user %s: %w", user.ID, reply.Err)
			}
			waiting.Done()
		})
		if err != nil {
			return err
		}
	}
	waiting.Wait()
	select {
	case err := <-refused:
		return err
	default:
		return nil
	}
}

// Conversation implements [irc.Target].
func (d *directoryTarget) Conversation(ctx context.Context, sinceMs uint64) (lastMs uint64, err error) {
	_, err = d.set.Do(ctx, &core.Create{Actor: core.Actor{App: true}, Conversation: d.conversation, Kind: record.Group,
		Title: d.title, Settings: importedSettings(), CreatedMs: sinceMs})
	if refusal, is := errors.AsType[*tidemark.Error](err); err != nil && (!is || refusal.Reason != tidemark.AlreadyExists) {
		return 0, err
	}
	info, err := d.set.Of(d.conversation).Info(d.conversation)
	if err != nil {
		return 0, err
	}
	head, err := d.set.Of(d.conversation).Head(info.Ordinal)
	return head.TimeMs, err
}

// importedSettings are those of a public channel: whoever comes later sees what was said before.
func importedSettings() *wire.Settings {
	return &wire.Settings{Join: wire.JoinPolicy_OPEN, HistoryFromStart: true}
}

// Import implements [irc.Target].
func (d *directoryTarget) Import(ctx context.Context, entries []*wire.ImportEntry) (appended, skipped uint64, err error) {
	reply, err := d.set.Do(ctx, &core.Import{Conversation: d.conversation, Entries: entries})
	return uint64(reply.Appended), uint64(reply.Skipped), err
}

// usersAtOnce is how many calls make users at a time: enough that they share their fsyncs.
const usersAtOnce = 64

// serverTarget imports into a running server.
type serverTarget struct {
	conversation  tidemark.ConversationID
	title         string
	users         wireconnect.UserServiceClient
	conversations wireconnect.ConversationServiceClient
	messages      wireconnect.MessageServiceClient
	sync          wireconnect.SyncServiceClient
	admin         wireconnect.AdminServiceClient
}

func newServerTarget(flags *serverFlags, id tidemark.ConversationID, title string) (*serverTarget, error) {
	base, options, err := flags.options()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = usersAtOnce // of the default 2, all other calls would open connections of their own
	client := &http.Client{Transport: transport}
	return &serverTarget{
		conversation: id, title: title,
		users:         wireconnect.NewUserServiceClient(client, base, options),
		conversations: wireconnect.NewConversationServiceClient(client, base, options),
		messages:      wireconnect.NewMessageServiceClient(client, base, options),
		sync:          wireconnect.NewSyncServiceClient(client, base, options),
		admin:         wireconnect.NewAdminServiceClient(client, base, options),
	}, nil
}

// Users implements [irc.Target]. Who is there already is asked for all at once, by the first of them.
func (s *serverTarget) Users(ctx context.Context, users []irc.User) error {
	if len(users) == 0 {
		return nil
	}
	first, err := s.users.Get(ctx, &wire.GetUserRequest{UserId: string(users[0].ID)})
	have := map[string]string{}
	switch {
	case err == nil:
		have[string(users[0].ID)] = first.GetUser().GetNickname()
	case connect.CodeOf(err) != connect.CodeNotFound:
		return err
	}
	if err := s.user(ctx, users[0], have); err != nil {
		return err
	}
	if err := s.nicknames(ctx, users, have); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(usersAtOnce)
	for _, user := range users[1:] {
		group.Go(func() error { return s.user(ctx, user, have) })
	}
	return group.Wait()
}

// nicknames adds those of the users who exist to have.
func (s *serverTarget) nicknames(ctx context.Context, users []irc.User, have map[string]string) error {
	ask := &wire.ProfilesContract{}
	for _, user := range users {
		ask.Users = append(ask.Users, string(user.ID))
	}
	for {
		calling, call := connect.NewClientContext(ctx)
		call.RequestHeader().Set(gateway.UserHeader, ask.Users[0])
		answer, err := s.sync.Changes(calling, &wire.ChangesRequest{Profiles: ask, Limit: 1000})
		if err != nil {
			return fmt.Errorf("who exists: %w", err)
		}
		for _, profile := range answer.GetChangedProfiles() {
			have[profile.GetId()] = profile.GetNickname()
		}
		if ask.PageToken = answer.GetProfiles().GetNextPageToken(); ask.PageToken == "" {
			return nil
		}
	}
}

// user makes a user who is not in have, and names one anew who has another nickname there.
func (s *serverTarget) user(ctx context.Context, user irc.User, have map[string]string) (err error) {
	nickname, exists := have[string(user.ID)]
	switch {
	case !exists:
		_, err = s.users.Upsert(ctx, &wire.UpsertUserRequest{User: &wire.Profile{Id: string(user.ID), Nickname: user.Nickname}})
	case nickname != user.Nickname:
		_, err = s.users.Update(ctx, &wire.UpdateUserRequest{UserId: string(user.ID), Nickname: &user.Nickname})
	}
	return err
}

// Conversation implements [irc.Target].
func (s *serverTarget) Conversation(ctx context.Context, sinceMs uint64) (lastMs uint64, err error) {
	_, err = s.conversations.Create(ctx, &wire.CreateRequest{Id: string(s.conversation), Kind: wire.Kind_GROUP, Title: s.title, Settings: importedSettings(), CreatedMs: sinceMs})
	if err != nil && connect.CodeOf(err) != connect.CodeAlreadyExists {
		return 0, err
	}
	last, err := s.messages.Fetch(ctx, &wire.FetchRequest{Conversation: string(s.conversation), From: &wire.FetchRequest_Latest{Latest: true}, Limit: 1})
	if err != nil || len(last.GetEvents()) == 0 {
		return 0, err
	}
	return last.GetEvents()[0].GetTimeMs(), nil
}

// Import implements [irc.Target].
func (s *serverTarget) Import(ctx context.Context, entries []*wire.ImportEntry) (appended, skipped uint64, err error) {
	answer, err := s.admin.Import(ctx, &wire.ImportRequest{Conversation: string(s.conversation), Entries: entries})
	return answer.GetAppended(), answer.GetSkipped(), err
}
