// SPDX-License-Identifier: Apache-2.0

// Random histories of a group (who joins, leaves and comes back; what is written, edited, recalled, erased, deleted and
// cleared; who may see what was before), and on no path anybody is told a text that brute force says they may not see.

package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-im/tidemark/server"
)

// told is an event of the model. Texts are words that occur nowhere else.
type told struct {
	word   string // of a message, an edit, a reaction; "" of all else
	about  int    // of an edit or a reaction: its message
	root   int
	sender string
	edits  []int
	gone   bool              // recalled or erased; then its edits are as well
	by     map[string]string // reactions in force: by user, the word
}

// gossip is a model of one group: what happened, kept in the simplest way.
type gossip struct {
	*node
	r       *rand.Rand
	id      string
	tokens  map[string]string
	words   int
	calls   int
	log     []told         // log[seq]; log[0] is nothing
	since   map[string]int // members: the first seq that each was given to see
	cleared map[string]int
	deleted map[string]map[int]bool
	open    bool // who joins sees what was before
	cursors map[string]string
	ever    map[string]map[string]bool // words that each user might see at some time
}

var gossips = []string{"ann", "ben", "cat", "dan"}

func (g *gossip) from(user string) int {
	since, member := g.since[user]
	if !member {
		return len(g.log)
	}
	return max(since, g.cleared[user]+1)
}

// sees reports whether a user sees what the event at seq says.
func (g *gossip) sees(user string, seq int) bool {
	e := g.log[seq]
	edit := e.word != "" && e.about > 0 && e.by == nil
	switch {
	case seq < g.from(user), e.gone, g.deleted[user][seq]:
		return false
	case edit && (e.about < g.from(user) || g.log[e.about].gone || g.deleted[user][e.about]):
		return false
	}
	return true
}

// may are the words that a user may be told now.
func (g *gossip) may(user string) map[string]bool {
	words := map[string]bool{}
	for seq := 1; seq < len(g.log); seq++ {
		if !g.sees(user, seq) {
			continue
		}
		words[g.log[seq].word] = true
		for _, word := range g.log[seq].by {
			words[word] = true
		}
	}
	return words
}

// shown is what a page of history shows of an event.
func (g *gossip) shown(user string, seq int) string {
	switch e := g.log[seq]; {
	case !g.sees(user, seq):
		return ""
	case len(e.edits) > 0:
		return g.log[e.edits[len(e.edits)-1]].word
	default:
		return e.word
	}
}

var wordPattern = regexp.MustCompile(`tok[0-9]+z`)

// wordsIn finds the words in an answer, also in encoded bodies, and the seqs of events, but for what is of other groups.
func wordsIn(group string, value any, words map[string]bool, seqs map[int]bool) {
	switch v := value.(type) {
	case map[string]any:
		of, _ := v["conversation"].(string)
		if id, is := v["id"].(string); is && (v["headSeq"] != nil || v["removed"] != nil) {
			of = id
		}
		if of != "" && of != group {
			return
		}
		if seq, is := v["seq"].(string); is && v["id"] != nil && v["sender"] != nil && v["partition"] == nil {
			n, _ := strconv.Atoi(seq)
			seqs[n] = true
		}
		for key, inner := range v {
			wordsIn(group, key, words, seqs)
			wordsIn(group, inner, words, seqs)
		}
	case []any:
		for _, inner := range v {
			wordsIn(group, inner, words, seqs)
		}
	case string:
		if raw, err := base64.StdEncoding.DecodeString(v); err == nil {
			v += string(raw)
		}
		for _, word := range wordPattern.FindAllString(v, -1) {
			words[word] = true
		}
	}
}

// scan fails the test if an answer tells a user what it may not see, now or (within) at some time.
func (g *gossip) scan(user, path string, body any, within map[string]bool) {
	g.t.Helper()
	words, seqs := map[string]bool{}, map[int]bool{}
	wordsIn(g.id, body, words, seqs)
	for word := range words {
		if !within[word] {
			g.t.Errorf("%s tells %s %s, which it may not see", path, user, word)
		}
	}
	for seq := range seqs {
		if within["now"] && seq < g.from(user) {
			g.t.Errorf("%s tells %s of event %d; it sees what is from %d on", path, user, seq, g.from(user))
		}
	}
	if g.t.Failed() {
		g.tellLog()
	}
}

func (g *gossip) tellLog() {
	g.t.Helper()
	for seq, e := range g.log {
		g.t.Logf("%d %+v", seq, e)
	}
	g.t.Fatalf("since %v cleared %v deleted %v", g.since, g.cleared, g.deleted)
}

