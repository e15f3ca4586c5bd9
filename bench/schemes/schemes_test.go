// SPDX-License-Identifier: Apache-2.0

// What each design is known for, shown: what it writes, what it loses and when.

package schemes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/tidemark-im/tidemark/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a configuration that takes moments.
var small = Config{Members: []int{10, 60}, Messages: 10, FanoutRows: 20, CrashMembers: 60, Seed: 7}.withDefaults()

func costOf(t *testing.T, cfg Config, design Design, members int) Cost {
	t.Helper()
	cost, err := measure(t.Context(), cfg, design, members)
	if err != nil {
		t.Fatal(err)
	}
	return cost
}

func crashOf(t *testing.T, design Design, moment Moment) Crash {
	t.Helper()
	crash, err := crashAt(t.Context(), small, design, moment)
	if err != nil {
		t.Fatal(err)
	}
	return crash
}

// steady is a group whose members are all connected and have got nothing yet.
func steady(t *testing.T, design Design) *world {
	t.Helper()
	w, err := newWorld(t.Context(), small, design, 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.server.close(); err != nil {
			t.Error(err)
		}
	})
	must(t, w.come(w.these(false)))
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Without a disturbance, every design brings every message to everybody once, in order.
func TestOnAQuietDayAllAreRight(t *testing.T) {
	for design := range designEnd {
		w := steady(t, design)
		must(t, w.leave([]int{3, 4}))
		var sending tally
		for number := 1; number <= 5; number++ {
			must(t, w.write(number, &sending))
		}
		must(t, w.everybodyComes(&Cost{}))
		if f := w.faults(); f != (Faults{}) {
			t.Errorf("%s: %+v", design, f)
		}
		for member, d := range w.devices {
			if len(d.got) != 5 {
				t.Errorf("%s: member %d got %v", design, member, d.got)
			}
		}
	}
}

// A member whose connection dies after the server has seen it online: only the first design loses the message.
func TestADropBetweenLookingAndPushing(t *testing.T) {
	for design := range designEnd {
		w := steady(t, design)
		w.race = w.dropAndCome([]int{3}, nil)
		var sending tally
		must(t, w.write(1, &sending))
		w.server.disconnect(3)
		must(t, w.everybodyComes(&Cost{}))
		want := Faults{}
		if design == OfflineCopies {
			want.Lost = 1
		}
		if f := w.faults(); f != want {
			t.Errorf("%s: %+v, want %+v", design, f, want)
		}
	}
}

// A member who comes after the server has seen it offline: the first design stores a copy that lies there until the member
// comes again, behind later messages.
func TestComingBetweenLookingAndStoring(t *testing.T) {
	for design := range designEnd {
		w := steady(t, design)
		must(t, w.leave([]int{3}))
		w.race = w.dropAndCome(nil, []int{3})
		var sending tally
		must(t, w.write(1, &sending))
		must(t, w.write(2, &sending))
		must(t, w.everybodyComes(&Cost{}))
		want := Faults{}
		if design == OfflineCopies {
			want.OutOfOrder = 1
		}
		if f := w.faults(); f != want {
			t.Errorf("%s: %+v, want %+v", design, f, want)
		}
	}
}

// A connection that dies while a member pulls: the first design removes what it handed to nobody.
func TestADropWhilePulling(t *testing.T) {
	for design := range designEnd {
		w := steady(t, design)
		must(t, w.leave([]int{3}))
		var sending tally
		for number := 1; number <= 4; number++ {
			must(t, w.write(number, &sending))
		}
		must(t, w.disturb(DropsPulling, 5))
		must(t, w.everybodyComes(&Cost{}))
		want := Faults{}
		if design == OfflineCopies {
			want.Lost = 4
		}
		if f := w.faults(); f != want {
			t.Errorf("%s: %+v, want %+v", design, f, want)
		}
	}
}

