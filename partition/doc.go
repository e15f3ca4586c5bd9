// SPDX-License-Identifier: Apache-2.0

// Package partition is the single writer of a partition and the reader of what it has committed.
//
// A [Partition] takes all commands that have queued, lets package core evaluate each against a view that shows the
// earlier ones of the same batch, makes the batch durable by one journal commit, and only then applies it to the state
// in memory, answers the commands, wakes the subscribers that the batch concerns and publishes its position, in this
// order. A [Set] is all partitions of a node.
//
//	set, err := partition.Open(partition.Config{DB: db, Journal: journal.NewLocal(db), NowMs: clock, Entropy: rand.Reader})
//	go set.Run(ctx)
//	reply, err := set.Do(ctx, &core.Submit{Actor: core.Actor{User: "alice"}, Conversation: "team", ClientID: "c1", Message: m})
//
// A simulator calls [Partition.Step] instead of Run and owns the clock, the entropy and the disk.
//
// The package does not know sessions, sockets or frames beyond the encoded events that sessions share, holds no rule of
// what is allowed (package core) and no key or encoding of what is stored (package store).
package partition
