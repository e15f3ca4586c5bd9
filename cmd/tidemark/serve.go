// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
)

type serveCommand struct {
	Data string `default:"./tidemark-data" help:"Data directory."`
}

func (c *serveCommand) Run(context.Context, *Output) error { return errors.New("serve is being written") }
