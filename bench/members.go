// SPDX-License-Identifier: Apache-2.0

// tidemark bench members: a message to a group whose other members are all offline. It is stored once whatever their
// number: what is written for it, and what it costs, must not follow from how many they are.

package bench

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemark-im/tidemark/irc"
	"github.com/tidemark-im/tidemark/wire"
)

// MembersConfig describes [Members]. Zero values mean the defaults.
type MembersConfig struct {
	Members  int           // of the group: 1,000
	Singles  int           // messages sent one at a time, whose bytes are counted: 500
	Window   int           // messages in flight when time is measured: 256
	Payload  int           // bytes of text: 100
	Duration time.Duration // measured: 10 s
	WarmUp   time.Duration // before: 2 s
	Scratch  string        // directory for the list of members; required
}

const (
	membersGroup = "many"
	// membersSeq is the seq from which on bytes are counted: greater ones take as many bytes in all groups, however
	// many events it took to let their members in.
	membersSeq = 4096
)

// Members makes the group in a directory, starts a server on it, and measures what one member's messages cost. Bytes are
// those given to the journal for messages that have a commit of their own; processor time is taken with many in flight.
func Members(ctx context.Context, server ServerConfig, config MembersConfig, output Output) (results []Result, err error) {
	config.Members = orDefault(config.Members, 1000)
	config.Singles = orDefault(config.Singles, 500)
	config.Window = orDefault(config.Window, 256)
	config.Payload = orDefault(config.Payload, 100)
	config.Duration = orDefault(config.Duration, 10*time.Second)
	config.WarmUp = orDefault(config.WarmUp, 2*time.Second)
	output.say("members: making %s users", grouped(float64(config.Members)))
	if err := importUsers(ctx, server, config); err != nil {
		return nil, err
	}
	running, err := StartServer(ctx, server)
	if err != nil {
		return nil, err
	}
	defer running.Kill()
	a, machine, err := prepare(ctx, &running.Target, output)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	result, err := measureMembers(ctx, &running.Target, a, config, output)
	if err != nil {
		return nil, err
	}
	result.Machine, result.DiskBytes, result.Checked = machine, running.disk(), true
	return []Result{result}, running.Stop(30 * time.Second)
}

// importUsers makes the users in the directory of a server that does not run, by an import of who has joined a channel: a
// million calls would take longer than all the rest.
func importUsers(ctx context.Context, server ServerConfig, config MembersConfig) error {
	list := filepath.Join(config.Scratch, "2005-01-01.txt")
	err := writeLines(list, func(w io.Writer) {
		for i := range config.Members {
			fmt.Fprintf(w, "=== %s [~m@host.example]  has joined #everybody\n", nickOf(i))
		}
	})
	if err != nil {
		return err
	}
	_, err = runImport(ctx, server.Program, "--conversation", "everybody", "--data", server.DataDir, list)
	return err
}

func nickOf(i int) string { return fmt.Sprintf("member%d", i) }

func measureMembers(ctx context.Context, target *Target, a *App, config MembersConfig, output Output) (Result, error) {
	output.say("members: making the group")
	users := make([]string, config.Members)
	for i := range users {
		users[i] = string(irc.UserOf(nickOf(i)))
	}
	if err := a.makeLargeGroup(ctx, membersGroup, users); err != nil {
		return Result{}, err
	}
	writer, err := a.memberOf(ctx, users[0], membersGroup, config)
	if err != nil {
		return Result{}, err
	}
	defer writer.close()
	written, err := writer.writtenAlone(ctx, target, config)
	if err != nil {
		return Result{}, err
	}
	if err := target.settle(ctx); err != nil {
		return Result{}, err
	}
	course := &course{}
	measured, err := runSenders(ctx, target, SendConfig{Duration: config.Duration, WarmUp: config.WarmUp}, output, []*sender{writer}, course)
	if err != nil {
		return Result{}, err
	}
	result := Result{
		Name: "members", What: fmt.Sprintf("message to a group of %s, all offline but the writer, %d in flight", grouped(float64(config.Members)), config.Window),
		Members: config.Members, Operations: writer.counted, Window: config.Window, PayloadBytes: config.Payload, Connections: 1,
		PerSecond: float64(writer.counted) / measured.duration().Seconds(), DurationMs: milliseconds(measured.duration()), WrittenBytesPerOp: written,
	}
	result.latency(writer.latencies)
	result.usage(target, measured.before, measured.after, writer.counted)
	output.say("members: checking %s messages", grouped(float64(writer.answered)))
	return result, checkSenders(ctx, a, []*sender{writer})
}

// memberOf connects a member that there is, as the one who writes to a group that nobody else writes to from here on.
func (a *App) memberOf(ctx context.Context, user, group string, config MembersConfig) (*sender, error) {
	issued, err := a.Users.IssueToken(ctx, &wire.IssueTokenRequest{UserId: user})
	if err != nil {
		return nil, fmt.Errorf("bench: token of %s: %w", user, err)
	}
	listed, err := a.Conversations.Get(ctx, &wire.GetRequest{Conversation: group})
	if err != nil {
		return nil, fmt.Errorf("bench: look at %s: %w", group, err)
	}
	if n := listed.GetConversation().GetInfo().GetMemberCount(); int(n) != config.Members {
		return nil, fmt.Errorf("bench: WRONG ANSWER: the group has %d members, %d were let in", n, config.Members)
	}
	last, err := a.Messages.Fetch(As(ctx, user), &wire.FetchRequest{Conversation: group, From: &wire.FetchRequest_Latest{Latest: true}, Limit: 1})
	if err != nil {
		return nil, fmt.Errorf("bench: read %s: %w", group, err)
	}
	c, err := connectSynced(ctx, dialConfig{address: a.address, token: issued.Token, device: "bench"})
	if err != nil {
		return nil, err
	}
	return &sender{
		conn: c, member: Member{user, issued.Token}, conversation: group, text: strings.Repeat("x", config.Payload), before: last.HeadSeq,
		window: config.Window, sentAt: make([]time.Time, config.Window), latencies: newLatencies(),
	}, nil
}

// writtenAlone sends messages one at a time and answers the bytes that each gave to the journal.
func (s *sender) writtenAlone(ctx context.Context, target *Target, config MembersConfig) (float64, error) {
	stop := s.until(ctx, time.Now().Add(fixedLoadMax))
	defer stop()
	s.course = &course{}
	if s.before < membersSeq {
		s.limit = membersSeq - s.before
		if err := s.runClosed(); err != nil {
			return 0, err
		}
	}
	before, err := journalBytes(ctx, target)
	if err != nil {
		return 0, err
	}
	s.window, s.limit = 1, s.asked+uint64(config.Singles)
	if err := s.runClosed(); err != nil {
		return 0, err
	}
	after, err := journalBytes(ctx, target)
	s.window, s.limit = config.Window, 0
	return float64(after-before) / float64(config.Singles), err
}
