// SPDX-License-Identifier: Apache-2.0

// Sums: comparing two sets that are stored in different orders, without keeping either.

package verify

import (
	"hash/maphash"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// sum is a sum of hashes of a set's elements: the same for the same set in any order, and for another set only by a
// chance of about 2^-128. The hashes are of this process alone.
type sum struct{ a, b, n uint64 }

var seedA, seedB = maphash.MakeSeed(), maphash.MakeSeed()

// placed is an event in its commit.
type placed struct {
	position tidemark.Position
	event    record.ConversationSeq
}

// indexed is an event under the hash of its sender and client id.
type indexed struct {
	hash [6]byte
	seq  tidemark.Seq
}

func add[T comparable](s *sum, element T) {
	s.a += maphash.Comparable(seedA, element)
	s.b += maphash.Comparable(seedB, element)
	s.n++
}
