// SPDX-License-Identifier: Apache-2.0

// Profiles: how large a world is, how fast, and what breaks in it how often. Most are harsh in one way.

package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
)

// profile is what a seed has drawn.
type profile struct {
	Name       string
	Partitions uint32
	Users      int
	Devices    int // of a user, at most
	Groups     int // at the beginning
	Actions    int
	SafetyMs   uint64 // things may break for so long

	StepMs    uint64 // until a partition is stepped, at most
	DrainMs   uint64 // until a session is asked for its next frame, at most
	DeviceMs  uint64 // until a device takes in what has come, at most
	LatencyMs uint64 // of the network, at most; of one frame in sixteen ten times that
	Window    int    // frames that the server sends without the device having taken them in
	DownMs    uint64 // until a server is started again, at most

	QueueMax, BatchMax  int
	Limits              tidemark.Limits
	Cache               partition.CacheLimits
	Tail, Full, PageMax uint32 // that devices ask for; 0: the defaults
	LostPercent         int    // of the calls by HTTP that are lost on the way there, or on the way back
	TwicePercent        int    // of the calls by HTTP that are carried out twice
	TrimPercent         int    // of the groups that keep little

	Accounts        bool // users are deleted and begin anew
	TakeBackPercent int  // of the restores after which lost events are taken back

	Faults  int // that are planned
	faults  weights
	actions weights
}

// weights says how often what is drawn.
type weights map[string]int

// draw is one of the names, by weight, in an order that does not change.
func (w weights) draw(chance *rand.Rand) string {
	names := make([]string, 0, len(w))
	total := 0
	for name, weight := range w {
		names = append(names, name)
		total += weight
	}
	slices.Sort(names)
	lot := chance.IntN(total)
	for _, name := range names {
		if lot -= w[name]; lot < 0 {
			return name
		}
	}
	panic("sim: weights that do not add up")
}

// with is the weights with some of them changed.
func (w weights) with(other weights) weights {
	out := weights{}
	for _, from := range [...]weights{w, other} {
		for name, weight := range from {
			if out[name] = weight; weight == 0 {
				delete(out, name)
			}
		}
	}
	return out
}

// everyFault is how often each fault comes where nothing else is said.
var everyFault = weights{
	"crash": 4, "crash in a commit": 4, "failing sync": 1, "failing write": 1, "full log": 1, "low space": 1, "stop": 2,
	"cut": 12, "half-open": 5, "no network": 4, "slow device": 6, "device dies": 10, "device wiped": 1,
	"server clock": 3, "device clock": 2, "flush": 2, "compact": 1, "copy": 1,
}

// everyAction is how often each action comes where nothing else is said.
var everyAction = weights{
	"send": 40, "burst": 2, "read": 20, "reply": 4, "edit": 6, "recall": 4, "react": 6, "pin": 3, "mention": 6, "direct": 10,
	"transient": 2, "typing": 2, "fetch": 6, "call send": 8, "call burst": 1, "call read": 3, "call fetch": 6, "erase": 2, "delete": 3, "clear": 2, "settings": 4,
	"draft": 3, "create": 2, "add": 5, "remove": 4, "join": 3, "leave": 3, "answer join": 2, "role": 3, "transfer": 1, "mute": 2,
	"update": 3, "rules": 2, "schedule": 3, "unschedule": 1, "contact": 5, "profile": 3, "options": 1, "receipts": 2, "badge": 1, "pull": 3,
	"watch": 1, "retry": 2,
}

