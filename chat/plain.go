// SPDX-License-Identifier: Apache-2.0

// The line mode: messages as lines, lines as messages. For pipes, scripts and terminals that can do no more.

package chat

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/wire"
)

// PlainConfig of the line mode.
type PlainConfig struct {
	Device       PlainDevice
	User         tidemark.UserID             // who the device is, which it may not know before it has connected; empty: it knows
	Connect      func(context.Context) error // keeps the device connected until the context ends, as [client.Client.Run] does; nil: the caller does
	Peer         tidemark.UserID             // to whom lines go, or:
	Conversation tidemark.ConversationID     // where lines go; both empty: only reading
	Tail         int                         // messages from before to print first
	Linger       time.Duration               // how long to go on printing after the input has ended and all is sent
	Zone         *time.Location              // of the times shown; nil: the machine's
	In           io.Reader
	Out          io.Writer // messages: one line each
	Err          io.Writer // what went wrong, and the state of the connection
}

// PlainDevice is the part of [client.Client] that the line mode uses.
type PlainDevice interface {
	Device
	WaitSynced(ctx context.Context) error
	WaitSent(ctx context.Context, id tidemark.ClientID) (client.Message, error)
}

// RunPlain prints what arrives, as "[2004-12-05 12:01] #team <ann> text" ("#team * ann does" for actions), and sends what is
// typed: "/me does" an action, "//x" the text "/x", every other line a text. It ends when the input has ended and
// everything is stored at the server, or with an error if something was refused, or when ctx ends.
func RunPlain(ctx context.Context, cfg PlainConfig) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if cfg.Zone == nil {
		cfg.Zone = time.Local
	}
	cfg.User = cmp.Or(cfg.User, cfg.Device.User())
	if cfg.Conversation == "" && cfg.Peer != "" {
		cfg.Conversation = tidemark.Direct(cfg.User, cfg.Peer)
	}
	p := &printer{cfg: cfg, printed: map[tidemark.ConversationID]tidemark.Seq{}}
	var beside sync.WaitGroup
	beside.Go(func() {
		for event := range cfg.Device.Events(ctx) {
			p.heard(event)
		}
	})
	connected := connect(ctx, &beside, cfg.Connect)
	err := p.run(ctx)
	cancel()
	beside.Wait()
	if ended := <-connected; ended != nil {
		return wrapped(ended) // which is why err is what it is
	}
	return err
}

// run prints what was there, and then sends what is typed.
func (p *printer) run(ctx context.Context) error {
	if err := p.cfg.Device.WaitSynced(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("chat: %w", err)
	}
	if err := p.checkPlace(); err != nil {
		return err
	}
	if err := p.tail(ctx); err != nil {
		return err
	}
	p.release()
	return p.sendLines(ctx)
}

// checkPlace refuses a conversation that this user has not: nothing would be printed, and nothing taken. A direct one is
// made by its first message.
func (p *printer) checkPlace() error {
	id := p.cfg.Conversation
	if _, direct := id.Peer(p.cfg.User); id == "" || direct {
		return nil
	}
	if _, known := p.cfg.Device.Conversation(id); !known {
		return fmt.Errorf("chat: there is no conversation %q for user %s: make it, or add or invite the user; rooms are entered with /enter where there is a screen", CleanLine(string(id)), CleanLine(string(p.cfg.User)))
	}
	return nil
}

// printer writes lines; mu keeps those of two goroutines apart.
type printer struct {
	cfg     PlainConfig
	mu      sync.Mutex
	printed map[tidemark.ConversationID]tidemark.Seq // greatest seq printed; guarded by mu
	ready   bool                                     // what was there before is printed; guarded by mu
	early   []client.Message                         // came live before; guarded by mu
	lost    lost                                     // guarded by mu
}

// release prints what came while that from before was printed.
func (p *printer) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = true
	for i := range p.early {
		p.printLocked(&p.early[i])
	}
	p.early = nil
}

func (p *printer) heard(event client.Event) {
	switch event := event.(type) {
	case client.Arrived:
		p.arrived(event)
	case client.Missed:
		missed, err := p.cfg.Device.Messages(event.Conversation, event.From, event.To)
		if err != nil {
			p.complain(err)
		}
		for i := range missed {
			p.print(&missed[i])
		}
	case client.TransientMessage:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.write(&client.Message{Conversation: event.Conversation, Sender: event.Sender, TimeMs: event.TimeMs, Content: event.Content})
	case client.HistoryChanged:
		p.changed(event)
	case client.StateChanged:
		if event.Err != nil {
			p.complain(fmt.Errorf("%s: %s", event.State, explain(event.Err)))
		}
	}
}

// arrived prints a message. At the first connection only what is live is new; later all that is heard is.
func (p *printer) arrived(event client.Arrived) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ready:
		p.printLocked(&event.Message)
	case event.Live:
		p.early = append(p.early, event.Message)
	}
}

func (p *printer) complain(err error) {
	fmt.Fprintln(p.cfg.Err, "chat:", CleanLine(err.Error()))
}

// print writes a message, once.
func (p *printer) print(msg *client.Message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.printLocked(msg)
}

