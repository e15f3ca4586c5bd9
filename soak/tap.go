// SPDX-License-Identifier: Apache-2.0

// What the server and its clients say to each other, told to an observer just before and after the server has it.

package soak

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

// Tap is an HTTP proxy at the server's door that tells an observer of every frame and every call that passes, of one device
// or of the app. What networks do happens between it and the device, so what it tells is what the server said.
type Tap struct {
	who         invariant.Who
	observer    invariant.Observer
	connections *atomic.Uint64 // numbers of connections, of all taps of a run
	proxy       httputil.ReverseProxy
	transport   *http.Transport
	lie         func(who invariant.Who, body io.ReadWriteCloser) io.ReadWriteCloser // nil: none
}

// newTap makes the tap of one device. upstream dials the server; lie is of tests, see [lies].
func newTap(
	who invariant.Who, observer invariant.Observer, connections *atomic.Uint64, upstream func(ctx context.Context) (net.Conn, error),
	lie func(who invariant.Who, body io.ReadWriteCloser) io.ReadWriteCloser,
) *Tap {
	t := &Tap{who: who, observer: observer, connections: connections, lie: lie}
	t.transport = &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return upstream(ctx) },
		DisableCompression: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: 10 * time.Second,
	}
	t.proxy = httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "tidemark"})
			r.Out.Header.Del("Accept-Encoding") // the answer is read here too
		},
		Transport: t, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			panic(http.ErrAbortHandler) // the device sees what it would see of the server: a connection that breaks
		},
	}
	return t
}

// ServeHTTP implements [http.Handler].
func (t *Tap) ServeHTTP(w http.ResponseWriter, r *http.Request) { t.proxy.ServeHTTP(w, r) }

// RoundTrip implements [http.RoundTripper].
func (t *Tap) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		answer, err := t.transport.RoundTrip(r)
		if err == nil && answer.StatusCode == http.StatusSwitchingProtocols {
			if body, ok := answer.Body.(io.ReadWriteCloser); ok {
				if t.lie != nil {
					body = t.lie(t.who, body)
				}
				answer.Body = t.conversation(body)
			}
		}
		return answer, err
	}
	request, response := messagesOf(r.URL.Path)
	if request == nil {
		return t.transport.RoundTrip(r)
	}
	var body []byte
	if r.Body != nil { // some requests say nothing
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if proto.Unmarshal(body, request) != nil {
		return t.transport.RoundTrip(r)
	}
	who := invariant.Who{User: t.who.User}
	if acting := r.Header.Get("Tidemark-User"); acting != "" {
		who.User = tidemark.UserID(acting)
	}
	call := t.observer.Called(who, request)
	answer, err := t.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	payload, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(payload))
	switch {
	case answer.StatusCode == http.StatusOK && proto.Unmarshal(payload, response) == nil:
		t.observer.Answered(call, response)
	case answer.StatusCode != http.StatusOK:
		if refusal := refusalOf(payload); refusal != nil {
			t.observer.Answered(call, refusal)
		}
	}
	return answer, nil
}

// messagesOf makes the messages of a method, named by its path; nil where there is none.
func messagesOf(path string) (request, response proto.Message) {
	service, method, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service + "." + method))
	if err != nil {
		return nil, nil
	}
	descriptor, ok := found.(protoreflect.MethodDescriptor)
	if !ok {
		return nil, nil
	}
	in, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.Input().FullName())
	if err != nil {
		return nil, nil
	}
	out, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.Output().FullName())
	if err != nil {
		return nil, nil
	}
	return in.New().Interface(), out.New().Interface()
}

// refusalOf is the server's error in the answer to a call of the Connect protocol; nil where there is none.
func refusalOf(payload []byte) *wire.Error {
	var answer struct {
		Details []struct{ Type, Value string }
	}
	if json.Unmarshal(payload, &answer) != nil {
		return nil
	}
	for _, detail := range answer.Details {
		raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(detail.Value, "="))
		if refusal := (&wire.Error{}); err == nil && detail.Type == "tidemark.v1.Error" && proto.Unmarshal(raw, refusal) == nil {
			return refusal
		}
	}
	return nil
}

