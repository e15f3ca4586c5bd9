// SPDX-License-Identifier: Apache-2.0

// Package session keeps a device up to date: a cursor, a set of dirty conversations, and a drain that reads forward from
// the one until the other is clean. Connecting, live delivery, a slow reader and a reconnect are the same path.
//
//	s := session.New(session.Config{User: "alice", Device: "phone", Format: wire.Proto, Set: set, Registry: registry,
//		NowMs: clock, OnReady: poke})
//	defer s.Close()
//	if err := s.Open(ctx, hello); err != nil { … }
//	for frame, ok := s.Next(nil); ok; frame, ok = s.Next(nil) { write(frame) }
//
// The package knows no sockets, tokens or rate limits (package gateway), decides nothing about what may be written
// (package core) and starts no goroutine.
package session
