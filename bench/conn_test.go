// SPDX-License-Identifier: Apache-2.0

// The load connection against a hand-made server: what it writes must be what a WebSocket server expects, and what it
// reads must be what the full decoder reads.

package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemark-im/tidemark/wire"
)

func TestFramesGathered(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	var group errgroup.Group
	var written []byte
	group.Go(func() (err error) {
		written, err = io.ReadAll(theirs)
		return err
	})
	c := &conn{net: ours}
	texts := []string{"short", strings.Repeat("m", 300), strings.Repeat("l", 70_000)}
	for i, text := range texts {
		c.queue(&wire.ClientFrame{Frame: &wire.ClientFrame_Submit{Submit: &wire.Submit{
			Request: uint64(i), Action: &wire.Submit_Message{Message: &wire.Message{Text: text}},
		}}})
	}
	if err := errors.Join(c.flush(), c.net.Close(), group.Wait()); err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		payload, rest := unmask(t, written)
		written = rest
		frame, err := wire.DecodeClientFrame(wire.Proto, payload)
		if err != nil {
			t.Fatal(err)
		}
		if s := frame.GetSubmit(); s.GetRequest() != uint64(i) || s.GetMessage().GetText() != text {
			t.Errorf("frame %d came out as request %d with %d bytes of text", i, s.GetRequest(), len(s.GetMessage().GetText()))
		}
	}
	if len(written) != 0 {
		t.Errorf("%d bytes too many", len(written))
	}
}

// unmask takes one client frame apart as RFC 6455 says.
func unmask(t *testing.T, b []byte) (payload, rest []byte) {
	t.Helper()
	if b[0] != 0x82 || b[1]&0x80 == 0 {
		t.Fatalf("not a masked, final, binary frame: % x", b[:2])
	}
	size, at := uint64(b[1]&0x7F), 2
	switch size {
	case 126:
		size, at = uint64(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		size, at = binary.BigEndian.Uint64(b[2:]), 10
	}
	mask := b[at : at+4]
	payload = bytes.Clone(b[at+4 : at+4+int(size)])
	for i := range payload {
		payload[i] ^= mask[i%4]
	}
	return payload, b[at+4+int(size):]
}

// serverFrame is a frame as a server sends it: not masked.
func serverFrame(opcode byte, payload []byte) []byte {
	frame := []byte{0x80 | opcode}
	switch {
	case len(payload) < 126:
		frame = append(frame, byte(len(payload)))
	case len(payload) <= 0xFFFF:
		frame = binary.BigEndian.AppendUint16(append(frame, 126), uint16(len(payload)))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 127), uint64(len(payload)))
	}
	return append(frame, payload...)
}

func TestReadsFramesHoweverTheyAreCut(t *testing.T) {
	payloads := [][]byte{[]byte("a"), bytes.Repeat([]byte("b"), 126), bytes.Repeat([]byte("c"), 5000), bytes.Repeat([]byte("d"), 66_000), []byte("e")}
	var stream []byte
	for _, p := range payloads {
		stream = append(stream, serverFrame(opBinary, p)...)
	}
	for _, piece := range []int{1, 3, 1000, 4096, 1 << 20} {
		t.Run(fmt.Sprint(piece), func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer ours.Close()
			var group errgroup.Group
			group.Go(func() error {
				defer theirs.Close()
				for rest := stream; len(rest) > 0; {
					n, err := theirs.Write(rest[:min(piece, len(rest))])
					if err != nil {
						return err
					}
					rest = rest[n:]
				}
				return nil
			})
			c := &conn{net: ours}
			for i, want := range payloads {
				got, err := c.read()
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("message %d: %d bytes, %v; want %d", i, len(got), err, len(want))
				}
			}
			if _, err := c.read(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last message: %v, want EOF", err)
			}
			if err := group.Wait(); err != nil {
				t.Error(err)
			}
			if c.bytesIn != uint64(len(stream)) {
				t.Errorf("%d bytes counted of %d", c.bytesIn, len(stream))
			}
		})
	}
}

