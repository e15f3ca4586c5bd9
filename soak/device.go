// SPDX-License-Identifier: Apache-2.0

// A device: the SDK, somebody who uses it at random, and what it tells of itself.

package soak

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/boltstore"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

// DeviceConfig is a device and its user's habits. A process that is a device reads it as the first line of its input.
type DeviceConfig struct {
	URL    string // where the device finds the server
	Roots  string // PEM of who may have signed the server's certificate; "": the connection is not encrypted
	Token  string
	User   string
	Device string
	Store  string // file of its store; "": in memory
	Seed   uint64
	Life   int           // how often it was started before
	Pace   time.Duration // it does something after half to one and a half times as long
	Groups []string      // where it writes
	Peers  []string      // to whom it writes
	Sleepy bool          // its app takes a while over each event
}

// Told is what a device tells of itself, a line of JSON of a device that is a process.
type Told struct {
	Kind         ToldKind
	Number       int // of Tries and Sends: which of its deeds
	Conversation tidemark.ConversationID
	ClientID     tidemark.ClientID
	Seq          tidemark.Seq
	To           tidemark.Seq     // of Rewritten: up to here
	Text         string           // of Tries and Arrives: what a message says; of Stops: why; of Fails: the reason
	Standing     *Standing        // of Stands
	Cursor       *tidemark.Cursor // of Opens
}

// ToldKind is what a device tells.
type ToldKind string

// What a device tells.
const (
	Opens     ToldKind = "opens"     // it begins, with the cursor that its store holds
	Tries     ToldKind = "tries"     // it is about to give a message or an edit to its outbox
	Sends     ToldKind = "sends"     // that is in the outbox, on its store
	Stores    ToldKind = "stores"    // it was told that the server has stored what it sent
	Fails     ToldKind = "fails"     // it was told that what it sent is refused
	Arrives   ToldKind = "arrives"   // it shows a message
	Rewritten ToldKind = "rewritten" // it says that the server's history is another than before
	Connects  ToldKind = "connects"  // it has everything
	Breaks    ToldKind = "breaks"    // its connection broke
	Stops     ToldKind = "stops"     // it does not go on
	Stands    ToldKind = "stands"    // how it stands, because it was asked
)

// Standing is everything that a device shows, for comparing.
type Standing struct {
	State         string
	Outbox        int
	Waiting       string // what is in it, by state
	Stale         string // why it may still change, or profiles could not be brought here; "": neither
	Rest          string // the own profile and contacts, as text
	Conversations []ShownConversation
}

// ShownConversation is what a device shows of one conversation.
type ShownConversation struct {
	ID       tidemark.ConversationID
	Seq      tidemark.Seq // the last event it has
	Digest   string
	Head     tidemark.Seq
	Read     tidemark.Seq
	From     tidemark.Seq // the first it may see
	Unread   uint64
	Mentions uint64
	Stored   int // events it has
	Removed  bool
	Doubt    bool
	Rest     string // its title, settings, own record, and the profile of a contact, as text
}

// What a device is asked, a line each.
const (
	askCalm  = "calm"  // do nothing more
	askStand = "stand" // tell how you stand
	askStop  = "stop"  // close everything and end
)

// spoilMark stands in every text, so that a proxy finds what it may spoil.
const spoilMark = "~~"

// device is one device at work.
type device struct {
	ctx    context.Context // of its life: calls from the loop of events
	config DeviceConfig
	client *client.Client
	random *rand.Rand
	tell   func(Told)
	calm   chan struct{} // closed when it is to do nothing more
	idle   chan struct{} // closed when it does nothing more
	number int
	own    map[tidemark.ConversationID][]tidemark.Seq // own messages that are stored, the last few

	mu sync.Mutex // guards own
}

