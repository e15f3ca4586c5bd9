// SPDX-License-Identifier: Apache-2.0

// The chain over events that were read past the store: of a thread, of a page fetched by the API.

package client

import (
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/chain"
	"github.com/tidemark-im/tidemark/wire"
)

// NextDigest is the chain value after an event, given the one before it. The event is as the server gave it in binary form.
// [Client.Verify] at the seq before the event and at its own answers the two values, which proves an event that stands
// alone.
func NextDigest(before tidemark.Digest, e *wire.Event) (tidemark.Digest, error) {
	link := chain.Link{
		Seq: tidemark.Seq(e.GetSeq()), ID: tidemark.EventID(e.GetId()), TimeMs: e.GetTimeMs(),
		Sender: tidemark.UserID(e.GetSender()), ClientID: tidemark.ClientID(e.GetClientId()), Kind: uint8(e.GetKind()),
	}
	switch {
	case len(e.GetBodyHash()) == len(link.BodyHash):
		copy(link.BodyHash[:], e.GetBodyHash())
	case len(e.GetSalt()) == 8:
		var body wire.Body
		if err := body.UnmarshalVT(e.GetBody()); err != nil {
			return before, fmt.Errorf("client: body of event %d: %w", e.GetSeq(), err)
		}
		link.BodyHash = chain.BodyHash([8]byte(e.GetSalt()), e.GetBody())
		if link.Kind == 0 {
			link.Kind = wire.BodyKind(&body)
		}
	default:
		return before, fmt.Errorf("client: event %d has neither a body hash nor a salt", e.GetSeq())
	}
	return chain.Next(before, link), nil
}
