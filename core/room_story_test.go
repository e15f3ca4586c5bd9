// SPDX-License-Identifier: Apache-2.0

// The words of scenarios about rooms.

package core_test

import (
	"fmt"
	"strings"

	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// enters says that a user is in a room now, or is not any more.
func (s *story) enters(w words, in bool) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such room"
	}
	if in {
		u, _ := s.memory.User(w.user())
		if err := core.MayEnter(info, w.user(), s.memory.Member(info.Ordinal, u)); err != nil {
			return "refused, " + err.Error()
		}
	}
	s.memory.SetEntered(info.Ordinal, w.user(), in)
	return "nothing is written"
}

// roomCommand is a command about attributes: "set alice in=lobby keys=a:1,b:2 auto", "drop in=lobby".
func roomCommand(w words) core.Command {
	if w.plain[0] == "drop" {
		return &core.DropAttributes{Conversation: w.in()}
	}
	set := w.pairs("keys")
	for i := range w.number("many") {
		if set == nil {
			set = make(map[string]string)
		}
		set[fmt.Sprintf("key%03d", i)] = strings.Repeat("x", int(max(w.number("bytes"), 1)))
	}
	return &core.SetAttributes{Actor: w.actor(), Conversation: w.in(), Set: set, AutoDelete: w.has("auto")}
}

// attributes lists a room's attributes as they are stored.
func (s *story) attributes(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such room"
	}
	var b strings.Builder
	for _, a := range info.Attributes {
		fmt.Fprintf(&b, "%s=%s of %s", a.Key, a.Value, s.memory.UserID(a.Owner))
		if a.AutoDelete {
			b.WriteString(", goes with its owner")
		}
		b.WriteString("\n")
	}
	if len(info.Attributes) == 0 {
		return "none"
	}
	return b.String()
}

// showAttributes is what an event says about attributes.
func showAttributes(set []*wire.Attribute) string {
	var parts []string
	for _, a := range set {
		parts = append(parts, fmt.Sprintf("%s=%s", a.Key, a.Value))
	}
	if len(parts) == 0 {
		return ""
	}
	return "attributes " + strings.Join(parts, " ")
}
