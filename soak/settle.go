// SPDX-License-Identifier: Apache-2.0

// What must hold when nothing breaks any more.

package soak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	if r.lies.calm != nil {
		if err := r.lies.calm(ctx, r.app); err != nil {
			return err
		}
	}
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

// How often all devices are asked in the calm. It is counted in rounds and not in time: in a round every device answers, and on
// a machine that is busy with something else that takes as long as all the rest that they do.
const (
	roundPause  = 300 * time.Millisecond // between two rounds
	patienceFew = 100                    // added to the rounds of the pause that a device may still make
	pauseMax    = 5 * time.Minute        // the SDK asks again at the latest after so long, and after as long as it has asked in vain
	roundsTimes = 4                      // so many times its patience a run waits, however much moves
)

// agree asks all devices until they have what the server has and those of one user show the same. It gives up when for
// [Config].Patience rounds nothing has moved, and says what the devices lack.
func (r *run) agree(ctx context.Context) (map[tidemark.ConversationID]*truth, error) {
	still, before := 0, ""
	var lacks []*invariant.Violation // the last that were seen
	for round := 1; ; round++ {
		standings, err := r.standings(ctx)
		if err != nil {
			return nil, fmt.Errorf("%w%s", err, told(lacks))
		}
		var logs map[tidemark.ConversationID]*truth
		found := r.busy(standings)
		if len(found) == 0 {
			if logs, err = r.readLogs(ctx, standings); err != nil {
				return nil, fmt.Errorf("%w%s", err, told(lacks))
			}
			found = r.differ(standings, logs)
		}
		if len(found) == 0 {
			return logs, nil
		}
		if still++; moved(standings) != before {
			still, before = 0, moved(standings)
			r.journal.write("world", "not yet"+told(found))
		}
		if lacks = found; still >= r.Patience || round >= roundsTimes*r.Patience {
			lacks[0].Text = fmt.Sprintf("not all devices agree after %d rounds, and nothing has moved for %d: %s", round, still, lacks[0].Text)
			return nil, fmt.Errorf("soak: %w%s", lacks[0], told(lacks[1:]))
		}
		if err := pause(ctx, roundPause); err != nil {
			return nil, fmt.Errorf("soak: the run was ended in round %d of its calm: %w%s", round, err, told(lacks))
		}
	}
}

// told lists what devices lack, one a line after a line break; "" where they lack nothing.
func told(lacks []*invariant.Violation) string {
	text := &strings.Builder{}
	for i, v := range lacks {
		if i == lacksMax {
			fmt.Fprintf(text, "\n  and %d more", len(lacks)-i)
			break
		}
		fmt.Fprintf(text, "\n  %.1000v", v)
	}
	return text.String()
}

// lacksMax is how many of them are listed.
const lacksMax = 10

// moved is a text that changes when a device comes nearer to the server, or goes away from it: nobody writes any more.
func moved(standings []*Standing) string {
	text := &strings.Builder{}
	for _, s := range standings {
		fmt.Fprintf(text, "%+v\n", *s)
	}
	return text.String()
}

// standings asks every device how it stands. One that has given up gets a new life.
func (r *run) standings(ctx context.Context) ([]*Standing, error) {
	standings := make([]*Standing, len(r.keepers))
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
			return nil, fmt.Errorf("soak: device %s: %w", k.name(), err)
		}
		standings[i] = s
	}
	return standings, nil
}

// readLogs reads every conversation: the groups, which all may have left, and what else some device shows.
func (r *run) readLogs(ctx context.Context, standings []*Standing) (map[tidemark.ConversationID]*truth, error) {
	logs := map[tidemark.ConversationID]*truth{}
	read := func(id tidemark.ConversationID) error {
		if logs[id] != nil {
			return nil
		}
		events, digest, err := r.app.readLog(ctx, string(id))
		logs[id] = &truth{events, digest}
		return err
	}
	for _, group := range r.groups {
		if err := read(tidemark.ConversationID(group)); err != nil {
			return nil, err
		}
	}
	for _, s := range standings {
		for _, c := range s.Conversations {
			if err := read(c.ID); err != nil {
				return nil, err
			}
		}
	}
	return logs, nil
}

