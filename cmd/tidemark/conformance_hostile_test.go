// SPDX-License-Identifier: Apache-2.0

// tidemark conformance --serve and --drive, one against the other.

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

func TestHostileServerAndDriver(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	served := make(chan int, 1)
	go func() {
		served <- run(ctx, []string{"conformance", "--serve", "127.0.0.1:0"}, &Output{Out: writer, Err: io.Discard})
		writer.Close()
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	at := strings.LastIndex(line, "http://")
	if err != nil || at < 0 {
		t.Fatalf("it said %q: %v", line, err)
	}
	url, _, _ := strings.Cut(line[at:], "/hostile")

	var out, errs bytes.Buffer
	status := run(ctx, []string{"conformance", "--drive", url, "--only", "honest,bye-kicked"}, &Output{Out: &out, Err: &errs})
	if status != exitDone || !strings.Contains(out.String(), "2 of 2 passed") {
		t.Errorf("--drive: status %d\n%s\n%s", status, out.String(), errs.String())
	}
	if status := run(ctx, []string{"conformance", "--drive", url, "--only", "no-such"}, &Output{Out: io.Discard, Err: io.Discard}); status != exitFailed {
		t.Errorf("an unknown scenario: status %d", status)
	}
	if status := run(ctx, []string{"conformance", "--drive", "--serve", "127.0.0.1:0"}, &Output{Out: io.Discard, Err: io.Discard}); status != exitUsage {
		t.Errorf("both: status %d", status)
	}
	stop()
	if status := <-served; status != exitDone {
		t.Errorf("--serve: status %d", status)
	}
}
