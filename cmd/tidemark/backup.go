// SPDX-License-Identifier: Apache-2.0

// tidemark backup: a copy of all data, of a running server or of a stopped one's directory.

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

type backupCommand struct {
	Name string `placeholder:"NAME" help:"What the backup is called. Default: the time."`
	To   string `placeholder:"DIR" help:"Folder for a backup of a stopped server: --data is then the data directory, and no server is asked."`

	serverFlags `embed:""`
}

// Help adds examples to the command's help.
func (backupCommand) Help() string {
	return `Makes a backup: a directory that 'tidemark restore' makes data of. A running server makes it while it goes on, in its own folder (serve --backups), at one moment of all partitions, and at least with everything it has acknowledged. Prints where it is. The keys of the data directory are in it: keep it as safe as the data.

Examples:

  tidemark backup
  tidemark backup --name before-the-move --url https://chat.example --admin-key "$KEY"
  tidemark backup --data /var/lib/tidemark --to /mnt/backups`
}

// Run makes the backup.
func (c *backupCommand) Run(ctx context.Context, output *Output) error {
	if c.To != "" {
		return c.stopped(ctx, output)
	}
	base, options, err := c.options()
	if err != nil {
		return err
	}
	answer, err := wireconnect.NewAdminServiceClient(http.DefaultClient, base, options).Checkpoint(ctx, &wire.CheckpointRequest{Name: c.Name})
	if err != nil {
		return err
	}
	fmt.Fprintf(output.Out, "%s\n", answer.GetPath())
	fmt.Fprintf(output.Err, "epoch %d, %d partitions, %d bytes, as of %s\n", answer.GetEpoch(), len(answer.GetPositions()), answer.GetBytes(), clock(answer.GetMadeMs()))
	return nil
}

// stopped makes a backup of a directory that no server has open.
func (c *backupCommand) stopped(ctx context.Context, output *Output) error {
	name := c.Name
	if name == "" {
		name = store.BackupName(uint64(time.Now().UnixMilli()))
	}
	b, err := store.BackUp(ctx, store.Config{Dir: c.Data}, c.To, name)
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("%s is in use: leave --to out, and the running server makes the backup: %w", c.Data, err)
	}
	if err != nil {
		return err
	}
	path, err := filepath.Abs(b.Dir)
	if err != nil {
		path = b.Dir
	}
	fmt.Fprintf(output.Out, "%s\n", path)
	fmt.Fprintf(output.Err, "epoch %d, %d partitions, %d bytes, as of %s\n", b.Epoch, len(b.Positions), b.Bytes(), clock(b.MadeMs))
	return nil
}
