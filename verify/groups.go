// SPDX-License-Identifier: Apache-2.0

// What a conversation's record says of its members in short: who is admin or owner, and how many ask to join.

package verify

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/store"
)

// checkStaff compares the list of admins and owners with the member records.
func (v *conversation) checkStaff() error {
	if !v.infoKnown {
		return nil
	}
	var expected []record.User
	for _, u := range slices.Sorted(maps.Keys(v.stored)) {
		if m := v.stored[u]; m.Active() && m.Role > record.MemberRole {
			expected = append(expected, u)
		}
	}
	if !slices.Equal(v.info.Staff, expected) {
		v.damaged(0, "admins and owners", v.names(v.info.Staff), v.names(expected))
	}
	return nil
}

func (v *conversation) names(users []record.User) []string {
	list := make([]string, len(users))
	for i, u := range users {
		list[i] = v.name(u)
	}
	return list
}

// checkRequests compares the number of requests to join with their rows, each of somebody who is no member.
func (v *conversation) checkRequests() error {
	waiting := uint32(0)
	err := each(v.requests, v.info.Ordinal, v.requests.JoinRequest, func(k store.Key, _ *record.JoinRequest) {
		v.counts.Requests++
		waiting++
		add(&v.named, namedEntry(k.User, v.info.Ordinal))
		if _, err := v.p.UserID(k.User); err != nil {
			v.damaged(0, fmt.Sprintf("request to join of user ordinal %d", k.User), "one", "none: there is no such user")
		}
		if v.stored[k.User].Active() {
			v.damaged(0, "request to join of "+v.name(k.User), "one", "none: the user is a member")
		}
	})
	if err == nil && v.infoKnown {
		equal(v.checker, 0, "requests to join", v.info.Requests, waiting)
	}
	return err
}
