// SPDX-License-Identifier: Apache-2.0

// Calls from web pages of other origins: browsers ask first, and are told which origins may.

package server

import (
	"net/http"
	"slices"
	"strings"
)

// What pages of other origins may send and read: what Connect, gRPC-Web and Tidemark use.
var (
	corsRequestHeaders = strings.Join([]string{
		"Authorization", "Tidemark-User", "Content-Type", "Connect-Protocol-Version", "Connect-Timeout-Ms", "Grpc-Timeout", "X-Grpc-Web", "X-User-Agent",
	}, ", ")
	corsAnswerHeaders = strings.Join([]string{"Retry-After", "Grpc-Status", "Grpc-Message", "Grpc-Status-Details-Bin"}, ", ")
)

// corsMaxAge is how long a browser may remember the answer, seconds.
const corsMaxAge = "7200"

// withOrigins lets pages of these origins call; "*" is all. Identity is in a header and never in a cookie, so that no
// page can call in the name of somebody who merely visits it.
func withOrigins(origins []string, calls http.Handler) http.Handler {
	if len(origins) == 0 {
		return calls
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		w.Header().Add("Vary", "Origin")
		if origin != "" && slices.ContainsFunc(origins, func(allowed string) bool { return allowed == "*" || strings.EqualFold(allowed, origin) }) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", corsAnswerHeaders)
			if r.Method == http.MethodOptions {
				w.Header().Set("Access-Control-Allow-Methods", http.MethodPost)
				w.Header().Set("Access-Control-Allow-Headers", corsRequestHeaders)
				w.Header().Set("Access-Control-Max-Age", corsMaxAge)
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		calls.ServeHTTP(w, r)
	})
}