// variants are the profiles: each changes what an even one has.
var variants = map[string]func(p *profile, chance *rand.Rand){
	"even":  func(*profile, *rand.Rand) {},
	"quiet": func(p *profile, _ *rand.Rand) { p.Faults = 0 },
	"crashes": func(p *profile, _ *rand.Rand) {
		p.faults = weights{"crash": 10, "crash in a commit": 20, "cut": 3, "device dies": 3, "flush": 2}
		p.Faults, p.DownMs = 25, 500
	},
	"disk": func(p *profile, _ *rand.Rand) {
		p.faults = weights{"failing sync": 5, "failing write": 4, "full log": 3, "low space": 5, "crash in a commit": 4, "flush": 3, "compact": 2, "stop": 2}
		p.Faults, p.DownMs = 20, 1000
	},
	"half-open": func(p *profile, _ *rand.Rand) {
		p.faults = weights{"half-open": 20, "cut": 6, "no network": 6}
		p.Faults, p.SafetyMs = 30, 150_000
	},
	"slow": func(p *profile, chance *rand.Rand) {
		p.faults = weights{"slow device": 20, "cut": 3, "crash": 1}
		p.actions = p.actions.with(weights{"call burst": 8})
		p.Faults, p.Window, p.DeviceMs, p.DrainMs = 25, 1+chance.IntN(3), 400, 30
	},
	"clock": func(p *profile, _ *rand.Rand) {
		p.faults = weights{"server clock": 12, "device clock": 4, "crash": 3, "cut": 4, "stop": 2}
		p.actions = p.actions.with(weights{"schedule": 12, "call fetch": 15})
		p.Faults = 25
	},
	"members": func(p *profile, _ *rand.Rand) {
		p.actions = p.actions.with(weights{
			"create": 6, "add": 25, "remove": 22, "join": 14, "leave": 14, "answer join": 10, "role": 6, "clear": 6, "call fetch": 15, "rules": 6,
		})
	},
	"devices": func(p *profile, _ *rand.Rand) { p.Users, p.Devices, p.Groups = 2, 6, 2 },
	"deaths": func(p *profile, _ *rand.Rand) {
		p.faults = weights{"device dies": 30, "device wiped": 5, "cut": 5, "crash": 1}
		p.Faults = 45
	},
	"restores": func(p *profile, _ *rand.Rand) {
		p.faults = weights{"copy": 5, "restore": 4, "crash": 2, "cut": 4, "device dies": 3, "no network": 4}
		p.Faults = 16
	},
	"taking back": func(p *profile, _ *rand.Rand) {
		p.faults = weights{"copy": 6, "restore": 4, "crash": 2, "cut": 2, "device dies": 2, "no network": 2}
		p.Faults, p.TakeBackPercent, p.SafetyMs = 14, 100, p.SafetyMs+40_000
	},
	"calls": func(p *profile, _ *rand.Rand) {
		p.LostPercent, p.TwicePercent = 30, 30
		p.actions = p.actions.with(weights{"call send": 40, "call read": 15, "add": 15, "remove": 15, "contact": 15, "schedule": 8, "send": 20})
	},
	"cramped": func(p *profile, chance *rand.Rand) {
		p.QueueMax, p.BatchMax, p.Window = 1+chance.IntN(4), 1+chance.IntN(3), 1+chance.IntN(4)
		p.Limits.InFlightMax, p.Limits.PageEventsMax = 1+chance.Uint32N(4), 2+chance.Uint32N(10)
		p.Cache = partition.CacheLimits{
			Conversations: 1 + chance.IntN(3), Members: 1 + chance.IntN(4), ListRows: 1 + chance.IntN(4), Users: 1 + chance.IntN(3), Strangers: 1,
			Profiles: 1, Devices: 1, PrivateBytes: 64, Accounts: 1, HeadPages: 1, TailBytes: 200 + chance.IntN(2000), TailEvents: 1 + chance.IntN(8), Readers: 2,
		}
		p.Tail, p.Full, p.PageMax = 1+chance.Uint32N(5), 1+chance.Uint32N(3), 1+chance.Uint32N(9)
	},
	"trims": func(p *profile, _ *rand.Rand) {
		p.TrimPercent = 90
		p.actions = p.actions.with(weights{"burst": 12, "call fetch": 10, "fetch": 12})
		p.faults = p.faults.with(weights{"no network": 12, "compact": 5, "flush": 5})
	},
	"accounts": func(p *profile, _ *rand.Rand) {
		p.faults = weights{"crash": 6, "crash in a commit": 10, "failing sync": 1, "low space": 2, "stop": 2, "cut": 6, "half-open": 3, "device dies": 4, "no network": 4}
		p.actions = p.actions.with(weights{"delete user": 5, "new user": 9, "sign out": 6, "schedule": 8, "contact": 20, "draft": 6, "join": 8, "add": 12, "direct": 15})
		p.Faults, p.Accounts = p.Faults+8, true
	},
	"contacts": func(p *profile, _ *rand.Rand) {
		p.actions = p.actions.with(weights{"contact": 60, "direct": 40, "profile": 12, "options": 6})
	},
}

// later are profiles that are drawn apart from the others: so worlds of the others stay what they were.
var later = []string{"accounts"}

// Profiles are the names of all profiles.
func Profiles() []string {
	names := make([]string, 0, len(variants))
	for name := range variants {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// HasProfile reports whether there is a profile of this name.
func HasProfile(name string) bool { return variants[name] != nil }

// drawProfile is a profile of a name, or of any.
func drawProfile(name string, chance, apart *rand.Rand) profile {
	all := slices.DeleteFunc(Profiles(), func(name string) bool { return slices.Contains(later, name) })
	drawn := all[chance.IntN(len(all))]
	if apart.IntN(8) == 0 {
		drawn = later[apart.IntN(len(later))]
	}
	if name == "" {
		name = drawn
	}
	change, known := variants[name]
	if !known {
		panic(fmt.Sprintf("sim: there is no profile %q", name))
	}
	p := profile{
		Name: name, Partitions: 1 + chance.Uint32N(4), Users: 2 + chance.IntN(4), Devices: 1 + chance.IntN(3), Groups: 1 + chance.IntN(3),
		Actions: 40 + chance.IntN(200), SafetyMs: 10_000 + chance.Uint64N(60_000),
		StepMs: chance.Uint64N(20), DrainMs: chance.Uint64N(10), DeviceMs: chance.Uint64N(40), LatencyMs: 1 + chance.Uint64N(80),
		Window: 1 + chance.IntN(16), DownMs: 1 + chance.Uint64N(8_000),
		LostPercent: chance.IntN(10), TwicePercent: chance.IntN(10), TrimPercent: 10, TakeBackPercent: 50,
		Faults: chance.IntN(20), faults: everyFault, actions: everyAction,
	}
	change(&p, chance)
	return p
}
