// SPDX-License-Identifier: Apache-2.0

// A proxy between the kit and the real server that spoils what passes through it.

package conformance

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/tidemark-im/tidemark/wire"
)

// fault is one way of spoiling. What is nil passes as it is.
type fault struct {
	frame    func(l *link, f *wire.ServerFrame) []*wire.ServerFrame                   // what the kit gets in place of a frame
	client   func(f *wire.ClientFrame) *wire.ClientFrame                              // what the server gets in place of a frame; nil: nothing
	close    func(code ws.StatusCode) ws.StatusCode                                   // of a close frame
	call     func(path string, header http.Header, body []byte) []byte                // what the server gets of a call
	answer   func(path string, status int, body []byte) (changed int, content []byte) // what the kit gets of an answer
	upgrade  func(header http.Header)                                                 // what the server gets of a handshake
	refusing func(r *refusedUpgrade)                                                  // what the kit gets of a refused handshake
}

// link is one WebSocket connection through the proxy.
type link struct {
	held   []*wire.ServerFrame // frames that a fault holds back
	count  int                 // for faults that count
	synced bool                // synced has passed
}

// proxy spoils between the kit and a server.
type proxy struct {
	upstream string
	fault    fault
	client   *http.Client
	links    sync.WaitGroup
}

// spoiling starts a proxy in front of a server and answers its URL.
func spoiling(t *testing.T, upstream string, f fault) string {
	t.Helper()
	p := &proxy{upstream: upstream, fault: f, client: &http.Client{Transport: &http.Transport{}}}
	front := httptest.NewServer(p)
	t.Cleanup(func() { front.Close(); p.links.Wait(); p.client.CloseIdleConnections() })
	return front.URL
}

// ServeHTTP passes a call or a connection on.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		p.connect(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	header := http.Header{}
	for _, name := range []string{"Content-Type", "Authorization", "Tidemark-User"} {
		if value := r.Header.Get(name); value != "" {
			header.Set(name, value)
		}
	}
	if p.fault.call != nil {
		body = p.fault.call(r.URL.Path, header, body)
	}
	request, _ := http.NewRequestWithContext(r.Context(), r.Method, p.upstream+r.URL.Path, bytes.NewReader(body))
	request.Header = header
	response, err := p.client.Do(request)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	status := response.StatusCode
	if p.fault.answer != nil {
		status, answer = p.fault.answer(r.URL.Path, status, answer)
	}
	w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

func (p *proxy) connect(w http.ResponseWriter, r *http.Request) {
	header := http.Header{}
	if value := r.Header.Get("Authorization"); value != "" {
		header.Set("Authorization", value)
	}
	if p.fault.upgrade != nil {
		p.fault.upgrade(header)
	}
	var offered []string
	for _, name := range strings.Split(r.Header.Get("Sec-WebSocket-Protocol"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			offered = append(offered, name)
		}
	}
	server, protocol, err := handshake(r.Context(), p.upstream, offered, header, 20*time.Second)
	if refused, is := errors.AsType[*refusedUpgrade](err); is {
		if p.fault.refusing != nil {
			p.fault.refusing(refused)
		}
		http.Error(w, refused.text, refused.status)
		return
	}
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	upgrader := ws.HTTPUpgrader{Protocol: func(name string) bool { return name == protocol }}
	kit, buffered, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		_ = server.Close()
		return
	}
	format, _ := wire.FormatOf(protocol)
	p.links.Go(func() { // what the kit sends
		defer server.Close()
		if p.fault.client == nil {
			_, _ = io.Copy(server, buffered)
			return
		}
		p.passClient(format, server, buffered)
	})
	p.links.Go(func() { // what the server sends
		defer kit.Close()
		p.passServer(format, server, kit)
	})
}

// passClient passes on what the kit sends, frame by frame.
func (p *proxy) passClient(format wire.Format, server *socket, kit io.Reader) {
	for {
		//lint:ignore SA1019 the frames are our own: nobody sends long ones here
		f, err := ws.ReadFrame(kit)
		if err != nil {
			return
		}
		f = ws.UnmaskFrameInPlace(f)
		payload := f.Payload
		if f.Header.OpCode.IsData() {
			if m, err := wire.DecodeClientFrame(format, payload); err == nil {
				if m = p.fault.client(m); m == nil {
					continue
				}
				payload, _ = wire.AppendClientFrame(nil, format, m)
			}
		}
		if server.sendFrame(f.Header.OpCode, payload) != nil {
			return
		}
	}
}

// passServer passes on what the server sends, frame by frame.
func (p *proxy) passServer(format wire.Format, server *socket, kit net.Conn) {
	l := &link{}
	for {
		//lint:ignore SA1019 the frames are our own: nobody sends long ones here
		f, err := ws.ReadFrame(server.reader)
		if err != nil {
			return
		}
		switch {
		case f.Header.OpCode == ws.OpClose:
			code, text := ws.ParseCloseFrameData(f.Payload)
			if p.fault.close != nil {
				code = p.fault.close(code)
			}
			_ = ws.WriteFrame(kit, ws.NewCloseFrame(ws.NewCloseFrameBody(code, text)))
			continue
		case !f.Header.OpCode.IsData() || p.fault.frame == nil:
			if ws.WriteFrame(kit, f) != nil {
				return
			}
			continue
		}
		m, err := wire.DecodeServerFrame(format, f.Payload)
		if err != nil {
			return
		}
		isSynced := m.GetSynced() != nil
		for _, out := range p.fault.frame(l, m) {
			data, _ := wire.AppendServerFrame(nil, format, out)
			if ws.WriteFrame(kit, ws.NewFrame(f.Header.OpCode, true, data)) != nil {
				return
			}
		}
		l.synced = l.synced || isSynced
	}
}
