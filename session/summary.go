// SPDX-License-Identifier: Apache-2.0

// Summary: a conversation as one user finds it, on request.

package session

import (
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// Summary is a conversation as the user finds it, without events: what Get answers, and List but for what is private. The empty user is the app,
// which has no record of its own. It refuses with UNKNOWN_CONVERSATION or NOT_MEMBER.
func Summary(set *partition.Set, user tidemark.UserID, id tidemark.ConversationID) (*wire.ConversationDelta, error) {
	sight, err := set.See(user, id)
	if err != nil {
		return nil, err
	}
	head := sight.Head
	d := &wire.ConversationDelta{
		Id: string(id), Partition: sight.Partition.Number(), Info: sight.Partition.WireInfo(sight.Info, head.Members),
		HeadSeq: uint64(head.Seq), HeadDigest: head.Digest[:], LastTimeMs: head.TimeMs,
		HeadSeal: set.SealBytes(id, head.Seq, head.Digest),
	}
	if head.Floor > 0 {
		d.FloorSeq = uint64(head.Floor + 1)
	}
	if sight.Member == nil {
		return d, nil
	}
	if sight.Info.Kind == record.Room {
		d.Self = roomSelf(sight.Info, sight.Member)
		return d, nil
	}
	d.Self = partition.WireSelf(sight.Info, sight.Member, head.Seq)
	if sight.Private != nil {
		d.Self.Private = partition.WirePrivate(sight.Private)
	}
	unread, mentions, err := sight.Partition.Counts(sight.Info.Ordinal, user)
	d.Unread, d.Mentions = &unread, &mentions
	return d, err
}
