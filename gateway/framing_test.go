// SPDX-License-Identifier: Apache-2.0

// RFC 6455 as its test suites check it: fragments, control frames between them, every length form, and what is forbidden.

package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

var testMask = [4]byte{0x12, 0xf4, 0x56, 0x78}

// masked is a client's frame.
func masked(op ws.OpCode, fin bool, payload string) []byte {
	return ws.MustCompileFrame(ws.MaskFrameWith(ws.NewFrame(op, fin, []byte(payload)), testMask))
}

// heard writes down what a framing delivers.
type heard struct {
	t   *testing.T
	log []string
}

func (h *heard) deliver(op ws.OpCode, payload []byte) error {
	p := string(payload)
	if len(p) > 40 {
		p = fmt.Sprintf("%s…%d", p[:4], len(p))
	}
	h.log = append(h.log, fmt.Sprintf("%x:%s", byte(op), p))
	return nil
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// feedIn feeds data in pieces of the given size (0: at once) and tells what came of it.
func feedIn(t *testing.T, text bool, limit uint32, data []byte, size int) (string, error) {
	h := &heard{t: t}
	f := framing{limit: limit, text: text}
	data = bytes.Clone(data) // it is changed
	for len(data) > 0 {
		n := len(data)
		if size > 0 {
			n = min(size, n)
		}
		if err := f.feed(data[:n], h); err != nil {
			return strings.Join(h.log, " "), err
		}
		data = data[n:]
	}
	if !f.inFrame && !f.partial && f.headLen == 0 && (f.message != nil || f.control != nil) {
		t.Error("something is held between messages")
	}
	return strings.Join(h.log, " "), nil
}

func TestFramingAccepts(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	cases := []struct {
		name string
		text bool
		data []byte
		want string
	}{
		{"text", true, masked(ws.OpText, true, "hello"), "1:hello"},
		{"binary", false, masked(ws.OpBinary, true, "\x00\xff"), "2:\x00\xff"},
		{"empty message", true, masked(ws.OpText, true, ""), "1:"},
		{"125, 126 and 65,536 bytes", true, join(masked(ws.OpText, true, long[:125]), masked(ws.OpText, true, long[:126]), masked(ws.OpText, true, long[:65_536])),
			"1:xxxx…125 1:xxxx…126 1:xxxx…65536"},
		{"two messages", true, join(masked(ws.OpText, true, "a"), masked(ws.OpText, true, "b")), "1:a 1:b"},
		{"fragments", true, join(masked(ws.OpText, false, "hel"), masked(ws.OpContinuation, false, "l"), masked(ws.OpContinuation, true, "o")), "1:hello"},
		{"empty fragments", true, join(masked(ws.OpText, false, ""), masked(ws.OpContinuation, false, ""), masked(ws.OpContinuation, true, "")), "1:"},
		{"an empty last fragment", false, join(masked(ws.OpBinary, false, "ab"), masked(ws.OpContinuation, true, "")), "2:ab"},
		{"a ping between fragments", true, join(masked(ws.OpText, false, "hel"), masked(ws.OpPing, true, "p"), masked(ws.OpContinuation, true, "lo")), "9:p 1:hello"},
		{"ping, pong and close between fragments", true, join(masked(ws.OpText, false, "a"), masked(ws.OpPing, true, ""), masked(ws.OpPong, true, "q"), masked(ws.OpClose, true, "\x03\xe8")), "9: a:q 8:\x03\xe8"},
		{"a ping of 125 bytes", true, masked(ws.OpPing, true, long[:125]), "9:xxxx…125"},
		{"a character split between fragments", true, join(masked(ws.OpText, false, "\xe2\x82"), masked(ws.OpContinuation, true, "\xac")), "1:€"},
		{"ten fragments", false, join(append([][]byte{masked(ws.OpBinary, false, "0")}, fragments(9)...)...), "2:0123456789"},
	}
	for _, c := range cases {
		for _, size := range []int{0, 1, 2, 3, 7, 4096} {
			if size == 1 && len(c.data) > 200_000 {
				continue
			}
			if got, err := feedIn(t, c.text, 1<<20, c.data, size); err != nil || got != c.want {
				t.Errorf("%s, in pieces of %d: %q, %v; want %q", c.name, size, got, err, c.want)
			}
		}
	}
}

func fragments(n int) [][]byte {
	var out [][]byte
	for i := 1; i <= n; i++ {
		out = append(out, masked(ws.OpContinuation, i == n, fmt.Sprint(i)))
	}
	return out
}

// with changes the first byte or two of a frame.
func with(frame []byte, at int, value byte) []byte {
	frame = bytes.Clone(frame)
	frame[at] = value
	return frame
}

// forbidden are byte streams that end a connection: used here and, over sockets, in the table of hostile clients.
var forbidden = []struct {
	name string
	text bool
	data []byte
	code ws.StatusCode
	kind Violation
}{
	{"not masked", true, ws.MustCompileFrame(ws.NewTextFrame([]byte("hi"))), 1002, BadFraming},
	{"a control frame not masked", true, ws.MustCompileFrame(ws.NewPingFrame(nil)), 1002, BadFraming},
	{"RSV1, the bit of compression", true, with(masked(ws.OpText, true, "hi"), 0, 0xc1), 1002, BadFraming},
	{"RSV2", true, with(masked(ws.OpText, true, "hi"), 0, 0xa1), 1002, BadFraming},
	{"RSV3", true, with(masked(ws.OpText, true, "hi"), 0, 0x91), 1002, BadFraming},
	{"RSV1 on a ping", true, with(masked(ws.OpPing, true, "hi"), 0, 0xc9), 1002, BadFraming},
	{"opcode 3", true, masked(3, true, "hi"), 1002, BadFraming},
	{"opcode 7", true, masked(7, true, "hi"), 1002, BadFraming},
	{"opcode 11", true, masked(11, true, "hi"), 1002, BadFraming},
	{"opcode 15", true, masked(15, true, ""), 1002, BadFraming},
	{"a fragmented ping", true, masked(ws.OpPing, false, "hi"), 1002, BadFraming},
	{"a fragmented close", true, masked(ws.OpClose, false, ""), 1002, BadFraming},
	{"a ping of 126 bytes", true, masked(ws.OpPing, true, strings.Repeat("p", 126)), 1002, BadFraming},
	{"a continuation of nothing", true, masked(ws.OpContinuation, true, "hi"), 1002, BadFraming},
	{"a continuation after a whole message", true, join(masked(ws.OpText, true, `{"watch":{}}`), masked(ws.OpContinuation, true, "hi")), 1002, BadFraming},
	{"a new message inside a fragmented one", true, join(masked(ws.OpText, false, "a"), masked(ws.OpText, true, "b")), 1002, BadFraming},
	{"a length with its highest bit set", true, []byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 1002, BadFraming},
	{"five bytes in the 16-bit form", true, []byte{0x81, 0xfe, 0, 5, 1, 2, 3, 4, 'h', 'e', 'l', 'l', 'o'}, 1002, BadFraming},
	{"126 bytes in the 64-bit form", true, []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 126, 1, 2, 3, 4}, 1002, BadFraming},
	{"a length of 2^62", true, []byte{0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1009, TooBig},
	{"a length of one byte more than allowed", true, []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 1, 2, 3, 4}, 1009, TooBig},
	{"fragments that add up to more than allowed", true, join(masked(ws.OpText, false, strings.Repeat("x", 1<<20)), masked(ws.OpContinuation, true, "x")), 1009, TooBig},
	{"text that is not UTF-8", true, masked(ws.OpText, true, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"), 1007, NotUTF8},
	{"text cut inside a character", true, masked(ws.OpText, true, "\xe2\x82"), 1007, NotUTF8},
	{"text that is not UTF-8, in fragments", true, join(masked(ws.OpText, false, "\xe2"), masked(ws.OpContinuation, true, "x")), 1007, NotUTF8},
	{"text on a protobuf connection", false, masked(ws.OpText, true, `{"ping":{}}`), 1003, WrongType},
	{"a first fragment of text on a protobuf connection", false, masked(ws.OpText, false, ""), 1003, WrongType},
	{"binary on a JSON connection", true, masked(ws.OpBinary, true, "\x52\x00"), 1003, WrongType},
}

func TestFramingForbids(t *testing.T) {
	for _, c := range forbidden {
		for _, size := range []int{0, 1, 5} {
			_, err := feedIn(t, c.text, 1<<20, c.data, size)
			var v *violation
			if !errors.As(err, &v) || v.code != c.code || v.kind != c.kind || v.text == "" {
				t.Errorf("%s, in pieces of %d: %v (%+v), want code %d", c.name, size, err, v, c.code)
			}
		}
	}
}

// TestFramingTrustsNoLength: memory grows with what arrives, not with what is announced.
func TestFramingTrustsNoLength(t *testing.T) {
	f := framing{limit: 1 << 30, text: true}
	if err := f.feed([]byte{0x81, 0xff, 0, 0, 0, 0, 0x3f, 0, 0, 0, 1, 2, 3, 4, 'x'}, &heard{t: t}); err != nil {
		t.Fatal(err)
	}
	if cap(f.message) > messageStart {
		t.Errorf("%d bytes held for one byte", cap(f.message))
	}
}

func TestCheckClose(t *testing.T) {
	cases := []struct {
		payload string
		code    ws.StatusCode // of the answer
		bad     bool
	}{
		{"", 1000, false}, {"\x03\xe8", 1000, false}, {"\x03\xe9bye", 1001, false}, {"\x0b\xb8", 3000, false}, {"\x13\x87", 4999, false},
		{"\x03\xef", 1007, false}, {"\x03\xf3", 1011, false},
		{"\x03", 1002, true}, {"\x00\x00", 1002, true}, {"\x03\xe7", 1002, true}, {"\x03\xec", 1002, true}, {"\x03\xed", 1002, true},
		{"\x03\xee", 1002, true}, {"\x04\x4c", 1002, true}, {"\x03\xe8\xff", 1007, true},
		{"\x07\xd0", 1002, true}, {"\x0b\xb7", 1002, true},
	}
	for _, c := range cases {
		code, err := checkClose([]byte(c.payload))
		var v *violation
		if errors.As(err, &v) {
			code = v.code
		}
		if (err != nil) != c.bad || code != c.code {
			t.Errorf("%x: %d, %v; want %d", c.payload, code, err, c.code)
		}
	}
}

// TestOwnFrames: what we write is what the library reads, at every length form, also behind other frames.
func TestOwnFrames(t *testing.T) {
	out := []byte{}
	sizes := []int{0, 1, 125, 126, 127, 65_535, 65_536, 200_000}
	for _, n := range sizes {
		out = appendFrame(out, ws.OpBinary, bytes.Repeat([]byte{byte(n)}, n))
	}
	r := bytes.NewReader(out)
	for _, n := range sizes {
		//lint:ignore SA1019 the frames are our own: nobody sends long ones here
		f, err := ws.ReadFrame(r)
		if err != nil || f.Header.OpCode != ws.OpBinary || !f.Header.Fin || f.Header.Masked || f.Header.Rsv != 0 ||
			!bytes.Equal(f.Payload, bytes.Repeat([]byte{byte(n)}, n)) {
			t.Fatalf("%d bytes: %v, %+v, %d bytes", n, err, f.Header, len(f.Payload))
		}
	}
	if r.Len() != 0 {
		t.Errorf("%d bytes left over", r.Len())
	}
}

// FuzzFraming: no bytes make it panic, and how they are cut into reads changes nothing.
func FuzzFraming(f *testing.F) {
	for _, c := range forbidden {
		if len(c.data) < 1000 {
			f.Add(c.data, c.text, 3)
		}
	}
	f.Add(join(masked(ws.OpText, false, "hel"), masked(ws.OpPing, true, "p"), masked(ws.OpContinuation, true, "lo")), true, 1)
	f.Fuzz(func(t *testing.T, data []byte, text bool, size int) {
		whole, errWhole := feedIn(t, text, 1<<16, data, 0)
		parts, errParts := feedIn(t, text, 1<<16, data, 1+(size&15))
		if whole != parts || (errWhole == nil) != (errParts == nil) {
			t.Fatalf("at once %q, %v; in parts %q, %v", whole, errWhole, parts, errParts)
		}
	})
}

func BenchmarkFraming(b *testing.B) {
	data := bytes.Repeat(masked(ws.OpBinary, true, strings.Repeat("x", 150)), 64)
	work := make([]byte, len(data))
	f := framing{limit: 1 << 20}
	var n count
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		copy(work, data)
		if err := f.feed(work, &n); err != nil {
			b.Fatal(err)
		}
	}
}

type count int

func (n *count) deliver(ws.OpCode, []byte) error { *n++; return nil }