// ask asks with a user's own token, and scans what is answered, refusals too.
func (g *gossip) ask(user, method, body string) answer {
	g.t.Helper()
	g.calls++
	a := g.post(method, body, "Authorization: Bearer "+g.tokens[user])
	may := g.may(user)
	may["now"] = true
	g.scan(user, method+" "+body, a.body, may)
	return a
}

// submit submits as a user, and answers the seq, 0 if that was refused.
func (g *gossip) submit(user, what string) int {
	g.words++
	a := g.ask(user, "MessageService/Submit", fmt.Sprintf(`{"conversation":"%s","clientId":"c%d",%s}`, g.id, g.words, what))
	if a.status != 200 {
		return 0
	}
	seq, _ := strconv.Atoi(a.at("seq").(string))
	return g.append(seq, told{sender: user})
}

// append adds an event that the server says it has appended.
func (g *gossip) append(seq int, e told) int {
	g.t.Helper()
	if seq != len(g.log) {
		g.t.Fatalf("the next event is %d, want %d", seq, len(g.log))
	}
	g.log = append(g.log, e)
	return seq
}

// manage changes the group as ann.
func (g *gossip) manage(method, body string) int {
	g.t.Helper()
	a := g.ok(g.as("ann", "ConversationService/"+method, `{"conversation":"`+g.id+`",`+body+`}`))
	seq, _ := strconv.Atoi(a.at("headSeq").(string))
	return g.append(seq, told{sender: "ann"})
}

// happen lets one thing happen.
func (g *gossip) happen() {
	user, target := gossips[g.r.IntN(len(gossips))], 1+g.r.IntN(len(g.log)-1)
	for range 4 { // rather a message, and one that was edited
		if e := g.log[target]; e.word == "" || e.about > 0 || e.gone || len(e.edits) == 0 && g.r.IntN(2) == 0 {
			target = 1 + g.r.IntN(len(g.log)-1)
		}
	}
	word := fmt.Sprintf("tok%dz", g.words+1)
	_, member := g.since[user]
	switch what := g.r.IntN(20); {
	case what < 6:
		thread := ""
		if g.r.IntN(3) == 0 {
			thread = fmt.Sprintf(`,"thread":"%d"`, target)
		}
		if seq := g.submit(user, `"message":{"text":"`+word+`","mentionAll":true,"mentions":["ben","cat","dan"]`+thread+`}`); seq > 0 {
			g.log[seq].word = word
			if thread != "" {
				g.log[seq].root = target
			}
		}
	case what < 9:
		if seq := g.submit(g.author(target, user), fmt.Sprintf(`"edit":{"seq":"%d","message":{"text":"%s"}}`, target, word)); seq > 0 {
			g.log[seq].word, g.log[seq].about = word, target
			g.log[target].edits = append(g.log[target].edits, seq)
		}
	case what < 10:
		if seq := g.submit(g.author(target, user), fmt.Sprintf(`"recall":{"seq":"%d"}`, target)); seq > 0 {
			g.forget(target)
		}
	case what < 11:
		a := g.app("MessageService/Erase", fmt.Sprintf(`{"conversation":"%s","seq":"%d"}`, g.id, target))
		if a.status == 200 && a.at("duplicate") == nil {
			seq, _ := strconv.Atoi(a.at("seq").(string))
			g.append(seq, told{})
			g.forget(target)
		}
	case what < 13:
		if seq := g.submit(user, fmt.Sprintf(`"reaction":{"seq":"%d","key":"%s"}`, target, word)); seq > 0 {
			g.log[seq].word, g.log[seq].about, g.log[seq].by = word, target, map[string]string{}
			if g.log[target].by == nil {
				g.log[target].by = map[string]string{}
			}
			g.log[target].by[word] = word
		}
	case what < 14:
		g.submit("ann", fmt.Sprintf(`"pin":{"seq":"%d"}`, target))
	default:
		g.change(user, target, what, member)
	}
	for _, user := range gossips {
		maps.Copy(g.ever[user], g.may(user))
	}
}

