// SPDX-License-Identifier: Apache-2.0

// Where users and conversations live: the hash that spreads them over partitions. It is part of the data format.

package tidemark

// PartitionsMax is the greatest number of partitions a data directory can have: a partition is one byte of a key.
const PartitionsMax = 256

// PartitionOfUser is the home partition of a user among partitions many.
func PartitionOfUser(id UserID, partitions uint32) uint32 { return hashOf("u", string(id), partitions) }

// PartitionOfConversation is the partition that keeps a conversation, its members and their marks.
func PartitionOfConversation(id ConversationID, partitions uint32) uint32 {
	return hashOf("c", string(id), partitions)
}

// hashOf is FNV-1a (Fowler, Noll, Vo; 64 bits) over kind and id, folded so that its better-mixed high half counts.
func hashOf(kind, id string, partitions uint32) uint32 {
	const offset, prime = 14695981039346656037, 1099511628211
	h := uint64(offset)
	for i := 0; i < len(kind); i++ {
		h = (h ^ uint64(kind[i])) * prime
	}
	for i := 0; i < len(id); i++ {
		h = (h ^ uint64(id[i])) * prime
	}
	return uint32((h ^ h>>32) % uint64(partitions))
}
