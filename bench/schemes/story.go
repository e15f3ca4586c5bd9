// SPDX-License-Identifier: Apache-2.0

// The workload: members come and go, two writers write, devices acknowledge; once, perhaps, the machine crashes. At the
// end the server is started again and everybody comes.

package schemes

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Config of a comparison. A field that is 0 has its default.
type Config struct {
	Members       []int  // sizes of the groups; 10, 100, 1,000 and 10,000
	OnlinePercent int    // of the members, 1 to 100; 20
	Messages      int    // written to each group; 20
	Payload       int    // bytes of a message's text, at least 8; 100
	AckEvery      int    // messages after which those online acknowledge; 10
	FanoutRows    int    // rows of one batch where there is one for each member; 500
	CrashMembers  int    // size of the group whose server crashes; 1,000
	CrashMessages int    // written to it; 6
	Seed          uint64 // of who comes, goes and drops; 1
}

// betweenMs is the time between two messages.
const betweenMs = 100

func (cfg Config) withDefaults() Config {
	if len(cfg.Members) == 0 {
		cfg.Members = []int{10, 100, 1000, 10_000}
	}
	for _, field := range []struct {
		value *int
		or    int
	}{
		{&cfg.OnlinePercent, 20}, {&cfg.Messages, 20}, {&cfg.Payload, 100}, {&cfg.AckEvery, 10}, {&cfg.FanoutRows, 500},
		{&cfg.CrashMembers, 1000}, {&cfg.CrashMessages, 6},
	} {
		if *field.value == 0 {
			*field.value = field.or
		}
	}
	if cfg.Seed == 0 {
		cfg.Seed = 1
	}
	return cfg
}

func (cfg Config) check() error {
	for _, members := range append([]int{cfg.CrashMembers}, cfg.Members...) {
		if members < 5 || members > 100_000 {
			return fmt.Errorf("schemes: a group of %d members: allowed are 5 to 100,000", members)
		}
	}
	if cfg.OnlinePercent < 1 || cfg.OnlinePercent > 100 || cfg.Messages < 1 || cfg.CrashMessages < 3 || cfg.Payload < numberDigits ||
		cfg.AckEvery < 1 || cfg.FanoutRows < 1 {
		return fmt.Errorf("schemes: online percent must be 1 to 100, messages and acknowledge after at least 1, messages with "+
			"a crash at least 3, payload at least %d, rows of a batch at least 1", numberDigits)
	}
	return nil
}

// Faults are what devices got wrong in the end, each counted by message and member.
type Faults struct {
	Lost       int `json:"lost"`       // never got, though the writer was told that it is stored
	Again      int `json:"again"`      // got once more
	OutOfOrder int `json:"outOfOrder"` // got after one that reached others later
}

// Cost is what one design costs in a group of one size.
type Cost struct {
	Design  string `json:"design"`
	Members int    `json:"members"`

	SendRows  float64 `json:"sendRows"`  // written to store one message
	SendBytes float64 `json:"sendBytes"` // of the batches of them
	SendSyncs float64 `json:"sendSyncs"`

	AckRows  float64 `json:"ackRows"` // written for one message to acknowledge and remove, over all members
	AckBytes float64 `json:"ackBytes"`
	AckSyncs float64 `json:"ackSyncs"`

	PullRows     float64 `json:"pullRows"`     // read for a member who comes back at the end
	PullMessages float64 `json:"pullMessages"` // that such a member gets

	DiskBefore int `json:"diskBefore"` // what the messages take in compacted tables while many are absent, bytes
	DiskAfter  int `json:"diskAfter"`  // after everybody came

	Faults
}

// Crash is what devices got wrong where the machine crashed at a moment of one message, or one connection did something
// at the wrong time.
type Crash struct {
	Moment  string `json:"moment"`
	Design  string `json:"design"`
	Reached bool   `json:"reached"` // whether the design passes this moment
	Faults
}

// Report is a comparison.
type Report struct {
	Config  Config  `json:"config"`
	Costs   []Cost  `json:"costs"`   // by size, then by design
	Drops   []Crash `json:"drops"`   // what goes wrong without a crash; by what happens, then by design
	Crashes []Crash `json:"crashes"` // by moment, then by design
}

