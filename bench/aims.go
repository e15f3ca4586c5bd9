// SPDX-License-Identifier: Apache-2.0

// What Tidemark is meant to do, as figures: which results show it, and where the limit lies. The aims are those of
// docs/performance.md, by number. Every figure of a result for which there is an aim is held to it.

package bench

import (
	"fmt"
	"math"
)

// Verdict is one figure of a result beside its aim.
type Verdict struct {
	ID      string  `json:"id"`                // P1 to P13, overload, fairness
	Work    string  `json:"work"`              // what was done, in words that are the same in every run
	Figure  string  `json:"figure"`            // what of it, with its unit
	Value   float64 `json:"value"`             // what was measured
	Aim     float64 `json:"aim"`               // what it should be
	AtLeast bool    `json:"atLeast,omitempty"` // Value should be at least Aim; otherwise at most
	Met     bool    `json:"met"`               // it is
	Beside  float64 `json:"beside,omitempty"`  // rates: by the TCP round trips a second of one connection, latencies: by one fdatasync, of the same run
}

// told are the verdicts on a result in a few words: what it misses, or that it meets all.
func told(verdicts []Verdict) (said []string) {
	for _, v := range verdicts {
		if !v.Met {
			said = append(said, fmt.Sprintf("MISSES %s: %s %s, aim %s", v.ID, number(v.Value), v.Figure, v.limit()))
		}
	}
	if len(said) == 0 && len(verdicts) > 0 {
		said = append(said, "meets "+verdicts[0].ID)
	}
	return said
}

// limit is the aim with its sign.
func (v *Verdict) limit() string {
	return map[bool]string{true: "≥ ", false: "≤ "}[v.AtLeast] + number(v.Aim)
}

// aim is a limit for one figure of the results of one kind.
type aim struct {
	id      string
	figure  string
	of      func(r *Result) bool
	value   func(r *Result) float64
	limit   func(r *Result) float64
	atLeast bool
	beside  func(r *Result) float64 // nil: nothing of the machine to compare with
}

func atMost(limit float64) func(r *Result) float64 { return func(*Result) float64 { return limit } }

// against the machine's figures of the same run.
func byEcho(r *Result) float64     { return r.PerSecond / r.Machine.EchoPerSecond }
func p50BySyncs(r *Result) float64 { return r.P50Ms / r.Machine.FdatasyncP50Ms }

func p50Of(r *Result) float64        { return r.P50Ms }
func p99Of(r *Result) float64        { return r.P99Ms }
func cpuOf(r *Result) float64        { return r.ServerCPUUsPerOp }
func cpuPercent(r *Result) float64   { return r.ServerCPUPercent }
func rssMB(r *Result) float64        { return float64(r.ServerRSSBytes) / 1e6 }
func maxSeconds(r *Result) float64   { return r.MaxMs / 1000 }
func slowestOf(r *Result) float64    { return r.SlowestOverMedian }
func bytesOut(r *Result) float64     { return r.ReceivedBytesPerOp }
func rssBehind(r *Result) float64    { return float64(r.RSSBehind) / float64(r.RSSBefore) }
func rssPerConn(r *Result) float64   { return r.RSSPerConnection }
func diskAMessage(r *Result) float64 { return r.CompactedBytesPerOp }

func sends(connections, window int) func(r *Result) bool {
	return func(r *Result) bool {
		return r.Name == "send" && r.RateSet == 0 && r.Connections == connections && r.Window == window
	}
}

func fanouts(window int) func(r *Result) bool {
	return func(r *Result) bool {
		return r.Name == "fanout" && r.Members == 1000 && (r.Window == 1) == (window == 1)
	}
}

func rooms(r *Result) bool     { return r.Name == "room" && r.Members >= 10_000 }
func behind(r *Result) bool    { return rooms(r) && r.RateSet == 0 }
func idles(r *Result) bool     { return r.Name == "idle" && r.Connections >= 10_000 }
func syncs(r *Result) bool     { return r.Name == "sync" && r.Changed == 10 && syncCPU(r) > 0 }
func grown(r *Result) bool     { return r.Name == "grow" && r.Kept > 0 && r.Kept != 1 }
func disks(r *Result) bool     { return r.Name == "disk" && r.PayloadBytes == 100 }
func warmSyncs(r *Result) bool { return syncs(r) && r.BlocksRead != nil }

// returned is what a storm does to those who return, others to those who were there.
func returned(r *Result) bool { return r.Name == "storm" && r.RateSet == 0 && r.Devices >= 10_000 }
func others(r *Result) bool   { return r.Name == "storm" && r.RateSet > 0 && r.Devices >= 10_000 }

// syncCPU is how many microseconds a reconnect of a user with so many conversations may take; 0: there is no aim.
func syncCPU(r *Result) float64 {
	return map[int]float64{100: 300, 1000: 400, 5000: 800, 10_000: 1500}[r.Conversations]
}

