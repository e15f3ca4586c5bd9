// SPDX-License-Identifier: Apache-2.0

// tidemark trace: where is my message? A table of members and devices.

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

type traceCommand struct {
	Conversation string `required:"" short:"c" placeholder:"ID" help:"The conversation."`
	Seq          uint64 `short:"n" placeholder:"N" help:"The event's number in it."`
	ClientID     string `name:"client-id" placeholder:"ID" help:"Instead of --seq: the id its sender gave it, with --sender."`
	Sender       string `placeholder:"USER" help:"The sender, with --client-id."`

	serverFlags `embed:""`
}

// Help adds an example to the command's help.
func (traceCommand) Help() string {
	return `Prints where an event is stored, and for each member and device whether it was delivered and read; if not, why.

Examples:

  tidemark trace --conversation team --seq 42
  tidemark trace --conversation team --client-id c1 --sender alice --url https://chat.example --admin-key "$KEY"`
}

// Run prints the table, page by page as it comes.
func (c *traceCommand) Run(ctx context.Context, output *Output) error {
	if (c.Seq != 0) == (c.ClientID != "") {
		return wrongUsage("give --seq, or --client-id with --sender")
	}
	base, options, err := c.options()
	if err != nil {
		return err
	}
	messages := wireconnect.NewMessageServiceClient(http.DefaultClient, base, options)
	table := tabwriter.NewWriter(output.Out, 0, 8, 2, ' ', 0)
	request := &wire.TraceRequest{Conversation: c.Conversation, Seq: c.Seq, ClientId: c.ClientID, Sender: c.Sender, PageSize: 500}
	for first := true; first || request.PageToken != ""; first = false {
		answer, err := messages.Trace(ctx, request)
		if err != nil {
			return err
		}
		if first {
			printEvent(output.Out, answer)
			fmt.Fprintln(table, "MEMBER\tREAD\tDEVICE\tDELIVERED\tONLINE\tLAST SEEN\tWHY")
		}
		for _, member := range answer.GetMembers() {
			printMember(table, member)
		}
		request.PageToken = answer.GetNextPageToken()
	}
	return table.Flush()
}

// printEvent prints where the event is.
func printEvent(out io.Writer, t *wire.TraceResponse) {
	fmt.Fprintf(out, "%s #%d by %s at %s\n", t.GetConversation(), t.GetSeq(), t.GetSender(), clock(t.GetTimeMs()))
	fmt.Fprintf(out, "id %d, client id %q; stored in partition %d at position %d\n\n", t.GetId(), t.GetClientId(), t.GetPartition(), t.GetPosition())
}

// printMember prints a line for each device, or one for a member without any.
func printMember(table io.Writer, m *wire.TraceMember) {
	if len(m.GetDevices()) == 0 {
		fmt.Fprintf(table, "%s\t%s\t-\t-\t-\t-\t%s\n", m.GetUser(), yes(m.GetRead()), m.GetReason())
		return
	}
	for i, d := range m.GetDevices() {
		user, read, reason := "", "", d.GetReason()
		if i == 0 {
			user, read = m.GetUser(), yes(m.GetRead())
			if reason == "" {
				reason = m.GetReason()
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", user, read, d.GetDeviceId(), yes(d.GetDelivered()), yes(d.GetOnline()), clock(d.GetLastSeenMs()), reason)
	}
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// clock prints a time, or - for none.
func clock(ms uint64) string {
	if ms == 0 {
		return "-"
	}
	return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02 15:04:05Z")
}
