// SPDX-License-Identifier: Apache-2.0

// Seals: what they are made of, and that nothing else is taken for one.

package partition

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
)

var testSealKey = []byte("0123456789abcdef0123456789abcdef")

func withSeals(c *Config) { c.SealKey = testSealKey }

// The bytes that are sealed, spelled out: a later version must find the seals of this one valid.
func TestSealIsWhatItSays(t *testing.T) {
	w := newWorld(t, withSeals)
	digest := tidemark.Digest(bytes.Repeat([]byte{0xab}, 32))
	mac := hmac.New(sha256.New, testSealKey)
	mac.Write([]byte("tidemark/seal/1\x00" + "\x00\x04team" + "\x00\x00\x00\x00\x00\x00\x01\x02"))
	mac.Write(digest[:])
	want := mac.Sum(nil)[:16]
	for range 2 { // made, and remembered
		if got, ok := w.set.Seal("team", 258, digest); !ok || !bytes.Equal(got[:], want) {
			t.Fatalf("the seal is %x, want %x", got, want)
		}
	}
	if got := hex.EncodeToString(want); got != "4e9c5d53bf34d736b368c7980fe445a9" {
		t.Errorf("the seal of another time was another: %s", got)
	}
	if !w.set.Sealed("team", 258, digest, want) {
		t.Error("its own seal is refused")
	}
	other := digest
	other[31] ^= 1
	for what, ok := range map[string]bool{
		"another conversation": w.set.Sealed("tean", 258, digest, want),
		"another seq":          w.set.Sealed("team", 259, digest, want),
		"another digest":       w.set.Sealed("team", 258, other, want),
		"a shorter seal":       w.set.Sealed("team", 258, digest, want[:15]),
		"no seal":              w.set.Sealed("team", 258, digest, nil),
		"a longer seal":        w.set.Sealed("team", 258, digest, append(bytes.Clone(want), 0)),
		"no event":             w.set.Sealed("team", 0, digest, want),
	} {
		if ok {
			t.Errorf("the seal counts for %s", what)
		}
	}
}

// A seal outlives the process, and another key makes other seals.
func TestSealOutlivesRestart(t *testing.T) {
	w := newWorld(t, withSeals)
	seal, _ := w.set.Seal("team", 1, tidemark.Digest{1})
	w.close()
	w.open(withSeals)
	if !w.set.Sealed("team", 1, tidemark.Digest{1}, seal[:]) {
		t.Error("after a restart the seal does not count")
	}
	w.close()
	w.open(func(c *Config) { c.SealKey = bytes.Repeat([]byte{7}, 32) })
	if w.set.Sealed("team", 1, tidemark.Digest{1}, seal[:]) {
		t.Error("the seal counts under another key")
	}
	w.close()
	w.open(nil)
	if _, ok := w.set.Seal("team", 1, tidemark.Digest{1}); ok || w.set.Sealed("team", 1, tidemark.Digest{1}, seal[:]) || w.set.SealBytes("team", 1, tidemark.Digest{1}) != nil {
		t.Error("without a key there are seals")
	}
}

// What is remembered of a place that many conversations share is never given for another head.
func TestSealsAreNotMixedUp(t *testing.T) {
	s := newSeals(testSealKey)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 4 * sealsRecent {
				id := tidemark.ConversationID("c" + hex.EncodeToString([]byte{byte(i >> 8), byte(i)}))
				seq, digest := tidemark.Seq(i%3+1), tidemark.Digest{byte(i % 2)}
				if got, want := s.seal(id, seq, &digest), s.compute(uint64(i), id, seq, &digest); got != want {
					t.Errorf("%s %d: %x, want %x", id, seq, got, want)
					return
				}
			}
		})
	}
	group.Wait()
}

// FuzzSealed: of all bytes only the server's own seal opens, and only for what it is of.
func FuzzSealed(f *testing.F) {
	s := &Set{seals: newSeals(testSealKey)}
	own, _ := s.Seal("team", 3, tidemark.Digest{1})
	f.Add("team", uint64(3), []byte{1}, own[:])
	f.Add("team", uint64(3), []byte{1}, own[:15])
	f.Add("tea", uint64(0x6d0000000000000), []byte{1}, own[:])
	f.Add(strings.Repeat("x", 1<<16), uint64(3), []byte{1}, []byte{})
	f.Fuzz(func(t *testing.T, id string, seq uint64, ends, seal []byte) {
		var digest tidemark.Digest
		copy(digest[:], ends)
		is := id == "team" && seq == 3 && digest == tidemark.Digest{1}
		if s.Sealed(tidemark.ConversationID(id), tidemark.Seq(seq), digest, own[:]) != is {
			t.Fatalf("a seal of event 3 of team counts for event %d of %q, %s: %t", seq, id, digest, !is)
		}
		if s.Sealed("team", 3, tidemark.Digest{1}, seal) != bytes.Equal(seal, own[:]) {
			t.Fatalf("%x as the seal of event 3 of team: %t", seal, !bytes.Equal(seal, own[:]))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	s := newSeals(testSealKey)
	digest := tidemark.Digest{1, 2, 3}
	b.Run("made", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.seal("conversation-0001", tidemark.Seq(i+1), &digest)
		}
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.seal("conversation-0001", 7, &digest)
		}
	})
}
