// SPDX-License-Identifier: Apache-2.0

// Events for the tests of the checks.

package replay

import (
	"strings"

	"github.com/tidemark-im/tidemark/wire"
)

func message(seq uint64, sender, clientID, text string) *wire.Event {
	body := wire.MarshalBody(&wire.Body{Body: &wire.Body_Message{Message: &wire.Message{Type: "text", Text: text}}})
	return &wire.Event{Seq: seq, Sender: sender, ClientId: clientID, Body: body}
}

func containsWord(text, word string) bool { return strings.Contains(text, word+":") }
