// SPDX-License-Identifier: Apache-2.0

// A member's own messages past its read mark: those that were submitted at their time, while the member had not read
// what came before them.

package record

import (
	"encoding/binary"
	"sort"

	tidemark "github.com/tidemark-im/tidemark"
)

// OwnSeqsMax is how many seqs an [OwnSeqs] holds.
const OwnSeqsMax = 100

// OwnSeqs are at most [OwnSeqsMax] seqs, ascending: big-endian, 8 bytes each. It is a string because records are shared
// and compared. The zero value is empty.
type OwnSeqs string

// Len is how many there are.
func (o OwnSeqs) Len() int { return len(o) / 8 }

// At is the i-th seq; i is from 0 to Len-1.
func (o OwnSeqs) At(i int) tidemark.Seq {
	return tidemark.Seq(binary.BigEndian.Uint64([]byte(o[8*i : 8*i+8])))
}

// Past are those past a seq.
func (o OwnSeqs) Past(seq tidemark.Seq) OwnSeqs {
	return o[8*sort.Search(o.Len(), func(i int) bool { return o.At(i) > seq }):]
}

// Covers reports whether a message of the member's own past its read mark is accounted for: it is among them, or has gone
// for want of room.
func (o OwnSeqs) Covers(seq tidemark.Seq) bool {
	return o.Has(seq) || o.Len() == OwnSeqsMax && seq < o.At(0)
}

// Has reports whether a seq is among them.
func (o OwnSeqs) Has(seq tidemark.Seq) bool {
	past := o.Past(seq - min(seq, 1))
	return past != "" && past.At(0) == seq
}

// With adds a seq that is past all others. Where there is no room for it the first goes.
func (o OwnSeqs) With(seq tidemark.Seq) OwnSeqs {
	if o.Len() >= OwnSeqsMax {
		o = o[8:]
	}
	return OwnSeqs(binary.BigEndian.AppendUint64([]byte(o), uint64(seq)))
}
