// SPDX-License-Identifier: Apache-2.0

// Hostile clients, by table: what each sends, the exact answer, and that nobody else notices. The server is the real one
// behind the socket: partitions, sessions and a store in memory.

package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/journal"
	"github.com/tidemark-im/tidemark/partition"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/session"
	"github.com/tidemark-im/tidemark/store"
	"github.com/tidemark-im/tidemark/wire"
)

// realWorld serves real partitions with the users alice, bob and carol, and the group team of the first two.
func realWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	clock := newClock()
	db, err := store.Open(store.Config{Dir: "data", FS: vfs.NewMem(), Partitions: 4, NowMs: clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	set, err := partition.Open(partition.Config{DB: db, Journal: journal.NewLocal(db), NowMs: clock.now, Entropy: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := newContext()
	stopped := make(chan struct{})
	go func() { defer close(stopped); _ = set.Run(ctx) }()
	t.Cleanup(func() { stop(); <-stopped })
	w := newWorld(t, func(c *Config) {
		c.Set, c.Registry = set, session.NewRegistry()
		if change != nil {
			change(c)
		}
	}, nil)
	for _, user := range []tidemark.UserID{"alice", "bob", "carol"} {
		w.do(&core.UpsertUser{User: user})
	}
	w.do(&core.Create{Actor: core.Actor{App: true}, Conversation: "team", Kind: record.Group, Members: []tidemark.UserID{"alice", "bob"}})
	return w
}

func (w *world) do(cmd core.Command) core.Reply {
	w.t.Helper()
	ctx, cancel := newContext()
	defer cancel()
	reply, err := w.sockets.cfg.Set.Do(ctx, cmd)
	if err != nil {
		w.t.Fatalf("%T: %v", cmd, err)
	}
	return reply
}

// lastRequest is of the ping that each row ends with: its answer shows that the connection went on.
const lastRequest = 424242

// answers reads until the end, and writes down what came. When the connection is expected to go on after so many answers,
// it then sends a last ping, and reads until its answer.
func (c *client) answers(goesOn bool, expected int) string {
	c.t.Helper()
	var out []string
	for {
		if goesOn && len(out) == expected {
			goesOn = false
			c.ping(lastRequest)
		}
		f, err := c.next()
		if e, ok := err.(net.Error); ok && e.Timeout() {
			c.t.Fatalf("no answer after %v", out)
		}
		if err != nil {
			return strings.Join(append(out, "end"), ", ")
		}
		switch f.Header.OpCode {
		case ws.OpClose:
			code, _ := ws.ParseCloseFrameData(f.Payload)
			out = append(out, fmt.Sprintf("close %d", code))
			continue
		case ws.OpPong:
			out = append(out, fmt.Sprintf("pong %q", f.Payload))
			continue
		}
		m := c.decode(f)
		switch f := m.Frame.(type) {
		case *wire.ServerFrame_Pong:
			if f.Pong.Request == lastRequest {
				return strings.Join(append(out, "goes on"), ", ")
			}
			out = append(out, fmt.Sprintf("pong %d", f.Pong.Request))
		case *wire.ServerFrame_Error:
			if f.Error.Message == "" || f.Error.Code == "" {
				c.t.Errorf("an error that says nothing: %v", f.Error)
			}
			out = append(out, fmt.Sprintf("%s %d", f.Error.Reason, f.Error.Request))
		case *wire.ServerFrame_Bye:
			out = append(out, "bye "+f.Bye.Reason.String())
		case *wire.ServerFrame_Delta: // of the sync, or bare checkpoints
		case *wire.ServerFrame_Welcome:
			text := "welcome"
			if f.Welcome.Reset_ != nil {
				text += " " + f.Welcome.Reset_.Reason.String()
			}
			out = append(out, text)
		case *wire.ServerFrame_Synced:
			out = append(out, "synced")
		case *wire.ServerFrame_Submitted:
			out = append(out, fmt.Sprintf("submitted %d", f.Submitted.Request))
		case *wire.ServerFrame_Fetched:
			out = append(out, fmt.Sprintf("fetched %d", f.Fetched.Request))
		default:
			out = append(out, fmt.Sprintf("%T", f))
		}
	}
}

// hostile is one row: what is sent after a good hello (or instead of it), and what comes.
type hostile struct {
	name   string
	format wire.Format
	fresh  bool   // without hello before
	send   string // the payload of a message, or:
	bytes  []byte // bytes as they are
	want   string
}

func (w *world) run(t *testing.T, row hostile, neighbour *client) {
	format := row.format
	if format == 0 {
		format = wire.JSON
	}
	c := w.dial(format, nil)
	c.t = t
	if !row.fresh {
		hello, _ := wire.AppendClientFrame(nil, format, &wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: &wire.Hello{Token: w.token("alice", ""), DeviceId: "hostile"}}})
		c.text(string(hello))
		for c.frame().GetSynced() == nil {
		}
	}
	if row.bytes != nil {
		c.raw(row.bytes)
	} else {
		c.text(row.send)
	}
	before, goesOn := strings.CutSuffix(row.want, "goes on")
	if got := c.answers(goesOn, strings.Count(before, ", ")); got != row.want {
		t.Errorf("the answer is %s\n           want %s", got, row.want)
	}
	_ = c.socket.Close()
	neighbour.ping(1)
	neighbour.wantPong(1)
	w.settled(1)
}

func TestHostileFrames(t *testing.T) {
	w := realWorld(t, nil)
	neighbour := w.connect(wire.Proto, "bob", "phone")
	var rows []hostile
	for _, f := range forbidden {
		format := wire.Proto
		if f.text {
			format = wire.JSON
		}
		rows = append(rows, hostile{name: f.name, format: format, bytes: f.data, want: fmt.Sprintf("bye PROTOCOL, close %d, end", f.code)})
	}
	const malformed, misplaced = "bye PROTOCOL, close 1007, end", "bye PROTOCOL, close 1008, end"
	rows = append(rows, []hostile{
		// What cannot be a frame.
		{name: "an empty message", send: "", want: malformed},
		{name: "an empty message, protobuf", format: wire.Proto, send: "", want: malformed},
		{name: "an empty object", send: "{}", want: malformed},
		{name: "no JSON", send: "hello", want: malformed},
		{name: "half of JSON", send: `{"ping":`, want: malformed},
		{name: "an array", send: `[{"ping":{}}]`, want: malformed},
		{name: "two kinds in one", send: `{"ping":{},"read":{}}`, want: malformed},
		{name: "a negative number", send: `{"read":{"conversation":"team","seq":-1}}`, want: malformed},
		{name: "a number past 64 bits", send: `{"read":{"conversation":"team","seq":"18446744073709551616"}}`, want: malformed},
		{name: "a number with a fraction", send: `{"read":{"conversation":"team","seq":1.5}}`, want: malformed},
		{name: "a number too large for its field", send: `{"fetch":{"conversation":"team","latest":true,"limit":4294967296}}`, want: malformed},
		{name: "text for a number", send: `{"read":{"conversation":"team","seq":"x"}}`, want: malformed},
		{name: "two actions", send: `{"submit":{"request":"1","conversation":"team","clientId":"c","message":{"text":"a"},"pin":{"seq":"1"}}}`, want: malformed},
		{name: "two ways to fetch", send: `{"fetch":{"conversation":"team","latest":true,"after":"1"}}`, want: malformed},
		{name: "half a surrogate", send: `{"typing":{"conversation":"\ud83d"}}`, want: malformed},
		{name: "base64 that is none", send: `{"submit":{"request":"1","conversation":"team","clientId":"c","message":{"data":"%%%"}}}`, want: malformed},
		{name: "JSON a million deep", send: strings.Repeat("[", 1_000_000), want: malformed},
		{name: "random bytes", format: wire.Proto, send: "\xde\xad\xbe\xef\x00\x01\x02", want: malformed},
		{name: "a length beyond the end", format: wire.Proto, send: "\x52\xff\xff\xff\xff\x0f", want: malformed},
		{name: "a varint without end", format: wire.Proto, send: "\x52\x0b\x08" + strings.Repeat("\xff", 10), want: malformed},
		{name: "the end of a group", format: wire.Proto, send: "\x54", want: malformed},
		{name: "a string that is not UTF-8", format: wire.Proto, send: "\x22\x05\x0a\x01\xff\x10\x01", want: malformed},
		{name: "ten megabytes", format: wire.Proto, bytes: masked(ws.OpBinary, true, strings.Repeat("x", 10<<20)), want: "bye PROTOCOL, close 1009, end"},
		{name: "ten megabytes in fragments", bytes: join(masked(ws.OpText, false, strings.Repeat("x", 600<<10)), masked(ws.OpContinuation, false, strings.Repeat("x", 600<<10)), masked(ws.OpContinuation, true, "")), want: "bye PROTOCOL, close 1009, end"},

		// What is not known goes on.
		{name: "an unknown kind", send: `{"dance":{"request":"7"}}`, want: "BAD_ARGUMENT 7, goes on"},
		{name: "an unknown kind, protobuf", format: wire.Proto, send: "\xea\x04\x02\x08\x07", want: "BAD_ARGUMENT 7, goes on"},
		{name: "an unknown kind before hello, then a ping", fresh: true, bytes: join(masked(ws.OpText, true, `{"dance":{"request":"7"}}`), masked(ws.OpText, true, `{"ping":{}}`)), want: "BAD_ARGUMENT 7, bye PROTOCOL, close 1008, end"},
		{name: "an unknown field", send: `{"ping":{"request":"7","colour":"red"}}`, want: "pong 7, goes on"},
		{name: "an unknown field, protobuf", format: wire.Proto, send: "\x52\x05\x08\x07\xf8\x06\x01", want: "pong 7, goes on"},
		{name: "a server's frame", send: `{"welcome":{"user":"alice"}}`, want: "BAD_ARGUMENT 0, goes on"},

		// Closing.
		{name: "close without a code", bytes: masked(ws.OpClose, true, ""), want: "close 1000, end"},
		{name: "close 1000", bytes: masked(ws.OpClose, true, "\x03\xe8"), want: "close 1000, end"},
		{name: "close 4000 with a reason", bytes: masked(ws.OpClose, true, "\x0f\xa0bye"), want: "close 4000, end"},
		{name: "close with half a code", bytes: masked(ws.OpClose, true, "\x03"), want: "bye PROTOCOL, close 1002, end"},
		{name: "close 1005, which must not be sent", bytes: masked(ws.OpClose, true, "\x03\xed"), want: "bye PROTOCOL, close 1002, end"},
		{name: "close 999", bytes: masked(ws.OpClose, true, "\x03\xe7"), want: "bye PROTOCOL, close 1002, end"},
		{name: "close with a reason that is not UTF-8", bytes: masked(ws.OpClose, true, "\x03\xe8\xff"), want: "bye PROTOCOL, close 1007, end"},
		{name: "close 1000 before hello", fresh: true, bytes: masked(ws.OpClose, true, "\x03\xe8"), want: "close 1000, end"},

		// Hello, and what comes before it.
		{name: "ping before hello", fresh: true, send: `{"ping":{}}`, want: misplaced},
		{name: "submit before hello", fresh: true, send: `{"submit":{"request":"1","conversation":"team","clientId":"c","message":{"text":"a"}}}`, want: misplaced},
		{name: "hello twice", send: w.helloJSON("alice", "hostile", ""), want: misplaced},
		{name: "a WebSocket ping before hello", fresh: true, bytes: join(masked(ws.OpPing, true, "x"), masked(ws.OpText, true, w.helloJSON("alice", "hostile", ""))), want: `pong "x", welcome, synced, goes on`},
		{name: "a bad device id", fresh: true, send: w.helloJSON("alice", "a device", ""), want: "BAD_ARGUMENT 0, " + misplaced},
		{name: "no device id", fresh: true, send: w.helloJSON("alice", "", ""), want: "BAD_ARGUMENT 0, " + misplaced},
		{name: "a device id too long", fresh: true, send: w.helloJSON("alice", strings.Repeat("d", 65), ""), want: "BAD_ARGUMENT 0, " + misplaced},
		{name: "a user who does not exist", fresh: true, send: w.helloJSON("nobody", "hostile", ""), want: "UNKNOWN_USER 0, " + misplaced},
		{name: "a cursor of another epoch", fresh: true, send: w.helloJSON("alice", "hostile", `"cursor":{"epoch":"1","positions":{"0":"1"}}`), want: "welcome EPOCH, synced, goes on"},
		{name: "a cursor with a partition out of range", fresh: true, send: w.helloJSON("alice", "hostile", w.cursor(`"200":"1"`)), want: "welcome FUTURE, synced, goes on"},
		{name: "a cursor ahead of the server", fresh: true, send: w.helloJSON("alice", "hostile", w.cursor(`"1":"18446744073709551615"`)), want: "welcome FUTURE, synced, goes on"},
		{name: "a cursor with a partition that is no number", fresh: true, send: w.helloJSON("alice", "hostile", w.cursor(`"x":"1"`)), want: malformed},

		// Submissions.
		{name: "no action", send: `{"submit":{"request":"7","conversation":"team","clientId":"c"}}`, want: "BAD_ARGUMENT 7, goes on"},
		{name: "no client id", send: `{"submit":{"request":"7","conversation":"team","message":{"text":"a"}}}`, want: "BAD_ARGUMENT 7, goes on"},
		{name: "a client id too long", send: `{"submit":{"request":"7","conversation":"team","clientId":"` + strings.Repeat("c", 65) + `","message":{"text":"a"}}}`, want: "BAD_ARGUMENT 7, goes on"},
		{name: "a client id too long", send: `{"submit":{"request":"7","conversation":"team","clientId":"` + strings.Repeat("ä", 33) + `","message":{"text":"a"}}}`, want: "BAD_ARGUMENT 7, goes on"},
		{name: "to nobody", send: `{"submit":{"request":"7","clientId":"c","message":{"text":"a"}}}`, want: "BAD_ARGUMENT 7, goes on"},
		{name: "to a conversation and a user", send: `{"submit":{"request":"7","conversation":"team","toUser":"bob","clientId":"c","message":{"text":"a"}}}`, want: "BAD_ARGUMENT 7, goes on"},
		{name: "to oneself", send: `{"submit":{"request":"7","toUser":"alice","clientId":"c","message":{"text":"a"}}}`, want: "BAD_ARGUMENT 7, goes on"},
		{name: "to a user outside the alphabet", send: `{"submit":{"request":"7","toUser":"bob~carol","clientId":"c","message":{"text":"a"}}}`, want: "BAD_ARGUMENT 7, goes on"},
		{name: "to a user who does not exist", send: `{"submit":{"request":"7","toUser":"nobody","clientId":"c","message":{"text":"a"}}}`, want: "UNKNOWN_USER 7, goes on"},
		{name: "to a conversation that does not exist", send: `{"submit":{"request":"7","conversation":"nowhere","clientId":"c","message":{"text":"a"}}}`, want: "UNKNOWN_CONVERSATION 7, goes on"},
		{name: "into the talk of others", send: `{"submit":{"request":"7","conversation":"bob~carol","clientId":"c","message":{"text":"a"}}}`, want: "UNKNOWN_CONVERSATION 7, goes on"},
		{name: "a body too large", send: `{"submit":{"request":"7","conversation":"team","clientId":"c","message":{"text":"` + strings.Repeat("a", 65<<10) + `"}}}`, want: "TOO_LARGE 7, goes on"},
		{name: "an edit of what is not there", send: `{"submit":{"request":"7","conversation":"team","clientId":"c","edit":{"seq":"99","message":{"text":"a"}}}}`, want: "UNKNOWN_EVENT 7, goes on"},
		{name: "a recall of seq 0", send: `{"submit":{"request":"7","conversation":"team","clientId":"c","recall":{}}}`, want: "UNKNOWN_EVENT 7, goes on"},
		{name: "seen what never was", send: `{"submit":{"request":"7","conversation":"team","clientId":"c","seen":{"seq":"1","digest":"AAAA"},"message":{"text":"a"}}}`, want: "UNKNOWN_EVENT 7, goes on"},

		// Everything else.
		{name: "read past the head", send: `{"read":{"conversation":"team","seq":"99"}}`, want: "BAD_ARGUMENT 0, goes on"},
		{name: "read nowhere", send: `{"read":{"conversation":"nowhere","seq":"1"}}`, want: "UNKNOWN_CONVERSATION 0, goes on"},
		{name: "fetch nowhere", send: `{"fetch":{"request":"7","conversation":"nowhere","latest":true}}`, want: "UNKNOWN_CONVERSATION 7, goes on"},
		{name: "fetch without saying from where", send: `{"fetch":{"request":"7","conversation":"team"}}`, want: "fetched 7, goes on"},
		{name: "fetch four thousand million", send: `{"fetch":{"request":"7","conversation":"team","after":"0","limit":4294967295}}`, want: "fetched 7, goes on"},
		{name: "fetch from the end of time", send: `{"fetch":{"request":"7","conversation":"team","at":"18446744073709551615"}}`, want: "fetched 7, goes on"},
		{name: "ack of another epoch", send: `{"ack":{"cursor":{"epoch":"1","positions":{"0":"1"}}}}`, want: "BAD_ARGUMENT 0, goes on"},
		{name: "ack of the future and of partitions that are not", send: `{"ack":{` + w.cursor(`"0":"18446744073709551615","4000000000":"1"`) + `}}`, want: "goes on"},
		{name: "typing nowhere", send: `{"typing":{"conversation":"nowhere","typing":true}}`, want: "UNKNOWN_CONVERSATION 0, goes on"},
		{name: "watching everybody", send: `{"watch":{"users":[` + strings.Repeat(`"u",`, 100_000) + `"u"]}}`, want: "TOO_MANY 0, goes on"},
		{name: "entering no room", send: `{"enter":{"request":"7","conversation":"team"}}`, want: "BAD_ARGUMENT 7, goes on"},
	}...)
	if len(rows) < 50 {
		t.Errorf("only %d rows", len(rows))
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { w.run(t, row, neighbour) })
	}
}

