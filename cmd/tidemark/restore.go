// SPDX-License-Identifier: Apache-2.0

// tidemark restore: a data directory from a backup, or from what is left of one.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/verify"
)

type restoreCommand struct {
	From string `placeholder:"DIR" help:"The backup, or a copy of a data directory that no server has open."`
	Data string `required:"" placeholder:"DIR" help:"The data directory to make: new or empty, or one into which a restore was interrupted."`
	Skip bool   `name:"skip-verify" help:"Do not recompute every chain and index of the copy before it counts, which takes a while for many messages."`

	AcceptLoss bool `help:"Instead of --from: let the data directory go on from what it has, because acknowledged commits are lost, or because it is itself an older copy (a snapshot of a disk)."`
	NoCopy     bool `help:"With --accept-loss: do not keep the files as they are first, in DIR.lost-TIME."`
}

// Help adds examples to the command's help.
func (restoreCommand) Help() string {
	return `Makes a data directory of a backup and checks it. Until it is whole no server starts on it; if it is interrupted, run it again. The directory gets a new epoch, by which every device notices at its next sync, compares what it has with the server, and keeps what agrees.

Examples:

  tidemark restore --from /mnt/backups/20261122T030000.000Z --data /var/lib/tidemark
  tidemark restore --accept-loss --data /var/lib/tidemark`
}

// Run restores, or accepts the loss.
func (c *restoreCommand) Run(ctx context.Context, output *Output) error {
	switch {
	case (c.From == "") == !c.AcceptLoss:
		return wrongUsage("give --from, or --accept-loss")
	case c.AcceptLoss && c.Skip || !c.AcceptLoss && c.NoCopy:
		return wrongUsage("--skip-verify belongs to --from, --no-copy to --accept-loss")
	case c.AcceptLoss:
		return c.acceptLoss(output)
	}
	begin := time.Now()
	restored, err := store.Restore(ctx, store.RestoreConfig{From: c.From, To: c.Data, Check: func(dir string) error {
		if c.Skip {
			return nil
		}
		return checkCopy(ctx, dir, output)
	}})
	if err != nil {
		return err
	}
	fmt.Fprintf(output.Out, "%s: restored in %v, %d bytes, epoch %d\n", c.Data, time.Since(begin).Round(time.Millisecond), restored.Backup.Bytes(), restored.Meta.Epoch)
	what := "What was written after the copy was taken is not in it."
	if !restored.Plain {
		what = fmt.Sprintf("The backup is of %s: what was written after that is not in it.", clock(restored.Backup.MadeMs))
	}
	fmt.Fprintln(output.Out, what)
	printConsequences(output.Out, fmt.Sprint(restored.Backup.Epoch), c.Data)
	return nil
}

// checkCopy is tidemark verify of the copy.
func checkCopy(ctx context.Context, dir string, output *Output) error {
	report, err := verify.Run(ctx, verify.Config{Dir: dir, DamagesMax: 100, Progress: progressOn(output.Err)})
	if err != nil {
		return err
	}
	if !report.OK() {
		fmt.Fprint(output.Out, report)
		return errors.New("the copy is damaged (see above): take an older backup; --skip-verify restores it as it is")
	}
	return nil
}

// acceptLoss puts the directory under a new epoch.
func (c *restoreCommand) acceptLoss(output *Output) error {
	keep := ""
	if !c.NoCopy {
		keep = c.Data + ".lost-" + store.BackupName(uint64(time.Now().UnixMilli()))
	}
	loss, err := store.AcceptLoss(store.Config{Dir: c.Data}, keep)
	if err != nil {
		return err
	}
	for n, have := range loss.Have {
		if reached := loss.Reached[n]; reached > have {
			fmt.Fprintf(output.Out, "partition %d: the commits %d to %d are lost (%d)\n", n, have+1, reached, reached-have)
		}
	}
	fmt.Fprintf(output.Out, "%s: %d acknowledged commits are known to be lost; it goes on under epoch %d\n", c.Data, loss.Commits(), loss.New)
	if keep != "" {
		fmt.Fprintf(output.Out, "The files as they were are in %s: remove it when it is not needed any more.\n", keep)
	}
	fmt.Fprintf(output.Out, "Check it:          tidemark verify --data %s\n", c.Data)
	printConsequences(output.Out, fmt.Sprint(loss.Old), c.Data)
	return nil
}

// printConsequences says what the operator must know.
func printConsequences(out io.Writer, old, data string) {
	fmt.Fprintf(out, `The epoch was %s. At its next sync every device notices, compares what it has with the server, and keeps what agrees.
What was undone is as it was then: tokens revoked, users deleted, members removed and messages erased since count again; do it again where it matters.
Start the server:  tidemark serve --data %s --take-back 15m
For so long devices give back what is lost here, and nothing else is written. Without the flag what is lost stays lost.
`, old, data)
}
