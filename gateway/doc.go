// SPDX-License-Identifier: Apache-2.0

// Package gateway is the edge of the server: who somebody is, and the WebSocket connections of clients.
//
// [Auth] turns a token into an [Identity]. [WebSocket] is the http.Handler of GET /v1/connect: it upgrades, reads frames,
// hands them to a session of package session, and writes what the session has to say. An idle connection costs one
// goroutine that waits for readability and holds no buffer.
//
//	auth, err := gateway.NewAuth(gateway.AuthConfig{Dir: dataDirectory})
//	sockets, err := gateway.NewWebSocket(gateway.Config{Auth: auth, Set: set, Registry: registry})
//	mux.Handle("GET /v1/connect", sockets)
//	go sockets.Run(ctx) // returns when ctx is done and every connection has ended
//
// The package does not know what frames mean beyond hello, does not decide rights in conversations, and does not serve
// the HTTP API (package api, which uses Auth).
package gateway