// conversation is a WebSocket connection on which is listened.
type conversation struct {
	io.ReadWriteCloser
	up, down frames
}

func (t *Tap) conversation(body io.ReadWriteCloser) *conversation {
	number := t.connections.Add(1)
	said := &sync.Mutex{} // one order of both directions
	hello := false
	return &conversation{
		ReadWriteCloser: body,
		up: frames{tell: func(message []byte) {
			f, err := wire.DecodeClientFrame(wire.Proto, bytes.Clone(message))
			if err != nil {
				return
			}
			said.Lock()
			defer said.Unlock()
			if hello = hello || f.GetHello() != nil; hello {
				t.observer.Sent(t.who, number, f)
			}
		}},
		down: frames{tell: func(message []byte) {
			f, err := wire.DecodeServerFrame(wire.Proto, bytes.Clone(message))
			if err != nil {
				return
			}
			said.Lock()
			defer said.Unlock()
			if hello {
				t.observer.Received(t.who, number, f)
			}
		}},
	}
}

// Write implements [io.Writer]: towards the server.
func (c *conversation) Write(p []byte) (int, error) {
	c.up.take(p)
	return c.ReadWriteCloser.Write(p)
}

// Read implements [io.Reader]: towards the device.
func (c *conversation) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	c.down.take(p[:n])
	return n, err
}

// frames finds the messages in the bytes of one direction of a WebSocket connection.
type frames struct {
	tell    func(message []byte)
	waiting []byte // not yet a whole frame
	message []byte // fragments so far
	lost    bool   // what came is no WebSocket, so nothing is told any more
}

// frameBytesMax bounds what is gathered of one frame; beyond it the direction is not listened to any more.
const frameBytesMax = 64 << 20

// take takes the next bytes. It tells of a message before its last bytes are passed on.
func (f *frames) take(p []byte) {
	if f.lost {
		return
	}
	f.waiting = append(f.waiting, p...)
	for {
		frame, rest, err := cutFrame(f.waiting)
		if err != nil {
			f.lost = !errors.Is(err, io.ErrUnexpectedEOF)
			return
		}
		f.waiting = rest
		if frame.opcode >= 8 {
			continue // ping, pong, close
		}
		f.message = append(f.message, frame.payload...)
		if frame.last {
			f.tell(f.message)
			f.message = f.message[:0]
		}
	}
}

// socketFrame is one frame of RFC 6455, unmasked.
type socketFrame struct {
	last    bool
	opcode  byte
	payload []byte
}

var errNotASocket = errors.New("soak: no WebSocket frame")

// cutFrame takes the first frame off; io.ErrUnexpectedEOF: it is not whole yet.
func cutFrame(p []byte) (frame socketFrame, rest []byte, err error) {
	if len(p) < 2 {
		return frame, p, io.ErrUnexpectedEOF
	}
	frame.last, frame.opcode = p[0]&0x80 != 0, p[0]&0x0f
	if p[0]&0x70 != 0 {
		return frame, p, errNotASocket
	}
	head, length := 2, uint64(p[1]&0x7f)
	if extra := map[uint64]int{126: 2, 127: 8}[length]; extra > 0 {
		if len(p) < head+extra {
			return frame, p, io.ErrUnexpectedEOF
		}
		length = 0
		for _, b := range p[head : head+extra] {
			length = length<<8 | uint64(b)
		}
		head += extra
	}
	if length > frameBytesMax {
		return frame, p, errNotASocket
	}
	var mask []byte
	if p[1]&0x80 != 0 {
		head += 4
		if len(p) < head {
			return frame, p, io.ErrUnexpectedEOF
		}
		mask = p[head-4 : head]
	}
	if uint64(len(p)-head) < length {
		return frame, p, io.ErrUnexpectedEOF
	}
	frame.payload = bytes.Clone(p[head : head+int(length)])
	for i := range frame.payload {
		if mask != nil {
			frame.payload[i] ^= mask[i%4]
		}
	}
	return frame, p[head+int(length):], nil
}
