// SPDX-License-Identifier: Apache-2.0

// tidemark bench curves: each aim as a curve, drawn from the lines of JSON that runs have printed.

package bench

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// curve is one chart: which results are in it, and what of them.
type curve struct {
	file           string
	title          string
	xTitle, yTitle string
	in             func(r *Result) bool
	line           func(r *Result) string // to which line a result belongs
	x, y           func(r *Result) float64
	aims           func(lines []line) []line // nil: none
	lessIsBetter   bool
}

// across is an aim that is the same everywhere.
func across(name string, y float64) line { return line{name, []point{{0, y}}} }

func aimsAt(aims ...line) func([]line) []line { return func([]line) []line { return aims } }

func named(name string) func(r *Result) bool { return func(r *Result) bool { return r.Name == name } }

// one is the name of the only line of a chart.
func one(*Result) string { return "" }

func perSecond(r *Result) float64 { return r.PerSecond }
func byEvents(r *Result) float64  { return float64(r.Events) }
func byMembers(r *Result) float64 { return float64(r.Members) }
func byConns(r *Result) float64   { return float64(r.Connections) }

// inFlight names a line after the messages in flight.
func inFlight(r *Result) string { return fmt.Sprintf("%d in flight each", r.Window) }

// curves are all charts. The aims are those of the project.
var curves = []curve{
	{file: "send", title: "Messages sent, durable and acknowledged", xTitle: "connections", yTitle: "messages a second",
		in: func(r *Result) bool { return r.Name == "send" && r.RateSet == 0 }, line: inFlight, x: byConns, y: perSecond,
		aims: aimsAt(across("aim, 64 × 32 in flight: 50,000", 50_000), across("aim, 256 × 1: 20,000", 20_000))},
	{file: "fanout", title: "Deliveries in a group whose members are all online", xTitle: "members", yTitle: "deliveries a second",
		in: named("fanout"), line: func(r *Result) string { return fmt.Sprintf("%d writing × %d in flight", r.Senders, r.Window) }, x: byMembers, y: perSecond,
		aims: aimsAt(across("aim at 1,000, many in flight: 150,000", 150_000), across("aim at 1,000, one: 45,000", 45_000))},
	{file: "room", title: "Deliveries in a room", xTitle: "receivers", yTitle: "deliveries a second",
		in: named("room"), line: func(r *Result) string {
			if r.RateSet > 0 {
				return "in time"
			}
			return "as fast as it goes, most left out"
		}, x: byMembers, y: perSecond, aims: aimsAt(across("aim at 10,000: 60,000", 60_000))},
	{file: "idle", title: "Memory of an idle connection", xTitle: "connections", yTitle: "KiB resident, all state included", lessIsBetter: true,
		in: named("idle"), line: one, x: byConns, y: func(r *Result) float64 { return r.RSSPerConnection / 1024 }, aims: aimsAt(across("aim: 5 KiB", 5))},
	{file: "sync", title: "Reconnecting", xTitle: "conversations of the user", yTitle: "server CPU, ms", lessIsBetter: true,
		in: named("sync"), line: func(r *Result) string { return fmt.Sprintf("%d changed", r.Changed) },
		x: func(r *Result) float64 { return float64(r.Conversations) }, y: func(r *Result) float64 { return r.ServerCPUUsPerOp / 1000 },
		aims: aimsAt(line{"aim, 10 changed", []point{{100, 0.3}, {1000, 0.4}, {5000, 0.8}, {10_000, 1.5}}})},
	{file: "storm", title: "All devices come back at once", xTitle: "devices", yTitle: "seconds until all are synced", lessIsBetter: true,
		in: func(r *Result) bool { return r.Name == "storm" && r.RateSet == 0 }, line: one, x: byConns,
		y: func(r *Result) float64 { return r.MaxMs / 1000 }, aims: aimsAt(across("aim at 10,000: 5 s", 5))},
	{file: "history", title: "Pages of 50 from random places of one conversation", xTitle: "events in it", yTitle: "pages a second",
		in: named("history"), line: one, x: byEvents, y: perSecond, aims: aimsAt(across("aim at 1,000,000: 6,000", 6000))},
	{file: "disk", title: "Disk, everything included, after compaction", xTitle: "messages", yTitle: "bytes a message", lessIsBetter: true,
		in: named("disk"), line: func(r *Result) string { return fmt.Sprintf("of %d bytes", r.PayloadBytes) }, x: byEvents,
		y: func(r *Result) float64 { return r.CompactedBytesPerOp }, aims: aimsAt(across("aim, of 100 bytes: 140", 140))},
	{file: "members-bytes", title: "A message to a group whose members are offline: bytes", xTitle: "members", yTitle: "bytes written", lessIsBetter: true,
		in: named("members"), line: one, x: byMembers, y: func(r *Result) float64 { return r.WrittenBytesPerOp },
		aims: func(lines []line) []line { return []line{across("aim: at most 1 % more", 1.01*lines[0].points[0].y)} }},
	{file: "members-cpu", title: "A message to a group whose members are offline: processor time", xTitle: "members", yTitle: "server CPU, µs", lessIsBetter: true,
		in: named("members"), line: one, x: byMembers, y: func(r *Result) float64 { return r.ServerCPUUsPerOp }, aims: aimsAt(across("aim: 25 µs", 25))},
	{file: "start", title: "Starting after kill -9", xTitle: "events stored", yTitle: "seconds until it serves, the slowest", lessIsBetter: true,
		in: named("start"), line: one, x: byEvents, y: func(r *Result) float64 { return r.MaxMs / 1000 }, aims: aimsAt(across("aim at 10 million: 3 s", 3))},
	{file: "import", title: "Import of IRC logs, durable", xTitle: "lines", yTitle: "lines a second",
		in: named("import"), line: func(r *Result) string {
			if r.Connections > 0 {
				return "into a running server"
			}
			return "into a stopped server's directory"
		}, x: func(r *Result) float64 { return float64(r.Operations) }, y: perSecond, aims: aimsAt(across("aim: 60,000", 60_000))},
	{file: "grow", title: "Messages sent while the data grows", xTitle: "messages stored", yTitle: "messages a second",
		in: named("grow"), line: one, x: byEvents, y: perSecond,
		aims: func(lines []line) []line { return []line{across("aim: 80 % of the first", 0.8*lines[0].points[0].y)} }},
	{file: "cores", title: "Messages sent, by cores of the server", xTitle: "cores", yTitle: "messages a second",
		in: named("cores"), line: one, x: func(r *Result) float64 { return float64(r.Cores) }, y: perSecond},
	{file: "partitions", title: "Messages sent, by partitions of the server", xTitle: "partitions", yTitle: "messages a second",
		in: named("partitions"), line: one, x: func(r *Result) float64 { return float64(r.Partitions) }, y: perSecond},
	{file: "overload", title: "More messages than the server can do", xTitle: "messages a second that are meant to be sent", yTitle: "messages a second acknowledged",
		in: func(r *Result) bool { return r.Name == "overload" && r.PayloadBytes > 0 }, line: one,
		x: func(r *Result) float64 { return cmp.Or(r.RateSet, r.PerSecond) }, y: perSecond,
		aims: func(lines []line) []line {
			return []line{across("aim at twice as much: 80 % of the best", 0.8*lines[0].points[0].y)}
		}},
}

