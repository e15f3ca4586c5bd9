// SPDX-License-Identifier: Apache-2.0

// Digests of what a device has, for comparing devices.

package replica

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// Digest is the chain value at the last stored event, which is the same on every device and at the server; zero when
// nothing is stored.
func (c *Conversation) Digest() (tidemark.Seq, tidemark.Digest) {
	if len(c.Segments) == 0 {
		return 0, tidemark.Digest{}
	}
	last := c.Segments[len(c.Segments)-1]
	return last.To, last.Last
}

// Fingerprint is a digest of everything the user sees: the conversation list with titles, counts, settings, drafts and
// heads, contacts with their remarks and profiles, the own profile, and the last depth stored messages of each conversation
// in their current form (0: all; negative: none). Two devices of one user that are both up to date have the same, if they
// store the same depth.
func (r *Replica) Fingerprint(view View, depth int) (tidemark.Digest, error) {
	h := sha256.New()
	own, err := view.Get(profileKey(r.meta.user))
	if err != nil {
		return tidemark.Digest{}, err
	}
	part(h, own)
	for _, id := range sortedKeys(r.conversations) {
		c := r.conversations[id]
		if c.Removed {
			continue
		}
		seq, digest := c.Digest()
		fmt.Fprintf(h, "%q %d %d %d %d\n", id, c.HeadSeq, c.Unread, c.Mentions, c.LastTimeMs)
		part(h, marshalSorted(c.Info))
		part(h, marshalSorted(c.Self))
		if peer, direct := id.Peer(r.meta.user); direct && c.Self.GetContact() == wire.ContactState_CONTACT {
			profile, err := view.Get(profileKey(peer))
			if err != nil {
				return tidemark.Digest{}, err
			}
			part(h, profile)
		}
		if depth < 0 {
			continue
		}
		fmt.Fprintf(h, "%d %x %d\n", seq, digest, len(c.Segments))
		list, err := Messages(view, r.meta.user, id, 1, c.Tail(), depth, depth > 0)
		if err != nil {
			return tidemark.Digest{}, err
		}
		for i := range list {
			list[i].fingerprint(h)
		}
	}
	var d tidemark.Digest
	h.Sum(d[:0])
	return d, nil
}

func (m *Message) fingerprint(h hash.Hash) {
	fmt.Fprintf(h, "%d %d %d %q %q %d %d %d %d %d\n",
		m.Seq, m.ID, m.TimeMs, m.Sender, m.ClientID, m.Kind, m.EditSeq, m.RecallSeq, m.EraseSeq, m.PinSeq)
	if m.Content != nil {
		part(h, marshalSorted(m.Content))
	}
	fmt.Fprintf(h, "%d %t\n", m.ThreadCount, m.Hidden)
	for _, r := range m.Reactions {
		fmt.Fprintf(h, "%q %d %t\n", r.Key, r.Count, r.Mine)
	}
}

// part adds bytes with their length.
func part(h hash.Hash, data []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(data)))
	h.Write(size[:])
	h.Write(data)
}
