// SPDX-License-Identifier: Apache-2.0

// tidemark export: any range of conversations' logs as files of JSON lines, checked against the hash chain on the way.

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"connectrpc.com/connect"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
	"github.com/tidemark-im/tidemark/wire/wireconnect"
)

type exportCommand struct {
	Conversations []string `short:"c" name:"conversation" placeholder:"ID" help:"A conversation; may be given several times."`
	User          string   `placeholder:"USER" help:"Instead: all conversations this user is in now."`
	From          string   `placeholder:"WHEN" help:"The first event: a seq, or a time such as 2026-11-22 or 2026-11-22T15:00:00Z. Default: the first kept."`
	To            string   `placeholder:"WHEN" help:"The event after the last: a seq or a time. Default: all there is."`
	Out           string   `short:"o" placeholder:"DIR" help:"Write one file ID.jsonl for each conversation into this directory. Default: to the standard output."`

	serverFlags `embed:""`
}

// Help adds what there is to know to the command's help.
func (exportCommand) Help() string {
	return `Every line is one event as JSON, in its current form: edited messages show their last edit, the bodies of recalled and erased ones are gone, their hashes are not. The first line of a file says what it is, the last how many events it has and the chain value at the last of them. Every event is checked against the hash chain while it is written, so that a file that is complete is one the server can prove.

Examples:

  tidemark export --conversation team > team.jsonl
  tidemark export --user alice --from 2026-11-01 --to 2026-12-01 --out alice-november`
}

// Run exports what was asked for, conversation by conversation.
func (c *exportCommand) Run(ctx context.Context, output *Output) error {
	if (len(c.Conversations) == 0) == (c.User == "") {
		return wrongUsage("give --conversation, or --user")
	}
	from, err := parseWhen("--from", c.From)
	if err != nil {
		return err
	}
	to, err := parseWhen("--to", c.To)
	if err != nil {
		return err
	}
	base, options, err := c.options()
	if err != nil {
		return err
	}
	if c.User != "" {
		if c.Conversations, err = conversationsOf(ctx, base, options, c.User); err != nil {
			return err
		}
	}
	if c.Out != "" {
		if err := os.MkdirAll(c.Out, 0o700); err != nil {
			return err
		}
	}
	e := &exporter{messages: wireconnect.NewMessageServiceClient(http.DefaultClient, base, options), from: from, to: to}
	start, events := time.Now(), uint64(0)
	for i, id := range c.Conversations {
		n, err := c.one(ctx, e, id, output.Out)
		if err != nil {
			return fmt.Errorf("export %s: %w", id, err)
		}
		events += n
		if c.Out != "" {
			fmt.Fprintf(output.Err, "%d of %d: %s, %d events\n", i+1, len(c.Conversations), id, n)
		}
	}
	fmt.Fprintf(output.Err, "%d events of %d conversations in %s, the chain verified\n",
		events, len(c.Conversations), time.Since(start).Round(time.Millisecond))
	return nil
}

// one exports a conversation to its file, or to the standard output. A file that was not finished is left as ID.jsonl.part.
func (c *exportCommand) one(ctx context.Context, e *exporter, id string, out io.Writer) (events uint64, err error) {
	if c.Out == "" {
		return e.export(ctx, id, out)
	}
	path := filepath.Join(c.Out, id+".jsonl")
	file, err := os.Create(path + ".part")
	if err != nil {
		return 0, err
	}
	events, err = e.export(ctx, id, file)
	if err := errors.Join(err, file.Close()); err != nil {
		return events, err
	}
	return events, os.Rename(path+".part", path)
}

// conversationsOf lists the conversations of a user.
func conversationsOf(ctx context.Context, base string, options connect.ClientOption, user string) (ids []string, err error) {
	list := wireconnect.NewConversationServiceClient(http.DefaultClient, base, options, connect.WithInterceptors(
		connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
			return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
				request.Header().Set("Tidemark-User", user)
				return next(ctx, request)
			}
		})))
	request := &wire.ListRequest{PageSize: 500}
	for first := true; first || request.PageToken != ""; first = false {
		answer, err := list.List(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, conversation := range answer.GetConversations() {
			ids = append(ids, conversation.GetId())
		}
		request.PageToken = answer.GetNextPageToken()
	}
	return ids, nil
}