// change lets a user delete or clear for itself, or changes who is a member and what newcomers see.
func (g *gossip) change(user string, target, what int, member bool) {
	switch {
	case what < 15 && member:
		if a := g.ask(user, "MessageService/Delete", fmt.Sprintf(`{"conversation":"%s","seqs":["%d"]}`, g.id, target)); a.status == 200 && target >= g.from(user) {
			if g.deleted[user] == nil {
				g.deleted[user] = map[int]bool{}
			}
			g.deleted[user][target] = true
		}
	case what < 16 && member && g.r.IntN(2) == 0:
		g.ok(g.ask(user, "MessageService/Clear", fmt.Sprintf(`{"conversation":"%s","seq":"%d"}`, g.id, target)))
		if target >= g.from(user) { // what is not visible is not there to be cleared
			g.cleared[user] = target
		}
	case what < 17:
		g.open = !g.open
		g.manage("Update", fmt.Sprintf(`"settings":{"historyFromStart":%t}`, g.open))
	case what < 20 && user != "ann" && member:
		g.manage("RemoveMembers", `"members":["`+user+`"]`)
		delete(g.since, user)
	case what < 20 && user != "ann":
		seq := g.manage("AddMembers", `"members":["`+user+`"]`)
		if g.since[user] = seq; g.open {
			g.since[user] = 1
		}
	}
}

// author is whoever wrote a message, as a rule: others are refused.
func (g *gossip) author(seq int, other string) string {
	if g.log[seq].sender == "" || g.r.IntN(5) == 0 {
		return other
	}
	return g.log[seq].sender
}

func (g *gossip) forget(seq int) {
	g.log[seq].gone, g.log[seq].by = true, nil
	for _, edit := range g.log[seq].edits {
		g.log[edit].gone = true
	}
}

// look asks on every path, as a user.
func (g *gossip) look(user string) {
	g.t.Helper()
	c := `"conversation":"` + g.id + `"`
	_, member := g.since[user]
	from, head := g.from(user), len(g.log)-1
	var want []string
	for seq := from; seq <= head; seq++ {
		want = append(want, fmt.Sprint(seq, " ", g.shown(user, seq)))
	}
	for _, page := range []string{`"after":"0"`, `"latest":true`, fmt.Sprintf(`"before":"%d"`, head+1), `"at":"1"`, fmt.Sprintf(`"hour":"%d"`, time.Now().UnixMilli())} {
		a := g.ask(user, "MessageService/Fetch", `{`+c+`,"limit":500,`+page+`}`)
		if (a.status == 200) != member {
			g.t.Fatalf("Fetch %s by %s, member %t: %s", page, user, member, a.text)
		}
		if member && !slices.Equal(pageOf(a), want) {
			g.t.Errorf("Fetch %s shows %s\n%q, want\n%q", page, user, pageOf(a), want)
			g.tellLog()
		}
	}
	for range 3 {
		g.ask(user, "MessageService/Fetch", fmt.Sprintf(`{%s,"after":"%d","limit":%d}`, c, g.r.IntN(head+1), 1+g.r.IntN(3)))
		g.ask(user, "MessageService/Fetch", fmt.Sprintf(`{%s,"before":"%d","limit":%d}`, c, 1+g.r.IntN(head+2), 1+g.r.IntN(3)))
		target := 1 + g.r.IntN(head)
		for method, named := range map[string]string{"Fetch": "thread", "Reactions": "seq", "Receipts": "seq", "Trace": "seq"} {
			a := g.ask(user, "MessageService/"+method, fmt.Sprintf(`{%s,"%s":"%d"}`, c, named, target))
			if a.status == 200 && target < from {
				g.t.Errorf("%s of %d answers %s, who sees what is from %d on: %s", method, target, user, from, a.text)
			}
		}
		forward := fmt.Sprintf(`"message":{"text":"tok%dz","forwarded":{%s,"seq":"%d","sender":"%s"}}`, g.r.IntN(g.words+1), c, target, g.log[target].sender)
		g.ask(user, "MessageService/Submit", fmt.Sprintf(`{"conversation":"own-%s","clientId":"f%d",%s}`, user, g.calls, forward))
		if a := g.ask(user, "SyncService/Verify", fmt.Sprintf(`{%s,"seq":"%d"}`, c, target)); (a.status == 200) != (member && target >= from-1) {
			g.t.Errorf("Verify of %d answers %s, who sees what is from %d on: %s", target, user, from, a.text)
		}
	}
	for method, body := range map[string]string{
		"MessageService/Pins": `{` + c + `}`, "MessageService/Mentions": `{` + c + `}`, "ConversationService/Get": `{` + c + `}`,
		"ConversationService/ListMembers": `{` + c + `}`,
	} {
		if a := g.ask(user, method, body); (a.status == 200) != member {
			g.t.Errorf("%s answers %s, member %t: %s", method, user, member, a.text)
		}
	}
	g.ask(user, "MessageService/Mentions", `{}`)
	g.ask(user, "ConversationService/List", `{}`)
	g.ask(user, "SyncService/Changes", `{"groups":{},"groupMembers":[{`+c+`}],"contacts":{},"profiles":{"users":["ann"]}}`)
	g.hours(user, from, head)
	pulled := g.ask(user, "SyncService/Pull", `{"deviceId":"new","platform":"test","tail":500,"cursor":{}}`)
	words := map[string]bool{}
	wordsIn(g.id, pulled.body["conversations"], words, map[int]bool{})
	for seq := from; seq <= head; seq++ {
		if word := g.log[seq].word; word != "" && g.sees(user, seq) && !words[word] {
			g.t.Errorf("a new device of %s is not told event %d, %s: %s", user, seq, word, pulled.text)
		}
	}
	g.pull(user)
}

