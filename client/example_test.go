// SPDX-License-Identifier: Apache-2.0

// Examples of the SDK, which are run as tests.

package client_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/boltstore"
)

// Two users talk. (demo starts a server in this process and makes alice, bob and their group "team".)
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	url, aliceToken, bobToken, stop := demo()
	defer stop()
	defer cancel()

	alice, err := client.New(client.Config{URL: url, Token: client.StaticToken(aliceToken), DeviceID: "laptop", Store: client.NewMemory()})
	if err != nil {
		log.Fatal(err)
	}
	bob, err := client.New(client.Config{URL: url, Token: client.StaticToken(bobToken), DeviceID: "phone", Store: client.NewMemory()})
	if err != nil {
		log.Fatal(err)
	}
	events := bob.Events(ctx)
	defer run(ctx, cancel, alice, bob)()

	if _, err := alice.Send(ctx, "team", "hello, bob"); err != nil { // in the outbox: it will arrive
		log.Fatal(err)
	}
	for event := range events {
		if arrived, ok := event.(client.Arrived); ok {
			fmt.Println(arrived.Message.Sender, "says:", arrived.Message.Text())
			break
		}
	}
	// Output: alice says: hello, bob
}

// Reading the conversation list and history, from a store on disk.
func Example_reading() {
	ctx, cancel := context.WithCancel(context.Background())
	url, token, _, stop := demo()
	defer stop()
	defer cancel()
	dir, err := os.MkdirTemp("", "tidemark-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	store, err := boltstore.Open(filepath.Join(dir, "alice.tidemark"), boltstore.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	alice, err := client.New(client.Config{URL: url, Token: client.StaticToken(token), DeviceID: "laptop", Store: store})
	if err != nil {
		log.Fatal(err)
	}
	defer run(ctx, cancel, alice)()
	id, err := alice.Send(ctx, "team", "anybody here?")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := alice.WaitSent(ctx, id); err != nil { // stored at the server
		log.Fatal(err)
	}
	if err := alice.WaitSynced(ctx); err != nil {
		log.Fatal(err)
	}
	for _, c := range alice.Conversations() {
		page, err := alice.History(ctx, c.ID, client.Page{Latest: true, Limit: 20})
		if err != nil {
			log.Fatal(err)
		}
		for _, m := range page.Messages {
			if m.Kind == client.KindMessage {
				fmt.Println(c.Info.Title, m.Seq, m.Sender, m.Text(), m.State)
			}
		}
	}
	// Output: Team 2 alice anybody here? stored
}
