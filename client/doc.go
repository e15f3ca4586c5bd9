// SPDX-License-Identifier: Apache-2.0

// Package client is the Go SDK of Tidemark: a device that keeps its user's conversations, on disk if wanted, always the
// same as the server's, whatever happens to the network or to the process.
//
//	c, err := client.New(client.Config{URL: url, Token: client.StaticToken(token), DeviceID: "laptop", Store: client.NewMemory()})
//	...
//	events := c.Events(ctx)                            // what changes from here on, so before Run
//	go c.Run(ctx)                                      // connects, and connects again, until ctx ends
//	c.Send(ctx, "team", "hello")                       // durable in the outbox; delivered when it can be
//	for event := range events {
//		if a, ok := event.(client.Arrived); ok {
//			fmt.Println(a.Message.Sender, a.Message.Text())
//		}
//	}
//
// Everything but [Client.Run] works offline: reading gives what is stored, sending fills the outbox. Methods that ask the
// server directly (Members, CreateConversation and others in api.go) say so.
//
// The rules are in the pure package [github.com/tidemark-im/tidemark/client/replica]; this package adds the connection,
// the clock, the lock and the store. It does not draw anything, does not decide what to show, and does not encrypt.
package client
