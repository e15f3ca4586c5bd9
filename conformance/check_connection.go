// SPDX-License-Identifier: Apache-2.0

// Checks of PROTOCOL.md, section 2, up to "Sync": the connection.

package conformance

import (
	"time"

	"github.com/gobwas/ws"

	"github.com/tidemark-im/tidemark/wire"
)

var checksOfConnection = []check{
	{"2.1", "welcome, then deltas that are not live, then synced, then what happens live", checkOrderOfSync},
	{"2.1", "the same in JSON", checkOrderOfSyncJSON},
	{"2.1", "a connection that sends no hello ends after 10 seconds", checkNoHello},
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

func checkReplaced(p *play) {
	alice := p.user("alice")
	first := p.connect(alice, "phone")
	other := p.connect(alice, "tablet")
	second := p.connect(alice, "phone")
	first.endsWith(wire.ByeReason_REPLACED, ws.StatusPolicyViolation)
	second.ping()
	other.ping()
}
