// SPDX-License-Identifier: Apache-2.0

// History over HTTP: pages in every direction against the whole log, the hour index, what members may see, and Trace.

package server_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const hour = 3600 * 1000

// past is one imported event.
type past struct{ seq, timeMs uint64 }

// importHistory makes a group with count messages of uneven hours and answers the whole log, event 1 included.
func importHistory(t *testing.T, n *node, count int) []past {
	t.Helper()
	n.users("alice", "bob", "carol")
	const since = 1_600_000_000_000
	n.ok(n.app("ConversationService/Create", fmt.Sprintf(`{"id":"log","members":["alice","bob"],"createdMs":"%d"}`, since)))
	random := rand.New(rand.NewPCG(1, 2))
	now := uint64(since)
	var entries []string
	for i := range count {
		if random.IntN(10) == 0 {
			now += uint64(random.IntN(3)) * hour
		}
		now += uint64(random.IntN(200_000))
		entries = append(entries, fmt.Sprintf(`{"timeMs":"%d","clientId":"i%d","user":"%s","message":{"text":"m%d"}}`, now, i, []string{"alice", "bob"}[i%2], i))
	}
	a := n.ok(n.app("AdminService/Import", `{"conversation":"log","entries":[`+strings.Join(entries, ",")+`]}`))
	if a.at("appended") != strconv.Itoa(count) {
		t.Fatalf("%s", a.text)
	}
	if a := n.ok(n.app("AdminService/Import", `{"conversation":"log","entries":[`+strings.Join(entries[:5], ",")+`]}`)); a.at("skipped") != "5" {
		t.Errorf("the same entries again: %s", a.text)
	}
	events := fetched(t, n.ok(n.app("MessageService/Fetch", `{"conversation":"log","after":"0","limit":500}`)))
	if len(events) != count+1 {
		t.Fatalf("%d events", len(events))
	}
	return events
}

// fetched are the events of an answer.
func fetched(t *testing.T, a answer) (events []past) {
	t.Helper()
	list, _ := a.at("events").([]any)
	for i := range list {
		e := past{number(t, a.at("events", strconv.Itoa(i), "seq")), number(t, a.at("events", strconv.Itoa(i), "timeMs"))}
		events = append(events, e)
	}
	return events
}

func number(t *testing.T, v any) uint64 {
	t.Helper()
	text, _ := v.(string)
	if text == "" {
		return 0
	}
	x, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// checkPage compares a page with what it must be, and its hasMore and prevDigest with each other's meaning.
func checkPage(t *testing.T, n *node, ask string, want []past, more bool) {
	t.Helper()
	a := n.ok(n.as("bob", "MessageService/Fetch", `{"conversation":"log",`+ask+`}`))
	if got := fetched(t, a); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", ask, got, want)
	}
	if has := a.at("hasMore") == true; has != more {
		t.Errorf("%s: hasMore %v, want %v", ask, has, more)
	}
	if len(want) > 0 {
		verify := n.ok(n.as("alice", "SyncService/Verify", fmt.Sprintf(`{"conversation":"log","seq":"%d"}`, max(want[0].seq-1, 1))))
		if want[0].seq > 1 && a.at("prevDigest") != verify.at("digest") {
			t.Errorf("%s: prevDigest %v, Verify says %v", ask, a.at("prevDigest"), verify.at("digest"))
		}
	}
}