// when is a place in a log: a seq or a time; both 0: not given.
type when struct{ seq, ms uint64 }

func parseWhen(flag, text string) (when, error) {
	if text == "" {
		return when{}, nil
	}
	var seq uint64
	if _, err := fmt.Sscanf(text, "%d", &seq); err == nil && fmt.Sprint(seq) == text && seq > 0 {
		return when{seq: seq}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil && t.UnixMilli() > 0 {
			return when{ms: uint64(t.UnixMilli())}, nil
		}
	}
	return when{}, wrongUsage("%s is %q: give a seq from 1, or a time such as 2026-11-22 or 2026-11-22T15:00:00Z", flag, text)
}

// past reports whether an event is not before the place.
func (w when) past(e *wire.Event) bool {
	return w.seq > 0 && e.GetSeq() >= w.seq || w.ms > 0 && e.GetTimeMs() >= w.ms
}

// exporter reads conversations in pages and writes them.
type exporter struct {
	messages wireconnect.MessageServiceClient
	from, to when
}

// exportPage is how many events are asked for at a time; the server may answer fewer.
const exportPage = 500

// export writes the range of one conversation, checking each event against the chain, and answers how many there were.
func (x *exporter) export(ctx context.Context, id string, to io.Writer) (events uint64, err error) {
	out := bufio.NewWriterSize(to, 1<<16)
	request := &wire.FetchRequest{Conversation: id, Limit: exportPage, From: &wire.FetchRequest_After{}}
	switch {
	case x.from.seq > 0:
		request.From = &wire.FetchRequest_After{After: x.from.seq - 1}
	case x.from.ms > 0:
		request.From = &wire.FetchRequest_At{At: x.from.ms}
	}
	var digest tidemark.Digest
	var line []byte
	last := uint64(0)
	for done := false; !done; {
		page, err := x.messages.Fetch(ctx, request)
		if err != nil {
			return events, err
		}
		if last == 0 {
			copy(digest[:], page.GetPrevDigest())
			if err := writeHead(out, id, page); err != nil {
				return events, err
			}
		} else if len(page.GetEvents()) > 0 && !bytes.Equal(digest[:], page.GetPrevDigest()) {
			return events, fmt.Errorf("the page after event %d does not continue the chain: run tidemark verify on the server's directory", last)
		}
		done = !page.GetHasMore()
		for _, e := range page.GetEvents() {
			if x.to.past(e) {
				done = true
				break
			}
			if digest, err = client.NextDigest(digest, e); err != nil {
				return events, err
			}
			last = e.GetSeq()
			wire.Readable(e)
			if line, err = wire.AppendJSON(line[:0], e); err != nil {
				return events, err
			}
			if _, err := out.Write(append(line, '\n')); err != nil {
				return events, err
			}
			events++
		}
		if len(page.GetEvents()) == 0 {
			done = true
		}
		request.From = &wire.FetchRequest_After{After: last}
	}
	fmt.Fprintf(out, "{\"events\":\"%d\",\"lastSeq\":\"%d\",\"digest\":\"%s\"}\n", events, last, base64.StdEncoding.EncodeToString(digest[:]))
	return events, out.Flush()
}

// writeHead writes the first line: what the file is, and the chain value before its first event.
func writeHead(out io.Writer, id string, page *wire.Fetched) error {
	first := uint64(0)
	if events := page.GetEvents(); len(events) > 0 {
		first = events[0].GetSeq()
	}
	_, err := fmt.Fprintf(out, "{\"conversation\":%q,\"firstSeq\":\"%d\",\"floorSeq\":\"%d\",\"prevDigest\":%q}\n",
		id, first, page.GetFloorSeq(), base64.StdEncoding.EncodeToString(page.GetPrevDigest()))
	return err
}