func TestAnswersPingsAndReportsClose(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	var group errgroup.Group
	group.Go(func() error {
		if _, err := theirs.Write(serverFrame(opPing, []byte("are you there"))); err != nil {
			return err
		}
		pong := make([]byte, 6+len("are you there"))
		if _, err := io.ReadFull(theirs, pong); err != nil {
			return err
		}
		if pong[0] != 0x80|opPong || string(pong[6:]) != "are you there" {
			return fmt.Errorf("pong is % x", pong)
		}
		_, err := theirs.Write(serverFrame(opClose, []byte{0x03, 0xE9, 'b', 'y', 'e'}))
		return err
	})
	c := &conn{net: ours}
	_ = ours.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.read(); err == nil || !strings.Contains(err.Error(), "bye") {
		t.Errorf("read: %v, want the reason of the close", err)
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

func TestFramesNoServerSendsAreErrors(t *testing.T) {
	for name, frame := range map[string][]byte{
		"fragment": {0x02, 0x01, 'x'}, "masked": {0x82, 0x81, 0, 0, 0, 0, 'x'}, "text": {0x81, 0x01, 'x'},
		"huge": {0x82, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
	} {
		c := &conn{in: frame, to: len(frame)}
		if _, err := c.read(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// heard collects deliveries.
type heard struct {
	events      []string
	checkpoints map[uint32]uint64
}

func (h *heard) event(conversation []byte, seq uint64, clientID []byte) {
	h.events = append(h.events, fmt.Sprintf("%s/%d/%s", conversation, seq, clientID))
}

func (h *heard) checkpoint(partition uint32, position uint64) { h.checkpoints[partition] = position }

func TestSkimmingAgreesWithTheDecoder(t *testing.T) {
	digest := bytes.Repeat([]byte{7}, 32)
	encode := func(f *wire.ServerFrame) []byte {
		t.Helper()
		payload, err := wire.AppendServerFrame(nil, wire.Proto, f)
		if err != nil {
			t.Fatal(err)
		}
		return payload
	}
	payload := encode(&wire.ServerFrame{Frame: &wire.ServerFrame_Submitted{Submitted: &wire.Submitted{
		Request: 9, Conversation: "c", Seq: 300, Id: 1 << 60, TimeMs: 5, Digest: digest, Partition: 3, Position: 17, Duplicate: true, Salt: []byte("saltsalt"),
	}}})
	kind, content, err := skimFrame(payload)
	if err != nil || kind != frameSubmitted {
		t.Fatalf("skimFrame: kind %d, %v", kind, err)
	}
	answer, err := skimSubmitted(content)
	if err != nil || answer.request != 9 || answer.seq != 300 || !answer.duplicate || !bytes.Equal(answer.digest, digest) {
		t.Errorf("skimSubmitted: %+v, %v", answer, err)
	}

	payload = encode(&wire.ServerFrame{Frame: &wire.ServerFrame_Delta{Delta: &wire.Delta{
		Live: true, Checkpoints: map[uint32]uint64{0: 4, 7: 1 << 40}, Profiles: []*wire.Profile{{Id: "alice", Nickname: "Alice"}},
		Conversations: []*wire.ConversationDelta{
			{Id: "a", Partition: 7, HeadSeq: 5, HeadDigest: digest, Events: []*wire.Event{{Seq: 4, ClientId: "x", Body: []byte("body")}, {Seq: 5, ClientId: "y"}}},
			{Id: "b", Removed: true},
			{Id: "c", Info: &wire.ConversationInfo{Title: "t"}, Events: []*wire.Event{{Seq: 1, BodyHash: digest, Kind: 6}}},
		},
	}}})
	if kind, content, err = skimFrame(payload); err != nil || kind != frameDelta {
		t.Fatalf("skimFrame: kind %d, %v", kind, err)
	}
	h := &heard{checkpoints: map[uint32]uint64{}}
	if err := skimDelta(content, h); err != nil {
		t.Fatal(err)
	}
	if want := []string{"a/4/x", "a/5/y", "c/1/"}; !reflect.DeepEqual(h.events, want) {
		t.Errorf("events %v, want %v", h.events, want)
	}
	if want := map[uint32]uint64{0: 4, 7: 1 << 40}; !reflect.DeepEqual(h.checkpoints, want) {
		t.Errorf("checkpoints %v, want %v", h.checkpoints, want)
	}
	for cut := 1; cut < len(content); cut++ { // no cut may panic
		_ = skimDelta(content[:cut], &heard{checkpoints: map[uint32]uint64{}})
	}
}

func TestRefusalsAreTold(t *testing.T) {
	payload, err := wire.AppendServerFrame(nil, wire.Proto, &wire.ServerFrame{Frame: &wire.ServerFrame_Error{
		Error: &wire.Error{Reason: wire.Reason_NOT_MEMBER, Message: "join first"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	kind, _, _ := skimFrame(payload)
	if err := unexpected(kind, payload); !strings.Contains(err.Error(), "NOT_MEMBER: join first") {
		t.Errorf("unexpected: %v", err)
	}
}