// Run compares the designs. It tells progress one line at a time; nil: to nobody.
func Run(ctx context.Context, cfg Config, progress io.Writer) (*Report, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if progress == nil {
		progress = io.Discard
	}
	report := &Report{Config: cfg}
	for _, members := range cfg.Members {
		for design := range designEnd {
			fmt.Fprintf(progress, "%d members, %s\n", members, design)
			cost, err := measure(ctx, cfg, design, members)
			if err != nil {
				return nil, fmt.Errorf("schemes: %s with %d members: %w", design, members, err)
			}
			report.Costs = append(report.Costs, cost)
		}
	}
	for drop := range dropEnd {
		for design := range designEnd {
			result, err := disturb(ctx, cfg, design, drop)
			if err != nil {
				return nil, fmt.Errorf("schemes: %s, %s: %w", design, drop, err)
			}
			report.Drops = append(report.Drops, result)
		}
	}
	for moment := range momentEnd {
		fmt.Fprintf(progress, "crash: %s\n", moment)
		for design := range designEnd {
			crash, err := crashAt(ctx, cfg, design, moment)
			if err != nil {
				return nil, fmt.Errorf("schemes: %s, crash when %s: %w", design, moment, err)
			}
			report.Crashes = append(report.Crashes, crash)
		}
	}
	return report, nil
}

// begin connects every device once, then lets most of them go.
func (w *world) begin() error {
	if err := w.come(w.these(false)); err != nil {
		return err
	}
	online := max(1, len(w.devices)*w.cfg.OnlinePercent/100)
	return w.leave(w.some(len(w.devices)-online, true))
}

// measure runs the workload without a crash.
func measure(ctx context.Context, cfg Config, design Design, members int) (cost Cost, err error) {
	w, err := newWorld(ctx, cfg, design, members)
	if err != nil {
		return cost, err
	}
	defer func() { err = errors.Join(err, w.server.close()) }()
	if err := w.begin(); err != nil {
		return cost, err
	}
	before, err := diskBytes(w)
	if err != nil {
		return cost, err
	}
	var sending, receiving tally
	w.meter = &receiving
	for number := range cfg.Messages {
		if err := w.round(number+1, &sending, true); err != nil {
			return cost, err
		}
	}
	cost = Cost{Design: design.String(), Members: members}
	absent, err := diskBytes(w)
	if err != nil {
		return cost, err
	}
	if err := w.everybodyComes(&cost); err != nil {
		return cost, err
	}
	after, err := diskBytes(w)
	if err != nil {
		return cost, err
	}
	cost.DiskBefore, cost.DiskAfter = absent-before, after-before
	n := float64(cfg.Messages)
	cost.SendRows, cost.SendBytes, cost.SendSyncs = float64(sending.rows)/n, float64(sending.bytes)/n, float64(sending.syncs)/n
	cost.AckRows, cost.AckBytes, cost.AckSyncs = float64(receiving.rows)/n, float64(receiving.bytes)/n, float64(receiving.syncs)/n
	cost.Faults = w.faults()
	return cost, nil
}

// round is one message and what goes on around it. With races, a device drops and another comes while it is under way.
func (w *world) round(number int, sending *tally, races bool) error {
	w.nowMs += betweenMs
	few := max(1, len(w.devices)/50)
	if err := w.leave(w.some(few, true)); err != nil {
		return err
	}
	if err := w.come(w.some(few, false)); err != nil {
		return err
	}
	var dropped []int
	if races {
		dropped = w.some(1, true)
		w.race = w.dropAndCome(dropped, w.some(1, false))
	}
	if err := w.write(number, sending); err != nil {
		return err
	}
	for _, member := range dropped { // by now the server has noticed
		w.server.disconnect(member)
	}
	if number%w.cfg.AckEvery != 0 {
		return nil
	}
	return w.ack(w.these(true))
}

