// SPDX-License-Identifier: Apache-2.0

// Package chain computes the hash chain of a conversation (PROTOCOL.md, "The chain"): the one definition shared by the
// server, the Go SDK and the verifier.
//
//	h(0) = SHA-256("tidemark/1" ‖ 0x00 ‖ conversation id)
//	h(n) = SHA-256(h(n-1) ‖ u64 seq ‖ u64 id ‖ u64 timeMs ‖ lp(sender) ‖ lp(clientId) ‖ u8 kind ‖ b)
//	b    = SHA-256(salt ‖ body)
//
// Integers are big-endian; lp(x) is a u16 length and the bytes. Because only b enters the chain, salt and body can be
// erased and the chain still verifies; because of the salt, b does not give a short body away.
//
// The package does not know what a body means and keeps no state.
package chain

import (
	"crypto/sha256"
	"encoding/binary"

	tidemark "github.com/tidemark-im/tidemark"
)

// Link is what one event adds to the chain.
type Link struct {
	Seq      tidemark.Seq
	ID       tidemark.EventID
	TimeMs   uint64
	Sender   tidemark.UserID
	ClientID tidemark.ClientID
	Kind     uint8 // field number of the Body oneof
	BodyHash tidemark.Digest
}

// Start is h(0) of a conversation.
func Start(id tidemark.ConversationID) tidemark.Digest {
	b := make([]byte, 0, 160)
	b = append(b, "tidemark/1\x00"...)
	b = append(b, id...)
	return sha256.Sum256(b)
}

// BodyHash is b: the hash of an event's salt and serialised body.
func BodyHash(salt [8]byte, body []byte) tidemark.Digest {
	if len(body) <= 256 {
		var buf [264]byte
		n := copy(buf[:], salt[:])
		n += copy(buf[n:], body)
		return sha256.Sum256(buf[:n])
	}
	h := sha256.New()
	h.Write(salt[:])
	h.Write(body)
	var d tidemark.Digest
	h.Sum(d[:0])
	return d
}

// Next is h(n), given h(n-1) and what event n adds. Sender and client id must be shorter than 64 KiB.
func Next(prev tidemark.Digest, l Link) tidemark.Digest {
	var buf [32 + 24 + 2*2 + 2*tidemark.IDBytesMax + 1 + 32]byte
	b := append(buf[:0], prev[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(l.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(l.ID))
	b = binary.BigEndian.AppendUint64(b, l.TimeMs)
	b = binary.BigEndian.AppendUint16(b, uint16(len(l.Sender)))
	b = append(b, l.Sender...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(l.ClientID)))
	b = append(b, l.ClientID...)
	b = append(b, l.Kind)
	b = append(b, l.BodyHash[:]...)
	return sha256.Sum256(b)
}
