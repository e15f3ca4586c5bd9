// SPDX-License-Identifier: Apache-2.0

// What a benchmark found, as one line of JSON for programs and one row of a table for people.

package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Result is one measurement. Fields that do not apply are absent from its JSON.
type Result struct {
	Name      string  `json:"name"` // send, fanout, room, idle, sync, storm, ...
	What      string  `json:"what"` // the load, for people: "64 connections x 32 in flight"
	PerSecond float64 `json:"perSecond,omitempty"`
	P50Ms     float64 `json:"p50Ms,omitempty"`
	P99Ms     float64 `json:"p99Ms,omitempty"`
	MaxMs     float64 `json:"maxMs,omitempty"`

	Operations   uint64  `json:"operations"` // messages, deliveries, connections or reconnects measured
	DurationMs   float64 `json:"durationMs"` // over which they were measured
	PayloadBytes int     `json:"payloadBytes,omitempty"`
	Connections  int     `json:"connections,omitempty"`
	Window       int     `json:"window,omitempty"`   // messages in flight on a connection
	RateSet      float64 `json:"rateSet,omitempty"`  // open loop: messages a second asked for
	Messages     uint64  `json:"messages,omitempty"` // fanout, room: sent

	ServerCPUUsPerOp float64 `json:"serverCpuUsPerOp,omitempty"` // processor time of the server's process for one operation, µs
	ServerCPUPercent float64 `json:"serverCpuPercent,omitempty"` // of one core
	ServerRSSBytes   uint64  `json:"serverRssBytes,omitempty"`   // resident at the end
	LoadCPUPercent   float64 `json:"loadCpuPercent,omitempty"`   // of one core: what making the load takes of a machine that it shares with the server
	DiskBytes        uint64  `json:"diskBytes,omitempty"`        // of the data directory at the end
	DiskBytesPerOp   float64 `json:"diskBytesPerOp,omitempty"`   // growth, before compaction

	CompactedBytesPerOp float64 `json:"compactedBytesPerOp,omitempty"` // disk: everything in the directory after compaction, for each message
	WrittenBytesPerOp   float64 `json:"writtenBytesPerOp,omitempty"`   // members: given to the journal for a message that has a commit of its own
	Kept                float64 `json:"kept,omitempty"`                // grow: rate as a share of the first; overload: of the best
	RateLimited         uint64  `json:"rateLimited,omitempty"`         // overload, fairness: messages answered with RATE_LIMITED, in the whole run
	HeldBack            uint64  `json:"heldBack,omitempty"`            // overload: messages that were due and that TCP did not take
	RecoveredMs         float64 `json:"recoveredMs,omitempty"`         // overload: from its end until everything is answered and small work is as quick as before
	BesidePerSecond     float64 `json:"besidePerSecond,omitempty"`     // fairness: rate of the busy one
	Cores               int     `json:"cores,omitempty"`               // cores: that the server may use
	Partitions          int     `json:"partitions,omitempty"`          // cores, partitions: of the server

	Members             int     `json:"members,omitempty"`             // fanout, room: members online
	Senders             int     `json:"senders,omitempty"`             // fanout: members who write
	SlowestOverMedian   float64 `json:"slowestOverMedian,omitempty"`   // fanout, room: mean latency of the slowest member over that of the median one
	RSSPerConnection    float64 `json:"rssPerConnection,omitempty"`    // idle: resident bytes that one connection adds
	Events              int     `json:"events,omitempty"`              // history, start, grow, disk: stored
	Conversations       int     `json:"conversations,omitempty"`       // sync: of the user
	Changed             int     `json:"changed,omitempty"`             // sync: since the cursor
	ReceivedBytesPerOp  float64 `json:"receivedBytesPerOp,omitempty"`  // sync: server to client
	SentBytesPerOp      float64 `json:"sentBytesPerOp,omitempty"`      // sync: client to server, after the upgrade
	BlocksRead          *uint64 `json:"blocksRead,omitempty"`          // sync: blocks that the server's store has read from its files, all reconnects together
	Devices             int     `json:"devices,omitempty"`             // storm: that come back at once
	ConnectionsAnswered int     `json:"connectionsAnswered,omitempty"` // idle: still alive at the end
	Shed                uint64  `json:"shed,omitempty"`                // room: messages left out for a receiver, all receivers together
	RSSBefore           uint64  `json:"rssBefore,omitempty"`           // room: resident when everybody is in it
	RSSBehind           uint64  `json:"rssBehind,omitempty"`           // room: resident at most while there is load or somebody behind
	RSSAfter            uint64  `json:"rssAfter,omitempty"`            // room: resident when everything has arrived

	Checked bool    `json:"checked"` // the result was checked and is right
	Machine Machine `json:"machine"` // taken in the same run

	Aims []Verdict `json:"aims,omitempty"` // its figures beside what they should be, where there is an aim
}

// latencies records how long things took: from 1 µs to 2 minutes, exact to 1 %.
type latencies struct{ *hdrhistogram.Histogram }

func newLatencies() latencies {
	return latencies{hdrhistogram.New(1, (2 * time.Minute).Microseconds(), 2)}
}

func (l latencies) record(d time.Duration) {
	_ = l.RecordValue(min(max(d.Microseconds(), 1), l.HighestTrackableValue()))
}

// latency puts the figures of a histogram into the result.
func (r *Result) latency(l latencies) {
	r.P50Ms = float64(l.ValueAtQuantile(50)) / 1000
	r.P99Ms = float64(l.ValueAtQuantile(99)) / 1000
	r.MaxMs = float64(l.Max()) / 1000
}