// hours checks that the hour index counts what the user sees.
func (g *gossip) hours(user string, from, head int) {
	g.t.Helper()
	a := g.ask(user, "MessageService/Hours", `{"conversation":"`+g.id+`"}`)
	first, count := head+1, 0
	for i := 0; a.at("hours", fmt.Sprint(i)) != nil; i++ {
		seq, _ := strconv.Atoi(a.at("hours", fmt.Sprint(i), "firstSeq").(string))
		first, count = min(first, seq), count+int(a.at("hours", fmt.Sprint(i), "count").(float64))
	}
	if a.status == 200 && (first != from || count != head+1-from) {
		g.t.Errorf("the hours of %s begin at %d and have %d events; it sees %d..%d", user, first, count, from, head)
	}
}

// pull brings a user's device up to date.
func (g *gossip) pull(user string) {
	g.t.Helper()
	cursor := g.cursors[user]
	if cursor == "" {
		cursor = `{}`
	}
	a := g.ok(g.ask(user, "SyncService/Pull", `{"deviceId":"old","platform":"test","tail":500,"cursor":`+cursor+`}`))
	next, err := json.Marshal(a.at("cursor"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.cursors[user] = string(next)
}

// pageOf is what the events of a page show.
func pageOf(a answer) (page []string) {
	list, _ := a.at("events").([]any)
	for _, e := range list {
		event := e.(map[string]any)
		words := map[string]bool{}
		wordsIn("", event["body"], words, map[int]bool{})
		page = append(page, fmt.Sprint(event["seq"], " ", strings.Join(slices.Sorted(maps.Keys(words)), "+")))
	}
	return page
}

// overhear gathers what a connection is told until it is closed.
func (g *gossip) overhear(user string) (stop func() []map[string]any) {
	s := g.connect(g.tokens[user], `{"hello":{"deviceId":"live","platform":"test"}}`)
	s.until("synced")
	heard := make(chan []map[string]any, 1)
	go func() {
		var frames []map[string]any
		for {
			_, text, err := s.c.Read(context.Background())
			if err != nil {
				break
			}
			var frame map[string]any
			_ = json.Unmarshal(text, &frame)
			frames = append(frames, frame)
			if frame["pong"] != nil {
				break
			}
		}
		heard <- frames
	}()
	return func() []map[string]any {
		defer s.c.CloseNow()
		s.send(`{"ping":{"request":"9"}}`)
		return <-heard
	}
}

func TestNoPathTellsWhatOneMayNotSee(t *testing.T) {
	n := start(t, t.TempDir(), func(c *server.Config) { c.CallsPerSecond = 1e6 })
	n.users(gossips...)
	tokens, calls := map[string]string{}, 0
	for _, user := range gossips {
		tokens[user] = n.token(user)
		n.group("own-"+user, user)
	}
	for seed := range uint64(12) {
		g := &gossip{
			node: n, r: rand.New(rand.NewPCG(seed, 5)), id: fmt.Sprint("group-", seed), tokens: tokens, log: make([]told, 2), words: int(seed) * 1000,
			since: map[string]int{"ann": 1, "ben": 1}, cleared: map[string]int{}, deleted: map[string]map[int]bool{}, cursors: map[string]string{},
			ever: map[string]map[string]bool{},
		}
		n.ok(n.as("ann", "ConversationService/Create", `{"id":"`+g.id+`","members":["ben"]}`))
		heard := map[string]func() []map[string]any{}
		for _, user := range gossips {
			g.ever[user], heard[user] = map[string]bool{}, g.overhear(user)
		}
		for step := range 80 {
			g.happen()
			if g.r.IntN(4) == 0 {
				g.pull(gossips[g.r.IntN(len(gossips))])
			}
			if step%20 == 19 {
				for _, user := range gossips {
					g.look(user)
				}
			}
		}
		for user, stop := range heard {
			for _, frame := range stop() {
				g.scan(user, "a connection", frame, g.ever[user])
			}
		}
		calls += g.calls
	}
	t.Log(calls, "calls")
	n.wholeAfterwards()
}
