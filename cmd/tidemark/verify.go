// SPDX-License-Identifier: Apache-2.0

// tidemark verify: is a data directory what its logs say?

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tidemark-im/tidemark/verify"
)

type verifyCommand struct {
	Data    string `default:"./tidemark-data" placeholder:"DIR" help:"Data directory (${default}). No server may run on it."`
	Damages int    `default:"100" placeholder:"N" help:"Describe so many damages of each partition (${default})."`
}

// Help adds an example to the command's help.
func (verifyCommand) Help() string {
	return `Recomputes the hash chain of every conversation and rebuilds everything that is derived from the logs, and compares. Changes nothing. Prints what was checked and every damage with its place; exit status 1 if there is one.

Example:

  tidemark verify --data /var/lib/tidemark`
}

// Run checks the directory.
func (c *verifyCommand) Run(ctx context.Context, output *Output) error {
	if c.Damages < 1 {
		return wrongUsage("--damages is %d: it must be at least 1", c.Damages)
	}
	begin := time.Now()
	report, err := verify.Run(ctx, verify.Config{Dir: c.Data, DamagesMax: c.Damages, Progress: progressOn(output.Err)})
	if err != nil {
		return err
	}
	fmt.Fprintf(output.Out, "%s: checked in %v\n%s", c.Data, time.Since(begin).Round(time.Millisecond), report)
	if !report.OK() {
		return errors.New("the data are damaged: keep a copy of the directory, and restore from a backup or ask for help with the lines above")
	}
	return nil
}

// progressOn shows how far a check is, once a second, where a person looks on; nil elsewhere.
func progressOn(w io.Writer) func(verify.Progress) {
	file, isFile := w.(*os.File)
	if !isFile {
		return nil
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	last := time.Now()
	return func(p verify.Progress) {
		if time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		fmt.Fprintf(file, "%d of %d partitions, %d conversations, %d events\n", p.Done, p.Partitions, p.Counts.Conversations, p.Counts.Events)
	}
}
