// SPDX-License-Identifier: Apache-2.0

// Package core is the rules of Tidemark: what each command does to a partition, and when it is refused.
//
// [Evaluate] decides one command against a [View] of the partition and returns what to write, as [record.Changes], and
// what to answer. It is pure: no clock, no I/O, no goroutine, no lock, no logger, no random source, and no map order
// reaches an output. Time and entropy come in as values ([Env]), so that the same command against the same view gives
// the same changes, byte for byte, in the server, in the simulator and in a test.
//
//	changes.Reset()
//	reply := core.Evaluate(view, &core.Submit{
//		Actor:        core.Actor{User: "alice"},
//		Conversation: "alice~bob",
//		ClientID:     "c1",
//		Message:      &wire.Message{Type: "text", Text: "hello"},
//	}, env, &changes)
//	if reply.Err == nil {
//		batch.Put(&changes) // then make the batch durable, and only then let anybody see the reply
//	}
//
// What core does not do: it does not store, order, or deliver anything (package partition does), it does not know who is
// connected, it does not authenticate, and it does not look into other partitions. Whether a user named by a command
// exists, its caller must have checked, because users live in partitions of their own.
//
// A message is followed through this package in this order: evaluate.go (dispatch), submit.go (what all submissions
// share), message.go (the rules of a message), append.go (the log). The scenarios in testdata read as stories;
// life_of_a_message.txt is the first.
package core
