// SPDX-License-Identifier: Apache-2.0

// Package server puts the parts of Tidemark together into one running server: store, journal, partitions, sessions,
// gateway and API behind one port.
//
//	s, err := server.New(server.Config{DataDir: "./tidemark-data", Listen: "127.0.0.1:0"})
//	...
//	err = s.Run(ctx) // until ctx ends and everything is drained and closed
//
// It holds no rule and no state of its own beyond "starting, serving, draining". It reads no flags and no environment:
// package main of cmd/tidemark does, and gives a [Config].
package server