// runDevice is a device from its start until it is asked to stop, ctx ends, or its client gives up, which it tells.
func runDevice(ctx context.Context, config DeviceConfig, store client.Store, asked <-chan string, tell func(Told)) error {
	d := &device{
		config: config, random: rand.New(rand.NewPCG(config.Seed, uint64(config.Life))), tell: tell, calm: make(chan struct{}), idle: make(chan struct{}),
		own: map[tidemark.ConversationID][]tidemark.Seq{},
	}
	err := store.View(func(v replica.View) error {
		loaded, err := config.load(v)
		if err == nil {
			tell(Told{Kind: Opens, Cursor: new(loaded.Cursor())})
		}
		return err
	})
	if err != nil {
		return err
	}
	http, err := config.http()
	if err != nil {
		return err
	}
	defer http.CloseIdleConnections()
	d.client, err = client.New(client.Config{
		URL: config.URL, Token: client.StaticToken(config.Token), DeviceID: tidemark.DeviceID(config.Device), Store: store,
		Backfill: client.FillAll, Window: 1 + int(config.Seed%3)*3, HTTPClient: http, Name: "soak",
		BackoffMin: 50 * time.Millisecond, BackoffMax: time.Second,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	group, inner := errgroup.WithContext(ctx)
	d.ctx = inner
	events := d.client.Events(inner)
	group.Go(func() error {
		defer cancel()
		if err := d.client.Run(inner); inner.Err() == nil {
			d.tell(Told{Kind: Stops, Text: fmt.Sprint(err)})
		}
		return nil
	})
	group.Go(func() error {
		for event := range events {
			d.hear(event)
		}
		return nil
	})
	group.Go(func() error { defer close(d.idle); d.giveUp(); d.live(inner); return nil })
	group.Go(func() error { defer cancel(); d.answer(inner, asked); return nil })
	return group.Wait()
}

// load is what the store of a device that is not running holds.
func (c *DeviceConfig) load(v replica.View) (*replica.Replica, error) {
	return replica.Load(replica.Config{Device: tidemark.DeviceID(c.Device), Backfill: replica.FillAll}, v)
}

// http is what the device connects with.
func (c *DeviceConfig) http() (*http.Client, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 5 * time.Second}
	if c.Roots != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(c.Roots)) {
			return nil, errors.New("soak: no certificate in Roots")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, NextProtos: []string{"http/1.1"}}
	}
	return &http.Client{Transport: transport}, nil
}

// answer does what is asked, until that is to stop.
func (d *device) answer(ctx context.Context, asked <-chan string) {
	for {
		select {
		case ask, more := <-asked:
			switch {
			case !more || ask == askStop:
				return
			case ask == askCalm:
				select {
				case <-d.calm:
				default:
					close(d.calm)
				}
			case ask == askStand:
				d.tell(Told{Kind: Stands, Standing: d.standing(ctx)})
			}
		case <-ctx.Done():
			return
		}
	}
}

// standing is how the device stands. Profiles that changed are brought first: without being asked, the SDK does that after each
// synchronisation only. What others are called who are no contacts comes with what they say, so devices may differ in that.
func (d *device) standing(ctx context.Context) *Standing {
	stale := ""
	select {
	case <-d.idle:
		if d.client.State() != client.Synced {
			break
		}
		ctx, cancel := context.WithTimeout(ctx, callMax)
		defer cancel()
		if err := d.client.Refresh(ctx); err != nil {
			stale = err.Error()
		}
	default:
		stale = "its user is still doing something"
	}
	s := &Standing{State: d.client.State().String(), Outbox: len(d.client.Outbox()), Stale: stale}
	for _, o := range d.client.Outbox() {
		s.Waiting += fmt.Sprintf(" %s to %s", o.State, o.Conversation)
	}
	own, _ := d.client.StoredProfile(d.client.User()) // a store that fails stops the client, which is told
	s.Rest = fmt.Sprint(plain(own), d.client.Contacts())
	for _, c := range d.client.Conversations() {
		seq, digest := c.Digest()
		shown := ShownConversation{
			ID: c.ID, Seq: seq, Digest: digest.String(), Head: c.HeadSeq, Read: tidemark.Seq(c.Self.GetReadSeq()),
			From: tidemark.Seq(c.Self.GetVisibleFrom()), Unread: c.Unread, Mentions: c.Mentions, Removed: c.Removed, Doubt: c.Doubt.Open,
		}
		var other *wire.Profile
		if peer, direct := c.ID.Peer(d.client.User()); direct && c.Self.GetContact() == wire.ContactState_CONTACT {
			other, _ = d.client.StoredProfile(peer)
		}
		shown.Rest = fmt.Sprint(plain(c.Info), plain(c.Self), plain(other), c.LastTimeMs)
		for _, s := range c.Segments {
			shown.Stored += int(s.To - s.From + 1)
		}
		s.Conversations = append(s.Conversations, shown)
	}
	return s
}

// plain is a message as text, the same for equal ones.
func plain(m proto.Message) string {
	text, err := protojson.Marshal(m)
	if err != nil {
		return err.Error()
	}
	var same bytes.Buffer // protojson varies its spaces
	if err := json.Compact(&same, text); err != nil {
		return err.Error()
	}
	return same.String()
}

