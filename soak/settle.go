// SPDX-License-Identifier: Apache-2.0

// What must hold when nothing breaks any more.

package soak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/boltstore"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// epochOf is under which epoch a server runs.
func epochOf(stats *wire.StatsResponse) tidemark.Epoch { return tidemark.Epoch(stats.Epoch) }

// settle waits until all devices have what the server has, and checks everything.
func (r *run) settle(ctx context.Context) error {
	begin := time.Now()
	r.say("%6s  calm from here on", time.Since(r.begin).Round(time.Second))
	r.journal.write("world", "calm")
	r.checker.Happened(invariant.Incident{Kind: invariant.Calm})
	ctx, cancel := context.WithTimeoutCause(ctx, r.CalmMax, fmt.Errorf("soak: Y1: not all devices agree %s after everything was mended", r.CalmMax))
	defer cancel()
	for _, k := range r.keepers {
		if k.over.Load() {
			k.crash()
			if err := k.start(ctx); err != nil {
				return err
			}
		}
		k.ask(askCalm)
	}
	truth, err := r.agree(ctx)
	if err != nil {
		return err
	}
	r.calm = time.Since(begin)
	states, err := r.lay(ctx)
	if err != nil {
		return err
	}
	r.checkAll(states, truth)
	if err := r.server.stop(); err != nil {
		return err
	}
	r.verified, err = r.server.verify(ctx)
	return errors.Join(err, r.broken())
}

// lay stops all devices and looks into their stores.
func (r *run) lay(ctx context.Context) ([]*invariant.State, error) {
	var states []*invariant.State
	for _, k := range r.keepers {
		if err := k.stop(); err != nil {
			return nil, err
		}
		state, err := k.state()
		if err != nil {
			return nil, fmt.Errorf("soak: the store of %s: %w", k.name(), err)
		}
		state.Spoiled = !k.checks
		r.checker.Stored(k.who(), state.Cursor)
		states = append(states, state)
	}
	return states, ctx.Err()
}

// state is what a stopped device has stored.
func (k *keeper) state() (state *invariant.State, err error) {
	var store client.Store = k.store.Load()
	if k.program != nil {
		if store, err = boltstore.Open(k.config.Store, boltstore.Options{}); err != nil {
			return nil, err
		}
		defer store.Close()
	}
	err = store.View(func(v replica.View) error {
		loaded, err := k.config.load(v)
		if err != nil {
			return err
		}
		state, err = invariant.StateOf(k.who(), loaded, v)
		return err
	})
	return state, err
}

// truth is a conversation as the server has it.
type truth struct {
	events []*wire.Event
	digest tidemark.Digest
}

// agree waits until every device has the digests of the server.
func (r *run) agree(ctx context.Context) (map[tidemark.ConversationID]*truth, error) {
	last := ""
	for asked := 0; ; {
		standings := make([]*Standing, len(r.keepers))
		known := map[tidemark.ConversationID]bool{}
		busy := ""
		for i, k := range r.keepers {
			s, err := k.stand(ctx)
			if errors.Is(err, errDead) && k.over.Load() {
				k.crash()
				if err = k.start(ctx); err == nil {
					k.ask(askCalm)
					s, err = k.stand(ctx)
				}
			}
			if err != nil {
				return nil, fmt.Errorf("soak: device %s: %w; %s", k.name(), err, busy)
			}
			if s.State != "synced" || s.Outbox > 0 {
				busy = fmt.Sprintf("device %s is %s with %d in its outbox:%.500s", k.name(), s.State, s.Outbox, s.Waiting)
			}
			for _, c := range s.Conversations {
				known[c.ID] = true
			}
			standings[i] = s
		}
		logs := map[tidemark.ConversationID]*truth{}
		if busy == "" {
			for _, id := range slices.Sorted(maps.Keys(known)) {
				events, digest, err := r.app.readLog(ctx, string(id))
				if err != nil {
					return nil, err
				}
				logs[id] = &truth{events, digest}
			}
			if busy = r.differ(standings, logs); busy == "" {
				r.different = r.unlike(standings)
				if asked++; r.different == "" || asked == unlikeMax {
					return logs, nil
				}
			}
		}
		if busy != last {
			r.journal.write("world", "not yet: "+busy)
			last = busy
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return nil, fmt.Errorf("%w: %s", err, busy)
		}
	}
}

