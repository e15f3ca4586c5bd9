// SPDX-License-Identifier: Apache-2.0

// The proxy and the tap: what they do to bytes, and what they hear.

package soak

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// echo is a server that says again what it hears, behind a proxy.
func echo(t *testing.T) (*Proxy, *Counts) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	group, ctx := errgroup.WithContext(ctx)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	group.Go(func() error {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return nil // closed below
			}
			group.Go(func() error { _, _ = io.Copy(conn, conn); return conn.Close() })
		}
	})
	counts := &Counts{}
	proxy, err := NewProxy(ctx, dialTo(listener.Addr().String()), nil, 1, counts)
	if err != nil {
		t.Fatal(err)
	}
	group.Go(func() error { return proxy.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		if err := group.Wait(); err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return proxy, counts
}

func reach(t *testing.T, p *Proxy) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, bufio.NewReader(conn)
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func TestProxyPasses(t *testing.T) {
	p, _ := echo(t)
	conn, answers := reach(t, p)
	say(t, conn, "good\n")
	if got, err := answers.ReadString('\n'); got != "good\n" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestProxySpoilsTheByteAfterTheMark(t *testing.T) {
	p, counts := echo(t)
	p.Set(Weather{Spoil: []byte("~~")})
	conn, answers := reach(t, p)
	say(t, conn, "a ~~bcd\n")
	if got, err := answers.ReadString('\n'); got != "a ~~ccd\n" || counts.Spoiled.Load() != 1 {
		t.Fatalf("%q, %v, %d spoiled", got, err, counts.Spoiled.Load())
	}
}

func TestProxyChangesBytes(t *testing.T) {
	p, counts := echo(t)
	p.Set(Weather{FlipEvery: 100})
	conn, answers := reach(t, p)
	sent := strings.Repeat("x", 5000)
	say(t, conn, sent)
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(answers, got); err != nil {
		t.Fatal(err)
	}
	changed := len(sent) - bytes.Count(got, []byte("x"))
	if flipped := int(counts.Flipped.Load()); changed < 20 || flipped < changed {
		t.Fatalf("%d bytes of 5000 are others, the proxy says %d, in two directions", changed, flipped)
	}
}

func TestProxyHoldsBack(t *testing.T) {
	p, _ := echo(t)
	conn, answers := reach(t, p)
	say(t, conn, "one\n")
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	p.Set(Weather{HoldDown: true})
	say(t, conn, "two\n")
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if got, err := answers.ReadString('\n'); got != "" {
		t.Fatalf("%q, %v", got, err)
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	p.Set(Weather{})
	if got, err := answers.ReadString('\n'); got != "two\n" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestProxyCuts(t *testing.T) {
	p, counts := echo(t)
	conn, answers := reach(t, p)
	say(t, conn, "one\n")
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	p.Set(Weather{HoldUp: true})
	say(t, conn, "lost\n")
	p.Cut()
	if got, err := answers.ReadString('\n'); err == nil || counts.Cut.Load() == 0 {
		t.Fatalf("%q after a cut", got)
	}
	p.Set(Weather{Refuse: true})
	late, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Address())
	if err != nil {
		return // refused before it knew that it was connected
	}
	defer late.Close()
	if got, err := bufio.NewReader(late).ReadString('\n'); err == nil {
		t.Fatalf("%q of a network that lets nobody in", got)
	}
}

// Frames are found wherever the bytes are divided, masked or not, in fragments, with others between them.
func TestFramesAreHeard(t *testing.T) {
	frame := func(first byte, payload string, mask bool) []byte {
		out := []byte{first}
		bit := byte(0)
		if mask {
			bit = 0x80
		}
		switch n := len(payload); {
		case n < 126:
			out = append(out, bit|byte(n))
		case n < 1<<16:
			out = binary.BigEndian.AppendUint16(append(out, bit|126), uint16(n))
		default:
			out = binary.BigEndian.AppendUint64(append(out, bit|127), uint64(n))
		}
		if !mask {
			return append(out, payload...)
		}
		key := []byte{7, 1, 200, 9}
		out = append(out, key...)
		for i := range len(payload) {
			out = append(out, payload[i]^key[i%4])
		}
		return out
	}
	long, huge := strings.Repeat("long", 100), strings.Repeat("huge", 20_000)
	for _, mask := range []bool{false, true} {
		bytesOf := bytes.Join([][]byte{
			frame(0x82, "one", mask), frame(0x89, "ping", mask), frame(0x82, long, mask), frame(0x02, "be", mask), frame(0x8a, "pong", mask),
			frame(0x00, "gin", mask), frame(0x80, "ning", mask), frame(0x82, huge, mask), frame(0x82, "", mask),
		}, nil)
		for _, size := range []int{1, 3, 1000, len(bytesOf)} {
			var heard []string
			f := frames{tell: func(m []byte) { heard = append(heard, string(m)) }}
			for at := 0; at < len(bytesOf); at += size {
				f.take(bytesOf[at:min(at+size, len(bytesOf))])
			}
			if got := strings.Join(heard, "|"); got != strings.Join([]string{"one", long, "beginning", huge, ""}, "|") {
				t.Fatalf("in pieces of %d, masked %t: %d messages: %.80q", size, mask, len(heard), got)
			}
		}
	}
}
