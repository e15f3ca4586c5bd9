// SPDX-License-Identifier: Apache-2.0

// Arrows go down only. The table says for each package what it may import of this module and why nothing else; a
// package that is not in the table fails. Tests may import what they like: only what ends up in a program is held.

package tree

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// room is one package: what it may import of this module, and the reason that every other arrow is forbidden.
type room struct {
	may string // directories, separated by spaces; "root" is the vocabulary
	why string
}

var rooms = map[string]room{
	"root":             {"", "the vocabulary is known by everybody: whatever it imported, everybody would import"},
	"chain":            {"root", "server, SDK and verifier share one definition of the chain: it must not drag one of them into another"},
	"record":           {"root", "records are plain state: a replica applies them without knowing rules, wire or disk"},
	"wire":             {"root", "the wire is spoken by servers and clients alike: it can belong to neither"},
	"wire/wireconnect": {"wire", "generated from proto/: it holds no thought of ours"},

	"core":          {"root chain record wire", "rules are pure: with a store, a socket or a loop in reach they could not be run in a test by the million"},
	"core/coretest": {"root chain record wire core", "a partition in memory for tests of rules: pure, as the rules are"},
	"store":         {"root chain record", "the store keeps records and knows no rules: a rule in here would be applied by a replica a second time"},
	"store/faultfs": {"", "a disk that fails, for tests: it knows no keys and no records"},
	"journal":       {"root store", "a journal makes batches durable; if it knew what they say, every other journal would have to know it too"},

	"partition": {"root chain record wire core store journal", "a partition decides and commits; if it knew sessions or sockets, a slow client could stop it"},
	"session":   {"root chain record wire core partition", "a session is a cursor and a dirty set that submits commands; without sockets it can be stepped in a test"},
	"contract":  {"root record wire partition", "a contract compares what partitions show as committed with what a client holds; it decides and writes nothing, so it needs no rules and no store"},
	"gateway":   {"root wire partition session", "the gateway moves bytes and checks tokens; rules and records are behind partition and session"},
	"api":       {"root chain record wire wire/wireconnect core partition contract session gateway", "the API asks partitions; reading the store directly would show what is not yet durable"},
	"server":    {"root chain record wire wire/wireconnect core store journal partition contract session gateway api", "the composition knows every part of the server and no client"},

	"client/replica":   {"root chain wire", "the client's state machine is pure and runs in the simulator: no connection, no disk"},
	"client":           {"root chain wire wire/wireconnect client/replica", "apps embed the SDK: it must not bring the server with it"},
	"client/boltstore": {"root chain wire client client/replica", "apps embed the SDK: it must not bring the server with it"},

	"client/storetest": {"root client client/replica", "checks any store of an app: it must not bring the server with it"},
	"chat":             {"root wire client client/replica client/boltstore", "the terminal client is an app like any other: the SDK is all it has"},

	"irc":    {"root wire", "a log becomes a plan of calls; who makes the calls is not its business"},
	"verify": {"root record chain wire store core", "the verifier must find what the server got wrong: the partition's own code would repeat its mistake"},

	"bench":         {"root chain wire wire/wireconnect client client/replica irc internal/document", "a benchmark measures a server from outside, as a process: what it could call directly it would no longer measure"},
	"bench/schemes": {"root wire record core store store/faultfs journal partition session internal/document", "designs are compared over the store itself, in one process, where every row can be counted; a socket would add nothing but time"},
	"bench/replay":  {"root chain wire wire/wireconnect client client/replica client/boltstore irc bench", "the replay is a user of the server's process and of the SDK"},

	"sim/invariant":             {"root chain wire client/replica", "the promises are checked against the simulator and against real processes alike: whoever knows a server's inside would believe it"},
	"conformance":               {"root chain wire", "the kit checks any server from outside, over the wire; whatever it took from this server's code it would believe"},
	"conformance/hostile":       {"root chain wire wire/wireconnect", "a server that misbehaves for client SDKs in any language: with a client's code in reach it would be made for that one"},
	"conformance/hostile/drive": {"root client conformance/hostile", "it puts the Go SDK through the hostile server over the driver protocol, as drivers in other languages do"},

	"docs/model":  {"", "it runs spin over the model, and compares its README with the code as text"},
	"sim":         {"root chain record wire core store store/faultfs journal partition session contract client client/replica verify sim/invariant", "the simulator runs the real thing without sockets; the HTTP services and the gateway are goroutines around it"},
	"sim/mutants": {"sim internal/document", "it builds faults into the code and asks the simulator; it knows none of what it breaks"},

	"soak": {"root chain wire wire/wireconnect client client/replica client/boltstore bench sim/invariant", "the soak is a user of the server's process and of the SDK: what it could call directly would not be the binary"},

	"internal/document": {"", "it rewrites the tables of documents, whatever they say"},
	"internal/tree":     {"", "it reads files"},
	"cmd/tidemark":      {"*", ""},
}

