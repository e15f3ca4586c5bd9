// SPDX-License-Identifier: Apache-2.0

// What may be in a text, a map of an app's own values, a list of users.

package core

import (
	"maps"
	"unicode/utf8"

	tidemark "github.com/tidemark-im/tidemark"
)

// avatarBytesMax bounds an avatar, which is an address or the app's own name of one.
const avatarBytesMax = 2048

// announcementBytesMax bounds an announcement, which every member gets with the conversation's data.
const announcementBytesMax = 8 << 10

// keyBytesMax bounds a key of a custom map and a reaction's key.
const keyBytesMax = 64

// checkText refuses text that is too long or not UTF-8: what is not UTF-8 cannot be put into JSON again.
func checkText(what, text string, bytesMax uint32) *tidemark.Error {
	if len(text) > int(bytesMax) {
		return tidemark.Refuse(tidemark.TooLarge, "%s has %d bytes, at most %d are allowed", what, len(text), bytesMax)
	}
	if !utf8.ValidString(text) {
		return tidemark.Refuse(tidemark.BadArgument, "%s is not valid UTF-8", what)
	}
	return nil
}

// checkCustom holds the limits of a custom map. Its verdict does not depend on the map's order.
func (t *turn) checkCustom(custom map[string]string) *tidemark.Error {
	size, badKey, badText := 0, false, false
	for key, value := range custom {
		size += len(key) + len(value)
		badKey = badKey || len(key) == 0 || len(key) > keyBytesMax
		badText = badText || !utf8.ValidString(key) || !utf8.ValidString(value)
	}
	switch {
	case size > int(t.limits.CustomBytesMax):
		return tidemark.Refuse(tidemark.TooLarge, "custom has %d bytes of keys and values, at most %d are allowed",
			size, t.limits.CustomBytesMax)
	case badKey:
		return tidemark.Refuse(tidemark.BadArgument, "custom: a key takes 1 to %d bytes", keyBytesMax)
	case badText:
		return tidemark.Refuse(tidemark.BadArgument, "custom: a key or value is not valid UTF-8")
	}
	return nil
}

// withoutEmpty is a custom map without the keys whose value is empty; nil if none is left.
func withoutEmpty(custom map[string]string) map[string]string {
	return merged(nil, custom)
}

// merged is a custom map after set was applied: an empty value removes the key. The maps given are not changed.
func merged(custom, set map[string]string) map[string]string {
	result := maps.Clone(custom)
	for key, value := range set {
		if value == "" {
			delete(result, key)
			continue
		}
		if result == nil {
			result = make(map[string]string, len(set))
		}
		result[key] = value
	}
	if len(result) == 0 {
		return nil
	}
	return result
}

// difference is the custom map that, applied to before, gives after: only what really changes. nil if nothing does.
func difference(before, after map[string]string) map[string]string {
	var set map[string]string
	put := func(key, value string) {
		if set == nil {
			set = make(map[string]string)
		}
		set[key] = value
	}
	for key, value := range after {
		if before[key] != value {
			put(key, value)
		}
	}
	for key := range before {
		if _, kept := after[key]; !kept {
			put(key, "")
		}
	}
	return set
}

// distinct is a list of users to be members, each once, in the order given.
func distinct(users []tidemark.UserID) ([]tidemark.UserID, *tidemark.Error) {
	seen := make(map[tidemark.UserID]bool, len(users))
	list := make([]tidemark.UserID, 0, len(users))
	for _, user := range users {
		switch {
		case !user.Valid():
			return nil, tidemark.Refuse(tidemark.BadArgument, "member %q is not a user id: it takes %s",
				user, tidemark.IDAlphabet)
		case user == tidemark.SystemUser:
			return nil, tidemark.Refuse(tidemark.BadArgument, "the user %q is reserved and cannot be a member", user)
		case !seen[user]:
			seen[user] = true
			list = append(list, user)
		}
	}
	return list, nil
}
