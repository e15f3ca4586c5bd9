// SPDX-License-Identifier: Apache-2.0

// tidemark import: history from elsewhere, into a stopped server's directory or a running server.

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/irc"
)

type importCommand struct {
	IRC importIRCCommand `cmd:"" name:"irc" help:"Import logs of an IRC channel."`
}

type importIRCCommand struct {
	Conversation string `required:"" short:"c" placeholder:"ID" help:"The group to import into, for example '#ubuntu'; made if there is none."`
	Title        string `placeholder:"TITLE" help:"Its title, if it is made. Default: its id."`
	UserPrefix   string `placeholder:"PREFIX" help:"Put this before every user id, so that nicks do not meet the app's own users."`
	Odd          string `placeholder:"FILE" help:"Write the lines that are not imported into this file."`

	URL      string   `name:"url" placeholder:"URL" help:"A running server. Default: none, the directory of a stopped one is written."`
	Data     string   `default:"./tidemark-data" placeholder:"DIR" help:"Data directory; with --url only for the admin key in it (${default})."`
	AdminKey string   `placeholder:"KEY" help:"The admin key, for --url. Default: the one in DIR/admin.key."`
	Files    []string `arg:"" placeholder:"FILE" help:"Logs, one a day, with the date in their names (2004-12-05.txt), or directories of them."`
}

// Help adds what there is to know to the command's help.
func (importIRCCommand) Help() string {
	return `Every line becomes an entry with its own date, or is listed as odd: messages, actions, notices, joins, leaves, nick changes. Users are made from the nicks. Running it again imports nothing twice, so an import that was interrupted is run again.

Examples:

  tidemark import irc --conversation '#ubuntu' logs/2004-12-*.txt
  tidemark import irc -c '#ubuntu' --url http://127.0.0.1:8080 logs/`
}

// Run imports the logs and prints what became of them.
func (c *importIRCCommand) Run(ctx context.Context, output *Output) (err error) {
	id := tidemark.ConversationID(c.Conversation)
	if !id.Valid() {
		return wrongUsage("--conversation is %q: it takes %s", c.Conversation, tidemark.IDAlphabet)
	}
	if c.Title == "" {
		c.Title = c.Conversation
	}
	logs, err := irc.Open(c.Files)
	if err != nil {
		return wrongUsage("%s", strings.TrimPrefix(err.Error(), "irc: "))
	}
	var odd oddLines
	if err := odd.open(c.Odd); err != nil {
		return err
	}
	shown := newProgressLine(output.Err)
	start := time.Now()
	summary, err := c.into(ctx, id, func(target irc.Target) (irc.Summary, error) {
		return irc.Run(ctx, logs, target, irc.RunConfig{Naming: irc.Naming{Prefix: c.UserPrefix}, Progress: shown.show, Odd: odd.add})
	})
	shown.end()
	if err := errors.Join(err, odd.close()); err != nil {
		if summary.Appended > 0 {
			err = fmt.Errorf("%w\nWhat was imported before is kept: run the same command again to go on", err)
		}
		return err
	}
	printSummary(output.Out, c.Conversation, summary, odd.first, time.Since(start))
	if summary.Interrupted {
		return errInterrupted
	}
	return nil
}

// errInterrupted ends an import of which a part is missing.
var errInterrupted = &interruptedError{"interrupted before all was imported: run the same command again to go on"}

// into opens the target, runs the import and closes the target.
func (c *importIRCCommand) into(ctx context.Context, id tidemark.ConversationID, run func(irc.Target) (irc.Summary, error)) (irc.Summary, error) {
	if c.URL != "" {
		flags := serverFlags{URL: c.URL, Data: c.Data, AdminKey: c.AdminKey}
		target, err := newServerTarget(&flags, id, c.Title)
		if err != nil {
			return irc.Summary{}, err
		}
		return run(target)
	}
	var summary irc.Summary
	err := withDirectory(ctx, c.Data, func(target *directoryTarget) (err error) {
		target.conversation, target.title = id, c.Title
		summary, err = run(target)
		return err
	})
	return summary, err
}

