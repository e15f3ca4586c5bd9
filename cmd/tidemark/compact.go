// SPDX-License-Identifier: Apache-2.0

// tidemark compact: the room of what is gone, given back at once.

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidemark-im/tidemark/store"
)

type compactCommand struct {
	Data string `default:"./tidemark-data" placeholder:"DIR" help:"Data directory (${default}). No server may run on it."`
}

// Help says when it is of use.
func (compactCommand) Help() string {
	return `Rewrites all tables of a stopped server's directory into as little room as they take. A running server does so by itself, bit by bit; this is for a directory that is to be copied or measured. It takes up to twice the room while it runs.

Example:

  tidemark compact --data /var/lib/tidemark`
}

// Run compacts the directory.
func (c *compactCommand) Run(ctx context.Context, output *Output) (err error) {
	begin := time.Now()
	db, err := store.Open(store.Config{Dir: c.Data, MustExist: true})
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("%s is in use: stop its server", c.Data)
	}
	if err != nil {
		return err
	}
	before := db.Metrics().DiskBytes
	if err = db.Compact(ctx); err == nil {
		fmt.Fprintf(output.Out, "%s: %d bytes before, %d after, in %v\n", c.Data, before, db.Metrics().DiskBytes, time.Since(begin).Round(time.Millisecond))
	}
	return errors.Join(err, db.Close())
}
