// SPDX-License-Identifier: Apache-2.0

// Nicks to user ids: IRC allows characters in nicks that ids do not have.

package irc

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
)

// nickBytesMax is the length of the longest nick that is believed to be one.
const nickBytesMax = 256

// Naming says how nicks become user ids.
type Naming struct {
	Prefix string // before every id, so that nicks do not meet the app's own users; made of characters of ids
}

// UserOf is the user id of a nick under the empty [Naming].
func UserOf(nick string) tidemark.UserID { return Naming{}.UserOf(nick) }

// UserOf is the user id of a nick: letters, digits and . _ @ : # - stand for themselves, every other byte becomes '+'
// and two hexadecimal digits ("x|away" is "x+7Caway"). Different nicks have different ids, upper and lower case
// included. An id that would be too long ends in "+h" and a hash; the reserved "system" becomes "+73ystem".
func (n Naming) UserOf(nick string) tidemark.UserID {
	const digits = "0123456789ABCDEF"
	var id strings.Builder
	id.WriteString(n.Prefix)
	for i := 0; i < len(nick); i++ {
		c := nick[i]
		if c != '+' && tidemark.UserID([]byte{c}).Valid() {
			id.WriteByte(c)
		} else {
			id.Write([]byte{'+', digits[c>>4], digits[c&15]})
		}
	}
	switch {
	case id.Len() > tidemark.IDBytesMax:
		hash := sha256.Sum256([]byte(nick))
		kept := max(0, tidemark.IDBytesMax-len("+h")-32)
		return tidemark.UserID(id.String()[:kept] + "+h" + hex.EncodeToString(hash[:16]))
	case id.String() == string(tidemark.SystemUser):
		return "+73ystem"
	}
	return tidemark.UserID(id.String())
}