// printSummary prints what became of the lines.
func printSummary(out io.Writer, conversation string, s irc.Summary, odd []irc.OddLine, took time.Duration) {
	fmt.Fprintf(out, "%s: %d of %d lines from %d files in %s", conversation, s.Lines.Total(), s.LinesTotal, s.Logs, took.Round(10*time.Millisecond))
	if seconds := took.Seconds(); seconds > 0 {
		fmt.Fprintf(out, " (%.0f lines/s)", float64(s.Lines.Total())/seconds)
	}
	fmt.Fprintf(out, "\n  appended %d, already there %d\n", s.Appended, s.Skipped)
	for _, kind := range []irc.Kind{irc.Message, irc.Action, irc.Notice, irc.Join, irc.Leave, irc.NickChange, irc.Mode, irc.Topic, irc.Kick, irc.Odd} {
		if n := s.Lines[kind]; n > 0 || kind == irc.Odd {
			fmt.Fprintf(out, "  %-12s %d\n", kind.String(), n)
		}
	}
	fmt.Fprintf(out, "  %-12s %d; %d joins are not in the logs: who speaks is in\n", "users", s.Users, s.Joined)
	if s.FirstMs > 0 {
		fmt.Fprintf(out, "  from %s to %s\n", clock(s.FirstMs), clock(s.LastMs))
	}
	if s.Raised > 0 {
		fmt.Fprintf(out, "Up to %d of the appended are older than what was there before: the log goes forward only, so they got later times. Import logs in the order of their dates.\n", s.Raised)
	}
	for i, line := range odd {
		if i == 0 {
			fmt.Fprintln(out, "Odd lines, not imported:")
		}
		fmt.Fprintf(out, "  %s\n", line)
	}
	if more := s.Lines[irc.Odd] - len(odd); more > 0 {
		fmt.Fprintf(out, "  and %d more (--odd FILE writes all)\n", more)
	}
}

// oddShown is how many odd lines the summary lists.
const oddShown = 20

// oddLines keeps the first odd lines and writes all to a file, if there is one.
type oddLines struct {
	first []irc.OddLine
	file  *os.File
	out   *bufio.Writer
}

func (o *oddLines) open(path string) (err error) {
	if path == "" {
		return nil
	}
	if o.file, err = os.Create(path); err != nil {
		return err
	}
	o.out = bufio.NewWriter(o.file)
	return nil
}

func (o *oddLines) add(line irc.OddLine) {
	if len(o.first) < oddShown {
		o.first = append(o.first, line)
	}
	if o.out != nil {
		fmt.Fprintln(o.out, line) // a failure is remembered and told by close
	}
}

func (o *oddLines) close() error {
	if o.file == nil {
		return nil
	}
	return errors.Join(o.out.Flush(), o.file.Close())
}

// progressLine shows how far an import is: on a terminal a line that changes, elsewhere a line every few seconds.
type progressLine struct {
	out        io.Writer
	isTerminal bool
	every      time.Duration
	start      time.Time // of the lines
	last       time.Time
	drawn      bool
}

func newProgressLine(out io.Writer) *progressLine {
	p := &progressLine{out: out, isTerminal: isTerminal(out), every: 5 * time.Second, last: time.Now()}
	if p.isTerminal {
		p.every = 200 * time.Millisecond
	}
	return p
}

// isTerminal reports whether somebody watches.
func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (p *progressLine) show(at irc.Progress) {
	now := time.Now()
	if at.Stage == "lines" && p.start.IsZero() {
		p.start = now
	}
	if now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	text := "making users…"
	if at.Stage == "lines" && now.After(p.start) && at.Lines > 0 {
		rate := float64(at.Lines) / now.Sub(p.start).Seconds()
		left := time.Duration(float64(at.LinesTotal-at.Lines) / rate * float64(time.Second))
		text = fmt.Sprintf("%d of %d lines, %.0f lines/s, %s left", at.Lines, at.LinesTotal, rate, left.Round(time.Second))
	}
	if p.isTerminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
		p.drawn = true
	} else {
		fmt.Fprintln(p.out, text)
	}
}

// end clears the line.
func (p *progressLine) end() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
