// SPDX-License-Identifier: Apache-2.0

// docs/api.md is made of calls that were really made: each method with what was asked and answered, how it refuses, and
// what it cost. `go test ./server -run TestAPIDocument -update` writes it.

package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/tidemark-im/tidemark/wire"
)

var update = flag.Bool("update", false, "write docs/api.md instead of comparing with it")

const apiDocument = "../docs/api.md"

// example is one call, made in the order of the table below.
type example struct {
	method  string
	as      string // a user's id: for that user; "app": for the app itself
	body    string
	cost    string   // what the counted figures grow with, in words
	refused []refuse // how it is refused
	hidden  bool     // only prepares what follows: not in the document
	status  int      // of the answer; 0: 200
	settle  bool     // it also writes what is saved lazily, within a second
}

type refuse struct{ as, body, why string }

// stranger is a call of somebody who is not in the conversation.
func stranger(body string) refuse { return refuse{"mallory", body, "who is not a member"} }

func TestAPIDocument(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	methods := methodComments(t, n)
	epoch := n.ok(n.app("AdminService/Stats", `{}`)).at("epoch").(string)
	sections := map[string]string{}
	for _, e := range examples {
		e.body = strings.ReplaceAll(e.body, "EPOCH", epoch)
		section := n.document(e, methods[e.method])
		if !e.hidden {
			sections[e.method] += section
		}
	}
	var text bytes.Buffer
	text.WriteString(apiIntroduction)
	services := wire.File_tidemark_v1_services_proto.Services()
	for i := range services.Len() {
		fmt.Fprintf(&text, "\n## %s\n", services.Get(i).Name())
		for j := range services.Get(i).Methods().Len() {
			method := string(services.Get(i).Name()) + "/" + string(services.Get(i).Methods().Get(j).Name())
			if sections[method] == "" {
				t.Errorf("%s has no example", method)
			}
			text.WriteString(sections[method])
			delete(sections, method)
		}
	}
	listed, err := os.ReadFile("../PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range services.Len() {
		_, names, _ := strings.Cut(string(listed), "`"+string(services.Get(i).Name())+"` ")
		names, _, _ = strings.Cut(strings.ReplaceAll(names, "\n", " "), " · ")
		for j := range services.Get(i).Methods().Len() {
			if name := string(services.Get(i).Methods().Get(j).Name()); !regexp.MustCompile(`\b` + name + `\b`).MatchString(names) {
				t.Errorf("PROTOCOL.md, section 5, does not list %s of %s", name, services.Get(i).Name())
			}
		}
	}
	for _, method := range slices.Sorted(maps.Keys(sections)) {
		t.Errorf("%s is not a method", method)
	}
	if *update {
		if err := os.WriteFile(apiDocument, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	written, err := os.ReadFile(apiDocument)
	if err != nil {
		t.Fatal(err)
	}
	sameDocument(t, string(written), text.String())
}

// sameDocument compares line by line; figures of cost may differ by a tenth, because times and ids have several lengths.
func sameDocument(t *testing.T, written, made string) {
	a, b := strings.Split(written, "\n"), strings.Split(made, "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] && !sameCost(a[i], b[i]) {
			t.Fatalf("docs/api.md is stale at line %d: run go test ./server -run TestAPIDocument -update\nhas  %s\nwant %s", i+1, line(a, i), line(b, i))
		}
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}

var figures = regexp.MustCompile(`\d+`)

func sameCost(a, b string) bool {
	if !strings.HasPrefix(a, "Cost: ") || figures.ReplaceAllString(a, "0") != figures.ReplaceAllString(b, "0") {
		return false
	}
	x, y := figures.FindAllString(a, -1), figures.FindAllString(b, -1)
	for i := range x {
		p, _ := strconv.Atoi(x[i])
		q, _ := strconv.Atoi(y[i])
		slack := max(p, q)/10 + 2
		if strings.HasPrefix(a, "Cost: about ") {
			slack += 60 // whether a device is seen once more meanwhile is a matter of time
		}
		if max(p-q, q-p) > slack {
			return false
		}
	}
	return true
}

// methodComments are what the protocol's definition says about each method.
func methodComments(t *testing.T, n *node) map[string]string {
	var doc struct {
		Paths map[string]struct {
			Post struct{ Summary, Description string }
		}
	}
	if err := yaml.Unmarshal([]byte(n.get("/openapi.yaml").text), &doc); err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for path, of := range doc.Paths {
		comments[strings.TrimPrefix(path, "/tidemark.v1.")] = strings.Join(strings.Fields(of.Post.Description), " ")
	}
	return comments
}

// document makes the calls of an example and writes its section.
func (n *node) document(e example, comment string) string {
	n.t.Helper()
	call := func(as, body string) answer {
		if as == "app" {
			return n.app(e.method, body)
		}
		return n.as(as, e.method, body)
	}
	n.quiet()
	before := n.counted()
	a := call(e.as, e.body)
	if e.settle {
		time.Sleep(1300 * time.Millisecond)
	}
	n.quiet()
	after := n.counted()
	if a.status != max(e.status, 200) {
		n.t.Errorf("%s %s: status %d: %s", e.method, e.body, a.status, a.text)
	}
	var s strings.Builder
	fmt.Fprintf(&s, "\n### %s\n\n%s\n\n", e.method, comment)
	who := "as `" + e.as + "`"
	if e.as == "app" {
		who = "as the app"
	}
	fmt.Fprintf(&s, "%s:\n\n```json\n%s\n```\n\nanswers\n\n```json\n%s\n```\n", strings.ToUpper(who[:1])+who[1:], pretty(stable(e.body)), pretty(stable(a.text)))
	if len(e.refused) > 0 {
		fmt.Fprintf(&s, "\n| refused | with |\n|---|---|\n")
	}
	for _, r := range e.refused {
		key := n.key
		if r.as != "app" { // with a token of its own: the admin key may do more
			key = n.token(r.as)
		}
		refusal := n.post(e.method, r.body, "Authorization: Bearer "+key)
		if refusal.reason() == "" {
			n.t.Errorf("%s %s as %s is not refused: %s", e.method, r.body, r.as, refusal.text)
		}
		fmt.Fprintf(&s, "| %s | `%s` |\n", r.why, refusal.reason())
	}
	cost := e.cost
	if cost != "" {
		cost = "; " + cost
	}
	about := ""
	if e.settle {
		about = "about "
	}
	fmt.Fprintf(&s, "\nCost: %s%d commits, %d bytes written, %d look-ups in the store%s.\n",
		about, after.commits-before.commits, after.bytes-before.bytes, after.reads-before.reads, cost)
	return s.String()
}

type countedFigures struct{ commits, bytes, reads int }

// counted are the figures that a call moves.
func (n *node) counted() (c countedFigures) {
	for line := range strings.SplitSeq(n.get("/metrics").text, "\n") {
		name, value, _ := strings.Cut(line, " ")
		v, _ := strconv.ParseFloat(value, 64)
		switch name, _, _ = strings.Cut(name, "{"); name {
		case "tidemark_commits_total":
			c.commits += int(v)
		case "tidemark_journal_bytes_total":
			c.bytes += int(v)
		case "tidemark_cache_misses_total":
			c.reads += int(v)
		}
	}
	return c
}

// quiet waits until nothing is written any more.
func (n *node) quiet() {
	last, since := n.counted(), time.Now()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if now := n.counted(); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > 15*time.Millisecond {
			return
		}
	}
}

// stable replaces what differs from run to run.
func stable(text string) string {
	for _, r := range []struct{ find, put string }{
		{`"(\w*[dD]igest|salt|bodyHash|seal|headSeal)":"[^"]+"`, `"$1":"…"`},
		{`"path":"[^"]*/backups/([^"]+)","bytes":"\d+"`, `"path":"/var/lib/tidemark/backups/$1","bytes":"21904318"`},
		{`"positions":\["[0-9",]*\]`, `"positions":["1027","998","1101","1004"]`},
		{`"(token|sessionId|address|version|pageToken|nextPageToken|listVersion|infoVersion|membersVersion|nickname|avatar|custom)":"[A-Za-z0-9_\-.+/=]{9,}"`, `"$1":"…"`},
		{`"(id)":"\d{12,}"`, `"$1":"7312849104"`},
		{`"(epoch)":"\d+"`, `"$1":"1"`},
		{`"(position|events|queued|infoVersion|membersVersion|\d+)":"\d+"`, `"$1":"7"`}, // how far partitions have come
		{`"(uptimeMs|diskBytes|diskFreeBytes|connectedMs|bytesOut)":"\d+"`, `"$1":"1000"`},
		{`"(\w*Ms)":"\d{13}"`, `"$1":"1795341600000"`},
	} {
		text = regexp.MustCompile(r.find).ReplaceAllString(text, r.put)
	}
	return text
}

// pretty indents JSON, keeping the order of its members.
func pretty(text string) string {
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(text), "", "  "); err != nil {
		return text
	}
	return out.String()
}
