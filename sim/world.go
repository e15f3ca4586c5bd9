// SPDX-License-Identifier: Apache-2.0

// The world: what there is, what time it is, and the chances that decide what happens next.

package sim

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// beginMs is when every world begins, Unix ms.
const beginMs = 1_700_000_000_000

// world is everything. One goroutine owns it.
type world struct {
	timeline
	ctx      context.Context // never ends: what must not wait is not asked to
	seed     uint64
	profile  profile
	chance   chances
	trace    trace
	counts   Counts
	observer invariant.Observer
	checker  *invariant.Checker
	checks   *checks
	failure  *invariant.Violation // the first
	calm     bool                 // nothing breaks any more

	server        *server        // nil: none runs
	disk          *vfs.MemFS     // what the next one starts on
	epoch         tidemark.Epoch // of the data
	serverSkewMs  int64
	copies        []oldCopy
	takeBackEndMs uint64 // until then servers that are started take lost events back
	restored      bool   // an older copy has come in the place of the data, and no server has started on it yet
	processes     uint64
	connections   uint64

	users     []*person
	devices   []*device
	partedMs  map[*device]uint64 // has no network before that time
	groups    []tidemark.ConversationID
	texts     int
	acked     []ack
	scheduled int
	posted    map[tidemark.ConversationID]bool // see goOn

	telling bool // the story is told
	story   []line
}

// person is a user and its devices.
type person struct {
	id      tidemark.UserID
	devices []*device
	wanted  bool // by the app: not deleted
	ended   bool // the server has said that all of the account has ended
	asked   bool // in the calm, the app has asked for what it wants
}

// chances are the lots of a world, apart from each other so that leaving out a decision changes little else.
type chances struct {
	network *rand.Rand // delays, and what is taken in together
	faults  *rand.Rand // how long what is broken stays so
	entropy *rand.Rand // salts and ids
}

// ack is the word of the server that a submission is stored.
type ack struct {
	user         tidemark.UserID
	conversation tidemark.ConversationID
	clientID     tidemark.ClientID
	seq          tidemark.Seq
	partition    uint32
	position     tidemark.Position
}

func newWorld(ctx context.Context, cfg Config) *world {
	w := &world{ctx: context.WithoutCancel(ctx), seed: cfg.Seed, partedMs: map[*device]uint64{}, telling: cfg.Story}
	w.nowMs = beginMs
	w.checker = invariant.New()
	w.observer, w.checks = w.checker, newChecks(cfg.Seed)
	draw := func(what uint64) *rand.Rand { return rand.New(rand.NewPCG(cfg.Seed, what)) }
	w.chance = chances{network: draw(1), faults: draw(2), entropy: draw(3)}
	w.profile = drawProfile(cfg.Profile, draw(4), draw(7))
	w.disk = vfs.NewCrashableMem()
	return w
}

// delay is up to some ms.
func (w *world) delay(most uint64) uint64 {
	if most == 0 {
		return 0
	}
	return w.chance.network.Uint64N(most + 1)
}

// latency is how long a frame is under way: mostly short.
func (w *world) latency() uint64 {
	most := w.profile.LatencyMs
	if w.chance.network.IntN(16) == 0 {
		most *= 10
	}
	return 1 + w.delay(most)
}

// fail notes the first promise that is broken.
func (w *world) fail(v *invariant.Violation) {
	if w.failure == nil {
		w.failure = v
		w.say(about{v.Conversation, v.User, v.Device}, "%s", v.Error())
	}
}

// populate makes the users, their devices and the first groups, before anything breaks.
func (w *world) populate() {
	w.restart()
	if w.failure != nil {
		return
	}
	p, chance := &w.profile, rand.New(rand.NewPCG(w.seed, 5))
	for i := range p.Users {
		u := &person{id: tidemark.UserID(string(rune('a'+i)) + names[i%len(names)]), wanted: true}
		w.users = append(w.users, u)
		w.must(&core.UpsertUser{User: u.id, Nickname: string(u.id)})
		for n := range 1 + chance.IntN(p.Devices) {
			d := &device{w: w, user: u.id, id: tidemark.DeviceID(fmt.Sprintf("d%d", n)), store: client.NewMemory()}
			d.tokenMs = beginMs
			d.config = replica.Config{Device: d.id, Platform: "sim", Client: "sim/1", Window: 1}
			if p.Tail > 0 {
				d.config.Tail, d.config.Full, d.config.PageMax = p.Tail, p.Full, p.PageMax
			}
			if n == 0 || chance.IntN(2) == 0 {
				d.config.Backfill = replica.FillAll
			}
			u.devices = append(u.devices, d)
			w.devices = append(w.devices, d)
		}
	}
	for range p.Groups {
		w.must(w.newGroup(chance, core.Actor{App: true}))
	}
	for _, d := range w.devices {
		d.start()
	}
	w.checks.puller = &puller{user: w.users[chance.IntN(len(w.users))].id, store: client.NewMemory()}
}

var names = []string{"nn", "en", "at", "ot", "va", "lo", "us", "im"}

// newGroup is a command that makes a conversation of some users.
func (w *world) newGroup(chance *rand.Rand, actor core.Actor) *core.Create {
	id := tidemark.ConversationID(fmt.Sprintf("g%d", len(w.groups)))
	w.groups = append(w.groups, id)
	kind, settings := record.Group, &wire.Settings{HistoryFromStart: chance.IntN(2) == 0}
	if chance.IntN(6) == 0 {
		kind = record.Channel
	}
	settings.Join = []wire.JoinPolicy{wire.JoinPolicy_INVITE, wire.JoinPolicy_OPEN, wire.JoinPolicy_REQUEST}[chance.IntN(3)]
	if chance.IntN(100) < w.profile.TrimPercent {
		settings.Retention = &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: uint64(1 + chance.IntN(40))}
		if chance.IntN(3) == 0 {
			settings.Retention = &wire.Retention{Mode: wire.RetentionMode_ACKNOWLEDGED}
		}
	}
	c := &core.Create{Actor: actor, Conversation: id, Kind: kind, Title: "title of " + string(id), Settings: settings}
	for _, u := range w.users {
		if chance.IntN(3) > 0 {
			c.Members = append(c.Members, u.id)
		}
	}
	if c.Actor.User == "" {
		c.Owner = w.users[chance.IntN(len(w.users))].id
	}
	return c
}

// must carries out a command before anything breaks.
func (w *world) must(cmd core.Command) {
	var got *core.Reply
	w.server.submit(cmd, func(r core.Reply) { got = &r })
	for n := range w.server.set.Partitions() {
		for w.server.set.At(n).Step(w.serverMs()) {
			continue
		}
		w.checkCommits(n)
	}
	if got == nil || got.Err != nil {
		panic(fmt.Sprintf("sim: %T: %+v", cmd, got))
	}
}

// run lets things happen until a time, or the first failure.
func (w *world) run(untilMs uint64) {
	for w.failure == nil {
		do, ok := w.next(untilMs)
		if !ok {
			w.nowMs = max(w.nowMs, untilMs)
			return
		}
		w.counts.Steps++
		do()
		if v := w.checker.Violation(); v != nil {
			w.fail(v)
		}
	}
}
