// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, up to "Sync": the connection.

package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfConnection = []check{
	{"2.1", "welcome, then deltas that are not live, then synced, then what happens live", checkOrderOfSync},
	{"2.1", "the same in JSON", checkOrderOfSyncJSON},
	{"2.1", "a connection that sends no hello ends after 10 seconds", checkNoHello},
	{"2.2", "a frame of an unknown kind is answered by BAD_ARGUMENT with its request, and the connection goes on", checkUnknownKind},
	{"2.2", "a malformed frame is answered by bye PROTOCOL, then closed", checkMalformed},
	{"2.3", "welcome reports the limits in force and a heartbeat", checkLimits},
	{"2.3", "who is silent for two and a half heartbeats is cut off, who pings is not", checkSilentIsCut},
	{"2.4", "a device that connects again replaces its earlier session, which hears bye REPLACED", checkReplaced},
}

func checkOrderOfSync(p *play)     { orderOfSync(p, wire.Proto) }
func checkOrderOfSyncJSON(p *play) { orderOfSync(p, wire.JSON) }

func orderOfSync(p *play, format wire.Format) {
	alice, bob := p.user("alice"), p.user("bob")
	team := p.group(alice, bob)
	p.sayMany(alice, team, 3)
	phone := p.connectIn(format, bob, "phone")
	last := p.say(alice, team, "live")
	phone.hasSeq(team, last.GetSeq())

	kinds := map[string]int{} // where each kind came first
	for i, f := range phone.frames {
		switch {
		case f.GetWelcome() != nil:
			p.must(i == 0, "welcome is the first frame", "it is frame %d", i+1)
			kinds["welcome"]++
		case f.GetSynced() != nil:
			kinds["synced"]++
		case f.GetDelta() != nil:
			equal(p, "delta.live, which is true after synced", f.GetDelta().GetLive(), kinds["synced"] > 0)
		}
	}
	p.must(kinds["welcome"] == 1 && kinds["synced"] == 1, "welcome and synced once each", "%v", kinds)
	welcome := phone.welcome
	equal(p, "welcome.user", welcome.GetUser(), bob.id)
	equal(p, "welcome.deviceId", welcome.GetDeviceId(), "phone")
	p.must(welcome.GetSessionId() != "" && welcome.GetPartitions() > 0 && welcome.GetEpoch() != 0,
		"welcome with sessionId, epoch and partitions", "%s", show(welcome))
	got := phone.conversation(team)
	for i, text := range []string{"1", "2", "3", "live"} {
		e := got.events[uint64(i)+2]
		p.must(e != nil, "every message of the group", "no event with seq %d", i+2)
		equal(p, "the text of a message", textOf(e), text)
	}
}

func checkNoHello(p *play) {
	const limit = 10 * time.Second
	p.waits(limit)
	d := p.dial(wire.Proto)
	begun := time.Now()
	d.closedWithin(limit + p.kit.config.Timeout)
	took := time.Since(begun)
	p.must(took > limit-2*time.Second, "the connection lasts about 10 s without hello", "it ended after %v", took)
	p.must(d.end.code == 0 || d.end.code == ws.StatusPolicyViolation, "the connection is cut off or closed with 1008", "%v", d.end)
}

func checkUnknownKind(p *play) {
	alice := p.user("alice")
	phone := p.connectIn(wire.JSON, alice, "phone")
	phone.sendMessage(ws.OpText, []byte(`{"dance":{"request":"81"}}`))
	equal(p, "the reason of the error", phone.answer(81).GetError().GetReason(), wire.Reason_BAD_ARGUMENT)
	phone.ping()
	tablet := p.connect(alice, "tablet")
	inner := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 82)
	tablet.sendMessage(ws.OpBinary, protowire.AppendBytes(protowire.AppendTag(nil, 77, protowire.BytesType), inner))
	equal(p, "the reason of the error", tablet.answer(82).GetError().GetReason(), wire.Reason_BAD_ARGUMENT)
	tablet.ping()
}

func checkMalformed(p *play) {
	alice := p.user("alice")
	for i, text := range []string{"hello", `{"ping":`, `{"read":{"seq":-1}}`, ""} {
		d := p.connectIn(wire.JSON, alice, fmt.Sprint("json", i))
		d.sendMessage(ws.OpText, []byte(text))
		d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusInvalidFramePayloadData)
	}
	for i, data := range [][]byte{{0x52, 0x05, 0x08}, {0xff}, {}} {
		d := p.connect(alice, fmt.Sprint("proto", i))
		d.sendMessage(ws.OpBinary, data)
		d.endsWith(wire.ByeReason_PROTOCOL, ws.StatusInvalidFramePayloadData)
	}
}

func checkLimits(p *play) {
	alice := p.user("alice")
	team := p.group(alice)
	phone := p.connect(alice, "phone")
	limits := phone.welcome.GetLimits()
	for name, limit := range map[string]uint32{
		"bodyBytesMax": limits.GetBodyBytesMax(), "frameBytesMax": limits.GetFrameBytesMax(), "pageEventsMax": limits.GetPageEventsMax(),
		"pageBytesMax": limits.GetPageBytesMax(), "membersMax": limits.GetMembersMax(), "conversationsMax": limits.GetConversationsMax(),
		"devicesMax": limits.GetDevicesMax(), "inFlightMax": limits.GetInFlightMax(), "heartbeatMs": phone.welcome.GetHeartbeatMs(),
	} {
		p.must(limit > 0, "welcome reports "+name, "%s", show(phone.welcome))
	}
	if most := int(limits.GetBodyBytesMax()); most+1024 < int(limits.GetFrameBytesMax()) {
		phone.say(team, strings.Repeat("x", most-64)) // what is around the text has its bytes, too
		refused := phone.refuse(&wire.Submit{Conversation: team, Action: &wire.Submit_Message{Message: textMessage(strings.Repeat("x", most+1))}}, wire.Reason_TOO_LARGE)
		p.must(refused.GetCode() == "invalid_argument", "the code invalid_argument", "%s", show(refused))
	}
}

func checkSilentIsCut(p *play) {
	alice := p.user("alice")
	heartbeat := time.Duration(p.kit.welcome.GetHeartbeatMs()) * time.Millisecond
	silence := heartbeat * 5 / 2
	p.waits(silence)
	silent, lively := p.connect(alice, "silent"), p.connect(alice, "lively")
	silent.quiet = true
	begun := time.Now()
	for deadline := begun.Add(silence + p.kit.config.Timeout); silent.end == nil; {
		if time.Now().After(deadline) {
			p.fail(fmt.Sprintf("who is silent is cut off after %v", silence), "the connection lasts after %v", time.Since(begun))
		}
		silent.next(time.Now().Add(heartbeat / 2))
		lively.ping()
	}
	took := time.Since(begun)
	p.must(took >= silence-heartbeat/2, fmt.Sprintf("who is silent is cut off after %v, not before", silence), "after %v", took)
	p.must(silent.end.code == 0, "who is silent is cut off without a close frame", "%v", silent.end)
	lively.ping()
}

func checkReplaced(p *play) {
	alice := p.user("alice")
	first := p.connect(alice, "phone")
	other := p.connect(alice, "tablet")
	second := p.connect(alice, "phone")
	first.endsWith(wire.ByeReason_REPLACED, ws.StatusPolicyViolation)
	second.ping()
	other.ping()
}
