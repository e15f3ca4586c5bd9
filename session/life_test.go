// SPDX-License-Identifier: Apache-2.0

// The life of a message, as devices see it.

package session

import (
	"slices"
	"testing"

	"github.com/tidemark-im/tidemark/wire"
)

func TestA2OneCopyLifeOfAMessage(t *testing.T) {
	for _, format := range []wire.Format{wire.Proto, wire.JSON} {
		t.Run(format.Subprotocol(), func(t *testing.T) {
			tc := newTest(t)
			tc.format = format
			tc.users("alice", "bob")
			tc.group("team", "alice", "bob")

			phone := tc.device("alice", "phone").connect()
			laptop := tc.device("alice", "laptop").connect()
			desk := tc.device("bob", "desk").connect()
			for _, d := range []*device{phone, laptop, desk} {
				d.drain()
				if want := []string{"Welcome", "Delta", "Synced"}; !slices.Equal(d.kinds(), want) {
					t.Fatalf("%s connects and reads %v, want %v", d.name, d.kinds(), want)
				}
				d.wantIdle("all is read")
			}

			phone.send("team", "hello")
			if want := []string{"Submitted"}; !slices.Equal(phone.kinds(), want) {
				t.Fatalf("the sender reads %v, want %v", phone.kinds(), want)
			}
			phone.want("the sender has what it was told is stored", "team", "hello")

			desk.drain()
			desk.want("the other member hears it", "team", "hello")
			if l := desk.logs["team"]; l.unread != 1 || l.self == nil {
				t.Errorf("bob has %d unread, want 1", l.unread)
			}
			if desk.profiles["alice"] != "nick of alice" {
				t.Errorf("the sender's profile is %q", desk.profiles["alice"])
			}
			laptop.drain()
			laptop.want("the sender's other device hears it", "team", "hello")
			if l := laptop.logs["team"]; l.unread != 0 || l.self.ReadSeq != 2 {
				t.Errorf("alice's laptop has %d unread and a read mark at %d, want 0 and 2", l.unread, l.self.ReadSeq)
			}

			desk.read("team", 2)
			desk.drain()
			if l := desk.logs["team"]; l.unread != 0 || l.self.ReadSeq != 2 {
				t.Errorf("after reading bob has %d unread and a read mark at %d, want 0 and 2", l.unread, l.self.ReadSeq)
			}
			phone.drain()
			if !slices.Contains(phone.kinds(), "Signal") {
				t.Errorf("the author reads %v, want a receipt", phone.kinds())
			}
			desk.read("team", 1)
			desk.wantIdle("an old read mark wakes no one")
			phone.wantIdle("an old read mark wakes no one")
		})
	}
}
