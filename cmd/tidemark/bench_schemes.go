// SPDX-License-Identifier: Apache-2.0

// tidemark bench schemes: four designs of group messages side by side.

package main

import (
	"context"
	"io"

	"github.com/tidemark-im/tidemark/bench/schemes"
)

type benchSchemesCommand struct {
	Members       []int  `default:"10,100,1000,10000" help:"Sizes of the groups."`
	Online        int    `default:"20" help:"Percent of the members who are online."`
	Messages      int    `default:"20" help:"Messages written to each group."`
	Payload       int    `default:"100" help:"Bytes of text of a message."`
	AckEvery      int    `default:"10" help:"Messages after which those online acknowledge."`
	FanoutRows    int    `default:"500" help:"Rows of one batch where a design has one for each member."`
	CrashMembers  int    `default:"1000" help:"Size of the group whose server crashes."`
	CrashMessages int    `default:"6" help:"Messages written to it."`
	Seed          uint64 `default:"1" help:"Repeats a run: the same seed gives the same counts."`
	Update        string `type:"path" placeholder:"FILE" help:"Also rewrite the tables of this Markdown file between its markers."`
}

// Run compares the designs. It needs no server and no directory.
func (c *benchSchemesCommand) Run(ctx context.Context, common *benchCommand, output *Output) error {
	if common.URL != "" || common.Dir != "" {
		return wrongUsage("bench schemes: it runs in memory: leave --url and --dir out")
	}
	progress := output.Err
	if common.Quiet {
		progress = io.Discard
	}
	report, err := schemes.Run(ctx, schemes.Config{
		Members: c.Members, OnlinePercent: c.Online, Messages: c.Messages, Payload: c.Payload, AckEvery: c.AckEvery,
		FanoutRows: c.FanoutRows, CrashMembers: c.CrashMembers, CrashMessages: c.CrashMessages, Seed: c.Seed,
	}, progress)
	if err != nil {
		return err
	}
	write := report.WriteTable
	if common.JSON {
		write = report.WriteJSON
	}
	if err := write(output.Out); err != nil || c.Update == "" {
		return err
	}
	return report.UpdateDocument(c.Update)
}
