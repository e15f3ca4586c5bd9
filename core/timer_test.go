// SPDX-License-Identifier: Apache-2.0

// Time in scenarios and histories: timers that are due, and what is no longer kept.

package core_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
	"pgregory.net/rapid"
)

// retention is what "keep=count:5", "keep=age:24h", "keep=acknowledged" and "keep=for_ever" mean.
func (w words) retention() *wire.Retention {
	mode, value, _ := strings.Cut(w.named["keep"], ":")
	switch mode {
	case "":
		return nil
	case "count":
		n, _ := strconv.ParseUint(value, 10, 64)
		return &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: n}
	case "age":
		d, err := time.ParseDuration(value)
		if err != nil {
			panic(err)
		}
		return &wire.Retention{Mode: wire.RetentionMode_BY_AGE, MaxAgeMs: uint64(d.Milliseconds())}
	}
	return &wire.Retention{Mode: wire.RetentionMode(wire.RetentionMode_value[strings.ToUpper(mode)])}
}

// chatter is many messages: "chatter alice in=team times=70".
func (s *story) chatter(w words) string {
	first := tidemark.Seq(0)
	last := first
	for i := range w.number("times") {
		reply, changes := s.memory.Do(&core.Submit{
			Actor: w.actor(), Conversation: w.in(), ClientID: tidemark.ClientID(fmt.Sprint(w.named["id"], i)),
			Message: &wire.Message{Type: "text", Text: fmt.Sprint("message ", i)},
		}, s.env())
		if reply.Err != nil {
			return "refused, " + reply.Err.Error()
		}
		if s.changes = changes; first == 0 {
			first = reply.Seq
		}
		last = reply.Seq
	}
	return fmt.Sprintf("events %d to %d", first, last)
}

// timers lists what is to be done and when.
func (s *story) timers() string {
	entries := s.memory.Indexes(record.TimerIndex)
	slices.SortFunc(entries, func(a, b record.Index) int {
		return strings.Compare(s.showTimer(a), s.showTimer(b))
	})
	var b strings.Builder
	for _, i := range entries {
		fmt.Fprintln(&b, s.showTimer(i))
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

func (s *story) showTimer(i record.Index) string {
	at := time.UnixMilli(int64(i.DueMs)).UTC().Format("2006-01-02 15:04:05.000")
	if i.Timer == record.TrimTimer {
		return fmt.Sprintf("%s trim %s", at, s.nameOf(i.Conversation))
	}
	return fmt.Sprintf("%s %q of %s", at, i.ID, s.memory.UserID(i.User))
}

func (s *story) nameOf(c record.Conversation) tidemark.ConversationID {
	for _, info := range s.memory.Conversations() {
		if info.Ordinal == c {
			return info.ID
		}
	}
	return "none"
}

// tick carries out what is due, as a partition does: "tick acknowledged=12".
func (s *story) tick(w words) string {
	var b strings.Builder
	for range 10 {
		due := slices.DeleteFunc(s.memory.Indexes(record.TimerIndex), func(i record.Index) bool {
			return i.DueMs > uint64(s.now.UnixMilli())
		})
		slices.SortFunc(due, func(a, b record.Index) int { return strings.Compare(s.showTimer(a), s.showTimer(b)) })
		for _, i := range due {
			if i.Timer == record.SubmitTimer {
				fmt.Fprintf(&b, "%s: %s\n", s.showTimer(i), s.due(i, w))
				continue
			}
			cmd := &core.Trim{Conversation: s.nameOf(i.Conversation), Timer: i, Acknowledged: tidemark.Seq(w.number("acknowledged"))}
			var reply core.Reply
			reply, s.changes = s.memory.Do(cmd, s.env())
			fmt.Fprintf(&b, "%s: %s\n", s.showTimer(i), s.trimmed(reply))
		}
		if len(due) == 0 {
			break
		}
	}
	if b.Len() == 0 {
		return "nothing is due"
	}
	return b.String()
}

func (s *story) trimmed(reply core.Reply) string {
	if reply.Err != nil {
		return "refused, " + reply.Err.Error()
	}
	for _, c := range s.changes.Trims {
		return fmt.Sprintf("removed events %d to %d", c.From, c.To)
	}
	return "nothing removed"
}

// floor prints where a conversation's log begins.
func (s *story) floor(w words) string {
	info, ok := s.memory.Conversation(w.in())
	if !ok {
		return "no such conversation"
	}
	h := s.memory.Head(info.Ordinal)
	return fmt.Sprintf("events %d to %d, %d of %d counted, %d of them recalled; digest %.6s… before them",
		h.Floor+1, h.Seq, h.Counted-h.FloorCounted, h.Counted, h.Recalled, h.FloorDigest)
}

// retention draws how long events are kept: often shortly, so that much is removed.
func (h *history) retention() *wire.Retention {
	switch rapid.IntRange(0, 7).Draw(h.t, "retention") {
	case 0:
		return &wire.Retention{Mode: wire.RetentionMode_FOR_EVER}
	case 1, 2:
		return &wire.Retention{Mode: wire.RetentionMode_BY_AGE, MaxAgeMs: uint64(rapid.IntRange(3600_000, 100*3600_000).Draw(h.t, "age"))}
	case 3, 4:
		return &wire.Retention{Mode: wire.RetentionMode_BY_COUNT, MaxCount: uint64(rapid.IntRange(1, 10).Draw(h.t, "count"))}
	case 5, 6:
		return &wire.Retention{Mode: wire.RetentionMode_ACKNOWLEDGED}
	}
	return nil
}

// trim is what a conversation's timer does, whether it is due or not; sometimes one that was set anew meanwhile.
func (h *history) trim(c tidemark.ConversationID) *core.Trim {
	cmd := &core.Trim{Conversation: c, Acknowledged: tidemark.Seq(rapid.IntRange(0, 60).Draw(h.t, "acknowledged"))}
	info, ok := h.memory.Conversation(c)
	if !ok {
		return cmd
	}
	cmd.Timer = record.Index{
		Kind: record.TimerIndex, Timer: record.TrimTimer, DueMs: h.memory.Head(info.Ordinal).TrimMs, Conversation: info.Ordinal,
	}
	if rapid.IntRange(0, 9).Draw(h.t, "set anew") == 0 {
		cmd.Timer.DueMs++
	}
	return cmd
}
