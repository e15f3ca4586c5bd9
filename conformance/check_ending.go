// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, "Ending".

package conformance

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfEnding = []check{
	{"2.25", "bye KICKED is the last frame of a session that is kicked", checkKickedBye},
	{"2.25", "bye TOKEN_EXPIRED is the last frame of a session whose token ends", checkExpiredBye},
	{"2.26", "1002 closes what is against RFC 6455", checkClose1002},
	{"2.26", "1003 closes text where binary is spoken, and the reverse", checkClose1003},
	{"2.26", "1007 closes what is not UTF-8 or cannot be decoded", checkClose1007},
	{"2.26", "1009 closes a message above limits.frameBytesMax", checkClose1009},
	{"2.26", "1008 closes a frame before hello, and a second hello", checkClose1008},
	{"2.26", "a refused hello is answered by error, then bye PROTOCOL", checkRefusedHello},
	{"2.26", "a hello with a token that has expired is answered by error, then bye TOKEN_EXPIRED", checkExpiredHello},
	{"2.27", "frames that come too fast are answered by RATE_LIMITED with retryAfterMs; who floods on hears bye PROTOCOL", checkFlood},
}

func checkKickedBye(p *play) {
	alice := p.user("alice")
	phone, tablet := p.connect(alice, "phone"), p.connectIn(wire.JSON, alice, "tablet")
	call[*wire.KickResponse](alice, "UserService/Kick", &wire.KickRequest{DeviceId: "phone"})
	phone.endsWith(wire.ByeReason_KICKED, ws.StatusPolicyViolation)
	tablet.ping()
	call[*wire.KickResponse](p.app(), "UserService/Kick", &wire.KickRequest{UserId: alice.id})
	tablet.endsWith(wire.ByeReason_KICKED, ws.StatusPolicyViolation)
}

func checkExpiredBye(p *play) {
	p.waits(shortLife)
	alice := p.user("alice")
	token := p.token(alice, "", shortLife)
	phone := p.connect(alice, "phone", func(h *wire.Hello) { h.Token = token })
	phone.byeWithin(shortLife + p.kit.config.Timeout)
	phone.taken[len(phone.taken)-1] = false
	phone.endsWith(wire.ByeReason_TOKEN_EXPIRED, ws.StatusPolicyViolation)
}

// masked is a frame with this first byte.
func masked(first byte, payload []byte) []byte {
	frame := []byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0} // a mask of zeros changes nothing
	return append(frame, payload...)
}

// pingFrame is a ClientFrame ping in protobuf.
var pingFrame = []byte{0x52, 0x00}

// rawBytes sends bytes as they are.
func (d *device) rawBytes(data []byte) { _ = d.socket.sendBytes(data) }

func checkClose1002(p *play) {
	alice := p.user("alice")
	for i, row := range []struct {
		what  string
		bytes []byte
	}{
		{"a frame without a mask", append([]byte{0x82, byte(len(pingFrame))}, pingFrame...)},
		{"a reserved bit", masked(0x82|0x40, pingFrame)},
		{"an opcode that does not exist", masked(0x83, pingFrame)},
		{"a continuation of nothing", masked(0x80, pingFrame)},
		{"a control frame in fragments", masked(0x09, nil)},
		{"a close frame of one byte", masked(0x88, []byte{3})},
	} {
		d := p.connect(alice, fmt.Sprint("phone", i))
		d.name = "who sends " + row.what
		d.rawBytes(row.bytes)
		d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusProtocolError)
	}
}

func checkClose1003(p *play) {
	alice := p.user("alice")
	d := p.connect(alice, "phone")
	d.sendMessage(ws.OpText, []byte(`{"ping":{}}`))
	d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusUnsupportedData)
	d = p.connectIn(wire.JSON, alice, "page")
	d.sendMessage(ws.OpBinary, pingFrame)
	d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusUnsupportedData)
}

