// SPDX-License-Identifier: Apache-2.0

// The devices: those that stay, those that read slowly, those that come and go.

package replay

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/boltstore"
)

// How many second devices of each sort there are: with the twenty first devices, thirty.
const (
	comingAndGoing = 5
	slowReaders    = 2
	otherSeconds   = 3
)

// device is one device that stays.
type device struct {
	*client.Client
	name string
	user string
	lag  time.Duration // the app takes this long over each event
	open *atomic.Bool  // set: the connection is not slowed down any more; nil: it never was
}

// makeDevices makes all devices: the first of every user, then the second ones of some.
func (r *run) makeDevices() error {
	for author := range r.Script.Authors {
		if err := r.addDevice(author, "first", false); err != nil {
			return err
		}
	}
	for author := range comingAndGoing {
		r.visitors = append(r.visitors, &visitor{
			run: r, author: author, random: rand.New(rand.NewPCG(r.Seed, uint64(100+author))),
			path: filepath.Join(r.Dir, fmt.Sprintf("visitor%d.db", author)), name: r.Script.Authors[author] + "/visitor",
		})
	}
	for i := range slowReaders {
		if err := r.addDevice(comingAndGoing+i, "slow", true); err != nil {
			return err
		}
	}
	for i := range otherSeconds {
		if err := r.addDevice(comingAndGoing+slowReaders+i, "second", false); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) addDevice(author int, id string, slow bool) error {
	d := &device{user: r.Script.Authors[author], name: r.Script.Authors[author] + "/" + id}
	config := r.clientConfig(author, id, client.NewMemory())
	if slow {
		d.lag, d.open = time.Millisecond, &atomic.Bool{}
		config.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: slowDial(d.open)}}
	}
	var err error
	if d.Client, err = client.New(config); err != nil {
		return fmt.Errorf("replay: %s: %w", d.name, err)
	}
	r.devices = append(r.devices, d)
	return nil
}

func (r *run) clientConfig(author int, id string, store client.Store) client.Config {
	return client.Config{
		URL: r.url, Token: client.StaticToken(r.members[author].Token), DeviceID: tidemark.DeviceID(id), Store: store,
		Backfill: client.FillAll, BackoffMin: 20 * time.Millisecond, BackoffMax: 300 * time.Millisecond, Name: "replay",
	}
}

// run keeps the device connected, and listens to what it tells its app: nothing may arrive twice or out of order.
func (d *device) run(ctx context.Context) error {
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return d.listen(inner) })
	group.Go(func() error {
		if err := d.Client.Run(inner); inner.Err() == nil {
			return fmt.Errorf("it stopped by itself: %w", err)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return fmt.Errorf("replay: device %s: %w", d.name, err)
	}
	return nil
}

// listen is the app of the device.
func (d *device) listen(ctx context.Context) error {
	arrived := map[tidemark.ConversationID]tidemark.Seq{}
	for event := range d.Events(ctx) {
		if d.lag > 0 && !d.open.Load() {
			_ = pause(ctx, d.lag)
		}
		switch e := event.(type) {
		case client.Arrived:
			if last := arrived[e.Message.Conversation]; e.Message.Seq <= last {
				return fmt.Errorf("seq %d of %s arrived after %d", e.Message.Seq, e.Message.Conversation, last)
			}
			arrived[e.Message.Conversation] = e.Message.Seq
		case client.HistoryChanged:
			return fmt.Errorf("the server's history of %s is another than before: events %d to %d", e.Conversation, e.From, e.To)
		}
	}
	return nil
}

// slowDial connects like a device on a bad network: small buffers, some 100 KB a second, until open is set.
func slowDial(open *atomic.Bool) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return conn, nil
		}
		_ = tcp.SetReadBuffer(slowBufferBytes)
		return &slowConn{TCPConn: tcp, open: open}, nil
	}
}

// slowConn reads a little at a time. Read belongs to one goroutine, as with every connection of an HTTP client.
type slowConn struct {
	*net.TCPConn
	open   *atomic.Bool
	opened bool // the small buffer was given up
}

const (
	slowBufferBytes = 4 << 10
	slowReadBytes   = 1 << 10
	slowReadPause   = 10 * time.Millisecond
	openBufferBytes = 1 << 20
)

// Read implements net.Conn.
func (c *slowConn) Read(p []byte) (int, error) {
	if !c.open.Load() {
		time.Sleep(slowReadPause)
		return c.TCPConn.Read(p[:min(len(p), slowReadBytes)])
	}
	if !c.opened {
		c.opened = true
		_ = c.SetReadBuffer(openBufferBytes)
	}
	return c.TCPConn.Read(p)
}

// visitor is a device that comes and goes. Its state is a file that is opened anew at each visit.
type visitor struct {
	run    *run
	author int
	name   string
	path   string
	random *rand.Rand
	visits int
}

// comeAndGo visits until the others have nothing more to say, and then once more, to stay until everything of its own is
// acknowledged.
func (v *visitor) comeAndGo(ctx context.Context, over <-chan struct{}) error {
	for {
		select {
		case <-over:
			return nil
		case <-ctx.Done():
			return nil // the one who ended it has said why
		case <-time.After(time.Duration(v.random.Int64N(int64(300 * time.Millisecond)))):
		}
		stay := time.Duration(v.random.Int64N(int64(700 * time.Millisecond)))
		if err := v.visit(ctx, stay); err != nil {
			return fmt.Errorf("replay: device %s at visit %d: %w", v.name, v.visits, err)
		}
	}
}

// visit opens the device, writes a line, stays a while, and closes it whatever it was doing.
func (v *visitor) visit(ctx context.Context, stay time.Duration) error {
	v.visits++
	c, store, err := v.open()
	if err != nil {
		return err
	}
	defer store.Close()
	conversation := v.run.Script.Conversations[v.random.IntN(len(v.run.Script.Conversations))]
	text := fmt.Sprintf("visit %d", v.visits)
	id, err := c.Send(ctx, tidemark.ConversationID(conversation), text)
	if err != nil {
		return err
	}
	v.run.remember(v.name, sent{conversation: conversation, clientID: id, text: text})
	ctx, cancel := context.WithTimeout(ctx, stay)
	defer cancel()
	if err := c.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

func (v *visitor) open() (*client.Client, client.Store, error) {
	store, err := boltstore.Open(v.path, boltstore.Options{})
	if err != nil {
		return nil, nil, err
	}
	c, err := client.New(v.run.clientConfig(v.author, "visitor", store))
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return c, store, nil
}
