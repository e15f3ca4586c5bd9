// SPDX-License-Identifier: Apache-2.0

// Package journal is where the batches of a partition become durable: the write-ahead log of the local store.
//
//	j := journal.NewLocal(db)
//	batch := db.NewBatch(3)
//	batch.Put(changes)
//	if err := j.Commit(batch); err != nil { ... } // nil: it survives any crash
//
// A journal knows nothing of messages, gives no positions (the batch carries its own), and does not gather: who commits
// puts everything that waits into one batch.
package journal