// busy are the devices that do not say yet that they have everything.
func (r *run) busy(standings []*Standing) (found []*invariant.Violation) {
	for i, s := range standings {
		if s.State != "synced" || s.Outbox > 0 || s.Stale != "" {
			text := fmt.Sprintf("it is %s with %d in its outbox:%.500s %s", s.State, s.Outbox, s.Waiting, s.Stale)
			found = append(found, r.keepers[i].lacks("Y1", "", "%s", strings.TrimSpace(text)))
		}
	}
	return found
}

// differ is in what devices differ from the server, and in nothing of that, from the other devices of their users. What users saw
// as members before, and each message, is compared in the stores.
func (r *run) differ(standings []*Standing, logs map[tidemark.ConversationID]*truth) (found []*invariant.Violation) {
	for i, s := range standings {
		found = append(found, r.keepers[i].behind(s, logs)...)
	}
	for i, s := range standings {
		for j := range i {
			if len(found) > 0 || r.keepers[j].config.User != r.keepers[i].config.User {
				continue
			}
			if in, what := difference(standings[j], s); what != "" {
				found = append(found, r.keepers[i].lacks("C3", in, "%s does not show the same: %s", r.keepers[j].name(), what))
			}
		}
	}
	return found
}

// lacks is that a device does not show what it should.
func (k *keeper) lacks(number string, in tidemark.ConversationID, format string, args ...any) *invariant.Violation {
	return &invariant.Violation{
		Invariant: number, Text: fmt.Sprintf(format, args...), Conversation: in,
		User: tidemark.UserID(k.config.User), Device: tidemark.DeviceID(k.config.Device),
	}
}

// behind is in what a device differs from the server.
func (k *keeper) behind(s *Standing, logs map[tidemark.ConversationID]*truth) (found []*invariant.Violation) {
	shown := map[tidemark.ConversationID]bool{}
	note := func(number string, in tidemark.ConversationID, format string, args ...any) {
		found = append(found, k.lacks(number, in, format, args...))
	}
	for _, c := range s.Conversations {
		shown[c.ID] = true
		t := logs[c.ID]
		switch {
		case t == nil:
			note("S5", c.ID, "it shows what nobody can read")
			continue
		case c.Doubt:
			note("Y1", c.ID, "it doubts its history")
		case c.Seq != tidemark.Seq(len(t.events)) || c.Digest != t.digest.String():
			note("Y1", c.ID, "it has %d events with digest %s, the server %d with %s", c.Seq, c.Digest, len(t.events), t.digest)
		case c.Stored < len(t.events)-int(max(c.From, 1))+1:
			note("C6", c.ID, "it has %d of the events %d to %d", c.Stored, c.From, len(t.events))
		}
		if want := unread(t, k.config.User, c); c.Unread != want {
			note("S11", c.ID, "it shows %d unread past %d, %d are", c.Unread, c.Read, want)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(logs)) {
		if _, _, direct := id.Peers(); direct && !shown[id] && isOf(id, k.config.User) {
			note("Y1", id, "it does not show the conversation")
		}
	}
	return found
}

// difference says in what two devices of one user differ, and in which conversation, if it is in one; "" in nothing.
func difference(a, b *Standing) (in tidemark.ConversationID, what string) {
	if a.Rest != b.Rest {
		return "", a.Rest + " and " + b.Rest
	}
	shown := map[tidemark.ConversationID]ShownConversation{}
	for _, c := range a.Conversations {
		c.Stored = 0
		shown[c.ID] = c
	}
	for _, c := range b.Conversations {
		if c.Stored = 0; shown[c.ID] != c {
			return c.ID, fmt.Sprintf("%+v and %+v", shown[c.ID], c)
		}
		delete(shown, c.ID)
	}
	for _, c := range shown {
		return c.ID, fmt.Sprintf("only the first shows %+v", c)
	}
	return "", ""
}

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
}
