// SPDX-License-Identifier: Apache-2.0

// Listening: the port of all protocols, and the profiler's.

package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"syscall"
	"time"
)

const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	requestTimeout  = 3 * time.Minute // from the first byte to the last, each way: longer than the longest call
	headerBytesMax  = 64 << 10
	streamsOfClient = 250 // HTTP/2 calls at once on one connection
)

// listen opens a port. Its errors say what to do.
func listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("server: another program listens on %s already; stop it, or listen elsewhere (port 0 picks a free port): %w", address, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("server: not allowed to listen on %s; ports below 1024 need the capability CAP_NET_BIND_SERVICE: %w", address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("server: %s is no address of this machine: %w", address, err)
	case err != nil:
		return nil, fmt.Errorf("server: listen on %s: %w", address, err)
	}
	return listener, nil
}

// newHTTPServer makes the server of all protocols: HTTP/1.1 and, without TLS too, HTTP/2, which gRPC needs.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: handler, Protocols: protocols, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streamsOfClient},
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: headerBytesMax,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// newDebugServer makes the server of the profiler.
func newDebugServer(log *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
}

// urlOf is how to reach a listener from this machine: an unspecified host becomes the loopback's.
func urlOf(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return "http://" + address.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
