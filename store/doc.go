// SPDX-License-Identifier: Apache-2.0

// Package store keeps the state of all partitions of a node in one Pebble database: keys, records, reads and batches.
//
//	db, err := store.Open(store.Config{Dir: "data"})
//	if err != nil { ... }
//	defer db.Close()
//
//	batch := db.NewBatch(3)      // of partition 3
//	batch.Put(changes)           // typed mutations, see package record
//	err = db.Commit(batch)       // nil: durable and visible, all of it
//
//	head, err := db.Partition(3).Head(7)
//
// A data directory holds TIDEMARK (what it is: format, partitions, epoch), LOCK (one process at a time), and db/ (Pebble).
// The layout of keys is in keys.go, the encoding of each record in the files record_*.go.
//
// The package knows no rule: it does not decide what to write, checks no permission, and does not keep readers from
// seeing a batch in the moment before its sync ends (package partition does). It never repairs: a damaged record is an
// error that says where.
package store
