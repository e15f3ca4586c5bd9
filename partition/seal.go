// SPDX-License-Identifier: Apache-2.0

// Seals: the server's own mark on the head of a log. It says "I had this, and it was durable", to the server itself: after
// a restore from an older copy a device shows it, and what the copy lacks can be taken back. Only the server has to check
// it, so it is a MAC under a key of the data directory and not a signature.

package partition

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/maphash"
	"math"
	"sync"

	tidemark "github.com/tidemark-im/tidemark"
)

// Seal is the first half of an HMAC-SHA-256 over "tidemark/seal/1" ‖ 0x00 ‖ lp(conversation) ‖ u64 seq ‖ digest. It names
// no epoch: it is there to outlive one.
type Seal [16]byte

const (
	sealPrefix  = "tidemark/seal/1\x00"
	sealsRecent = 1024 // heads whose seal is remembered
	sealsAtOnce = 16   // how many are made at the same time
)

// seals makes and checks seals. Whoever receives a message asks for the seal of the same head, so that of each the last is
// remembered: one MAC a message, whatever the number of its receivers. Safe for concurrent use.
type seals struct {
	seed   maphash.Seed
	macs   [sealsAtOnce]sealing
	recent [sealsRecent]recentSeal
}

// sealing is what one MAC needs, kept so that none allocates.
type sealing struct {
	mu  sync.Mutex
	mac hash.Hash // guarded by mu
	buf []byte    // guarded by mu
}

// recentSeal is the last seal of the conversations that share its place.
type recentSeal struct {
	mu           sync.Mutex
	conversation tidemark.ConversationID // guarded by mu
	seq          tidemark.Seq            // guarded by mu
	digest       tidemark.Digest         // guarded by mu
	seal         Seal                    // guarded by mu
}

// newSeals is nil without a key: then there are no seals.
func newSeals(key []byte) *seals {
	if len(key) == 0 {
		return nil
	}
	s := &seals{seed: maphash.MakeSeed()}
	for i := range s.macs {
		s.macs[i].mac = hmac.New(sha256.New, key)
	}
	return s
}

// seal is the seal of an event of the log by its chain value.
func (s *seals) seal(id tidemark.ConversationID, seq tidemark.Seq, digest *tidemark.Digest) Seal {
	place := maphash.String(s.seed, string(id))
	r := &s.recent[place%sealsRecent]
	r.mu.Lock()
	if r.seq == seq && r.digest == *digest && r.conversation == id {
		seal := r.seal
		r.mu.Unlock()
		return seal
	}
	r.mu.Unlock()
	seal := s.compute(place, id, seq, digest)
	r.mu.Lock()
	r.conversation, r.seq, r.digest, r.seal = id, seq, *digest, seal
	r.mu.Unlock()
	return seal
}

// compute makes a seal at a place, any number.
func (s *seals) compute(place uint64, id tidemark.ConversationID, seq tidemark.Seq, digest *tidemark.Digest) (seal Seal) {
	with := &s.macs[place%sealsAtOnce]
	with.mu.Lock()
	defer with.mu.Unlock()
	b := append(with.buf[:0], sealPrefix...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(id)))
	b = append(b, id...)
	b = binary.BigEndian.AppendUint64(b, uint64(seq))
	b = append(b, digest[:]...)
	with.mac.Reset()
	with.mac.Write(b)
	with.buf = with.mac.Sum(b[:0])
	copy(seal[:], with.buf)
	return seal
}

// Seal is the server's seal of an event of a log, given its seq and its chain value, which must be durable; ok is false
// for a log without events, and where the server has no key for seals.
func (s *Set) Seal(id tidemark.ConversationID, seq tidemark.Seq, digest tidemark.Digest) (seal Seal, ok bool) {
	if s.seals == nil || seq == 0 {
		return seal, false
	}
	return s.seals.seal(id, seq, &digest), true
}

// SealBytes is [Set.Seal] as a field of an answer; nil: there is none.
func (s *Set) SealBytes(id tidemark.ConversationID, seq tidemark.Seq, digest tidemark.Digest) []byte {
	seal, ok := s.Seal(id, seq, digest)
	if !ok {
		return nil
	}
	return seal[:]
}

// Sealed reports whether a seal is the server's own for this event and chain value: whether it had them once, in this
// epoch or in one before. It takes the same time whatever is wrong with the seal.
func (s *Set) Sealed(id tidemark.ConversationID, seq tidemark.Seq, digest tidemark.Digest, seal []byte) bool {
	if s.seals == nil || seq == 0 || len(id) > math.MaxUint16 {
		return false
	}
	own := s.seals.compute(0, id, seq, &digest)
	return hmac.Equal(own[:], seal)
}