func (p *printer) printLocked(msg *client.Message) {
	if msg.Content == nil || msg.Seq <= p.printed[msg.Conversation] || p.cfg.Conversation != "" && msg.Conversation != p.cfg.Conversation {
		return
	}
	p.printed[msg.Conversation] = msg.Seq
	p.write(msg)
}

func (p *printer) write(msg *client.Message) {
	if msg.Content == nil {
		return
	}
	at := time.UnixMilli(int64(msg.TimeMs)).In(p.cfg.Zone).Format("2006-01-02 15:04")
	who := "<" + CleanLine(string(msg.Sender)) + ">"
	if msg.Content.Type == "action" {
		who = "* " + CleanLine(string(msg.Sender))
	}
	text := strings.ReplaceAll(Clean(msg.Content.Text), "\n", "\n    ")
	fmt.Fprintf(p.cfg.Out, "[%s] #%s %s %s\n", at, CleanLine(string(msg.Conversation)), who, text)
}

// tail prints the last messages from before.
func (p *printer) tail(ctx context.Context) error {
	if p.cfg.Tail == 0 || p.cfg.Conversation == "" {
		return nil
	}
	if _, known := p.cfg.Device.Conversation(p.cfg.Conversation); !known {
		return nil
	}
	page, err := p.cfg.Device.History(ctx, p.cfg.Conversation, client.Page{Latest: true, Limit: p.cfg.Tail})
	if err != nil {
		return fmt.Errorf("chat: %w", err)
	}
	for i := range page.Messages {
		if page.Messages[i].Seq > 0 {
			p.print(&page.Messages[i])
		}
	}
	return nil
}

// sendLines sends the input, line by line, and waits until all of it is stored.
func (p *printer) sendLines(ctx context.Context) error {
	lines := make(chan string)
	go p.readLines(ctx, lines) // ends with the input or, blocked in a read of a terminal, with the process
	var last tidemark.ClientID
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, more := <-lines:
			if !more {
				return p.finish(ctx, last)
			}
			id, err := p.send(ctx, line)
			if err != nil {
				return fmt.Errorf("chat: %w", err)
			}
			if id != "" {
				last = id
			}
		}
	}
}

func (p *printer) readLines(ctx context.Context, lines chan<- string) {
	defer close(lines)
	in := bufio.NewScanner(p.cfg.In)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		select {
		case lines <- in.Text():
		case <-ctx.Done():
			return
		}
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(p.cfg.Err, "chat: reading the input:", err)
	}
}

func (p *printer) send(ctx context.Context, line string) (tidemark.ClientID, error) {
	if strings.TrimSpace(line) == "" {
		return "", nil
	}
	if strings.TrimSpace(line) == "/lost again" {
		p.mu.Lock()
		defer p.mu.Unlock()
		_, err := p.lost.again(ctx, p.cfg.Device)
		return "", err
	}
	if p.cfg.Conversation == "" {
		return "", errors.New("to whom? give --to USER or --conversation ID")
	}
	msg := &wire.Message{Type: "text", Text: strings.ToValidUTF8(line, "�")}
	switch does, isAction := strings.CutPrefix(line, "/me "); {
	case isAction:
		msg.Type, msg.Text = "action", does
	case strings.HasPrefix(line, "//"):
		msg.Text = line[1:]
	}
	if peer, direct := p.cfg.Conversation.Peer(p.cfg.User); direct {
		return p.cfg.Device.SendMessageTo(ctx, peer, msg)
	}
	return p.cfg.Device.SendMessage(ctx, p.cfg.Conversation, msg)
}

// saysAfter is how long the server may take before it is said that there is something to wait for.
const saysAfter = 3 * time.Second

// waitSent waits until a message is stored at the server, or refused, and says once that it takes long.
func (p *printer) waitSent(ctx context.Context, id tidemark.ClientID, said *bool) error {
	if !*said {
		soon, cancel := context.WithTimeout(ctx, saysAfter)
		defer cancel()
		if _, err := p.cfg.Device.WaitSent(soon, id); err == nil || soon.Err() == nil || ctx.Err() != nil {
			return err
		}
		*said = true
		p.complain(errors.New("the server does not take what was written now; it is sent when it does"))
	}
	_, err := p.cfg.Device.WaitSent(ctx, id)
	return err
}

// finish waits for what was sent, and then for as long as it was asked to.
func (p *printer) finish(ctx context.Context, last tidemark.ClientID) error {
	var refused error
	var ids []tidemark.ClientID
	for _, out := range p.cfg.Device.Outbox() {
		ids = append(ids, out.ClientID)
	}
	if last != "" && !slices.Contains(ids, last) {
		ids = append(ids, last)
	}
	said := false
	for _, id := range ids {
		if err := p.waitSent(ctx, id, &said); err != nil && ctx.Err() == nil {
			refused = errors.Join(refused, fmt.Errorf("chat: not sent: %s", CleanLine(explain(err))))
		}
	}
	if p.cfg.Linger > 0 && refused == nil {
		select {
		case <-ctx.Done():
		case <-time.After(p.cfg.Linger):
		}
	}
	return refused
}
