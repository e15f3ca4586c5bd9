// SPDX-License-Identifier: Apache-2.0

// tidemark bench start: how long a server that was killed takes until it serves again, with much stored.

package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tidemark-im/tidemark/wire"
)

// StartConfig describes [Start]. Zero values mean the defaults.
type StartConfig struct {
	Events        int // stored: 200,000
	Conversations int // over which they are spread: 2,000
	Payload       int // bytes of text: 100
	Kills         int // how often the server is killed and started: 5
}

// Start fills a server of its own, then kills and starts it again and again. After each start it reads the end of one
// conversation, which ends the time measured.
func Start(ctx context.Context, server ServerConfig, config StartConfig, output Output) (results []Result, err error) {
	config.Events = orDefault(config.Events, 200_000)
	config.Conversations = min(orDefault(config.Conversations, 2000), config.Events)
	config.Payload = orDefault(config.Payload, 100)
	config.Kills = orDefault(config.Kills, 5)
	if server.AdminKey == "" {
		server.AdminKey = randomKey()
	}
	running, err := StartServer(ctx, server)
	if err != nil {
		return nil, err
	}
	defer func() { running.Kill() }()
	a, machine, err := prepare(ctx, &running.Target, output)
	if err != nil {
		return nil, err
	}
	defer func() { a.Close() }()
	users, err := a.makeUsers(ctx, "k", 1)
	if err != nil {
		return nil, err
	}
	output.say("start: storing %s events in %s conversations", grouped(float64(config.Events)), grouped(float64(config.Conversations)))
	each := config.Events / config.Conversations
	conversations := make([]string, config.Conversations)
	err = forEach(ctx, config.Conversations, func(ctx context.Context, i int) error {
		conversations[i] = a.id("kept", i)
		return a.importInto(ctx, conversations[i], users[0].User, each, config.Payload)
	})
	if err != nil {
		return nil, err
	}
	times := newLatencies()
	result := Result{
		Name: "start", Events: config.Events, Operations: uint64(config.Kills), Conversations: config.Conversations, PayloadBytes: config.Payload, Machine: machine,
		What: fmt.Sprintf("after kill -9, with %s events in %s conversations", grouped(float64(each*config.Conversations)), grouped(float64(config.Conversations))),
	}
	begun := time.Now()
	for i := range config.Kills {
		running.Kill()
		a.Close()
		begin := time.Now()
		if running, err = restart(ctx, running, server); err != nil {
			return nil, err
		}
		if a, err = NewApp(&running.Target); err != nil {
			return nil, err
		}
		if err := a.mustEndAt(ctx, users[0].User, conversations[i%len(conversations)], uint64(each+1)); err != nil {
			return nil, err
		}
		times.record(time.Since(begin))
		output.say("start: serving after %s", time.Since(begin).Round(time.Millisecond))
	}
	result.DurationMs = milliseconds(time.Since(begun))
	result.latency(times)
	usage, _ := running.Usage()
	result.ServerRSSBytes, result.DiskBytes, result.Checked = usage.RSSBytes, running.disk(), true
	result.ServerCPUUsPerOp = float64(usage.CPU.Microseconds()) // of the last start
	return []Result{result}, running.Stop(30 * time.Second)
}

// restart starts a killed server again; on an error the killed one is returned, so that there is always one to end.
func restart(ctx context.Context, killed *Server, config ServerConfig) (*Server, error) {
	server, err := StartServer(ctx, config)
	if err != nil {
		return killed, err
	}
	return server, nil
}

// importInto creates a group of one user with n messages.
func (a *App) importInto(ctx context.Context, conversation, user string, n, payload int) error {
	if err := a.MakeGroup(ctx, conversation, user); err != nil {
		return err
	}
	return a.importMessages(ctx, conversation, user, n, payload)
}

// importMessages fills a group in which nobody has written with n messages of one user.
func (a *App) importMessages(ctx context.Context, conversation, user string, n, payload int) error {
	text := strings.Repeat("x", payload)
	for done := 0; done < n; {
		request := &wire.ImportRequest{Conversation: conversation}
		for range min(importBatch, n-done) {
			done++
			request.Entries = append(request.Entries, importEntry(done, user, text))
		}
		if err := a.importAll(ctx, request); err != nil {
			return err
		}
	}
	return nil
}

// importEntry is message n of a user.
func importEntry(n int, user, text string) *wire.ImportEntry {
	return &wire.ImportEntry{
		TimeMs: uint64(n) * 1000, ClientId: clientIDOf(uint64(n)), User: user,
		Entry: &wire.ImportEntry_Message{Message: &wire.Message{Type: "text", Text: text}},
	}
}

// importAll imports entries of which none is there yet.
func (a *App) importAll(ctx context.Context, request *wire.ImportRequest) error {
	response, err := a.Admin.Import(ctx, request)
	if err != nil {
		return fmt.Errorf("bench: import into %s: %w", request.Conversation, err)
	}
	if response.Appended != uint64(len(request.Entries)) {
		return fmt.Errorf("bench: WRONG ANSWER: %d of %d new entries were appended to %s", response.Appended, len(request.Entries), request.Conversation)
	}
	return nil
}

// mustEndAt reads the last event of a conversation and fails if it is not seq.
func (a *App) mustEndAt(ctx context.Context, user, conversation string, seq uint64) error {
	page, err := a.Messages.Fetch(As(ctx, user), &wire.FetchRequest{Conversation: conversation, From: &wire.FetchRequest_Latest{Latest: true}, Limit: 1})
	if err != nil {
		return fmt.Errorf("bench: read %s: %w", conversation, err)
	}
	if page.HeadSeq != seq || len(page.Events) != 1 || page.Events[0].Seq != seq {
		return fmt.Errorf("bench: WRONG ANSWER: %s ends at %d, want %d", conversation, page.HeadSeq, seq)
	}
	return nil
}