// What the first three write grows with the group; what the fourth writes does not.
func TestA2ThreeEarlierSchemesWhatStoringCosts(t *testing.T) {
	cfg := small
	cfg.Messages, cfg.FanoutRows = 10, 500
	few, many := 10, 1000
	for design := range designEnd {
		a, b := costOf(t, cfg, design, few), costOf(t, cfg, design, many)
		rows, bytes := b.SendRows/a.SendRows, b.SendBytes/a.SendBytes
		if design == OneCopyAndMarks {
			if rows != 1 || bytes < 0.99 || bytes > 1.01 || b.SendSyncs != 1 {
				t.Errorf("%s: from %d to %d members rows grow by %v, bytes by %v; %v fsyncs", design, few, many, rows, bytes, b.SendSyncs)
			}
			if f := b.Faults; f != (Faults{}) {
				t.Errorf("%s: %+v", design, f)
			}
			continue
		}
		if rows < 90 || bytes < 50 || b.SendSyncs < 2 {
			t.Errorf("%s: from %d to %d members rows grow by %v, bytes by %v; %v fsyncs", design, few, many, rows, bytes, b.SendSyncs)
		}
		if cost := b.SendBytes + b.AckBytes; design == AllIDs && cost > costOf(t, cfg, AllCopies, many).SendBytes/3 {
			t.Errorf("%s: %v bytes is not much less than whole copies take", design, cost)
		}
	}
}

// The same with the largest group of the document.
func TestTenThousandMembersCostNoMore(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	cfg := small
	cfg.Messages = 5
	a, b := costOf(t, cfg, OneCopyAndMarks, 10), costOf(t, cfg, OneCopyAndMarks, 10_000)
	if a.SendRows != b.SendRows || b.SendBytes > 1.01*a.SendBytes || b.SendBytes < 0.99*a.SendBytes || b.Faults != (Faults{}) {
		t.Errorf("10 members: %+v\n10,000 members: %+v", a, b)
	}
}

// A crash at any moment: the fourth design is right after each; of the others it is known what goes wrong when.
func TestA2ThreeEarlierSchemesCrashes(t *testing.T) {
	again := map[Moment][]Design{
		Partly:  {OfflineCopies, AllCopies, AllIDs},
		Stored:  {OfflineCopies, AllCopies, AllIDs},
		Pushing: {OfflineCopies},
		Pushed:  {OfflineCopies},
		Acked:   {AllCopies, AllIDs},
		Pulled:  {OfflineCopies},
	}
	disorder := map[Moment][]Design{
		Partly: {OfflineCopies, AllCopies, AllIDs}, Pushing: {OfflineCopies}, Pushed: {OfflineCopies},
	}
	in := func(designs []Design, design Design) bool {
		for _, d := range designs {
			if d == design {
				return true
			}
		}
		return false
	}
	for moment := range momentEnd {
		for design := range designEnd {
			c := crashOf(t, design, moment)
			if reached := !(design == OfflineCopies && moment == Acked); c.Reached != reached {
				t.Errorf("%s: the crash when %s came: %v", design, moment, c.Reached)
			}
			if c.Lost > 0 || (c.Again > 0) != in(again[moment], design) || (c.OutOfOrder > 0) != in(disorder[moment], design) {
				t.Errorf("%s: a crash when %s: %+v", design, moment, c.Faults)
			}
		}
	}
}

// The device of the fourth design is not lenient: faults are seen where there are some.
func TestFaultsAreSeen(t *testing.T) {
	w := steady(t, OneCopyAndMarks)
	var sending tally
	for number := 1; number <= 4; number++ {
		must(t, w.write(number, &sending))
	}
	w.devices[1].got = []int{1, 3, 2, 4}
	w.devices[2].got = []int{1, 2, 2, 3, 4}
	w.devices[3].got = []int{1, 2, 4}
	if f, want := w.faults(), (Faults{Lost: 1, Again: 1, OutOfOrder: 1}); f != want {
		t.Errorf("%+v, want %+v", f, want)
	}
}

// Every commit is one fsync of the log, in all designs: "fsyncs" is not an assumption.
func TestACommitIsASync(t *testing.T) {
	for design := range designEnd {
		w := steady(t, design)
		var sending tally
		must(t, w.leave([]int{3}))
		before := w.syncs.Load()
		for number := 1; number <= 4; number++ {
			must(t, w.write(number, &sending))
		}
		if syncs := uint64(w.syncs.Load() - before); syncs != sending.syncs || sending.bytes == 0 {
			t.Errorf("%s: %d commits, %d syncs, %d bytes", design, sending.syncs, syncs, sending.bytes)
		}
	}
}

// The same seed gives the same figures; another one, others.
func TestTheSeedDecides(t *testing.T) {
	for design := range designEnd {
		a, b := costOf(t, small, design, 60), costOf(t, small, design, 60)
		a.DiskBefore, a.DiskAfter = b.DiskBefore, b.DiskAfter
		if a != b {
			t.Errorf("%s:\n%+v\n%+v", design, a, b)
		}
		other := small
		other.Seed++
		if c := costOf(t, other, design, 60); c == b {
			t.Errorf("%s: another seed changes nothing: %+v", design, c)
		}
	}
}