// differ says in what a device differs from the server; "" in nothing.
func (r *run) differ(standings []*Standing, logs map[tidemark.ConversationID]*truth) string {
	for i, s := range standings {
		k := r.keepers[i]
		shown := map[tidemark.ConversationID]bool{}
		for _, c := range s.Conversations {
			shown[c.ID] = true
			t := logs[c.ID]
			switch {
			case t == nil:
				return fmt.Sprintf("%s shows %s, which nobody can read", k.name(), c.ID)
			case c.Doubt:
				return fmt.Sprintf("%s doubts its history of %s", k.name(), c.ID)
			case c.Seq != tidemark.Seq(len(t.events)) || c.Digest != t.digest.String():
				return fmt.Sprintf("%s has %d events of %s with digest %s, the server %d with %s", k.name(), c.Seq, c.ID, c.Digest, len(t.events), t.digest)
			case c.Stored < len(t.events)-int(max(c.From, 1))+1:
				return fmt.Sprintf("%s has %d of the events %d to %d of %s", k.name(), c.Stored, c.From, len(t.events), c.ID)
			}
			if want := unread(t, k.config.User, c); c.Unread != want {
				return fmt.Sprintf("S11: %s shows %d unread in %s past %d, %d are", k.name(), c.Unread, c.ID, c.Read, want)
			}
		}
		for id := range logs {
			if _, _, direct := id.Peers(); direct && !shown[id] && isOf(id, k.config.User) {
				return fmt.Sprintf("%s does not show %s", k.name(), id)
			}
		}
	}
	return ""
}

// unlike names two devices of one user that do not show the same, and in what; "" none. What a user saw as a member before,
// and each message, is compared in the stores.
func (r *run) unlike(standings []*Standing) string {
	for i, s := range standings {
		for j := range i {
			if r.keepers[j].config.User != r.keepers[i].config.User {
				continue
			}
			if what := difference(standings[j], s); what != "" {
				return fmt.Sprintf("%s and %s do not show the same: %s", r.keepers[j].name(), r.keepers[i].name(), what)
			}
		}
	}
	return ""
}

// difference says in what two devices of one user differ; "" in nothing.
func difference(a, b *Standing) string {
	if a.Rest != b.Rest {
		return a.Rest + " and " + b.Rest
	}
	shown := map[tidemark.ConversationID]ShownConversation{}
	for _, c := range a.Conversations {
		c.Stored = 0
		shown[c.ID] = c
	}
	for _, c := range b.Conversations {
		if c.Stored = 0; shown[c.ID] != c {
			return fmt.Sprintf("%+v and %+v", shown[c.ID], c)
		}
		delete(shown, c.ID)
	}
	for _, c := range shown {
		return fmt.Sprintf("only the first shows %+v", c)
	}
	return ""
}

// unlikeMax is how often devices are asked until they show the same; then their stores are compared.
const unlikeMax = 30

func isOf(id tidemark.ConversationID, user string) bool {
	a, b, _ := id.Peers()
	return string(a) == user || string(b) == user
}

// unread counts by brute force.
func unread(t *truth, user string, c ShownConversation) (n uint64) {
	for _, e := range t.events {
		if tidemark.Seq(e.Seq) > c.Read && tidemark.Seq(e.Seq) >= c.From && counts(e, user) {
			n++
		}
	}
	return n
}

// checkAll holds the logs and the devices against what was told, and against what users wrote.
func (r *run) checkAll(states []*invariant.State, logs map[tidemark.ConversationID]*truth) {
	var given []*invariant.Log
	for _, id := range slices.Sorted(maps.Keys(logs)) {
		log := &invariant.Log{Conversation: id, Kind: wire.Kind_GROUP, Events: logs[id].events}
		if _, _, direct := id.Peers(); direct {
			log.Kind = wire.Kind_DIRECT
		}
		given = append(given, log)
		r.messages += r.ledger.check(id, log.Events)
		r.events += len(log.Events)
	}
	r.conversations, r.spoiled = len(logs), r.ledger.closed()
	r.checker.Check(given)
	r.checker.Converged(states, given)
	if r.different != "" {
		r.checker.Report(&invariant.Violation{Invariant: "C3", Text: r.different})
	}
}