// helloJSON is a hello with a good token and other fields.
func (w *world) helloJSON(user, device, more string) string {
	if more != "" {
		more = "," + more
	}
	return fmt.Sprintf(`{"hello":{"token":%q,"deviceId":%q%s}}`, w.token(user, ""), device, more)
}

// cursor is a cursor of this epoch in JSON.
func (w *world) cursor(positions string) string {
	return fmt.Sprintf(`"cursor":{"epoch":"%d","positions":{%s}}`, w.sockets.cfg.Set.Epoch(), positions)
}

func TestHostileTokens(t *testing.T) {
	w := realWorld(t, nil)
	neighbour := w.connect(wire.Proto, "bob", "phone")
	past, soon := w.clock.now()/1000-60, w.clock.now()/1000+60
	secret := []byte(testSecret)
	unsigned := func(header, claims string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "."
	}
	const refused = "BAD_TOKEN 0, bye PROTOCOL, close 1008, end"
	for _, row := range []struct{ name, token, want string }{
		{"no token", "", refused},
		{"no JSON Web Token", "hello", refused},
		{"the admin key", testAdmin, refused},
		{"an expired one", sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "alice", "exp": past}, ""), "BAD_TOKEN 0, bye TOKEN_EXPIRED, close 1008, end"},
		{"an expired one of a wrong key", sign(t, jwt.SigningMethodHS256, []byte("wrong"), jwt.MapClaims{"sub": "alice", "exp": past}, ""), refused},
		{"one of a wrong key", sign(t, jwt.SigningMethodHS256, []byte("wrong"), jwt.MapClaims{"sub": "alice", "exp": soon}, ""), refused},
		{"one without signature", unsigned(`{"alg":"none"}`, `{"sub":"alice"}`), refused},
		{"one without algorithm", unsigned(`{}`, `{"sub":"alice"}`), refused},
		{"one for another device", sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "alice", "dev": "laptop"}, ""), refused},
		{"one of nobody", sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"exp": soon}, ""), refused},
		{"one of the system", sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "system"}, ""), refused},
		{"one of a user who does not exist", sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "nobody"}, ""), "UNKNOWN_USER 0, bye PROTOCOL, close 1008, end"},
		{"one of a megabyte", strings.Repeat("x", 1<<20-100), refused},
		{"a good one for this device", sign(t, jwt.SigningMethodHS256, secret, jwt.MapClaims{"sub": "alice", "dev": "hostile"}, ""), "welcome, synced, goes on"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w.run(t, hostile{fresh: true, send: fmt.Sprintf(`{"hello":{"token":%q,"deviceId":"hostile"}}`, row.token), want: row.want}, neighbour)
		})
	}
}

