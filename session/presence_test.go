// SPDX-License-Identifier: Apache-2.0

// What watchers are told: who is online, seldom enough, and never by those who hide it.

package session

import (
	"fmt"
	"testing"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

func (d *device) watch(users ...string) {
	d.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Watch{Watch: &wire.Watch{Users: users}}})
}

// hears drains the device and fails the test unless the signals are these: "bob online", "bob seen 1700000000", "bob
// unseen", "bob profile", "bob types", "bob stops".
func (d *device) hears(why string, want ...string) {
	d.tc.Helper()
	d.drain()
	var got []string
	for _, f := range d.frames {
		sig := f.GetSignal()
		switch p, t := sig.GetPresence(), sig.GetTyping(); {
		case p.GetOnline():
			got = append(got, p.User+" online")
		case p != nil && p.LastSeenMs > 0:
			got = append(got, fmt.Sprintf("%s seen %d", p.User, p.LastSeenMs/1000))
		case p != nil:
			got = append(got, p.User+" unseen")
		case sig.GetProfile() != nil:
			got = append(got, sig.GetProfile().User+" profile")
		case t.GetTyping():
			got = append(got, t.User+" types")
		case t != nil:
			got = append(got, t.User+" stops")
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		d.tc.Errorf("%s: hears %v, want %v", why, got, want)
	}
}

func (tc *testWorld) later(ms uint64) {
	tc.now += ms
	tc.step()
}

func TestPresenceIsCoalesced(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	phone.watch("bob", "bob")
	phone.hears("bob never came, and is watched once", "bob unseen")
	desk := tc.device("bob", "desk").connect()
	phone.hears("he comes", "bob online")
	tc.later(5000)
	for range 20 {
		desk.disconnect()
		tc.later(40)
		desk.connect()
	}
	phone.hears("who comes back within a second was not away")
	tc.later(1000)
	phone.hears("nor is that told later")
	desk.disconnect()
	left := tc.now / 1000
	tc.later(500)
	phone.hears("not yet")
	tc.later(500)
	phone.hears("he has gone", fmt.Sprintf("bob seen %d", left))
	desk.connect()
	phone.hears("twice within a second is told once")
	desk.disconnect()
	left = tc.now / 1000
	tc.later(1000)
	phone.hears("only when he was seen", fmt.Sprintf("bob seen %d", left))
	tc.later(1000)
	desk.connect()
	phone.hears("and comes", "bob online")
	desk.disconnect()
}

// A session that does not read has at most one presence signal of a user waiting.
func TestASlowWatcherHasOneSignalAUser(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	phone.watch("bob")
	desk := tc.device("bob", "desk")
	for i := range 100 {
		desk.connect()
		tc.later(1000)
		desk.disconnect()
		tc.do(&core.UpsertUser{User: "bob", Nickname: fmt.Sprint("Bob ", i)})
		tc.later(1000)
	}
	phone.s.mu.Lock()
	waiting := len(phone.s.signals)
	phone.s.mu.Unlock()
	if waiting != 2 {
		t.Errorf("%d signals wait, want one of presence and one of the profile", waiting)
	}
	tc.later(1000)
	desk.connect()
	phone.hears("the last of them", "bob online", "bob profile")
	desk.disconnect()
}

func TestHiddenPresence(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	yes, no := true, false
	phone, tablet := tc.device("alice", "phone").connect(), tc.device("bob", "tablet").connect()
	phone.drain()
	tablet.drain()
	desk := tc.device("bob", "desk").connect()
	phone.watch("bob")
	tablet.watch("bob")
	phone.hears("bob is there", "bob online")
	tablet.hears("he sees himself", "bob online")
	tc.do(&core.SetOptions{User: "bob", HidePresence: &yes})
	phone.hears("he hides", "bob unseen")
	tablet.hears("not from himself")
	phone.watch("bob")
	phone.hears("who asks anew sees as little", "bob unseen")
	desk.disconnect()
	tc.later(2000)
	desk.connect()
	phone.hears("nothing of his coming and going")
	for asking, online := range map[tidemark.UserID]bool{"alice": false, "bob": true, "": true} {
		if p, err := tc.set.Presence(asking, "bob"); err != nil || p.Online != online || p.LastSeenMs != 0 {
			t.Errorf("asked by %q: %+v, %v", asking, p, err)
		}
	}
	tc.do(&core.SetOptions{User: "bob", HidePresence: &no})
	phone.hears("he shows himself", "bob online")
	desk.disconnect()
}

func TestTheBlockedSeeNothing(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	phone, desk := tc.device("alice", "phone").connect(), tc.device("bob", "desk").connect()
	phone.drain()
	phone.watch("bob")
	phone.hears("bob is there", "bob online")
	tc.do(&core.Contact{User: "bob", Peer: "alice", Action: core.BlockPeer})
	phone.hears("he has blocked her", "bob unseen")
	desk.disconnect()
	tc.later(2000)
	desk.connect()
	tc.do(&core.UpsertUser{User: "bob", Nickname: "B"})
	tc.later(2000)
	phone.hears("nothing of his coming and going, nor of his profile")
	desk.drain()
	desk.watch("alice")
	desk.hears("nor does he see her", "alice unseen")
	tc.do(&core.Contact{User: "bob", Peer: "alice", Action: core.UnblockPeer})
	phone.hears("he has let her in again", "bob online")
	desk.hears("and sees her", "alice online")
	desk.disconnect()
}

func TestChangedProfilesAreTold(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob", "carol")
	phone := tc.device("alice", "phone").connect()
	phone.drain()
	phone.watch("bob")
	phone.hears("he never came", "bob unseen")
	rename := func(user tidemark.UserID, name string) {
		tc.do(&core.UpdateUser{User: user, Nickname: &name})
	}
	rename("bob", "one")
	phone.hears("his name", "bob profile")
	for i := range 10 {
		rename("bob", fmt.Sprint("two ", i))
		rename("carol", fmt.Sprint(i))
	}
	phone.hears("not so often")
	tc.later(1000)
	phone.hears("the last", "bob profile")
	tc.do(&core.DeleteUser{User: "bob"})
	tc.later(2000)
	phone.hears("that there is no bob any more", "bob profile")
	phone.watch("bob")
	phone.hears("he can be watched, and never comes", "bob unseen")
}

func TestTyping(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	tc.group("team", "alice", "bob")
	tc.post("bob", "alice~bob", "hi")
	yes := true
	phone, desk := tc.device("alice", "phone").connect(), tc.device("bob", "desk").connect()
	phone.drain()
	desk.drain()
	types := func(conversation string, typing bool) {
		desk.handle(&wire.ClientFrame{Frame: &wire.ClientFrame_Typing{Typing: &wire.Typing{Conversation: conversation, Typing: typing}}})
	}
	types("team", false)
	phone.hears("he did not type")
	types("team", true)
	phone.hears("he types", "bob types")
	for range 5 {
		types("team", true)
		tc.now += 300
	}
	phone.hears("every key is not told")
	tc.now += 500
	types("team", true)
	phone.hears("but that he goes on", "bob types")
	types("team", false)
	types("team", false)
	phone.hears("he stops", "bob stops")
	tc.do(&core.Contact{User: "alice", Peer: "bob", Action: core.BlockPeer})
	types("alice~bob", true)
	phone.hears("she has blocked him")
	tc.do(&core.SetOptions{User: "bob", HideTyping: &yes})
	tc.now += 5000
	types("team", true)
	phone.hears("he hides it")
	types("none", true)
	desk.drain()
	if desk.frames[0].GetError().GetReason() != wire.Reason_UNKNOWN_CONVERSATION {
		t.Errorf("typing nowhere is answered %v", desk.frames)
	}
}

// The last session of a user leaves while another comes. Told in the wrong order, a watcher would keep believing that the
// user is away. Here the other session comes just while the first watcher is told that the last one left.
func TestTheLastLeavesAsTheFirstComes(t *testing.T) {
	tc := newTest(t)
	tc.users("alice", "bob")
	bobs, again := &spy{}, &spy{}
	tc.must(tc.set.Subscribe("bob", bobs))
	came := make(chan error, 1)
	first, second := &spy{}, &spy{}
	told := ""
	second.heard = func(sig *wire.Signal) { told = fmt.Sprint(sig.GetPresence().GetOnline()) }
	tc.must(tc.set.Watch("alice", first, []tidemark.UserID{"bob"}))
	tc.must(tc.set.Watch("alice", second, []tidemark.UserID{"bob"}))
	first.signal = func() {
		first.signal = nil
		tc.now += 2000 // telling takes its time; what is new may be told at once again
		go func() { came <- tc.set.Subscribe("bob", again) }()
		select { // if it can come now, it does, and everybody is told
		case err := <-came:
			came <- err
		case <-time.After(50 * time.Millisecond):
		}
	}
	tc.set.Unsubscribe("bob", bobs)
	tc.later(1000)
	tc.must(<-came)
	tc.later(1000)
	if told != "true" {
		t.Errorf("bob is online, the last that a watcher was told is online=%s", told)
	}
	for _, sub := range []*spy{first, second} {
		tc.must(tc.set.Watch("alice", sub, nil))
	}
	tc.set.Unsubscribe("bob", again)
}
