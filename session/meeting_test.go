// SPDX-License-Identifier: Apache-2.0

// A device's first hello, and its last frames.

package session

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/wire"
)

// Who was given synced is known, however soon it comes back. A known device waits for nothing.
func TestFirstHelloWaitsForTheRecord(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("bob", "phone")
	phone.hello()
	phone.drain()
	if phone.synced || phone.log("team").info == nil {
		t.Errorf("before its record is made, the device is told %v", phone.kinds())
	}
	phone.ready.Store(0)
	tc.step()
	if phone.ready.Load() == 0 {
		t.Error("nobody says that there is something to read")
	}
	phone.drain()
	if !phone.synced {
		t.Fatalf("its record is made, and the device is told %v", phone.kinds())
	}
	phone.hello()
	phone.drain()
	if phone.welcome.Reset_ != nil || !phone.synced {
		t.Errorf("coming back at once, the device is told %v, reset %v", phone.kinds(), phone.welcome.Reset_)
	}
}

// Where it is so configured, one device too many is turned away, and never synced.
func TestFirstHelloOfOneTooMany(t *testing.T) {
	tc := newTest(t)
	tc.limits.DevicesMax = 1
	tc.config = func(c *partition.Config) { c.Devices.Refuse = true }
	tc.must(tc.db.Close())
	tc.start()
	tc.users("bob")
	tc.device("bob", "phone").connect().drain()
	second := tc.device("bob", "tablet").connect()
	second.drain()
	if second.synced || second.bye.GetReason() != wire.ByeReason_PROTOCOL {
		t.Errorf("one device too many is told %v", second.kinds())
	}
}

// A device gives way to a new one: its session hears REPLACED, its record and its cursors are forgotten.
func TestADeviceGivesWay(t *testing.T) {
	tc := newTest(t)
	tc.config = func(c *partition.Config) { c.Devices.Platforms = map[string]uint32{"ios": 1} }
	tc.must(tc.db.Close())
	tc.start()
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	old, desk := tc.device("bob", "old"), tc.device("bob", "desk").connect()
	old.platform = "iOS"
	old.connect().drain()
	desk.drain()
	old.ack()
	tc.now += 2000
	tc.step()
	phone := tc.device("bob", "phone")
	phone.platform = "ios"
	phone.connect().drain()
	old.drain()
	if !phone.synced || old.bye.GetReason() != wire.ByeReason_REPLACED || desk.bye != nil {
		t.Errorf("the new one: synced %v; the old one: %v; another: %v", phone.synced, old.bye, desk.bye)
	}
	old.ack()
	tc.now += 2000
	old.disconnect()
	tc.step()
	if cursors, err := tc.set.Of("team").Cursors("bob"); err != nil || len(cursors) > 0 {
		t.Errorf("kept: %v (%v)", cursors, err)
	}
	if d, err := tc.set.OfUser("bob").Device("bob", "old"); err != nil || d != nil {
		t.Errorf("kept: %v (%v)", d, err)
	}
}

// What a device acknowledges after it was kicked is not remembered: it is being forgotten.
func TestAckAfterKick(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("bob", "phone").connect()
	phone.drain()
	tc.registry.Kick("bob", "phone")
	phone.ack()
	tc.now += 2000
	tc.step()
	if cursors, err := tc.set.Of("team").Cursors("bob"); err != nil || len(cursors) > 0 {
		t.Errorf("kept: %v (%v)", cursors, err)
	}
}

// A pull that waits for the very first commit of a server.
func TestPullFromNothing(t *testing.T) {
	tc := newTest(t)
	s := New(Config{User: tidemark.SystemUser, Device: "desk", Format: wire.Proto, Set: tc.set, NowMs: tc.clock})
	defer s.Close()
	tc.must(s.open(tc.Context(), &wire.Hello{}, true, pullEventBytesMax))
	answer := &wire.PullResponse{}
	tc.must(s.gather(answer))
	tc.users("alice")
	tc.do(&core.Submit{
		Actor: core.Actor{App: true}, Conversation: tidemark.Direct("alice", tidemark.SystemUser), ClientID: "c1",
		Message: &wire.Message{Type: "text", Text: "welcome"},
	})
	tc.must(s.gather(answer))
	if len(answer.Conversations) != 1 || len(answer.Cursor.Positions) == 0 {
		t.Errorf("answered %v", answer)
	}
}

// The cursor of hello is what the device has. It counts as an acknowledgement: one sent before may have been lost.
func TestHelloAcknowledges(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	phone := tc.device("bob", "phone").connect()
	tc.post("alice", "team", "hello")
	phone.drain()
	phone.connect().drain()
	p := tc.set.Of("team")
	cursors, err := p.Cursors("bob")
	if err != nil || len(cursors) != 1 || cursors[0].Position != p.Published() {
		t.Errorf("the server knows of %v (%v), want %d", cursors, err, p.Published())
	}
}

// A connection that ends tells when the device was last seen, but does not bring back a device that was forgotten.
func TestEndDoesNotBringBackADevice(t *testing.T) {
	tc := newTest(t)
	tc.users("bob")
	phone, tablet := tc.device("bob", "phone").connect(), tc.device("bob", "tablet").connect()
	phone.drain()
	tablet.drain()
	tc.now += 2 * seenEveryMs
	tc.do(&core.ForgetDevice{User: "bob", Device: "phone"})
	phone.disconnect()
	tablet.disconnect()
	tc.step()
	devices, err := tc.set.OfUser("bob").Devices("bob")
	if err != nil || len(devices) != 1 || devices[0].ID != "tablet" || devices[0].LastSeenMs != tc.now {
		t.Errorf("the devices are %+v (%v)", devices, err)
	}
}
