// SPDX-License-Identifier: Apache-2.0

// What a command costs before it is stored: CPU and allocations of Evaluate alone, and a bound on the latter.

package core_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/core/coretest"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// benchEnv is an evaluation's environment with nothing special about it.
func benchEnv() core.Env {
	limits := tidemark.DefaultLimits()
	return core.Env{NowMs: 1_772_000_000_000, Salt: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, Position: 2, Limits: &limits}
}

// team is a partition with one group of so many members, u0 the first.
func team(tb testing.TB, members int) *coretest.Memory {
	tb.Helper()
	users := make([]tidemark.UserID, members)
	for i := range users {
		users[i] = tidemark.UserID("u" + strconv.Itoa(i))
	}
	m := coretest.New()
	reply, _ := m.Do(&core.Create{Actor: core.Actor{App: true}, Conversation: "team", Members: users}, benchEnv())
	if reply.Err != nil {
		tb.Fatal(reply.Err)
	}
	return m
}

func submission(text string) *core.Submit {
	return &core.Submit{
		Actor: core.Actor{User: "u0"}, Conversation: "team", ClientID: "0123456789abcdef",
		Message: &wire.Message{Type: "text", Text: text},
	}
}

func BenchmarkSubmit(b *testing.B) {
	for _, size := range []int{10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			benchmarkSubmit(b, team(b, 10), submission(strings.Repeat("x", size)))
		})
	}
	for _, members := range []int{10, 1000, 30_000} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			benchmarkSubmit(b, team(b, members), submission("hello, world"))
		})
	}
}

func benchmarkSubmit(b *testing.B, view core.View, cmd *core.Submit) {
	env := benchEnv()
	var changes record.Changes
	b.ReportAllocs()
	for b.Loop() {
		changes.Reset()
		if reply := core.Evaluate(view, cmd, env, &changes); reply.Err != nil {
			b.Fatal(reply.Err)
		}
	}
}

func BenchmarkSubmitDuplicate(b *testing.B) {
	m := team(b, 10)
	m.Do(submission("hello, world"), benchEnv())
	benchmarkSubmit(b, m, submission("hello, world"))
}

func BenchmarkRead(b *testing.B) {
	m, env := team(b, 10), benchEnv()
	m.Do(submission("hello, world"), env)
	var changes record.Changes
	b.ReportAllocs()
	for b.Loop() {
		changes.Reset()
		core.Evaluate(m, &core.Read{User: "u1", Conversation: "team", Seq: 2}, env, &changes)
	}
}

func BenchmarkImport(b *testing.B) {
	m, env := team(b, 10), benchEnv()
	entries := make([]*wire.ImportEntry, 500)
	for i := range entries {
		entries[i] = &wire.ImportEntry{
			TimeMs: env.NowMs - 1000, ClientId: strconv.Itoa(i), User: "u" + strconv.Itoa(i%50),
			Entry: &wire.ImportEntry_Message{Message: &wire.Message{Type: "text", Text: "a line of a log, as long as many are"}},
		}
	}
	var changes record.Changes
	b.ReportAllocs()
	for b.Loop() {
		changes.Reset()
		if reply := core.Evaluate(m, &core.Import{Conversation: "team", Entries: entries}, env, &changes); reply.Err != nil {
			b.Fatal(reply.Err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(entries)), "ns/entry")
}

// TestSubmitAllocations bounds what a plain message may allocate: its body, its event, the head, the writer's record.
func TestSubmitAllocations(t *testing.T) {
	for _, size := range []int{12, 1000} {
		m, cmd, env := team(t, 10), submission(strings.Repeat("x", size)), benchEnv()
		var changes record.Changes
		core.Evaluate(m, cmd, env, &changes)
		got := testing.AllocsPerRun(100, func() {
			changes.Reset()
			core.Evaluate(m, cmd, env, &changes)
		})
		if got > 4 {
			t.Errorf("a message of %d bytes allocates %v times, at most 4 are expected", size, got)
		}
	}
}