// The first three keep their rows as package store keeps the fourth's.
func TestOptionsAreThoseOfTheStore(t *testing.T) {
	fs := vfs.NewMem()
	db, err := store.Open(store.Config{Dir: dataDir, FS: fs})
	must(t, err)
	must(t, db.Close())
	theirs := optionsIn(t, fs, fs.PathJoin(dataDir, storeTables))
	w := steady(t, AllCopies)
	ours := optionsIn(t, w.disk, dataDir)
	if len(theirs) < 20 || strings.Join(theirs, "\n") != strings.Join(ours, "\n") {
		t.Errorf("the store has\n%s\nhere are\n%s", strings.Join(theirs, "\n"), strings.Join(ours, "\n"))
	}
}

// optionsIn are the lines of Pebble's file of options.
func optionsIn(t *testing.T, fs vfs.FS, dir string) (lines []string) {
	t.Helper()
	names, err := fs.List(dir)
	must(t, err)
	for _, name := range names {
		if !strings.HasPrefix(name, "OPTIONS-") {
			continue
		}
		f, err := fs.Open(fs.PathJoin(dir, name))
		must(t, err)
		info, err := f.Stat()
		must(t, err)
		content := make([]byte, info.Size())
		_, err = f.ReadAt(content, 0)
		must(t, err)
		must(t, f.Close())
		for _, line := range strings.Split(string(content), "\n") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{
		{Members: []int{4}}, {OnlinePercent: 101}, {Messages: -1}, {Payload: 7}, {CrashMembers: 1}, {CrashMessages: 2}, {FanoutRows: -1},
	} {
		if _, err := Run(t.Context(), cfg, nil); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

func TestReport(t *testing.T) {
	report, err := Run(t.Context(), Config{Members: []int{10}, Messages: 3, CrashMembers: 10}, nil)
	must(t, err)
	path := filepath.Join(t.TempDir(), "designs.md")
	if err := report.UpdateDocument(path); err == nil {
		t.Error("a document that is not there is updated")
	}
	must(t, os.WriteFile(path, []byte("before\n"+markerBegin+"\nold\n"+markerEnd+"\nafter\n"), 0o600))
	must(t, report.UpdateDocument(path))
	content, err := os.ReadFile(path)
	must(t, err)
	text := string(content)
	if !strings.HasPrefix(text, "before\n") || !strings.HasSuffix(text, "\nafter\n") || strings.Contains(text, "old") ||
		strings.Count(text, "\n| ") != 1+4+1+int(dropEnd)+1+int(momentEnd) {
		t.Errorf("the document is\n%s", text)
	}
	var table, line strings.Builder
	must(t, report.WriteTable(&table))
	must(t, report.WriteJSON(&line))
	if strings.Count(table.String(), "one copy and marks") != 3 || strings.Count(line.String(), "\n") != 1 {
		t.Errorf("the tables are\n%s%s", table.String(), line.String())
	}
}

// The document's tables are those that the command gives now. The groups of 10 and 100 stand for all; bytes on disk are left out.
func TestA2ThreeEarlierSchemesDocument(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "designs.md"))
	must(t, err)
	report, err := Run(t.Context(), Config{Members: []int{10, 100}}, nil)
	must(t, err)
	const stale = "docs/designs.md is stale: run `tidemark bench schemes --update docs/designs.md`; it lacks\n%s"
	lines := strings.Split(string(content), "\n")
	tables := report.tables()
	for _, row := range append(tables[1], tables[2]...) {
		if !strings.Contains(string(content), markdownRow(row)) {
			t.Errorf(stale, markdownRow(row))
		}
	}
	for _, row := range tables[0] {
		found := false
		for _, line := range lines {
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			found = found || len(cells) == len(row) && withoutDisk(cells) == withoutDisk(row)
		}
		if !found {
			t.Errorf(stale, markdownRow(row))
		}
	}
}

// withoutDisk are the cells of a row of the first table but those about the disk.
func withoutDisk(cells []string) string {
	var kept []string
	for i, title := range costTitles {
		if !strings.HasPrefix(title, "disk") {
			kept = append(kept, cells[i])
		}
	}
	return strings.Join(kept, "|")
}