// usage puts what the server's process used between two readings into the result.
func (r *Result) usage(target *Target, before, after Usage, operations uint64) {
	if took := after.At.Sub(before.At); took > 0 {
		r.LoadCPUPercent = 100 * (after.LoadCPU - before.LoadCPU).Seconds() / took.Seconds()
	}
	if target.PID != 0 && operations > 0 {
		cpu := after.CPU - before.CPU
		r.ServerCPUUsPerOp = float64(cpu.Microseconds()) / float64(operations)
		r.ServerCPUPercent = 100 * cpu.Seconds() / after.At.Sub(before.At).Seconds()
		r.ServerRSSBytes = after.RSSBytes
	}
}

// WriteJSON writes each result as one line of JSON.
func WriteJSON(w io.Writer, results []Result) error {
	encoder := json.NewEncoder(w)
	for i := range results {
		if err := encoder.Encode(&results[i]); err != nil {
			return err
		}
	}
	return nil
}

// columns of the tables, for terminals and for documents.
var columns = []struct {
	title string
	value func(r *Result) string
}{
	{"what", func(r *Result) string { return r.Name + ": " + r.What }},
	{"per second", func(r *Result) string { return grouped(r.PerSecond) }},
	{"p50 ms", func(r *Result) string { return decimals(r.P50Ms) }},
	{"p99 ms", func(r *Result) string { return decimals(r.P99Ms) }},
	{"max ms", func(r *Result) string { return decimals(r.MaxMs) }},
	{"server CPU µs/op", func(r *Result) string { return decimals(r.ServerCPUUsPerOp) }},
	{"server CPU %", func(r *Result) string { return decimals(r.ServerCPUPercent) }},
	{"load CPU %", func(r *Result) string { return decimals(r.LoadCPUPercent) }},
	{"RSS MiB", func(r *Result) string { return mebibytes(r.ServerRSSBytes) }},
	{"disk B/op", func(r *Result) string { return decimals(r.DiskBytesPerOp) }},
	{"notes", func(r *Result) string { return r.notes() }},
	{"checked", func(r *Result) string { return map[bool]string{true: "yes", false: "NO"}[r.Checked] }},
}

// notes are the figures that only one benchmark has.
func (r *Result) notes() string {
	var notes []string
	add := func(applies bool, format string, args ...any) {
		if applies {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	add(r.CompactedBytesPerOp > 0, "%s B a message after compaction", decimals(r.CompactedBytesPerOp))
	add(r.WrittenBytesPerOp > 0, "%s B written for one message", decimals(r.WrittenBytesPerOp))
	add(r.Kept > 0 && r.Name == "grow", "%.0f %% of the first", 100*r.Kept)
	add(r.Kept > 0 && r.Name == "overload", "%.0f %% of the best kept, %s held back by TCP, %s RATE_LIMITED, recovered %s",
		100*r.Kept, cmp.Or(grouped(float64(r.HeldBack)), "none"), cmp.Or(grouped(float64(r.RateLimited)), "none"), r.recovered())
	add(r.BesidePerSecond > 0, "the busy one sends %s/s", grouped(r.BesidePerSecond))
	add(r.BesidePerSecond > 0 && r.RateLimited > 0, "%s of its messages RATE_LIMITED", grouped(float64(r.RateLimited)))
	add(r.SlowestOverMedian > 0, "slowest member %.2f x median", r.SlowestOverMedian)
	add(r.Name == "room", "%s messages left out", cmp.Or(grouped(float64(r.Shed)), "no"))
	add(r.RSSBehind > 0, "RSS %s MiB before, at most %s behind, %s after", mebibytes(r.RSSBefore), mebibytes(r.RSSBehind), mebibytes(r.RSSAfter))
	add(r.RSSPerConnection > 0, "%s B resident a connection", grouped(r.RSSPerConnection))
	add(r.ReceivedBytesPerOp > 0, "%s B received, %s B sent each", grouped(r.ReceivedBytesPerOp), grouped(r.SentBytesPerOp))
	return strings.Join(append(notes, told(r.Aims)...), "; ")
}

// recovered is how long recovery took, for people.
func (r *Result) recovered() string {
	if r.RecoveredMs == 0 {
		return "NOT"
	}
	return "after " + grouped(r.RecoveredMs) + " ms"
}

// WriteTable writes the results for people, with the machine's figures below.
func WriteTable(w io.Writer, results []Result) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var titles []string
	for _, column := range columns {
		titles = append(titles, column.title)
	}
	fmt.Fprintln(table, strings.Join(titles, "\t"))
	for i := range results {
		fmt.Fprintln(table, strings.Join(row(&results[i]), "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(results) > 0 {
		_, err := fmt.Fprintln(w, "\nThe machine in the same run: "+results[0].Machine.String())
		return err
	}
	return nil
}

func row(r *Result) []string {
	var cells []string
	for _, column := range columns {
		cells = append(cells, column.value(r))
	}
	return cells
}

// String tells the machine's figures.
func (m Machine) String() string {
	return fmt.Sprintf("1 KB append + fdatasync p50 %.2f ms; TCP echo of one connection %s/s, p50 %.3f ms",
		m.FdatasyncP50Ms, grouped(m.EchoPerSecond), m.EchoP50Ms)
}

func mebibytes(n uint64) string { return decimals(float64(n) / (1 << 20)) }

// decimals prints three significant digits, nothing for 0.
func decimals(v float64) string {
	switch {
	case v == 0:
		return ""
	case v < 1:
		return fmt.Sprintf("%.3f", v)
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return grouped(v)
}

// grouped prints a whole number with its thousands set apart, nothing for 0.
func grouped(v float64) string {
	if v == 0 {
		return ""
	}
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
