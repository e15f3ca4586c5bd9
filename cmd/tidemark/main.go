// SPDX-License-Identifier: Apache-2.0

// The command line of Tidemark: what commands there are, how a run of one ends, and with which exit status.

// Command tidemark is the one binary of Tidemark: the server and the tools around it.
//
//	tidemark serve                      run a server on ./tidemark-data and 127.0.0.1:8080
//	tidemark token --user alice         print a token for a user
//	tidemark help                       list the commands
//
// Every flag has an environment variable (--log-level is TIDEMARK_LOG_LEVEL), and every flag of serve may stand in a
// YAML file given by --config. Flags win over the environment, the environment over the file, the file over defaults.
//
// Exit status: 0 done; 1 it failed (verify: damage was found); 2 the command line, environment or file is wrong;
// 130 interrupted: an import before its end, anything else by a second signal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/tidemark-im/tidemark/sim"
)

// commandLine lists the commands. One file each; a command is a struct of flags with Run(context.Context, *Output) error.
type commandLine struct {
	Config configFile `placeholder:"FILE" help:"YAML file with the flags of serve as keys, without the dashes."`

	Serve       serveCommand       `cmd:"" help:"Run a server."`
	Backup      backupCommand      `cmd:"" help:"Make a backup of a server's data."`
	Bench       benchCommand       `cmd:"" help:"Measure a server."`
	Chat        chatCommand        `cmd:"" help:"Chat in a terminal."`
	Compact     compactCommand     `cmd:"" help:"Rewrite a data directory into the least room."`
	Conformance conformanceCommand `cmd:"" help:"Check that a server keeps PROTOCOL.md."`
	Export      exportCommand      `cmd:"" help:"Write conversations' history to files."`
	Import      importCommand      `cmd:"" help:"Import history from elsewhere."`
	OpenAPI     openapiCommand     `cmd:"" name:"openapi" help:"Print the OpenAPI document of the HTTP API."`
	Restore     restoreCommand     `cmd:"" help:"Make a data directory of a backup."`
	Sim         simCommand         `cmd:"" help:"Look for broken promises in simulated worlds."`
	Token       tokenCommand       `cmd:"" help:"Print a token for a user."`
	Trace       traceCommand       `cmd:"" help:"Tell where a message is, and why a device does not have it."`
	Verify      verifyCommand      `cmd:"" help:"Check a data directory."`
	Version     versionCommand     `cmd:"" help:"Print the version of this binary."`
}

// Output is where a command writes: results to Out, and what people should know besides to Err.
type Output struct {
	Out io.Writer
	Err io.Writer
}

// exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

func main() {
	ctx, stop := interruptible(context.Background())
	status := run(ctx, os.Args[1:], &Output{Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(status)
}

// run parses the arguments and runs the command they name. It returns the exit status.
func run(ctx context.Context, args []string, output *Output) int {
	parser, leave, err := newParser(ctx, output)
	if err != nil {
		fmt.Fprintln(output.Err, "tidemark:", err)
		return exitUsage
	}
	if len(args) == 0 || args[0] == "help" {
		args = append(append([]string{}, args[min(1, len(args)):]...), "--help")
	}
	parsed, err := parser.Parse(args)
	if left, status := leave(); left { // --help was printed
		return status
	}
	if err != nil {
		fmt.Fprintf(output.Err, "tidemark: %v\nTry 'tidemark --help', or 'tidemark COMMAND --help'.\n", err)
		return exitUsage
	}
	switch err := parsed.Run(); {
	case err == nil:
		return exitDone
	case errors.As(err, new(*usageError)):
		fmt.Fprintln(output.Err, "tidemark:", err)
		return exitUsage
	case errors.As(err, new(*interruptedError)):
		fmt.Fprintln(output.Err, "tidemark:", err)
		return exitInterrupted
	default:
		fmt.Fprintln(output.Err, "tidemark:", err)
		return exitFailed
	}
}

// newParser makes the parser; leave tells afterwards whether parsing has already answered (help), and with what status.
func newParser(ctx context.Context, output *Output) (parser *kong.Kong, leave func() (bool, int), err error) {
	left, status := false, 0
	parser, err = kong.New(&commandLine{},
		kong.Name("tidemark"),
		kong.Description("Tidemark is a synchronisation server for instant messaging: every message is written once, every reader leaves a mark.\n\n"+
			"Exit status: 0 done; 1 failed (verify: damage found); 2 wrong command line, environment or file; 130 interrupted (import: before its end; others: twice)."),
		kong.DefaultEnvars("TIDEMARK"),
		kong.Vars{"simProfiles": strings.Join(sim.Profiles(), ", ")},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.Writers(output.Out, output.Err),
		kong.Exit(func(code int) {
			if !left {
				left, status = true, code
			}
		}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(output),
	)
	return parser, func() (bool, int) { return left, status }, err
}

// usageError is a command's complaint about how it was called: exit status 2.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

// interruptedError says what was not finished because of a signal: exit status 130.
type interruptedError struct{ message string }

func (e *interruptedError) Error() string { return e.message }

// wrongUsage makes an error that ends the program with status 2.
func wrongUsage(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// interruptible returns a context that the first SIGINT or SIGTERM cancels; a second one ends the process at once.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for n := 0; ; n++ {
			select {
			case <-signals:
				if n > 0 {
					os.Exit(exitInterrupted)
				}
				cancel()
			case <-done:
				return
			}
		}
	}()
	return ctx, func() { signal.Stop(signals); close(done); cancel() }
}
