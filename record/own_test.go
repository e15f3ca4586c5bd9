// SPDX-License-Identifier: Apache-2.0

// The seqs of own messages past a read mark.

package record

import (
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
)

func TestOwnSeqs(t *testing.T) {
	var own OwnSeqs
	if own.Has(0) || own.Has(1) || own.Covers(1) || own.Past(0) != "" {
		t.Error("nothing has something")
	}
	for seq := tidemark.Seq(2); seq <= 2*OwnSeqsMax; seq += 2 {
		own = own.With(seq)
	}
	for seq := range tidemark.Seq(2*OwnSeqsMax + 3) {
		if want := seq > 0 && seq%2 == 0 && seq <= 2*OwnSeqsMax; own.Has(seq) != want {
			t.Errorf("%d is there: %t", seq, !want)
		}
	}
	if past := own.Past(6); past.Len() != OwnSeqsMax-3 || past.At(0) != 8 || own.Past(2*OwnSeqsMax) != "" {
		t.Errorf("past 6 there are %d", past.Len())
	}
	if own.Covers(1) != true || own.Past(1).With(1000).Len() != OwnSeqsMax {
		t.Error("what is full holds more")
	}
	own = own.With(1000)
	if own.Has(2) || !own.Covers(2) || !own.Covers(1000) || own.Covers(1001) || own.Past(4).Covers(4) {
		t.Error("what has gone for want of room is not accounted for")
	}
}