// dropAndCome is what happens between looking and pushing: connections that die, which the server does not notice, and
// others that are opened.
func (w *world) dropAndCome(dropped, come []int) func() error {
	receiving := w.meter
	return func() error {
		sending := w.meter
		w.meter = receiving
		defer func() { w.meter = sending }()
		for _, member := range dropped {
			w.devices[member].connected = false
		}
		return w.come(come)
	}
}

// write sends a message.
func (w *world) write(number int, sending *tally) error {
	receiving := w.meter
	w.meter = sending
	defer func() { w.meter = receiving }()
	return w.server.send(newMessage(number, w.cfg.Payload))
}

// everybodyComes starts the server again, so that it has nothing in memory, and lets everybody pull: first those who
// were absent, whose reads are counted.
func (w *world) everybodyComes(cost *Cost) error {
	absent, present := w.these(false), w.these(true)
	if err := w.leave(present); err != nil {
		return err
	}
	if err := w.restart(w.disk); err != nil {
		return err
	}
	before, got := w.server.rowsRead(), 0
	for _, member := range absent {
		had := len(w.devices[member].got)
		w.devices[member].connected = true
		if err := w.server.connect(member); err != nil {
			return err
		}
		got += len(w.devices[member].got) - had
	}
	if n := float64(len(absent)); n > 0 {
		cost.PullRows, cost.PullMessages = float64(w.server.rowsRead()-before)/n, float64(got)/n
	}
	if err := w.server.ack(absent); err != nil {
		return err
	}
	return w.come(present)
}

// crashAt runs the workload with a crash at a moment of a message in its middle.
func crashAt(ctx context.Context, cfg Config, design Design, moment Moment) (Crash, error) {
	return inTheMiddle(ctx, cfg, design, func(w *world, number int) (string, bool, error) {
		w.crashAt, w.crashOf = moment, number
		var none tally
		err := w.round(number, &none, false)
		reached := errors.Is(err, errCrash)
		if reached {
			err = w.recover(number)
		}
		w.crashAt = momentEnd
		return moment.String(), reached, err
	})
}

// inTheMiddle runs the workload with something else in place of the round in its middle.
func inTheMiddle(
	ctx context.Context, cfg Config, design Design, instead func(w *world, number int) (what string, reached bool, err error),
) (crash Crash, err error) {
	cfg.AckEvery = 1
	w, err := newWorld(ctx, cfg, design, cfg.CrashMembers)
	if err != nil {
		return crash, err
	}
	defer func() { err = errors.Join(err, w.server.close()) }()
	if err := w.begin(); err != nil {
		return crash, err
	}
	crash.Design = design.String()
	var none tally
	for number := 1; number <= cfg.CrashMessages; number++ {
		if number == cfg.CrashMessages/2 {
			crash.Moment, crash.Reached, err = instead(w, number)
		} else {
			err = w.round(number, &none, false)
		}
		if err != nil {
			return crash, err
		}
	}
	if err := w.everybodyComes(&Cost{}); err != nil {
		return crash, err
	}
	crash.Faults = w.faults()
	return crash, nil
}

// recover starts the server after a crash in the round of a message. The devices that were connected come back; then the
// other writer writes; then the writer of the message, unless answered, tries again.
func (w *world) recover(number int) error {
	connected := w.these(true)
	for _, member := range connected {
		w.devices[member].connected = false
	}
	if err := w.restart(w.crash.Swap(nil)); err != nil {
		return err
	}
	if err := w.come(connected); err != nil {
		return err
	}
	var none tally
	if err := w.write(w.cfg.CrashMessages+number+1, &none); err != nil { // its number says that the other one writes
		return err
	}
	if !w.stored[number] {
		return w.write(number, &none)
	}
	return nil
}

// faults compares what the devices got with what they should have.
func (w *world) faults() (f Faults) {
	for i := range w.devices {
		got, last := map[int]bool{}, 0
		for _, number := range w.devices[i].got {
			rank := w.ranks[number]
			switch {
			case got[number]:
				f.Again++
			case rank < last:
				f.OutOfOrder++
			}
			got[number] = true
			last = max(last, rank)
		}
		for number := range w.stored {
			if !got[number] {
				f.Lost++
			}
		}
	}
	return f
}
