// SPDX-License-Identifier: Apache-2.0

// Package bench measures a Tidemark server from outside: it starts one as another process (or is given the URL of one),
// puts load on it over real connections, and reports rate, latency, and what the server spent in processor time, memory
// and disk, beside figures of the machine taken in the same run.
//
//	target, err := bench.StartServer(ctx, bench.ServerConfig{Program: "tidemark", DataDir: dir})
//	...
//	results, err := bench.Send(ctx, target, bench.SendConfig{Connections: 64, Window: 32, Duration: 10 * time.Second})
//
// Every benchmark also checks its result (each message exactly once, in order, with the chain of the log) and fails on
// a wrong answer, however fast. Every loop is bounded in time. Latency counts from the moment a message was meant to be
// sent, not from the moment the generator got round to it.
//
// The load comes from a connection of the package's own that gathers frames and reads them without allocating, because
// a generator that shares the machine with the server must cost less than the server. It is no client to build on: it
// keeps nothing and repairs nothing. Package client is the SDK.
package bench