// TestSlowloris: a handshake that comes byte by byte is given up; one that never comes costs nothing.
func TestSlowloris(t *testing.T) {
	w := newWorld(t, nil, openFake)
	socket, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for i := 0; ; i++ {
		if _, err := socket.Write([]byte{"GET /v1/connect HTTP/1.1\r\nHost: x\r\nX: "[i%38]}); err != nil {
			break // cut off
		}
		time.Sleep(20 * time.Millisecond)
		if i > 1000 {
			t.Fatal("it may go on for ever")
		}
	}
	if got := w.sockets.Stats().Accepted; got != 0 {
		t.Errorf("%d connections accepted", got)
	}
}

// TestInFlightIsBounded: a client that submits without end and reads nothing is not read from beyond the limit of
// unanswered submissions; nothing it sent is lost once it reads.
func TestInFlightIsBounded(t *testing.T) {
	w := realWorld(t, nil)
	c := w.connect(wire.JSON, "alice", "phone")
	const n = 2000 // the limit is 256
	go func() {
		for i := range n {
			c.text(fmt.Sprintf(`{"submit":{"request":"%d","conversation":"team","clientId":"c%d","message":{"text":"hello"}}}`, i+1, i))
		}
	}()
	for i := 0; i < n; {
		f := c.frame()
		if f.GetDelta() != nil {
			continue
		}
		if s := f.GetSubmitted(); s == nil || s.Request != uint64(i+1) || s.Seq != uint64(i+2) {
			t.Fatalf("answer %d is %v", i, f)
		}
		i++
	}
}