func TestFetchAgainstTheWholeLog(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	all := importHistory(t, n, 300)
	head := len(all)
	for _, limit := range []int{1, 7, 50, 500} {
		for _, at := range []int{0, 1, 2, 49, 50, 150, head - 1, head, head + 5} {
			low := min(at, head)
			page := all[low:min(low+limit, head)]
			checkPage(t, n, fmt.Sprintf(`"after":"%d","limit":%d`, at, limit), page, len(page) > 0 && low+limit < head)
			if at > 0 {
				high := min(at-1, head)
				page := all[max(high-limit, 0):high]
				checkPage(t, n, fmt.Sprintf(`"before":"%d","limit":%d`, at, limit), page, len(page) > 0 && high-limit > 0)
			}
		}
		checkPage(t, n, fmt.Sprintf(`"latest":true,"limit":%d`, limit), all[max(head-limit, 0):], limit < head)
	}
	checkPage(t, n, `"after":"18446744073709551615","limit":5`, nil, false)
	for i := 0; i < head; i += 11 { // jump to a time
		for _, timeMs := range []uint64{all[i].timeMs, all[i].timeMs + 1, all[i].timeMs - 1} {
			first, _ := slices.BinarySearchFunc(all, timeMs, func(e past, at uint64) int {
				if e.timeMs < at {
					return -1
				}
				return 1
			})
			page := all[first:min(first+3, head)]
			checkPage(t, n, fmt.Sprintf(`"at":"%d","limit":3`, timeMs), page, first+3 < head)
		}
	}
	for i := 0; i < head; i += 13 { // the last of an hour, and of empty hours
		for _, timeMs := range []uint64{all[i].timeMs, all[i].timeMs + hour, all[i].timeMs - hour} {
			checkPage(t, n, fmt.Sprintf(`"hour":"%d","limit":4`, timeMs), lastOfHour(all, timeMs, 4), moreBefore(all, timeMs, 4))
		}
	}
	checkPage(t, n, `"hour":"5"`, nil, false)
	n.refuses(n.as("bob", "MessageService/Fetch", `{"conversation":"log","before":"0"}`), 400, "BAD_ARGUMENT")
}

// lastOfHour is what "hour" must give, by brute force.
func lastOfHour(all []past, timeMs uint64, limit int) []past {
	end := len(all)
	for end > 0 && all[end-1].timeMs/hour > timeMs/hour {
		end--
	}
	begin := end
	for begin > 0 && end-begin < limit && all[begin-1].timeMs/hour == all[end-1].timeMs/hour {
		begin--
	}
	return all[begin:end]
}

func moreBefore(all []past, timeMs uint64, limit int) bool {
	page := lastOfHour(all, timeMs, limit)
	return len(page) > 0 && page[0].seq > 1
}

func TestA1HourIndexAgainstTheWholeLog(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	all := importHistory(t, n, 300)
	type row struct{ hourMs, first, count uint64 }
	var want []row
	for _, e := range all {
		if at := e.timeMs / hour * hour; len(want) == 0 || want[len(want)-1].hourMs != at {
			want = append(want, row{at, e.seq, 0})
		}
		want[len(want)-1].count++
	}
	var got []row
	after, pages := uint64(0), 0
	for more := true; more; pages++ {
		a := n.ok(n.as("bob", "MessageService/Hours", fmt.Sprintf(`{"conversation":"log","afterMs":"%d","limit":5}`, after)))
		list, _ := a.at("hours").([]any)
		for i := range list {
			at := strconv.Itoa(i)
			count, _ := a.at("hours", at, "count").(float64)
			got = append(got, row{number(t, a.at("hours", at, "hourMs")), number(t, a.at("hours", at, "firstSeq")), uint64(count)})
			last := got[len(got)-1]
			verify := n.ok(n.as("bob", "SyncService/Verify", fmt.Sprintf(`{"conversation":"log","seq":"%d"}`, last.first+last.count-1)))
			if verify.at("digest") != a.at("hours", at, "digest") {
				t.Errorf("digest of hour %d", last.hourMs)
			}
		}
		after = got[len(got)-1].hourMs
		more = a.at("hasMore") == true
	}
	if !slices.Equal(got, want) || pages != (len(want)+4)/5 {
		t.Errorf("%d pages\n%v\nwant\n%v", pages, got, want)
	}
}