// outside are the libraries that only some rooms may use, each with the reason.
var outside = []struct {
	library string // import path prefix
	rooms   string
	why     string
}{
	{"github.com/cockroachdb/pebble", "store store/faultfs journal verify bench/schemes sim cmd/tidemark", "the engine can only be replaced if nobody else has its types in hand"},
	{"github.com/gobwas/", "gateway conformance", "one place checks fragmentation, UTF-8 and control frames, and one sends what breaks the rules"},
	{"github.com/coder/websocket", "client conformance/hostile", "the SDK's own transport, and that of the server which provokes SDKs: no bug of the true server may hide in it"},
	{"github.com/golang-jwt/jwt", "gateway", "tokens are checked in one place"},
	{"github.com/alecthomas/kong", "cmd/tidemark", "only the command line reads flags and environment"},
	{"github.com/goccy/go-yaml", "cmd/tidemark api", "only the command line reads configuration files; the API writes its OpenAPI document"},
	{"github.com/prometheus/", "server api gateway partition session cmd/tidemark", "rules, store and SDK are not measured by Prometheus but by who calls them"},
	{"go.etcd.io/bbolt", "client/boltstore", "an app that keeps its state elsewhere should not link it"},
	{"charm.land/", "chat", "one room draws on terminals"},
	{"github.com/HdrHistogram/", "bench bench/replay", "the server's own histograms are Prometheus's"},
}

// pure are the rooms that must run in a simulator: time, chance and the world come in as values.
var pure = []string{"root", "chain", "record", "core", "client/replica"}

// impure are the standard packages that would bring the world in.
var impure = []string{"context", "crypto/rand", "io", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "sync", "sync/atomic", "syscall", "time"}

func TestArrowsGoDown(t *testing.T) {
	tree := readTree(t)
	seen := map[string]bool{}
	for _, f := range tree.files {
		name := roomName(f.dir)
		r, known := rooms[name]
		if !known {
			t.Errorf("%s: package %q is not in the table of internal/tree/imports_test.go: add it, with what it may import and why", f.path, name)
			continue
		}
		seen[name] = true
		if f.test {
			continue
		}
		may := strings.Fields(r.may)
		for _, spec := range f.ast.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			inner, ours := strings.CutPrefix(imported, module)
			if ours && r.may != "*" && !slices.Contains(may, roomName(strings.TrimPrefix(inner, "/"))) {
				t.Errorf("%s:%d: %s may not import %s: %s", f.path, tree.at(spec), name, imported, r.why)
			}
			checkOutside(t, tree, f, name, imported, tree.at(spec))
		}
	}
	if len(seen) < 5 {
		t.Errorf("only %d packages of the table were seen: %v", len(seen), seen)
	}
}

func checkOutside(t *testing.T, tree *source, f *sourceFile, name, imported string, line int) {
	for _, library := range outside {
		if strings.HasPrefix(imported, library.library) && !slices.Contains(strings.Fields(library.rooms), name) {
			t.Errorf("%s:%d: %s may not import %s: %s", f.path, line, name, imported, library.why)
		}
	}
	if slices.Contains(pure, name) && slices.Contains(impure, imported) {
		t.Errorf("%s:%d: %s may not import %s: it runs in the simulator, so time, chance and the world come in as values", f.path, line, name, imported)
	}
}

// The table itself must not contain a circle: then "down" would mean nothing.
func TestTheTableHasADirection(t *testing.T) {
	const visiting, done = 1, 2
	state := map[string]int{}
	var visit func(name string, trail []string)
	visit = func(name string, trail []string) {
		if state[name] == done || rooms[name].may == "*" {
			return
		}
		if state[name] == visiting {
			t.Fatalf("the table of imports goes in a circle: %s", strings.Join(append(trail, name), " -> "))
		}
		state[name] = visiting
		for _, next := range strings.Fields(rooms[name].may) {
			if _, known := rooms[next]; !known {
				t.Errorf("%s may import %q, which is not in the table", name, next)
			}
			visit(next, append(trail, name))
		}
		state[name] = done
	}
	for name := range rooms {
		visit(name, nil)
	}
}

func roomName(dir string) string {
	if dir == "" {
		return "root"
	}
	return dir
}
