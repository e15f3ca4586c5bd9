// SPDX-License-Identifier: Apache-2.0

// The checks can fail: whole runs against a server that lies, and each check of the ledger and of the calm against views that are
// wrong by hand.

package soak

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/bench"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// liar changes what the server says on a WebSocket connection, before anybody has heard it.
type liar struct {
	io.ReadWriteCloser
	change func(f *wire.ServerFrame)
	ready  []byte // changed, and not yet read
	raw    []byte // not yet a whole frame
}

// Read implements [io.Reader].
func (l *liar) Read(p []byte) (int, error) {
	buf := make([]byte, 8<<10)
	for len(l.ready) == 0 {
		n, err := l.ReadWriteCloser.Read(buf)
		l.raw = append(l.raw, buf[:n]...)
		for {
			frame, rest, cut := cutFrame(l.raw)
			if cut != nil {
				break
			}
			head := l.raw[0]
			l.raw = rest
			l.ready = appendFrame(l.ready, head, l.lie(frame))
		}
		if err != nil && len(l.ready) == 0 {
			return 0, err
		}
	}
	n := copy(p, l.ready)
	l.ready = l.ready[n:]
	return n, nil
}

// lie is a frame's payload as it is passed on.
func (l *liar) lie(frame socketFrame) []byte {
	if frame.opcode >= 8 || !frame.last {
		return frame.payload
	}
	f, err := wire.DecodeServerFrame(wire.Proto, frame.payload)
	if err != nil {
		return frame.payload
	}
	l.change(f)
	changed, err := wire.AppendServerFrame(nil, wire.Proto, f)
	if err != nil {
		return frame.payload
	}
	return changed
}

// appendFrame appends a frame of RFC 6455 that is not masked.
func appendFrame(out []byte, head byte, payload []byte) []byte {
	switch n := len(payload); {
	case n < 126:
		out = append(out, head, byte(n))
	case n < 1<<16:
		out = binary.BigEndian.AppendUint16(append(out, head, 126), uint16(n))
	default:
		out = binary.BigEndian.AppendUint64(append(out, head, 127), uint64(n))
	}
	return append(out, payload...)
}

// toOne is a lie that one device is told.
func toOne(user tidemark.UserID, device tidemark.DeviceID, change func(f *wire.ServerFrame)) lies {
	return lies{connection: func(who invariant.Who, body io.ReadWriteCloser) io.ReadWriteCloser {
		if who.User != user || who.Device != device {
			return body
		}
		return &liar{ReadWriteCloser: body, change: change}
	}}
}

// withholds is a server that keeps a conversation from one device of a member.
func withholds(conversation string, user tidemark.UserID, device tidemark.DeviceID) lies {
	told := toOne(user, device, func(f *wire.ServerFrame) {
		if d := f.GetDelta(); d != nil {
			d.Conversations = slices.DeleteFunc(d.Conversations, func(c *wire.ConversationDelta) bool { return c.Id == conversation })
		}
		if page := f.GetFetched(); page.GetConversation() == conversation {
			page.Events, page.HasMore = nil, false
		}
	})
	told.calm = func(ctx context.Context, a *app) error { // whoever had been taken out of it would miss nothing
		return persist(ctx, func(ctx context.Context) error {
			_, err := a.Conversations.AddMembers(ctx, &wire.AddMembersRequest{Conversation: conversation, Members: []string{string(user)}})
			return err
		})
	}
	return told
}

// forgets is a server that goes on with what it had when it ended before the last time, under the same epoch.
func forgets(dir string) lies {
	deaths := 0
	older := filepath.Join(dir, "older")
	return lies{ended: func(data string) error {
		if deaths++; deaths == 1 {
			return os.CopyFS(older, os.DirFS(data))
		}
		if _, err := os.Stat(older); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return errors.Join(os.RemoveAll(data), os.Rename(older, data))
	}}
}