// Who joins later sees nothing of before, on any path, and who has left sees nothing.
func TestMembersSeeTheirTime(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	importHistory(t, n, 20) // events 1 to 21
	n.ok(n.app("ConversationService/AddMembers", `{"conversation":"log","members":["carol"]}`))
	n.say("alice", "log", "c1", "hello carol") // 23
	for _, ask := range []string{`"after":"0"`, `"before":"24"`, `"latest":true`, `"at":"0"`} {
		a := n.ok(n.as("carol", "MessageService/Fetch", `{"conversation":"log",`+ask+`}`))
		events := fetched(t, a)
		if len(events) != 2 || events[0].seq != 22 || events[1].seq != 23 || a.at("floorSeq") != "22" || a.at("hasMore") == true {
			t.Errorf("%s: %s", ask, a.text)
		}
	}
	if a := n.ok(n.as("carol", "MessageService/Fetch", `{"conversation":"log","before":"22"}`)); len(fetched(t, a)) != 0 {
		t.Errorf("%s", a.text)
	}
	n.refuses(n.as("carol", "SyncService/Verify", `{"conversation":"log","seq":"20"}`), 404, "UNKNOWN_EVENT")
	n.refuses(n.as("carol", "MessageService/Trace", `{"conversation":"log","seq":"20"}`), 404, "UNKNOWN_EVENT")
	if a := n.ok(n.as("carol", "MessageService/Hours", `{"conversation":"log"}`)); a.at("hours", "0", "firstSeq") != "22" || a.at("hours", "0", "count") != 2.0 {
		t.Errorf("%s", a.text)
	}
	n.ok(n.as("carol", "ConversationService/Leave", `{"conversation":"log"}`))
	for method, body := range map[string]string{
		"MessageService/Fetch": `{"conversation":"log","latest":true}`, "MessageService/Hours": `{"conversation":"log"}`,
		"SyncService/Verify": `{"conversation":"log"}`, "ConversationService/ListMembers": `{"conversation":"log"}`,
	} {
		n.refuses(n.as("carol", method, body), 403, "NOT_MEMBER")
	}
	if a := n.ok(n.as("carol", "ConversationService/List", `{}`)); a.at("conversations", "0") != nil {
		t.Errorf("a conversation that was left is listed: %s", a.text)
	}
}

func TestListIsByActivityAndInPages(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.users("alice", "bob")
	for i := range 12 {
		n.group(fmt.Sprintf("g%d", i), "alice", "bob")
	}
	for i := range 12 {
		n.say("bob", fmt.Sprintf("g%d", (i*5)%12), "c", "hello")
	}
	var got []string
	times, token := []uint64{}, ""
	for pages := 0; pages == 0 || token != ""; pages++ {
		a := n.ok(n.as("alice", "ConversationService/List", `{"pageSize":5,"pageToken":"`+token+`"}`))
		list, _ := a.at("conversations").([]any)
		if len(list) > 5 || pages > 3 {
			t.Fatalf("page %d: %s", pages, a.text)
		}
		for i := range list {
			got = append(got, a.at("conversations", strconv.Itoa(i), "id").(string))
			times = append(times, number(t, a.at("conversations", strconv.Itoa(i), "lastTimeMs")))
			if a.at("conversations", strconv.Itoa(i), "unread") != "1" {
				t.Errorf("%s", a.text)
			}
		}
		token, _ = a.at("nextPageToken").(string)
	}
	sorted := slices.Clone(got)
	slices.Sort(sorted)
	if len(slices.Compact(sorted)) != 12 || len(got) != 12 {
		t.Errorf("not each once: %v", got)
	}
	if !slices.IsSortedFunc(times, func(a, b uint64) int { return int(b) - int(a) }) {
		t.Errorf("not by activity: %v", times)
	}
}

