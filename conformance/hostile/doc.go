// SPDX-License-Identifier: Apache-2.0

// What the package is for, and how its parts work together.

// Package hostile is a server that misbehaves on purpose, for testing client SDKs in any language.
//
// It speaks the protocol (WebSocket with both subprotocols, and the HTTP services that an SDK calls) from conversations that
// it makes up and holds in memory. A [Server] offers scenarios; each is a story with a fault in it, such as "the connection
// breaks after a message was taken and before it was answered", and says what a right client must do. Beside the protocol
// there is a small HTTP and JSON interface, the driver protocol (docs/conformance-sdk.md): a driver begins a run of a
// scenario, gives the SDK under test the URL and the token, posts what the SDK shows again and again, does what the answers
// ask for, and gets a verdict in the end.
//
// The verdict comes from two sources: what the server saw (connections, acknowledgements, submissions, fetches) and what the
// driver reports. A run is a world of its own, known by its tokens, so that several SDKs can be tested at once. Everything is
// bounded: runs, connections of a run, time, frames, what is remembered.
//
// All exported methods are safe for concurrent use.
package hostile
