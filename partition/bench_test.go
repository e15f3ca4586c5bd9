// SPDX-License-Identifier: Apache-2.0

// What the pipeline costs, on a file system in memory: without fsync, all that is measured is ours.

package partition

import (
	"fmt"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// BenchmarkPipeline is evaluate, commit, apply, reply and wake, per message, in batches of several sizes.
func BenchmarkPipeline(b *testing.B) {
	for _, size := range []int{1, 32, 256} {
		b.Run(fmt.Sprint("batch=", size), func(b *testing.B) {
			w := newWorld(b, func(c *Config) { c.BatchMax = size })
			w.users("alice", "bob")
			for i := range 16 {
				w.group(tidemark.ConversationID(fmt.Sprint("g", i)), "alice", "bob")
			}
			b.ReportAllocs()
			b.ResetTimer()
			message := &wire.Message{Type: "text", Text: string(make([]byte, 100))}
			for i := range b.N {
				id := tidemark.ConversationID(fmt.Sprint("g", i%16))
				err := w.set.Submit(b.Context(), &core.Submit{
					Actor: core.Actor{User: "alice"}, Conversation: id,
					ClientID: tidemark.ClientID(fmt.Sprint(i)), Message: message,
				}, func(core.Reply) {})
				if err != nil {
					b.Fatal(err)
				}
				if i%size == size-1 {
					w.step()
				}
			}
			w.step()
		})
	}
}

// BenchmarkWake is one message to a group whose members are all online, per member.
func BenchmarkWake(b *testing.B) {
	for _, members := range []int{10, 1000, 10_000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) {
			w := newWorld(b, nil)
			users := make([]tidemark.UserID, members)
			for i := range users {
				users[i] = tidemark.UserID(fmt.Sprint("user", i))
			}
			w.users(users...)
			w.group("team", users...)
			for _, u := range users {
				w.must(w.set.Subscribe(u, &counter{}))
			}
			b.ResetTimer()
			for i := 0; i < b.N; i += members {
				w.do(w.text(users[0], "team", fmt.Sprint(i)))
			}
		})
	}
}

type counter struct{ wakes int }

func (c *counter) Wake(uint32, record.Conversation, tidemark.Position) bool {
	c.wakes++
	return true
}
func (c *counter) Ready(uint32)        {}
func (c *counter) Signal(*wire.Signal) {}

// BenchmarkChanged compares the heads of all of a user's conversations with a cursor, of which ten are past it.
func BenchmarkChanged(b *testing.B) {
	for _, n := range []int{1000, 10_000} {
		b.Run(fmt.Sprint("conversations=", n), func(b *testing.B) {
			w := newWorld(b, nil)
			w.users("alice", "bob")
			for i := range n {
				w.must(w.set.Submit(b.Context(), &core.Create{
					Actor: core.Actor{App: true}, Conversation: tidemark.ConversationID(fmt.Sprint("g", i)), Kind: record.Group,
					Members: []tidemark.UserID{"alice", "bob"},
				}, nil))
				if i%1000 == 999 {
					w.step()
				}
			}
			w.step()
			cursor := make([]tidemark.Position, w.set.Partitions())
			for p := range w.set.Partitions() {
				cursor[p] = w.set.At(p).Published()
			}
			for i := range 10 {
				w.do(w.text("alice", tidemark.ConversationID(fmt.Sprint("g", i*n/10)), fmt.Sprint(i)))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				found := 0
				for p := range w.set.Partitions() {
					rows, err := w.set.At(p).Changed("bob", cursor[p])
					w.must(err)
					found += len(rows)
				}
				if found != 10 {
					b.Fatalf("%d conversations have changed, want 10", found)
				}
			}
		})
	}
}
