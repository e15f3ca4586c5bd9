// SPDX-License-Identifier: Apache-2.0

// Hand-written encoding of the frames on the hot path, submitted and delta, and of synced. The events in a delta were encoded once, for
// all sessions; everything else is a few numbers. A test compares it with the generated code.

package session

import (
	"google.golang.org/protobuf/encoding/protowire"

	tidemark "github.com/tidemark-im/tidemark"
)

// Field numbers of the messages written here.
const (
	frameDelta     = 2
	frameSynced    = 3
	frameSubmitted = 4

	deltaConversations = 1
	deltaProfiles      = 2
	deltaCheckpoints   = 3
	deltaLive          = 4

	conversationID         = 1
	conversationPartition  = 2
	conversationInfo       = 3
	conversationSelf       = 4
	conversationHeadSeq    = 5
	conversationHeadDigest = 6
	conversationUnread     = 7
	conversationMentions   = 8
	conversationLastTimeMs = 9
	conversationPrevSeq    = 10
	conversationPrevDigest = 11
	conversationRemoved    = 13
	conversationFloorSeq   = 14
	conversationHeadSeal   = 15

	syncedCursor    = 1
	cursorEpoch     = 1
	cursorPositions = 2

	submittedRequest      = 1
	submittedConversation = 2
	submittedSeq          = 3
	submittedID           = 4
	submittedTimeMs       = 5
	submittedDigest       = 6
	submittedPartition    = 7
	submittedPosition     = 8
	submittedDuplicate    = 9
	submittedSalt         = 10
	submittedCounted      = 11
	submittedSeal         = 12
)

// openField begins a nested message, whose length is not known yet.
func openField(dst []byte, number protowire.Number) (out []byte, mark int) {
	dst = protowire.AppendTag(dst, number, protowire.BytesType)
	return append(dst, 0), len(dst)
}

// closeField ends a nested message: it makes room for its length where one byte is not enough.
func closeField(dst []byte, mark int) []byte {
	size := len(dst) - mark - 1
	if n := protowire.SizeVarint(uint64(size)); n > 1 {
		dst = append(dst, make([]byte, n-1)...)
		copy(dst[mark+n:], dst[mark+1:mark+1+size])
	}
	protowire.AppendVarint(dst[:mark], uint64(size))
	return dst
}

func appendUint(dst []byte, number protowire.Number, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.VarintType), v)
}

// appendCount writes a number also when it is 0: a field with presence.
func appendCount(dst []byte, number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.VarintType), v)
}

func appendBool(dst []byte, number protowire.Number, v bool) []byte {
	if !v {
		return dst
	}
	return append(protowire.AppendTag(dst, number, protowire.VarintType), 1)
}

func appendText[T ~string](dst []byte, number protowire.Number, v T) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, number, protowire.BytesType), string(v))
}

func appendBytes(dst []byte, number protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, number, protowire.BytesType), v)
}

// appendPosition writes an entry of a map from partitions to positions.
func appendPosition(dst []byte, number protowire.Number, partition uint32, position tidemark.Position) []byte {
	dst, mark := openField(dst, number)
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.VarintType), uint64(partition))
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 2, protowire.VarintType), uint64(position))
	return closeField(dst, mark)
}

// appendSubmitted writes the frame that answers a submission.
func (s *Session) appendSubmitted(dst []byte, r *reply) []byte {
	a := &r.submitted.reply
	dst, mark := openField(dst, frameSubmitted)
	dst = appendUint(dst, submittedRequest, r.request)
	dst = appendText(dst, submittedConversation, r.submitted.conversation)
	dst = appendUint(dst, submittedSeq, uint64(a.Seq))
	dst = appendUint(dst, submittedID, uint64(a.ID))
	dst = appendUint(dst, submittedTimeMs, a.TimeMs)
	if a.Seq > 0 {
		dst = appendBytes(dst, submittedDigest, a.Digest[:])
	}
	dst = appendUint(dst, submittedPartition, uint64(r.partition))
	dst = appendUint(dst, submittedPosition, uint64(a.Position))
	dst = appendBool(dst, submittedDuplicate, a.Duplicate)
	if a.Seq > 0 {
		dst = appendBytes(dst, submittedSalt, a.Salt[:])
	}
	dst = appendUint(dst, submittedCounted, a.Counted)
	dst = s.appendSeal(dst, submittedSeal, r.submitted.conversation, a.Seq, a.Digest)
	return closeField(dst, mark)
}

// appendSeal writes the server's seal of an event, where it makes any.
func (s *Session) appendSeal(dst []byte, number protowire.Number, id tidemark.ConversationID, seq tidemark.Seq, digest tidemark.Digest) []byte {
	if seal, ok := s.cfg.Set.Seal(id, seq, digest); ok {
		return appendBytes(dst, number, seal[:])
	}
	return dst
}

// message is what generated messages offer.
type message interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
}

// appendMessage writes a nested message by the generated code.
func appendMessage(dst []byte, number protowire.Number, m message) []byte {
	size := m.SizeVT()
	dst = protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.BytesType), uint64(size))
	start := len(dst)
	dst = append(dst, make([]byte, size)...)
	if _, err := m.MarshalToSizedBufferVT(dst[start:]); err != nil {
		panic("session: a message did not fit the size it gave: " + err.Error())
	}
	return dst
}
