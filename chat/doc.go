// SPDX-License-Identifier: Apache-2.0

// Package chat is a terminal client: a user's conversations on a screen of at least 40 columns, or as plain lines.
//
//	c, err := client.New(...)
//	...
//	err = chat.Run(ctx, chat.Config{Device: c, Connect: c.Run, Peer: "bob"}, chat.Terminal{})
//
// The screen is a [Model] in the sense of Bubble Tea: messages go in, a picture comes out, nothing else happens in it.
// What it shows is read from the device's store; what the user does goes to the device's outbox or, as commands that
// run beside the model, to the server.
//
// Everything that other people wrote (text, nicknames, titles, types, reasons) passes [Clean] before it is measured or
// shown: a message cannot move the cursor, change colours, rename the window or turn the direction of other text.
//
// The package decides nothing about synchronisation and keeps nothing on disk; that is the SDK's part.
package chat