// A server that lies is found out, each time by one of the promises that it breaks.
func TestARunFindsALiar(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs servers for half a minute")
	}
	for _, lie := range []struct {
		name  string
		whole bool // it is found out only when nothing breaks any more
		lies  func(dir string) lies
		finds string // numbers of promises, one of which must be found broken
		about string // words that are said with it
	}{
		{"deltas that never come", true, func(string) lies { return withholds("harbour", "ann", "laptop") }, "S8 S11 Y1 C3 C6", "harbour ann/laptop)"},
		{"a body that nobody wrote", false, func(string) lies {
			return toOne("bob", "laptop", func(f *wire.ServerFrame) {
				for _, c := range f.GetDelta().GetConversations() {
					for _, e := range c.Events {
						var body wire.Body
						if body.UnmarshalVT(e.Body) == nil && body.GetMessage().GetText() != "" {
							body.GetMessage().Text = spoilMark + "nobody"
							e.Body, _ = body.MarshalVT()
						}
					}
				}
			})
		}, "C1 Y3 S1 S2", ""},
		{"an acknowledgement of another place", true, func(string) lies {
			return toOne("ann", "laptop", func(f *wire.ServerFrame) {
				if s := f.GetSubmitted(); s != nil && s.Seq > 0 {
					s.Seq += 1000
				}
			})
		}, "S1 S2 S4 S11 Y1 Y2 C3", "ann/laptop)"},
		{"a server that forgets", false, forgets, "S1 S2 S4 S7 Y2 Y3", ""},
	} {
		t.Run(lie.name, func(t *testing.T) {
			t.Parallel()
			config := newConfig(t, 1)
			config.For, config.Patience, config.Users, config.Pace = time.Minute, 25, 3, 50*time.Millisecond
			if lie.whole {
				config.For = 6 * time.Second
			}
			config.Progress, config.lies = nil, lie.lies(config.Dir)
			_, err := Run(t.Context(), config)
			if err == nil {
				t.Fatal("nobody has found out")
			}
			if line, said := saysOneOf(err, lie.finds, lie.about); said {
				t.Logf("%.300s", line)
				return
			}
			t.Fatalf("want one of %s found broken: %v", lie.finds, err)
		})
	}
}

// saysOneOf finds the line of a failure that has one of these numbers and all of these words.
func saysOneOf(failure error, numbers, words string) (line string, said bool) {
	found, _, _ := strings.Cut(failure.Error(), "\n\n") // what follows is told for people
	for number := range strings.FieldsSeq(numbers) {
		for line := range strings.Lines(found) {
			missing := !strings.Contains(line, number+": ")
			for word := range strings.FieldsSeq(words) {
				missing = missing || !strings.Contains(line, word)
			}
			if !missing {
				return line, true
			}
		}
	}
	return "", false
}

// The binary's clock goes as the file says, at once.
func TestTheServersClockCanBeSet(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds the server")
	}
	config := newConfig(t, 1)
	if !config.Stepped {
		t.Skip("the binary is a given one")
	}
	clock, err := makeClock(filepath.Join(config.Dir, "clock"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := bench.StartServer(t.Context(), bench.ServerConfig{
		Program: config.Program, DataDir: filepath.Join(config.Dir, "data"), AdminKey: "the key of a test", Env: []string{clockVariable + "=" + clock.path},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	app := newApp(server.URL, "the key of a test")
	defer app.Close()
	if _, err := app.make(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	if err := app.group(t.Context(), "pier", []string{"ann"}); err != nil {
		t.Fatal(err)
	}
	for i, ahead := range []time.Duration{0, time.Hour, -time.Hour} {
		if err := clock.set(ahead); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		answer, err := app.Users.IssueToken(t.Context(), &wire.IssueTokenRequest{UserId: "ann", TtlMs: uint64(time.Hour.Milliseconds())})
		if err != nil {
			t.Fatal(err)
		}
		// Between the question and its answer, but for the seconds in which the clock is set.
		given, lasts := time.UnixMilli(int64(answer.ExpiresMs)), time.Hour+ahead
		if given.Before(begin.Add(lasts-2*time.Second)) || given.After(time.Now().Add(lasts+2*time.Second)) {
			t.Errorf("step %d: a token of an hour ends at %v, and it is %v", i, given, begin)
		}
	}
}
