// SPDX-License-Identifier: Apache-2.0

// Lost events come back in simulated worlds, and what is wrong with it is reported.

package sim

import (
	"maps"
	"math/rand/v2"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
)

func TestLostEventsComeBack(t *testing.T) {
	var all Counts
	for seed := range uint64(10) {
		r := Run(t.Context(), Config{Seed: 1000 + seed, Profile: "taking back"})
		all.Add(&r.Counts)
	}
	if all.Offers == 0 || all.TakenBack == 0 || all.HistoryChanged == 0 {
		t.Fatalf("nothing of it is tested: %+v", all)
	}
}

// wants fails the test if the world has not found this promise broken.
func wants(t *testing.T, w *world, number string) {
	t.Helper()
	if w.failure == nil || w.failure.Invariant != number {
		t.Fatalf("wanted %s, got %v", number, w.failure)
	}
}

func TestWhatNeverWasIsNotTakenBack(t *testing.T) {
	w := newWorld(t.Context(), Config{Seed: 1, Profile: "quiet"})
	defer w.end()
	w.populate()
	w.takeBackFor(60_000)
	w.stop()
	w.restart()
	w.checkTakenBack("g0", &record.Event{Seq: 1, Digest: w.checks.logs["g0"].digests[1]})
	if w.failure != nil {
		t.Fatal(w.failure)
	}
	w.checkTakenBack("g0", &record.Event{Seq: 2, Digest: tidemark.Digest{1}})
	wants(t, w, "S1")
}

func TestWhatCouldHaveBeenTakenBackIsReported(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t.Context(), Config{Seed: seed, Profile: "taking back"})
		w.profile.LostPercent = 100 // no offer arrives
		w.live(w.plan(), nil)
		restore(w, rand.New(rand.NewPCG(seed, 0)))
		w.run(w.nowMs + w.profile.DownMs + 2_000)
		found := w.failure
		if found == nil && w.server != nil && w.server.set.TakeBackMs() > 0 {
			w.checkTaken()
		}
		if w.end(); found == nil && w.failure != nil {
			wants(t, w, "Y2")
			return
		}
	}
	t.Fatal("no device had anything to offer")
}

func TestALossThatTheAppIsNotToldOfIsReported(t *testing.T) {
	found := Run(t.Context(), Config{Seed: 2, Profile: "quiet", spoil: func(w *world) {
		for _, d := range w.devices {
			for _, c := range d.replica.Conversations() {
				d.own = map[ownMessage]storedAs{{c.ID, "lost"}: {event: 1, seq: c.HeadSeq + 1}}
			}
			w.checkTold(d, &invariant.State{})
		}
	}})
	if found.Failure == nil || found.Failure.Invariant != "Y3" {
		t.Fatalf("wanted Y3, got %v", found.Failure)
	}
}

// Of very many lost messages the app is told the last by name, and how many there are before: none of them is unheard of.
func TestLossesThatAreOnlyCounted(t *testing.T) {
	d := &device{own: map[ownMessage]storedAs{
		{"g0", "kept"}: {1, 2}, {"g0", "counted"}: {2, 3}, {"g1", "elsewhere"}: {3, 3}, {"g0", "after"}: {4, 6},
	}}
	d.tell(replica.HistoryChanged{Conversation: "g0", From: 3, To: 5, OwnEarlier: 1, Own: []replica.Message{{Seq: 5, ClientID: "named"}}})
	want := map[ownMessage]bool{{"g0", "counted"}: true, {"g0", "named"}: true}
	if !maps.Equal(d.told, want) {
		t.Errorf("told of %v, want %v", d.told, want)
	}
}

// What is below the floor of a device, or cleared by its user, is not held against it.
func TestNobodyIsToldOfWhatWasCleared(t *testing.T) {
	cleared := false
	found := Run(t.Context(), Config{Seed: 2, Profile: "quiet", spoil: func(w *world) {
		for _, d := range w.devices {
			for _, c := range d.replica.Conversations() {
				if from := tidemark.Seq(c.Self.GetVisibleFrom()); from > 1 && !c.Removed {
					d.own = map[ownMessage]storedAs{{c.ID, "cleared"}: {event: 1, seq: from - 1}}
					cleared = true
				}
			}
			d.noteFloors()
			w.checkTold(d, &invariant.State{})
		}
	}})
	if !cleared || found.Failure != nil {
		t.Fatalf("cleared %v, found %v", cleared, found.Failure)
	}
}
