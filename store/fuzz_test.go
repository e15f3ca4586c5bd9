// SPDX-License-Identifier: Apache-2.0

// A damaged disk: the small files of the directory hold anything, and rows claim anything.

package store

import (
	"encoding/json"
	"log/slog"
	"reflect"
	"runtime"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// allocated is how many bytes fn took from memory.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func put(t *testing.T, fs vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fs.Create("data/"+name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// FuzzMetaFiles: TIDEMARK is refused, or says what a directory can have, and is read the same after it was written again;
// REACHED is believed whole or not at all.
func FuzzMetaFiles(f *testing.F) {
	f.Add([]byte(`{"formatVersion":1,"partitions":4,"epoch":"7"}`), []byte(`{"epoch":"7","positions":[1,2,3,4],"sum":1}`))
	f.Add([]byte(`{"formatVersion":1,"partitions":4294967295}`), []byte(`{"epoch":"0","positions":[18446744073709551615],"sum":0}`))
	fs := vfs.NewMem()
	if err := fs.MkdirAll("data", 0o700); err != nil {
		f.Fatal(err)
	}
	if err := writeMeta(fs, "data", Meta{FormatVersion: FormatVersion, Partitions: 4, Epoch: 7}); err != nil {
		f.Fatal(err)
	}
	meta, err := readFile(fs, "data/"+metaName)
	if err != nil {
		f.Fatal(err)
	}
	good := &reached{fs: fs, dir: "data", epoch: 7, log: slog.New(slog.DiscardHandler), positions: newReached(Config{Dir: "data", FS: fs, Log: slog.New(slog.DiscardHandler)}, Meta{Epoch: 7, Partitions: 4}).positions}
	good.positions[2].Store(1 << 40)
	good.save(true)
	said, err := readFile(fs, "data/"+reachedName)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(meta, said)
	f.Fuzz(func(t *testing.T, meta, said []byte) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("data", 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, fs, metaName, meta)
		put(t, fs, reachedName, said)
		m, err := readMeta(fs, "data")
		if err == nil {
			if m.FormatVersion != FormatVersion || m.Partitions == 0 || m.Partitions > tidemark.PartitionsMax {
				t.Fatalf("accepted: %+v", m)
			}
			if err := writeMeta(fs, "data", *m); err != nil {
				t.Fatal(err)
			}
			if again, err := readMeta(fs, "data"); err != nil || !reflect.DeepEqual(again, m) {
				t.Fatalf("%+v became %+v, %v", m, again, err)
			}
		}
		cfg := Config{Dir: "data", FS: fs, Log: slog.New(slog.DiscardHandler)}
		r := newReached(cfg, Meta{Epoch: 7, Partitions: 4})
		if n := len(r.found); n != 0 && n != 4 {
			t.Fatalf("%d positions of 4 partitions are believed", n)
		}
		if len(r.found) == 0 {
			return
		}
		for n, p := range r.found {
			r.positions[n].Store(uint64(p))
		}
		r.save(true)
		if again := newReached(cfg, Meta{Epoch: 7, Partitions: 4}); !reflect.DeepEqual(again.found, r.found) {
			t.Fatalf("%v became %v", r.found, again.found)
		}
		if other := newReached(cfg, Meta{Epoch: 8, Partitions: 4}); len(other.found) != 0 {
			t.Fatalf("%v is believed of another epoch", other.found)
		}
	})
}

// FuzzBackupFile: BACKUP is believed whole or not at all, memory in proportion; what it says is the same after it was
// written again, and files that it names and that are not there are told. With the sum put right, what only a forger
// writes is read, too: it says nothing that is not so.
func FuzzBackupFile(f *testing.F) {
	for _, b := range []Backup{
		{MadeMs: 1, Epoch: 7, Positions: []tidemark.Position{1, 2}, Files: map[string]int64{metaName: 5}},
		{Files: map[string]int64{"../outside": 5, "/": 0, metaName: -5, "db": 0}},
	} {
		b.Sum = b.sum()
		text, err := json.Marshal(b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, false)
		f.Add(text[:len(text)-2], false)
	}
	f.Add([]byte(`{"epoch":"18446744073709551615","positions":[18446744073709551615],"files":{"\ufffd":1e3}}`), true)
	f.Fuzz(func(t *testing.T, text []byte, forged bool) {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("data", 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, fs, metaName, []byte("12345"))
		if b := new(Backup); forged && json.Unmarshal(text, b) == nil {
			b.Sum = b.sum()
			text, _ = json.Marshal(b)
		}
		put(t, fs, backupName, text)
		var b *Backup
		var err error
		if bytes := allocated(func() { b, err = ReadBackup(fs, "data") }); bytes > 64<<10+256*uint64(len(text)) {
			t.Errorf("%d bytes take %d", len(text), bytes)
		}
		if err != nil {
			return
		}
		for name, size := range b.Files {
			if info, err := fs.Stat(fs.PathJoin("data", name)); err != nil || info.Size() != size {
				t.Fatalf("%q of %d bytes is believed to be there: %v", name, size, err)
			}
		}
		again, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		put(t, fs, backupName, again)
		if c, err := ReadBackup(fs, "data"); err != nil || !reflect.DeepEqual(b, c) {
			t.Fatalf("%+v became %+v, %v", b, c, err)
		}
	})
}

// FuzzRowBounds: no row, and no key, makes its decoder take memory out of proportion to its bytes; a commit's row, which
// says how many events follow each other, takes at most what commitEventsMax allows.
func FuzzRowBounds(f *testing.F) {
	f.Add([]byte{1, 1, 0xff, 0xff, 0xff, 0x07})
	f.Add(appendInfo(nil, testChanges().Infos[0]))
	f.Add(appendPrivate(nil, testChanges().Privates[0].Private))
	f.Add(append([]byte{1}, 0xff, 0xff, 0xff, 0xff, 0x0f))
	f.Fuzz(func(t *testing.T, b []byte) {
		most := 64<<10 + 256*uint64(len(b))
		for name, decode := range map[string]func(){
			"event":     func() { _, _ = decodeEvent(b, 3, 9) },
			"current":   func() { _, _ = decodeCurrent(b) },
			"info":      func() { _, _ = decodeInfo(b, 1) },
			"head":      func() { _, _ = decodeHead(b) },
			"hour":      func() { _, _ = decodeHour(b, 1) },
			"member":    func() { _, _ = decodeMember(b) },
			"profile":   func() { _, _ = decodeProfile(b, "a") },
			"device":    func() { _, _ = decodeDevice(b, "a") },
			"account":   func() { _, _ = decodeAccount(b, "a") },
			"private":   func() { _, _ = decodePrivate(b) },
			"scheduled": func() { _, _ = decodeScheduled(b) },
			"request":   func() { _, _ = decodeJoinRequest(b) },
			"state":     func() { _, _ = decodeState(b) },
			"seqs":      func() { _, _ = decodeSeqs(b) },
			"key":       func() { _, _ = ParseKey(b) },
		} {
			if bytes := allocated(decode); bytes > most {
				t.Errorf("%s: %d bytes take %d", name, len(b), bytes)
			}
		}
		var events []record.ConversationSeq
		if bytes := allocated(func() { events, _ = decodeCommit(b) }); bytes > 128<<20 || len(events) > commitEventsMax {
			t.Errorf("commit: %d bytes take %d for %d events", len(b), bytes, len(events))
		}
	})
}