// ReadResults reads lines of JSON as [WriteJSON] writes them. Empty lines are passed over.
func ReadResults(r io.Reader) ([]Result, error) {
	var results []Result
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var result Result
		if err := json.Unmarshal(lines.Bytes(), &result); err != nil || result.Name == "" {
			return nil, fmt.Errorf("bench: line %d is no result of a benchmark: %.80q", number, lines.Text())
		}
		results = append(results, result)
	}
	return results, lines.Err()
}

// WriteCurves draws into a directory, which it makes, every chart of which there are results, and returns the files. Of two results
// of the same line and x the later one counts. Results that were not checked are refused.
func WriteCurves(dir, note string, results []Result) ([]string, error) {
	for i := range results {
		if r := &results[i]; !r.Checked {
			return nil, fmt.Errorf("bench: %s: %s: the result was not checked, or is wrong", r.Name, r.What)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var files []string
	for _, c := range curves {
		lines := c.lines(results)
		if len(lines) == 0 {
			continue
		}
		drawn := chart{title: c.title, xTitle: c.xTitle, yTitle: c.yTitle, note: note, lines: lines, lessIsBetter: c.lessIsBetter}
		if c.aims != nil {
			drawn.aims = within(c.aims(lines), lines)
		}
		file := filepath.Join(dir, c.file+".svg")
		if err := os.WriteFile(file, []byte(drawn.svg()), 0o644); err != nil {
			return files, fmt.Errorf("bench: %w", err)
		}
		files = append(files, file)
	}
	return files, nil
}

// lines are the points of a chart, in the order of x.
func (c *curve) lines(results []Result) []line {
	var lines []line
	for i := range results {
		r := &results[i]
		if !c.in(r) {
			continue
		}
		name, p := c.line(r), point{c.x(r), c.y(r)}
		at := slices.IndexFunc(lines, func(l line) bool { return l.name == name })
		if at < 0 {
			at, lines = len(lines), append(lines, line{name: name})
		}
		l := &lines[at]
		if same := slices.IndexFunc(l.points, func(q point) bool { return q.x == p.x }); same >= 0 {
			l.points[same] = p
		} else {
			l.points = append(l.points, p)
		}
	}
	for _, l := range lines {
		slices.SortFunc(l.points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
	}
	return lines
}

// within leaves out of aims what lies beyond the x of all lines: nothing was measured there.
func within(aims, lines []line) []line {
	var low, high float64
	for i, l := range lines {
		first, last := l.points[0].x, l.points[len(l.points)-1].x
		if i == 0 {
			low, high = first, last
		}
		low, high = min(low, first), max(high, last)
	}
	var kept []line
	for _, aim := range aims {
		if len(aim.points) > 1 {
			aim.points = slices.DeleteFunc(slices.Clone(aim.points), func(p point) bool { return p.x < low || p.x > high })
		}
		if len(aim.points) > 0 {
			kept = append(kept, aim)
		}
	}
	return kept
}
