// SPDX-License-Identifier: Apache-2.0

// What one event adds to the chain costs, for the server and for every client that verifies it.

package chain_test

import (
	"testing"

	"github.com/tidemark-im/tidemark/chain"
)

func BenchmarkEvent(b *testing.B) {
	body := make([]byte, 110)
	digest := chain.Start("team")
	link := chain.Link{ID: 7312849104, TimeMs: 1795341600123, Sender: "alice", ClientID: "laptop-1234", Kind: 1}
	b.ReportAllocs()
	for b.Loop() {
		link.Seq++
		link.BodyHash = chain.BodyHash([8]byte{1, 2, 3}, body)
		digest = chain.Next(digest, link)
	}
}
