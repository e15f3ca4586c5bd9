// SPDX-License-Identifier: Apache-2.0

// Where users and conversations live is part of the data format: these values must never change.

package tidemark_test

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
)

func TestPartitionOfIsFixed(t *testing.T) {
	for _, c := range []struct {
		id                 string
		user, conversation [3]uint32 // among 8, 13 and 256 partitions
	}{
		{"alice", [3]uint32{5, 8, 93}, [3]uint32{3, 10, 155}},
		{"bob", [3]uint32{7, 9, 255}, [3]uint32{5, 3, 109}},
		{"system", [3]uint32{4, 11, 36}, [3]uint32{0, 4, 160}},
		{"team", [3]uint32{6, 6, 126}, [3]uint32{4, 3, 140}},
		{"alice~bob", [3]uint32{4, 12, 76}, [3]uint32{7, 10, 255}},
	} {
		for i, partitions := range []uint32{8, 13, 256} {
			if got := tidemark.PartitionOfUser(tidemark.UserID(c.id), partitions); got != c.user[i] {
				t.Errorf("user %s of %d: %d, always was %d", c.id, partitions, got, c.user[i])
			}
			if got := tidemark.PartitionOfConversation(tidemark.ConversationID(c.id), partitions); got != c.conversation[i] {
				t.Errorf("conversation %s of %d: %d, always was %d", c.id, partitions, got, c.conversation[i])
			}
		}
	}
}

// TestPartitionsAreEven gives each partition its share of ids that differ only in a number, as apps like to make them.
func TestPartitionsAreEven(t *testing.T) {
	const ids = 80_000
	for _, partitions := range []uint32{2, 8, 10, 16, 256} {
		counts := make([]int, partitions)
		for i := range ids {
			counts[tidemark.PartitionOfUser(tidemark.UserID(fmt.Sprintf("u-%d", i)), partitions)]++
		}
		share := ids / int(partitions)
		for p, n := range counts {
			if n < share*3/4 || n > share*5/4 {
				t.Errorf("partition %d of %d has %d users, its share is %d", p, partitions, n, share)
			}
		}
	}
}
