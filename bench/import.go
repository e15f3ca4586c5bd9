// SPDX-License-Identifier: Apache-2.0

// tidemark bench import: logs of an IRC channel through `tidemark import irc`, as an operator runs it: into the directory of
// a stopped server, and into a running one. A line counts when what it became is durable.

package bench

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/irc"
	"github.com/tidemark-im/tidemark/wire"
)

// ImportConfig describes [Import]. Zero values mean the defaults.
type ImportConfig struct {
	Lines   int    // of made-up logs: 200,000
	IRC     string // directory of logs; "": made up
	Scratch string // directory for made-up logs; required
}

const importedInto = "#channel"

// Import measures both ways, each of a fresh server: two results.
func Import(ctx context.Context, server ServerConfig, config ImportConfig, output Output) ([]Result, error) {
	config.Lines = orDefault(config.Lines, 200_000)
	logs, err := OpenIRC(config.IRC, config.Scratch, config.Lines)
	if err != nil {
		return nil, err
	}
	expected, lines, err := entriesOf(logs)
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, running := range []bool{false, true} {
		one := server
		one.DataDir = fmt.Sprintf("%s-%t", server.DataDir, running)
		i := &importing{server: one, logs: logs, expected: expected, lines: lines, running: running}
		result, err := i.measure(ctx, output)
		if err != nil {
			return results, err
		}
		results = append(results, result)
	}
	return results, nil
}

// entriesOf are the messages that logs must become, in order, and the number of lines.
func entriesOf(logs irc.Logs) (messages []*wire.ImportEntry, lines int, err error) {
	plan := irc.NewPlan(irc.Naming{})
	var entries []*wire.ImportEntry
	for _, log := range logs {
		read, err := log.Read()
		if err != nil {
			return nil, 0, fmt.Errorf("bench: %w", err)
		}
		plan.Begin(log)
		for _, line := range read {
			entries = plan.Add(line, entries[:0])
			for _, entry := range entries {
				if entry.GetMessage() != nil {
					messages = append(messages, entry)
				}
			}
		}
	}
	return messages, plan.Counts().Total(), nil
}

// importing is one run.
type importing struct {
	server   ServerConfig
	logs     irc.Logs
	expected []*wire.ImportEntry
	lines    int
	running  bool // into a running server
}

func (i *importing) measure(ctx context.Context, output Output) (Result, error) {
	way := "into a stopped server's directory"
	if i.running {
		way = "into a running server"
	}
	output.say("import: %s lines %s", grouped(float64(i.lines)), way)
	args := []string{"--conversation", importedInto}
	var server *Server
	var err error
	if i.running {
		if server, err = StartServer(ctx, i.server); err != nil {
			return Result{}, err
		}
		defer func() { server.Kill() }()
		args = append(args, "--url", server.URL, "--admin-key", server.AdminKey)
	} else {
		args = append(args, "--data", i.server.DataDir)
	}
	for _, log := range i.logs {
		args = append(args, log.Path)
	}
	begin := time.Now()
	importer, err := runImport(ctx, i.server.Program, args...)
	took := time.Since(begin)
	if err != nil {
		return Result{}, err
	}
	cpu := importer
	if !i.running {
		if server, err = StartServer(ctx, i.server); err != nil {
			return Result{}, err
		}
		defer func() { server.Kill() }()
	} else if used, known := server.Usage(); known {
		cpu = used.CPU
	}
	a, machine, err := prepare(ctx, &server.Target, output)
	if err != nil {
		return Result{}, err
	}
	defer a.Close()
	result := Result{
		Name: "import", What: fmt.Sprintf("%s IRC lines %s", grouped(float64(i.lines)), way), Operations: uint64(i.lines), Events: len(i.expected),
		PerSecond: float64(i.lines) / took.Seconds(), DurationMs: milliseconds(took), Machine: machine, DiskBytes: server.disk(),
		ServerCPUUsPerOp: float64(cpu.Microseconds()) / float64(i.lines), DiskBytesPerOp: float64(server.disk()) / float64(i.lines),
	}
	if i.running {
		result.Connections = 1
	}
	output.say("import: checking %s messages", grouped(float64(len(i.expected))))
	if err := i.check(ctx, a); err != nil {
		return result, err
	}
	result.Checked = true
	return result, server.Stop(30 * time.Second)
}

// runImport runs `tidemark import irc` and returns the processor time that it used.
func runImport(ctx context.Context, program string, args ...string) (time.Duration, error) {
	command := exec.CommandContext(ctx, program, append([]string{"import", "irc"}, args...)...)
	if said, err := command.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("bench: tidemark import irc: %w\n%s", err, lastLines(string(said)))
	}
	return command.ProcessState.UserTime() + command.ProcessState.SystemTime(), nil
}

func lastLines(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// check reads the conversation back: every message of the logs must be there once, in order, as it was said.
func (i *importing) check(ctx context.Context, a *App) error {
	readers, err := a.makeUsers(ctx, "reader", 1)
	if err != nil {
		return err
	}
	if _, err := a.Conversations.AddMembers(ctx, &wire.AddMembersRequest{Conversation: importedInto, Members: []string{readers[0].User}}); err != nil {
		return fmt.Errorf("bench: enter %s: %w", importedInto, err)
	}
	check := &importCheck{expected: i.expected}
	if _, err := a.ReadLog(ctx, readers[0], importedInto, check.event); err != nil {
		return fmt.Errorf("bench: WRONG ANSWER: %w", err)
	}
	return check.end()
}

// importCheck compares a log with what it must contain.
type importCheck struct {
	expected []*wire.ImportEntry
	next     int
}

func (c *importCheck) event(event *wire.Event) error {
	var body wire.Body
	if err := body.UnmarshalVT(event.Body); err != nil {
		return fmt.Errorf("the body of seq %d: %w", event.Seq, err)
	}
	message := body.GetMessage()
	if message == nil || event.Sender == string(tidemark.SystemUser) {
		return nil
	}
	if c.next == len(c.expected) {
		return fmt.Errorf("seq %d (%s) is in no log", event.Seq, event.ClientId)
	}
	want := c.expected[c.next]
	if event.ClientId != want.ClientId || event.Sender != want.User || message.Text != want.GetMessage().Text || message.Type != want.GetMessage().Type {
		return fmt.Errorf("seq %d is %s of %s: %q, want %s of %s: %q", event.Seq, event.ClientId, event.Sender, message.Text, want.ClientId, want.User, want.GetMessage().Text)
	}
	c.next++
	return nil
}

func (c *importCheck) end() error {
	if c.next != len(c.expected) {
		return fmt.Errorf("bench: WRONG ANSWER: %d messages are there, %d were imported", c.next, len(c.expected))
	}
	return nil
}
