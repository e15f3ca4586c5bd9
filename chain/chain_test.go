// SPDX-License-Identifier: Apache-2.0

// The chain against its definition, written out a second time without any cleverness.

package chain_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"pgregory.net/rapid"
)

// hashed is what enters h(n), byte for byte as PROTOCOL.md says.
func hashed(prev tidemark.Digest, e vectorEvent, bodyHash tidemark.Digest) []byte {
	var b bytes.Buffer
	b.Write(prev[:])
	for _, n := range []uint64{e.Seq, e.ID, e.TimeMs} {
		_ = binary.Write(&b, binary.BigEndian, n)
	}
	for _, s := range []string{e.Sender, e.ClientID} {
		_ = binary.Write(&b, binary.BigEndian, uint16(len(s)))
		b.WriteString(s)
	}
	b.WriteByte(e.Kind)
	b.Write(bodyHash[:])
	return b.Bytes()
}

func link(e vectorEvent, bodyHash tidemark.Digest) chain.Link {
	return chain.Link{
		Seq: tidemark.Seq(e.Seq), ID: tidemark.EventID(e.ID), TimeMs: e.TimeMs, Sender: tidemark.UserID(e.Sender),
		ClientID: tidemark.ClientID(e.ClientID), Kind: e.Kind, BodyHash: bodyHash,
	}
}

func TestChainIsItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := tidemark.ConversationID(rapid.StringN(1, 64, 300).Draw(t, "conversation"))
		start := chain.Start(id)
		if want := sha256.Sum256([]byte("tidemark/1\x00" + string(id))); start != want {
			t.Fatalf("start of %q: %s, want %x", id, start, want)
		}
		salt := [8]byte(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "salt"))
		body := rapid.SliceOfN(rapid.Byte(), 0, 600).Draw(t, "body")
		hash := chain.BodyHash(salt, body)
		if want := sha256.Sum256(append(salt[:], body...)); hash != want {
			t.Fatalf("body hash of %d bytes: %s, want %x", len(body), hash, want)
		}
		e := vectorEvent{
			Seq: rapid.Uint64().Draw(t, "seq"), ID: rapid.Uint64().Draw(t, "id"), TimeMs: rapid.Uint64().Draw(t, "time"),
			Sender:   rapid.StringN(0, 100, 300).Draw(t, "sender"),
			ClientID: rapid.StringN(0, 100, 300).Draw(t, "client id"), Kind: rapid.Byte().Draw(t, "kind"),
		}
		if got, want := chain.Next(start, link(e, hash)), sha256.Sum256(hashed(start, e, hash)); got != want {
			t.Fatalf("next: %s, want %x", got, want)
		}
	})
}

// TestLengthsSeparate shows why ids carry their lengths: without them, these two would hash the same bytes.
func TestLengthsSeparate(t *testing.T) {
	one := chain.Next(tidemark.Digest{}, chain.Link{Sender: "ab", ClientID: "c"})
	two := chain.Next(tidemark.Digest{}, chain.Link{Sender: "a", ClientID: "bc"})
	if one == two {
		t.Error("the chain does not tell where the sender ends")
	}
}

func TestAllocations(t *testing.T) {
	body := []byte(strings.Repeat("x", 1000))
	l := chain.Link{Seq: 1, Sender: "alice", ClientID: "0123456789abcdef"}
	var prev tidemark.Digest
	if n := testing.AllocsPerRun(100, func() {
		l.BodyHash = chain.BodyHash([8]byte{}, body)
		prev = chain.Next(prev, l)
	}); n != 0 {
		t.Errorf("a link of the chain allocates %v times", n)
	}
}

func BenchmarkBodyHash(b *testing.B) {
	for _, size := range []int{100, 1000} {
		body := []byte(strings.Repeat("x", size))
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				chain.BodyHash([8]byte{}, body)
			}
		})
	}
}