func TestMembersInPages(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	var members []string
	for i := range 25 {
		members = append(members, fmt.Sprintf("u%02d", i))
	}
	n.users(members...)
	n.group("many", members...)
	n.ok(n.app("ConversationService/RemoveMembers", `{"conversation":"many","members":["u03","u04"]}`))
	var got []string
	token := ""
	for pages := 0; pages == 0 || token != ""; pages++ {
		a := n.ok(n.as("u00", "ConversationService/ListMembers", `{"conversation":"many","pageSize":10,"pageToken":"`+token+`"}`))
		list, _ := a.at("members").([]any)
		for i := range list {
			got = append(got, a.at("members", strconv.Itoa(i), "user").(string))
		}
		token, _ = a.at("nextPageToken").(string)
	}
	slices.Sort(got)
	if want := slices.Delete(slices.Clone(members), 3, 5); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestA3WhereIsMyMessageTraceSaysWhy(t *testing.T) {
	n := start(t, t.TempDir(), nil)
	n.users("alice", "bob", "carol", "dave", "eve")
	n.group("team", "alice", "bob", "carol", "dave")
	n.ok(n.app("ConversationService/RemoveMembers", `{"conversation":"team","members":["dave"]}`)) // 2
	pulled := n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"old"}`))                          // knows 2 events
	cursor := pulled.text[strings.Index(pulled.text, `"cursor":`):]
	cursor = cursor[:strings.Index(cursor, "}}")+2]
	n.ok(n.as("bob", "SyncService/Ack", `{"deviceId":"old",`+cursor+`}`))
	seq := n.say("alice", "team", "c1", "where am I?") // 3
	n.say("alice", "team", "c2", "and I?")             // 4
	n.ok(n.app("ConversationService/AddMembers", `{"conversation":"team","members":["eve"]}`))
	pulled = n.ok(n.as("bob", "SyncService/Pull", `{"deviceId":"new"}`))
	cursor = pulled.text[strings.Index(pulled.text, `"cursor":`):]
	cursor = cursor[:strings.Index(cursor, "}}")+2]
	n.ok(n.as("bob", "SyncService/Ack", `{"deviceId":"new",`+cursor+`}`))

	a := n.ok(n.app("MessageService/Trace", `{"conversation":"team","clientId":"c1","sender":"alice"}`))
	if own := n.ok(n.as("alice", "MessageService/Trace", `{"conversation":"team","clientId":"c1"}`)); own.at("seq") != seq {
		t.Errorf("without a sender: %s", own.text)
	}
	n.refuses(n.app("MessageService/Trace", `{"conversation":"team","clientId":"c1"}`), 400, "BAD_ARGUMENT")
	if a.at("seq") != seq || a.at("sender") != "alice" || number(t, a.at("position")) == 0 {
		t.Errorf("%s", a.text)
	}
	reasons := map[string]string{}
	list, _ := a.at("members").([]any)
	for i := range list {
		at := strconv.Itoa(i)
		user, _ := a.at("members", at, "user").(string)
		reasons[user], _ = a.at("members", at, "reason").(string)
		if user != "bob" {
			continue
		}
		if a.at("members", at, "devices", "0", "deviceId") != "new" || a.at("members", at, "devices", "0", "delivered") != true {
			t.Errorf("bob's new device: %s", a.text)
		}
		why, _ := a.at("members", at, "devices", "1", "reason").(string)
		if a.at("members", at, "devices", "1", "delivered") == true || !strings.HasPrefix(why, "offline since ") || !strings.HasSuffix(why, "behind by 3") {
			t.Errorf("bob's old device: %q", why)
		}
	}
	for user, want := range map[string]string{
		"alice": "", "bob": "", "carol": "has never connected a device", "dave": "not a member then: left at seq 2", "eve": "not a member then: joined later, at seq 5",
	} {
		if got, listed := reasons[user]; !listed || got != want {
			t.Errorf("%s: %q, want %q", user, got, want)
		}
	}
	n.refuses(n.post("MessageService/Trace", `{"conversation":"team","seq":"3"}`, "Authorization: Bearer "+n.token("bob")), 403, "NOT_ALLOWED")
	n.refuses(n.as("alice", "MessageService/Trace", `{"conversation":"team"}`), 400, "BAD_ARGUMENT")
	one := n.ok(n.app("MessageService/Trace", `{"conversation":"team","seq":"3","pageSize":2}`))
	two := n.ok(n.app("MessageService/Trace", `{"conversation":"team","seq":"3","pageSize":2,"pageToken":"`+one.at("nextPageToken").(string)+`"}`))
	if one.at("members", "1", "user") == two.at("members", "0", "user") || two.at("members", "1") == nil {
		t.Errorf("pages: %s %s", one.text, two.text)
	}
}