// aims are those that one result can show by itself.
var aims = []aim{
	{id: "P1", figure: "messages/s", of: sends(64, 32), value: perSecond, limit: atMost(50_000), atLeast: true, beside: byEcho},
	{id: "P1", figure: "p99 ms", of: sends(64, 32), value: p99Of, limit: atMost(100)},
	{id: "P1", figure: "server CPU µs a message", of: sends(64, 32), value: cpuOf, limit: atMost(20)},
	{id: "P2", figure: "messages/s", of: sends(256, 1), value: perSecond, limit: atMost(20_000), atLeast: true, beside: byEcho},
	{id: "P2", figure: "p50 ms", of: sends(256, 1), value: p50Of, limit: atMost(12), beside: p50BySyncs},
	{id: "P2", figure: "p50, in fdatasyncs of the same run", of: sends(1, 1), value: p50BySyncs, limit: atMost(2)},
	{id: "P3", figure: "deliveries/s", of: fanouts(1), value: perSecond, limit: atMost(45_000), atLeast: true, beside: byEcho},
	{id: "P3", figure: "deliveries/s", of: fanouts(32), value: perSecond, limit: atMost(150_000), atLeast: true, beside: byEcho},
	{id: "P3", figure: "slowest member ÷ median", of: fanouts(32), value: slowestOf, limit: atMost(3)},
	{id: "P4", figure: "deliveries/s", of: rooms, value: perSecond, limit: atMost(60_000), atLeast: true, beside: byEcho},
	{id: "P4", figure: "memory at most while behind ÷ before", of: behind, value: rssBehind, limit: atMost(1.25)},
	{id: "P5", figure: "B resident a connection", of: idles, value: rssPerConn, limit: atMost(5120)},
	{id: "P5", figure: "server CPU % of a core", of: idles, value: cpuPercent, limit: atMost(1)},
	{id: "P6", figure: "server CPU µs", of: syncs, value: cpuOf, limit: syncCPU},
	{id: "P6", figure: "B sent by the server", of: syncs, value: bytesOut, limit: atMost(4096)},
	{id: "P6", figure: "blocks read from disk", of: warmSyncs, value: func(r *Result) float64 { return float64(*r.BlocksRead) }, limit: atMost(0)},
	{id: "P7", figure: "s until all are synced", of: returned, value: maxSeconds, limit: atMost(5)},
	{id: "P7", figure: "p99 ms", of: others, value: p99Of, limit: atMost(500)},
	{id: "P8", figure: "pages/s", of: named("history"), value: perSecond, limit: atMost(6000), atLeast: true, beside: byEcho},
	{id: "P8", figure: "server CPU µs a page", of: named("history"), value: cpuOf, limit: atMost(150)},
	{id: "P9", figure: "B a message, after compaction", of: disks, value: diskAMessage, limit: atMost(140)},
	{id: "P10", figure: "server CPU µs a message", of: named("members"), value: cpuOf, limit: atMost(25)},
	{id: "P11", figure: "s until it serves, the slowest", of: named("start"), value: maxSeconds, limit: atMost(3)},
	{id: "P11", figure: "MB resident", of: named("start"), value: rssMB, limit: atMost(300)},
	{id: "P12", figure: "lines/s", of: named("import"), value: perSecond, limit: atMost(60_000), atLeast: true},
	{id: "P13", figure: "of the first rate kept", of: grown, value: func(r *Result) float64 { return r.Kept }, limit: atMost(0.8), atLeast: true},
}

// Judge holds results to the aims, once. What was not checked, or is wrong, meets none and is passed over. A group of members is compared with the first of them, which may be among earlier results.
func Judge(earlier, results []Result) {
	var first *Result // of members
	for i := range earlier {
		if r := &earlier[i]; r.Name == "members" && first == nil {
			first = r
		}
	}
	for i := range results {
		r := &results[i]
		if !r.Checked {
			r.Aims = nil
			continue
		}
		for _, aim := range aims {
			if aim.of(r) {
				r.hold(aim.id, r.work(), aim.figure, aim.value(r), aim.limit(r), aim.atLeast)
				if v := &r.Aims[len(r.Aims)-1]; aim.beside != nil && r.Machine.EchoPerSecond > 0 {
					v.Beside = aim.beside(r)
				}
			}
		}
		switch {
		case r.Name != "members":
		case first == nil:
			first = r
		default:
			differs := 100 * math.Abs(r.WrittenBytesPerOp/first.WrittenBytesPerOp-1)
			r.hold("P10", r.work(), fmt.Sprintf("%% more or less written than with %s members", grouped(float64(first.Members))), differs, 1, false)
		}
	}
}

// hold notes what a figure is beside its aim.
func (r *Result) hold(id, work, figure string, value, limit float64, atLeast bool) {
	met := value <= limit
	if atLeast {
		met = value >= limit
	}
	r.Aims = append(r.Aims, Verdict{ID: id, Work: work, Figure: figure, Value: value, Aim: limit, AtLeast: atLeast, Met: met})
}

// work is what was done, without what differs from run to run.
func (r *Result) work() string {
	if r.Name == "grow" {
		const step = 100_000
		return fmt.Sprintf("grow: %s messages stored", grouped(step*math.Round(float64(r.Events)/step)))
	}
	return r.Name + ": " + r.What
}

// Missed tells which aims the results miss, as one error; nil: none.
func Missed(results []Result) error {
	var missed missedAims
	for i := range results {
		for _, v := range results[i].Aims {
			if !v.Met {
				missed = append(missed, v)
			}
		}
	}
	if len(missed) == 0 {
		return nil
	}
	return missed
}

// missedAims is an error that tells each of them.
type missedAims []Verdict

// Error implements error.
func (m missedAims) Error() string {
	text := "bench: the result is right, and yet misses what it is held to:"
	for _, v := range m {
		text += fmt.Sprintf("\n  %s: %s: %s, aim %s", v.Work, v.Figure, number(v.Value), v.limit())
	}
	return text
}
