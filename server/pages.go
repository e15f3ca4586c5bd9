// SPDX-License-Identifier: Apache-2.0

// What the server says of itself over plain HTTP: alive, ready, and what this is.

package server

import (
	"fmt"
	"html/template"
	"net/http"
	"strconv"

	"github.com/tidemark-im/tidemark/api"

	_ "embed"
)

//go:embed home.html
var homeText string

var homePage = template.Must(template.New("home").Parse(homeText))

// handleHealth answers that the process is alive, whatever else is wrong with it.
func handleHealth(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, "alive\n")
}

// handleReady answers whether the server accepts writes, and if not, why not.
func (s *Server) handleReady(w http.ResponseWriter, _ *http.Request) {
	state, ready := s.state()
	status := http.StatusOK
	if !ready {
		status = http.StatusServiceUnavailable
	}
	writeText(w, status, state+"\n")
}

// handleHome answers "/" with what this is and how to begin, and every unknown path with 404.
func (s *Server) handleHome(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		writeText(w, http.StatusNotFound, "there is nothing here; / says what there is\n")
		return
	}
	state, ready := s.state()
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	_ = homePage.Execute(w, map[string]any{ // fails only when the reader has gone
		"Version": s.config.Version, "State": state, "Ready": ready, "URL": fmt.Sprintf("%s://%s", scheme, r.Host),
	})
}

// openAPIHandler serves the OpenAPI document, made once.
func openAPIHandler(version string) (http.HandlerFunc, error) {
	document, err := api.OpenAPI(version)
	if err != nil {
		return nil, err
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		w.Header().Set("Content-Length", strconv.Itoa(len(document)))
		_, _ = w.Write(document) // fails only when the reader has gone
	}, nil
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, text) // fails only when the reader has gone
}
