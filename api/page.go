// SPDX-License-Identifier: Apache-2.0

// Pages: sizes, and the opaque tokens that say where the next page begins.

package api

import (
	"encoding/base64"
	"encoding/binary"

	tidemark "github.com/tidemark-im/tidemark"
)

// pageSize is what was asked, or the default for 0, and never more than largest.
func pageSize(asked uint32, normal, largest int) int {
	if asked == 0 {
		return normal
	}
	return int(min(uint64(asked), uint64(largest)))
}

// tokenKind keeps a token of one method from being understood by another.
type tokenKind byte

const (
	conversationsToken tokenKind = 'c' // time, partition, ordinal
	membersToken       tokenKind = 'm' // ordinal
	requestsToken      tokenKind = 'j' // ordinal
	traceToken         tokenKind = 't' // seq, ordinal
	mentionsToken      tokenKind = 'n' // time, partition, ordinal, seq
	receiptsToken      tokenKind = 'r' // seq, which list, place
	reactionsToken     tokenKind = 'k' // seq, ordinal, then the key
	scheduledToken     tokenKind = 'l' // text: partition, ordinal, client id
	sessionsToken      tokenKind = 's' // text: user and device
	contactsToken      tokenKind = 'k' // partition, position, ordinal
	inRoomToken        tokenKind = 'r' // text: user
)

// pageToken packs numbers into an opaque token.
func pageToken(kind tokenKind, numbers ...uint64) string {
	data := []byte{byte(kind)}
	for _, n := range numbers {
		data = binary.AppendUvarint(data, n)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// readToken unpacks count numbers; the empty token is zeros.
func readToken(kind tokenKind, token string, count int) ([]uint64, error) {
	numbers := make([]uint64, count)
	if token == "" {
		return numbers, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) == 0 || data[0] != byte(kind) {
		return nil, badToken(token)
	}
	data = data[1:]
	for i := range numbers {
		number, n := binary.Uvarint(data)
		if n <= 0 {
			return nil, badToken(token)
		}
		numbers[i], data = number, data[n:]
	}
	if len(data) > 0 {
		return nil, badToken(token)
	}
	return numbers, nil
}

// textToken packs a text into an opaque token.
func textToken(kind tokenKind, text string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{byte(kind)}, text...))
}

// readTextToken unpacks a text; the empty token is the empty text.
func readTextToken(kind tokenKind, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) == 0 || data[0] != byte(kind) {
		return "", badToken(token)
	}
	return string(data[1:]), nil
}

func badToken(token string) error {
	return tidemark.Refuse(tidemark.BadArgument, "pageToken %.40q is not the nextPageToken of an answer of this method", token)
}