// TestReplacedAndKicked: a device that connects again ends its older connection; kicking ends it, too.
func TestReplacedAndKicked(t *testing.T) {
	w := realWorld(t, nil)
	first := w.connect(wire.JSON, "alice", "phone")
	second := w.connect(wire.Proto, "alice", "phone")
	first.wantBye(wire.ByeReason_REPLACED)
	first.wantClose(1008)
	if n := w.sockets.cfg.Registry.Kick("alice", "phone"); n != 1 {
		t.Errorf("%d sessions kicked", n)
	}
	second.wantBye(wire.ByeReason_KICKED)
	second.wantClose(1008)
	w.settled(0)
}

// TestTwoPeopleTalk: the whole way, both formats.
func TestTwoPeopleTalk(t *testing.T) {
	w := realWorld(t, nil)
	alice, bob := w.connect(wire.JSON, "alice", "phone"), w.connect(wire.Proto, "bob", "phone")
	alice.text(`{"submit":{"request":"1","conversation":"team","clientId":"c1","message":{"type":"text","text":"hello"}}}`)
	if s := alice.frame().GetSubmitted(); s == nil || s.Seq != 2 || s.Request != 1 {
		t.Fatalf("got %v", s)
	}
	var e *wire.Event
	for e == nil {
		if d := bob.frame().GetDelta(); d != nil && len(d.Conversations) == 1 && len(d.Conversations[0].Events) == 1 {
			e = d.Conversations[0].Events[0]
		}
	}
	body := &wire.Body{}
	if err := body.UnmarshalVT(e.Body); err != nil || body.GetMessage().GetText() != "hello" || e.Sender != "alice" || e.Seq != 2 {
		t.Errorf("got %v, %v", e, err)
	}
}