// hear is the device's app.
func (d *device) hear(event client.Event) {
	if d.config.Sleepy {
		time.Sleep(2 * time.Millisecond)
	}
	switch e := event.(type) {
	case client.Arrived:
		d.tell(Told{Kind: Arrives, Conversation: e.Message.Conversation, Seq: e.Message.Seq, Text: e.Message.Text()})
	case client.HistoryChanged:
		d.tell(Told{Kind: Rewritten, Conversation: e.Conversation, Seq: e.From, To: e.To})
	case client.OutgoingChanged:
		switch e.State {
		case client.Stored:
			d.tell(Told{Kind: Stores, Conversation: e.Conversation, ClientID: e.ClientID, Seq: e.Seq})
			d.mu.Lock()
			if own := append(d.own[e.Conversation], e.Seq); e.Seq > 0 {
				d.own[e.Conversation] = own[max(0, len(own)-8):]
			}
			d.mu.Unlock()
		case client.Failed:
			d.refused(e.Conversation, e.ClientID, e.Failure)
		}
	case client.StateChanged:
		switch {
		case e.State == client.Synced:
			d.tell(Told{Kind: Connects})
		case e.Err != nil:
			d.tell(Told{Kind: Breaks, Text: e.Err.Error()})
		}
	}
}

// giveUp discards what was refused in an earlier life that ended before it was discarded.
func (d *device) giveUp() {
	for _, o := range d.client.Outbox() {
		if o.State == client.Failed {
			d.refused(o.Conversation, o.ClientID, o.Failure)
		}
	}
}

// refused takes in that the server does not want what the device sent.
func (d *device) refused(in tidemark.ConversationID, id tidemark.ClientID, why error) {
	d.tell(Told{Kind: Fails, Conversation: in, ClientID: id, Text: why.Error()})
	_ = d.client.Discard(d.ctx, id) // what is gone already need not be discarded
}

// live does things until it is to be calm.
func (d *device) live(ctx context.Context) {
	for {
		pause := d.config.Pace/2 + time.Duration(d.random.Int64N(int64(d.config.Pace)))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-d.calm:
			timer.Stop()
			return
		case <-ctx.Done():
			timer.Stop()
			return
		}
		// Refusals and broken connections are part of it; what was promised is checked by what was told.
		_ = d.deed(ctx)
	}
}

// place is where the next deed is done.
func (d *device) place() tidemark.ConversationID {
	known := d.client.Conversations()
	if len(known) > 0 && d.random.IntN(8) > 0 {
		return known[d.random.IntN(len(known))].ID
	}
	return tidemark.ConversationID(d.config.Groups[d.random.IntN(len(d.config.Groups))])
}

// deed does one thing.
func (d *device) deed(ctx context.Context) error {
	in := d.place()
	switch n := d.random.IntN(100); {
	case n < 40:
		return d.write(ctx, in, func(text string) (tidemark.ClientID, error) { return d.client.Send(ctx, in, text) })
	case n < 47:
		peer := tidemark.UserID(d.config.Peers[d.random.IntN(len(d.config.Peers))])
		in = tidemark.Direct(tidemark.UserID(d.config.User), peer)
		return d.write(ctx, in, func(text string) (tidemark.ClientID, error) { return d.client.SendTo(ctx, peer, text) })
	case n < 70:
		return d.comment(ctx, in, n)
	case n < 84:
		return d.client.MarkRead(ctx, in, d.some(in, 1))
	default:
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		return d.call(ctx, in, n)
	}
}

// write gives a text to the outbox that nobody else writes.
func (d *device) write(ctx context.Context, in tidemark.ConversationID, send func(text string) (tidemark.ClientID, error)) error {
	d.number++
	text := fmt.Sprintf("%s%s/%s %d.%d %s", spoilMark, d.config.User, d.config.Device, d.config.Life, d.number, d.words())
	told := Told{Kind: Tries, Number: d.number, Conversation: in, Text: text}
	d.tell(told)
	if err := ctx.Err(); err != nil {
		return err
	}
	id, err := send(text)
	if err == nil {
		told.Kind, told.ClientID = Sends, id
		d.tell(told)
	}
	return err
}

// words is something to say, now and then much.
func (d *device) words() string {
	n := d.random.IntN(12)
	if d.random.IntN(40) == 0 {
		n = 400
	}
	text := make([]byte, 0, 8*n)
	for range n {
		text = append(text, "tide mark wave log 潮 seq "[d.random.IntN(10):]...)
		text = append(text, ' ')
	}
	return strings.ToValidUTF8(string(text), "")
}

