// SPDX-License-Identifier: Apache-2.0

// Ways of spoiling for the checks of sections 6 and 7: contracts and groups.

package conformance

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/tidemark-im/tidemark/wire"
)

// answers spoils successful answers over HTTP of the methods with this ending.
func answers[A proto.Message](method string, change func(A)) fault {
	return fault{answer: func(path string, status int, body []byte) (int, []byte) {
		answer := answerTo[A]()
		if !strings.HasSuffix(path, method) || status != http.StatusOK || protojson.Unmarshal(body, answer) != nil {
			return status, body
		}
		change(answer)
		changed, _ := wire.AppendJSON(nil, answer)
		return status, changed
	}}
}

// granting answers with an empty success where one of the methods is refused with this reason.
func granting(method string, reason wire.Reason) fault {
	return fault{answer: func(path string, status int, body []byte) (int, []byte) {
		if strings.HasSuffix(path, method) && status != http.StatusOK && refusalOf(status, body).isReason(reason) {
			return http.StatusOK, []byte("{}")
		}
		return status, body
	}}
}

// refusals spoils the details of refusals over HTTP.
func refusals(change func(e *wire.Error)) fault {
	return fault{answer: func(_ string, status int, body []byte) (int, []byte) {
		r := refusalOf(status, body)
		if status == http.StatusOK || r.detail == nil {
			return status, body
		}
		change(r.detail)
		value, _ := proto.Marshal(r.detail)
		detail := map[string]string{"type": "tidemark.v1.Error", "value": base64.RawStdEncoding.EncodeToString(value)}
		changed, _ := json.Marshal(map[string]any{"code": r.code, "message": r.message, "details": []any{detail}})
		return status, changed
	}}
}

// ofChanges spoils the answers of Changes.
func ofChanges(change func(a *wire.ChangesResponse)) fault {
	return answers("SyncService/Changes", change)
}

// calls counts, for answers that differ each time.
var calls atomic.Uint64

var spoilsOfGroups = []spoil{
	{"versions are other ones each time", "6.1", ofChanges(func(a *wire.ChangesResponse) {
		for _, version := range []*string{versionOf(a.GetGroups()), versionOf(a.GetContacts()), versionOf(a.GetProfiles())} {
			if version != nil {
				*version += "x"
			}
		}
	})},
	{"full is not told", "6.2,6.4", ofChanges(func(a *wire.ChangesResponse) {
		if a.Groups != nil {
			a.Groups.Full = false
		}
		if a.Contacts != nil {
			a.Contacts.Full = false
		}
		if a.Profiles != nil {
			a.Profiles.Full = false
		}
		for _, m := range a.GroupMembers {
			m.Full = false
		}
	})},
	{"who has left is not told", "6.2", ofChanges(func(a *wire.ChangesResponse) {
		if a.Groups != nil {
			a.Groups.Left = nil
		}
	})},
	{"pages do not go on", "6.3", ofChanges(func(a *wire.ChangesResponse) {
		if a.Groups != nil {
			a.Groups.NextPageToken = ""
		}
		for _, m := range a.GroupMembers {
			m.NextPageToken = ""
		}
		if a.Contacts != nil {
			a.Contacts.NextPageToken = ""
		}
		if a.Profiles != nil {
			a.Profiles.NextPageToken = ""
		}
	})},
	{"profiles come twice", "6.5", ofChanges(func(a *wire.ChangesResponse) {
		a.ChangedProfiles = append(a.ChangedProfiles, a.ChangedProfiles...)
	})},
	{"who has left the members is not told", "6.6", ofChanges(func(a *wire.ChangesResponse) {
		for _, m := range a.GroupMembers {
			m.Events = slices.DeleteFunc(m.Events, func(e *wire.MembershipEvent) bool { return len(e.GetRemoved()) > 0 })
		}
	})},
	{"the refusal of a set is not told", "6.7", ofChanges(func(a *wire.ChangesResponse) {
		for _, m := range a.GroupMembers {
			m.Error = nil
		}
	})},
	{"too many sets are answered", "6.8", granting("SyncService/Changes", wire.Reason_TOO_MANY)},

	{"a dissolved conversation is like others", "7.1,7.8", refusals(func(e *wire.Error) {
		if e.Reason == wire.Reason_READ_ONLY {
			e.Reason = wire.Reason_NOT_ALLOWED
		}
	})},
	{"settings take no right", "7.2", granting("ConversationService/Update", wire.Reason_NOT_ALLOWED)},
	{"wrong values of settings are taken", "7.2", granting("ConversationService/Update", wire.Reason_BAD_ARGUMENT)},
	{"an announcement is not in info", "7.3", fault{
		frame: func(_ *link, f *wire.ServerFrame) frames {
			for _, c := range f.GetDelta().GetConversations() {
				if c.GetInfo() != nil {
					c.Info.Announcement = ""
				}
			}
			return frames{f}
		},
		answer: answers("ConversationService/Get", func(a *wire.GetResponse) { a.Conversation.Info.Announcement = "" }).answer,
	}},
	{"slow mode does not say how long to wait", "7.4", refusals(func(e *wire.Error) { e.RetryAfterMs = 0 })},
	{"the silenced are not told", "7.5", deltas(func(c *wire.ConversationDelta) {
		if c.GetSelf() != nil {
			c.Self.SilencedUntilMs = 0
		}
	})},
	{"roles are not in the event", "7.6", answers("MessageService/Fetch", func(a *wire.Fetched) {
		for _, e := range a.Events {
			if m := e.GetBodyJson().GetMembers(); m != nil {
				m.Roles = nil
			}
		}
	})},
	{"an owner leaves at any time", "7.7", granting("ConversationService/Leave", wire.Reason_NOT_ALLOWED)},
	{"who asks to join is let in", "7.9", answers("ConversationService/Join", func(a *wire.MembersResponse) { a.Requested = false })},
	{"how many wait is not told", "7.10", deltas(func(c *wire.ConversationDelta) {
		if c.GetSelf() != nil {
			c.Self.Requests = 0
		}
	})},
	{"a repeated call writes again", "7.11", answers("/Leave", func(a *wire.MembersResponse) { a.HeadSeq += calls.Add(1) })},
	{"anybody posts in a channel", "7.12", granting("MessageService/Submit", wire.Reason_NOT_ALLOWED)},
}

// versionOf is where the version of a set is; nil without the set.
func versionOf(set any) *string {
	switch s := set.(type) {
	case *wire.GroupsChanges:
		if s != nil {
			return &s.ListVersion
		}
	case *wire.ContactsChanges:
		if s != nil {
			return &s.ListVersion
		}
	case *wire.ProfilesChanges:
		if s != nil {
			return &s.InfoVersion
		}
	}
	return nil
}