// TestTheAdminKeyConnectsForAUser: a back end may hold a connection for one of its users.
func TestTheAdminKeyConnectsForAUser(t *testing.T) {
	w := realWorld(t, nil)
	c := w.dial(wire.JSON, http.Header{"Authorization": {"Bearer " + testAdmin}, UserHeader: {"carol"}})
	c.text(`{"hello":{"deviceId":"bot"}}`)
	if f := c.frame(); f.GetWelcome().GetUser() != "carol" {
		t.Errorf("got %v", f)
	}
}

// TestSlowMemberIsCut: in a busy group, a member who does not read is cut; the others get everything.
func TestSlowMemberIsCut(t *testing.T) {
	w := realWorld(t, func(c *Config) { c.WriteTimeout = 300 * time.Millisecond })
	w.connect(wire.Proto, "alice", "asleep")
	bob := w.connect(wire.Proto, "bob", "phone")
	send := func(n int, text string) {
		if _, err := w.sockets.cfg.Set.Do(t.Context(), &core.Submit{Actor: core.Actor{User: "alice"}, Conversation: "team",
			ClientID: tidemark.ClientID(fmt.Sprint(n)), Message: &wire.Message{Type: "text", Text: text}}); err != nil {
			t.Error(err)
		}
	}
	go func() {
		n := 0
		for ; w.sockets.Stats().Slow == 0 && n < 5000; n++ {
			send(n, strings.Repeat("x", 32<<10))
		}
		send(n, "the end")
	}()
	last := uint64(1)
	for ended := false; !ended; {
		for _, d := range bob.frame().GetDelta().GetConversations() {
			for _, e := range d.Events {
				if e.Seq != last+1 {
					t.Fatalf("after %d comes %d", last, e.Seq)
				}
				last = e.Seq
				ended = bytes.Contains(e.Body, []byte("the end"))
			}
		}
	}
	if got := w.sockets.Stats(); got.Slow != 1 {
		t.Errorf("counted %+v after %d messages", got, last)
	}
	w.settled(1)
}