// some is a seq near the end of a conversation: at most so far back.
func (d *device) some(in tidemark.ConversationID, back int) tidemark.Seq {
	c, known := d.client.Conversation(in)
	if !known || c.HeadSeq == 0 {
		return 1
	}
	return c.HeadSeq - min(c.HeadSeq-1, tidemark.Seq(d.random.IntN(back)))
}

// mine is a message that this device has written.
func (d *device) mine(in tidemark.ConversationID) tidemark.Seq {
	d.mu.Lock()
	defer d.mu.Unlock()
	if own := d.own[in]; len(own) > 0 {
		return own[d.random.IntN(len(own))]
	}
	return 0
}

// comment sends something about another message.
func (d *device) comment(ctx context.Context, in tidemark.ConversationID, n int) (err error) {
	switch mine := d.mine(in); {
	case n < 52:
		to := d.some(in, 20)
		return d.write(ctx, in, func(text string) (tidemark.ClientID, error) { return d.client.Reply(ctx, in, to, text) })
	case n < 57 && mine > 0:
		return d.write(ctx, in, func(text string) (tidemark.ClientID, error) { return d.client.Edit(ctx, in, mine, text) })
	case n < 60 && mine > 0:
		_, err = d.client.Recall(ctx, in, mine, "")
	case n < 68:
		_, err = d.client.React(ctx, in, d.some(in, 10), []string{"+1", "潮", "no"}[d.random.IntN(3)], d.random.IntN(4) == 0)
	default:
		_, err = d.client.Pin(ctx, in, d.some(in, 10), d.random.IntN(2) == 0)
	}
	return err
}

// call asks the server directly.
func (d *device) call(ctx context.Context, in tidemark.ConversationID, n int) (err error) {
	switch {
	case n < 88:
		_, err = d.client.History(ctx, in, client.Page{Before: d.some(in, 200) + 1, Limit: 1 + d.random.IntN(60)})
	case n < 89:
		_, err = d.client.Members(ctx, in)
	case n < 91:
		err = d.befriend(ctx)
	case n < 92:
		_, err = d.client.Receipts(ctx, &wire.ReceiptsRequest{Conversation: string(in), Seq: uint64(d.some(in, 10))})
	case n < 94:
		_, err = d.client.Badge(ctx)
	case n < 96:
		err = d.client.Delete(ctx, in, d.some(in, 30))
	case n < 97:
		err = d.client.Draft(ctx, in, d.words(), 0)
	case n < 98:
		err = d.client.Clear(ctx, in, d.some(in, 50))
	case n < 99:
		err = d.client.Leave(ctx, in)
	default:
		err = d.client.Typing(in, true)
	}
	return err
}

// befriend changes how the user stands to another.
func (d *device) befriend(ctx context.Context) (err error) {
	peer := tidemark.UserID(d.config.Peers[d.random.IntN(len(d.config.Peers))])
	switch n := d.random.IntN(8); {
	case n < 3:
		_, err = d.client.RequestContact(ctx, peer, d.words())
	case n < 5:
		_, err = d.client.AnswerContact(ctx, peer, d.random.IntN(4) > 0)
	case n < 6:
		err = d.client.RemoveContact(ctx, peer)
	default:
		err = d.client.Remark(ctx, peer, fmt.Sprintf("%s no. %d", peer, d.number))
	}
	return err
}

// Device is a process that is one device: it reads its configuration and then what it is asked, a line each, and tells what it
// does, a line of JSON each. It ends when its input does.
func Device(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() {
		return fmt.Errorf("soak: a device got no configuration: %w", lines.Err())
	}
	var config DeviceConfig
	if err := json.Unmarshal(lines.Bytes(), &config); err != nil {
		return fmt.Errorf("soak: configuration of a device: %w", err)
	}
	store, err := boltstore.Open(config.Store, boltstore.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	asked := make(chan string)
	var mu sync.Mutex
	encoder := json.NewEncoder(out)
	ctx, cancel := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { // the process ends with its input: nobody waits for this
		defer cancel()
		for lines.Scan() {
			select {
			case asked <- lines.Text():
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	})
	return runDevice(ctx, config, store, asked, func(t Told) {
		mu.Lock()
		defer mu.Unlock()
		_ = encoder.Encode(t) // who listens is gone: the process ends with its input
	})
}
