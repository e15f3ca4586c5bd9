// SPDX-License-Identifier: Apache-2.0

// The door: from an HTTP request to a WebSocket connection, or a refusal that says what to do.

package gateway

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gobwas/ws"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/wire"
)

// ServeHTTP upgrades the request and leaves the connection to a goroutine of its own, so that the stack and the buffers
// of net/http are freed.
func (w *WebSocket) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	select {
	case <-w.running:
	case <-r.Context().Done():
		return
	}
	address := w.addressOf(r)
	identity, format, refusal := w.admit(r, address)
	if refusal != nil {
		w.refuse(rw, r, refusal)
		return
	}
	if !w.doors.enter(address) {
		w.refuse(rw, r, tidemark.Refuse(tidemark.TooMany, "there are too many connections from %s, or to this server", address))
		return
	}
	upgrader := ws.HTTPUpgrader{
		Timeout:  w.cfg.HelloTimeout,
		Protocol: func(name string) bool { return name == format.Subprotocol() },
	}
	socket, buffered, _, err := upgrader.Upgrade(r, rw)
	if err != nil {
		w.doors.leave(address)
		w.counts.refused.Add(1)
		if socket != nil {
			_ = socket.Close() // the answer has been written
		}
		return
	}
	c := newConn(w, socket, format, address, identity)
	w.counts.accepted.Add(1)
	if !w.add(c) { // the shutdown began meanwhile
		w.doors.leave(address)
		c.turnAway()
		return
	}
	go c.begin(early(buffered))
}

// early is what a hasty client has sent behind its request.
func early(buffered *bufio.ReadWriter) []byte {
	if buffered == nil || buffered.Reader.Buffered() == 0 {
		return nil
	}
	data, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	return append([]byte(nil), data...)
}

// admit checks everything that can be checked before the upgrade. The identity is nil when the token comes in hello.
func (w *WebSocket) admit(r *http.Request, address netip.Addr) (*Identity, wire.Format, *tidemark.Error) {
	w.mu.Lock()
	draining := w.draining
	w.mu.Unlock()
	if draining {
		return nil, 0, &tidemark.Error{Reason: tidemark.Unavailable, Message: "the server shuts down: connect again", RetryAfterMs: 1000}
	}
	if !w.doors.handshake(address) {
		return nil, 0, &tidemark.Error{Reason: tidemark.RateLimited, Message: "too many connections are being opened from your address", RetryAfterMs: 1000}
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return nil, 0, tidemark.Refuse(tidemark.BadArgument, "this is a WebSocket endpoint: connect with the subprotocol %s or %s", wire.SubprotocolProto, wire.SubprotocolJSON)
	}
	if !w.originAllowed(r) {
		return nil, 0, tidemark.Refuse(tidemark.NotAllowed, "pages of origin %q may not connect here: the server's setting of allowed origins decides", clip(r.Header.Get("Origin")))
	}
	format, ok := offered(r.Header.Values("Sec-WebSocket-Protocol"))
	if !ok {
		return nil, 0, tidemark.Refuse(tidemark.BadArgument, "offer the WebSocket subprotocol %s or %s", wire.SubprotocolProto, wire.SubprotocolJSON)
	}
	if r.Header.Get("Authorization") == "" {
		return nil, format, nil
	}
	identity, err := w.cfg.Auth.FromRequest(r)
	if err != nil {
		w.counts.refusedHellos.Add(1)
		return nil, 0, asRefusal(err)
	}
	if identity.User == "" {
		return nil, 0, tidemark.Refuse(tidemark.BadArgument, "the admin key is nobody's: name the user in the header %s", UserHeader)
	}
	return &identity, format, nil
}

// offered is the first subprotocol of ours in the client's order of preference.
func offered(values []string) (wire.Format, bool) {
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			if format, ok := wire.FormatOf(strings.TrimSpace(name)); ok {
				return format, true
			}
		}
	}
	return 0, false
}

// originAllowed lets pass what is no browser, the server's own pages, and the origins of the configuration.
func (w *WebSocket) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	for _, allowed := range w.cfg.Origins {
		if allowed == "*" || strings.EqualFold(allowed, origin) {
			return true
		}
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, r.Host)
}

// refuse answers over HTTP: the reason and what to do, as text.
func (w *WebSocket) refuse(rw http.ResponseWriter, r *http.Request, e *tidemark.Error) {
	w.counts.refused.Add(1)
	status := e.Reason.Info().Status
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && e.Reason == tidemark.BadArgument {
		status = http.StatusUpgradeRequired
		rw.Header().Set("Upgrade", "websocket")
	}
	if e.RetryAfterMs > 0 {
		rw.Header().Set("Retry-After", strconv.Itoa(int(e.RetryAfterMs+999)/1000))
	}
	if e.Reason == tidemark.BadToken {
		rw.Header().Set("WWW-Authenticate", "Bearer")
	}
	http.Error(rw, e.Error(), status)
}

func (w *WebSocket) addressOf(r *http.Request) netip.Addr {
	return ClientAddress(r.RemoteAddr, r.Header, w.cfg.Proxies)
}

// ClientAddress is the client's address of a request that came from remote (host:port); the zero value when it is not an
// IP address. Behind a proxy that is believed, it is the last address in X-Forwarded-For that is no such proxy.
func ClientAddress(remote string, header http.Header, proxies []netip.Prefix) netip.Addr {
	address := netip.Addr{}
	if host, _, err := net.SplitHostPort(remote); err == nil {
		address = parseAddress(host)
	}
	isProxy := func() bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(address) })
	}
	hops := strings.Split(strings.Join(header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && isProxy(); i-- {
		hop := parseAddress(strings.TrimSpace(hops[i]))
		if !hop.IsValid() {
			break
		}
		address = hop
	}
	return address
}

func parseAddress(text string) netip.Addr {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}

// asRefusal is the refusal in err; anything else is a fault of the server, which is not shown.
func asRefusal(err error) *tidemark.Error {
	var refusal *tidemark.Error
	if errors.As(err, &refusal) {
		return refusal
	}
	return tidemark.Refuse(tidemark.Internal, "the server has a fault: try again later")
}