func checkClose1007(p *play) {
	alice := p.user("alice")
	d := p.connectIn(wire.JSON, alice, "page")
	d.sendMessage(ws.OpText, []byte("{\"read\":{\"conversation\":\"\xff\"}}"))
	d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusInvalidFramePayloadData)
	d = p.connectIn(wire.JSON, alice, "page")
	d.sendMessage(ws.OpText, []byte(`{"ping"`))
	d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusInvalidFramePayloadData)
	d = p.connect(alice, "phone")
	d.sendMessage(ws.OpBinary, []byte("\x22\x03\x0a\x01\xff")) // read of a conversation whose id is not UTF-8
	d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusInvalidFramePayloadData)
}

func checkClose1009(p *play) {
	most := int(p.kit.welcome.GetLimits().GetFrameBytesMax())
	if most > 64<<20 {
		p.skip("limits.frameBytesMax is %d", most)
	}
	alice := p.user("alice")
	d := p.connect(alice, "phone")
	d.sendMessage(ws.OpBinary, make([]byte, most+1))
	d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusMessageTooBig)
}

func checkClose1008(p *play) {
	alice := p.user("alice")
	d := p.dial(wire.Proto)
	d.sendMessage(ws.OpBinary, pingFrame)
	d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusPolicyViolation)
	d = p.connect(alice, "phone")
	d.hello(alice, "phone")
	d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusPolicyViolation)
}

func checkRefusedHello(p *play) {
	alice := p.user("alice")
	refusedHello(p, alice, "phone", wire.Reason_BAD_TOKEN, func(h *wire.Hello) { h.Token = "x" }).endsWith(wire.ByeReason_PROTOCOL, ws.StatusPolicyViolation)
	refusedHello(p, alice, "a b", wire.Reason_BAD_ARGUMENT).endsWith(wire.ByeReason_PROTOCOL, ws.StatusPolicyViolation)
}

func checkExpiredHello(p *play) {
	p.waits(shortLife)
	alice := p.user("alice")
	token := p.token(alice, "", time.Second)
	p.pause(2 * time.Second)
	refusedHello(p, alice, "phone", wire.Reason_BAD_TOKEN, func(h *wire.Hello) { h.Token = token }).endsWith(wire.ByeReason_TOKEN_EXPIRED, ws.StatusPolicyViolation)
}

const (
	floodMax  = 90 * time.Second // bounds how long the kit floods
	floodSoon = floodMax / 3     // until a server refuses a frame
)

func checkFlood(p *play) {
	p.waits(floodSoon)
	alice := p.user("alice")
	neighbour := p.connect(p.user("bob"), "phone")
	d := p.connect(alice, "phone")
	ack, _ := wire.AppendClientFrame(nil, wire.Proto, &wire.ClientFrame{Frame: &wire.ClientFrame_Ack{Ack: &wire.Ack{Cursor: d.synced}}}) // has no answer
	frames := bytes.Repeat(masked(0x82, ack), 500)
	var writer sync.WaitGroup
	stop := make(chan struct{})
	writer.Go(func() { // a second goroutine, or both sides might wait for each other to read
		for {
			select {
			case <-stop:
				return
			default:
				if d.socket.sendBytes(frames) != nil {
					return
				}
			}
		}
	})
	defer writer.Wait()
	defer func() { _ = d.socket.SetWriteDeadline(time.Now()) }()
	defer close(stop)
	refused := d.untilWithin(floodSoon, "an error", func(f *wire.ServerFrame) bool { return f.GetError() != nil }).GetError()
	equal(p, "the reason for frames that come too fast", refused.GetReason(), wire.Reason_RATE_LIMITED)
	p.must(refused.GetRetryAfterMs() > 0, "retryAfterMs", "%s", show(refused))
	neighbour.ping()
	equal(p, "the reason of bye for who floods on", d.byeWithin(floodMax).GetReason(), wire.ByeReason_PROTOCOL)
}
