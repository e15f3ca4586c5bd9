// SPDX-License-Identifier: Apache-2.0

// The terminal client as its user meets it: stories on a screen of fixed size, with a device that is made up.

package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/client"
	"github.com/tidemark-im/tidemark/client/replica"
	"github.com/tidemark-im/tidemark/wire"
)

const noon = 1_772_625_600_000 // 4 March 2026, 12:00 UTC

// harbour is alice's device: a group with some talk, and a direct conversation with bob with something unread.
func harbour() *fakeDevice {
	d := newFake()
	d.nicknames["bob"] = "Bob"
	d.nicknames["eve"] = "Eve"
	d.add("harbour", wire.Kind_GROUP, "The Harbour")
	d.add("alice~bob", wire.Kind_DIRECT, "")
	d.write("harbour", "eve", "is the tide in?", noon-86_400_000)
	d.write("harbour", "alice", "not before six", noon-3_600_000)
	d.write("alice~bob", "bob", "hello alice", noon-60_000)
	return d
}

func TestOpensTheMostRecentConversation(t *testing.T) {
	s := newScreen(t, harbour(), Config{})
	s.want("Bob hello alice", "@Bob", "#The Harbour       1", "Wed 4 Mar 2026", "── new ──", "● online", "11:59")
	if !slices.Contains(s.device.said, "read alice~bob 1") {
		t.Errorf("what is on the screen is not marked as read: %v", s.device.said)
	}
	s.keys("ctrl+n")
	s.want("The Harbour · 2 members", "Eve is the tide in?", "Tue 3 Mar 2026", "alice not before six ✓", "read by Bob")
}

func TestSendingAndStates(t *testing.T) {
	s := newScreen(t, harbour(), Config{Conversation: "harbour"})
	s.keys("come @bob now", "enter")
	s.wantSaid(`send harbour text "come @bob now" reply 0 mentions [bob]`)
	s.want("alice come @bob now ◌")
	for _, state := range []client.MessageState{client.Sent, client.Failed} {
		s.device.outbox[0].State = state
		s.device.outbox[0].Failure = tidemark.Refuse(tidemark.Muted, "you are muted\x1b[2J here")
		s.send(notes{client.OutgoingChanged{Conversation: "harbour", ClientID: "c1", State: state}})
		s.want(map[client.MessageState]string{client.Sent: "now ✓", client.Failed: "now ✗"}[state])
	}
	s.want("not sent: you are muted�[2J here")
	s.keys("/retry", "enter")
	s.wantSaid("retry c1")
	s.device.outbox = nil
	msg := s.device.write("harbour", "alice", "come @bob now", noon)
	for _, state := range []client.MessageState{client.Stored, client.Delivered, client.Read} {
		msg.State = state
		s.send(notes{client.Changed{Conversation: "harbour", From: msg.Seq, To: msg.Seq}, client.ConversationChanged{Conversation: "harbour"}})
		s.want(map[client.MessageState]string{client.Stored: "now ✓", client.Delivered: "now ✓✓", client.Read: "now ✓✓"}[state])
	}
}

func TestADirectConversationBegins(t *testing.T) {
	s := newScreen(t, harbour(), Config{})
	s.keys("/to @carol ahoy", "enter")
	s.wantSaid(`send to carol text "ahoy"`)
	s.want("alice ahoy ◌", " carol")
	s = newScreen(t, harbour(), Config{Peer: "dave"})
	s.keys("hi", "enter")
	s.wantSaid(`send to dave text "hi"`)
}

func TestOthersMessagesCannotCommandTheTerminal(t *testing.T) {
	d := harbour()
	d.nicknames["eve"] = "E\x1b[31mve\x07\u202eve"
	d.conversations["harbour"].Info.Title = "\x1b]0;title\x07"
	msg := d.write("harbour", "eve", "\x1b[2J\x1b]52;c;aGk=\x07 \u009b1m\r\x08 a\u202eb\x00 \U000e0041", noon)
	msg.Content.Type = "text"
	odd := d.write("harbour", "mal\x1b[1mlory", "x", noon)
	odd.Content.Type = "\x1b[5mblink"
	odd.Reactions = []client.Reaction{{Key: "\x1b[7m", Count: 1}}
	s := newScreen(t, d, Config{Conversation: "harbour"})
	s.send(notes{client.TypingChanged{Conversation: "harbour", User: "mal\x1b[1mlory", Typing: true},
		client.StateChanged{State: client.Offline, Err: errors.New("\x1b[31mred")}})
	for _, size := range []tea.WindowSizeMsg{{Width: 80, Height: 24}, {Width: 40, Height: 12}} {
		s.send(size)
		content := s.model.View().Content
		for _, r := range content {
			if r < ' ' && r != '\n' && r != '\x1b' || r >= 0x7f && r < 0xa0 || r == '\u202e' {
				t.Errorf("%U is on the screen", r)
			}
		}
		for _, foreign := range []string{"\x1b[2J", "\x1b]", "\x1b[31mve", "\x1b[1ml", "\x1b[5m", "\x1b[7m 1", "\x1b[31mred"} {
			if strings.Contains(content, foreign) {
				t.Errorf("%q got onto the screen", foreign)
			}
		}
	}
	s.want("�")
}

func TestWideCharactersAndNarrowScreens(t *testing.T) {
	d := harbour()
	d.nicknames["eve"] = "潮汐"
	d.conversations["harbour"].Info.Title = "港口 🚢 harbour of many words that do not fit"
	for i, text := range []string{"潮水还没有来，六点以前不会来的，我们再等一等吧。潮水还没有来，六点以前不会来的。", "👩‍👩‍👧‍👦 and 🏴‍☠️ e\u0301 " + strings.Repeat("長", 50),
		strings.Repeat("x", 200), "a\nb\n\nc", "ｆｕｌｌ ｗｉｄｔｈ", strings.Repeat("word ", 40)} {
		d.write("harbour", []tidemark.UserID{"eve", "alice"}[i%2], text, noon)
	}
	s := newScreen(t, d, Config{Conversation: "harbour"})
	for width := 200; width >= 8; width = width*4/5 - 1 {
		for _, height := range []int{40, 24, 10, 5, 3} {
			s.send(tea.WindowSizeMsg{Width: width, Height: height})
			s.text() // checks the width of every line
			s.keys("ctrl+l")
			s.text()
			s.keys("esc", "f1")
			s.text()
			s.keys("esc")
		}
	}
	s.send(tea.WindowSizeMsg{Width: 40, Height: 24})
	s.want("潮汐")
	s.wantNot("│")
}

// The whole of a long log can be read backwards, and the eye stays where it was while older messages come in.
func TestScrollsBackToTheFirstMessage(t *testing.T) {
	d := newFake()
	d.add("log", wire.Kind_GROUP, "")
	for i := range 1500 {
		d.write("log", "bob", fmt.Sprintf("line-%d.", i+1), noon+uint64(i)*60_000)
	}
	d.storedFrom = 1490
	s := newScreen(t, d, Config{})
	s.want("line-1500.", "line-1485.")
	last := 1501
	for presses := 0; ; presses++ {
		first, bottom := shownLines(t, s)
		if first == 1 {
			break
		}
		if bottom >= last || presses > 200 {
			t.Fatalf("after %d pages the lines %d to %d are shown, before to %d", presses, first, bottom, last-1)
		}
		last = bottom + 1
		s.keys("pgup")
	}
	s.want("more below")
	if n := len(s.model.page.messages); n > pageMax+pageEvents {
		t.Errorf("%d messages on the page", n)
	}
	_, before := shownLines(t, s)
	s.keys("pgdown")
	if first, bottom := shownLines(t, s); first <= 1 || bottom <= before {
		t.Errorf("a page down the lines %d to %d are shown", first, bottom)
	}
	s.keys("ctrl+end")
	s.want("line-1500.")
	s.wantNot("more below")
	s.keys("ctrl+home")
	s.want("line-1.", "line-2.")
	for range 200 {
		s.keys("pgdown")
	}
	s.want("line-1500.")
}

// shownLines are the first and the last line of the log on the screen.
func shownLines(t *testing.T, s *screen) (first, last int) {
	t.Helper()
	for _, line := range strings.Split(s.text(), "\n") {
		if _, rest, found := strings.Cut(line, "line-"); found {
			n := 0
			if _, err := fmt.Sscanf(rest, "%d.", &n); err != nil {
				t.Fatal(err)
			}
			if first == 0 {
				first = n
			} else if n != last+1 {
				t.Fatalf("after line %d comes %d:\n%s", last, n, s.text())
			}
			last = n
		}
	}
	return first, last
}

func TestNewMessagesDoNotMoveTheEye(t *testing.T) {
	d := newFake()
	d.add("log", wire.Kind_GROUP, "")
	for i := range 200 {
		d.write("log", "bob", fmt.Sprintf("line-%d.", i+1), noon+uint64(i))
	}
	s := newScreen(t, d, Config{})
	s.keys("pgup", "pgup")
	first, last := shownLines(t, s)
	reads := len(d.said)
	for i := range 50 {
		msg := d.write("log", "bob", fmt.Sprintf("line-%d.", 201+i), noon+500)
		s.send(notes{client.Arrived{Message: *msg, Live: true}, client.Changed{Conversation: "log", From: msg.Seq, To: msg.Seq}})
	}
	if f, l := shownLines(t, s); f != first || l != last {
		t.Errorf("lines %d to %d are shown, before %d to %d", f, l, first, last)
	}
	if len(d.said) != reads {
		t.Errorf("what nobody saw is read: %v", d.said[reads:])
	}
	s.keys("ctrl+end")
	s.want("line-250.")
	s.send(tea.BlurMsg{})
	msg := d.write("log", "bob", "line-251.", noon+600)
	reads = len(d.said)
	s.send(notes{client.Arrived{Message: *msg, Live: true}})
	s.want("line-251.")
	if len(d.said) != reads {
		t.Error("read while the terminal is behind")
	}
	s.send(tea.FocusMsg{})
	if !slices.Contains(d.said[reads:], "read log 251") {
		t.Errorf("coming back does not read: %v", d.said[reads:])
	}
}

func TestEditRecallReactReplyPin(t *testing.T) {
	s := newScreen(t, harbour(), Config{Conversation: "harbour"})
	s.keys("up")
	s.want("editing", "> not before six")
	s.keys("!", "enter")
	s.wantSaid(`edit harbour 2 text "not before six!"`)
	s.keys("up", "esc")
	s.wantNot("editing", "> not before")
	s.keys("/edit at seven", "enter")
	s.wantSaid(`edit harbour 2 text "at seven"`)
	s.keys("/react 🌊", "enter")
	s.wantSaid("react harbour 1 🌊 false")
	s.device.logs["harbour"][0].Reactions = []client.Reaction{{Key: "🌊", Count: 2, Mine: true}}
	s.send(notes{client.Changed{Conversation: "harbour", From: 1, To: 1}})
	s.want("🌊 2")
	s.keys("/react 🌊", "enter")
	s.wantSaid("react harbour 1 🌊 true")
	s.keys("alt+up", "alt+up")
	s.want("▌", "selected")
	s.keys("enter", "it is", "enter")
	s.wantSaid(`send harbour text "it is" reply 1 mentions []`)
	s.want("╭ Eve: is the tide in?", "alice it is ◌")
	s.keys("alt+up", "alt+up", "/recall", "enter") // not one's own: the server decides
	s.wantSaid("recall harbour 1")
	s.keys("/pin", "enter")
	s.wantSaid("pin harbour 2 false")
	s.keys("/me waves", "enter")
	s.wantSaid(`send harbour action "waves" reply 0 mentions []`)
	s.want("* alice waves")
	s.keys("//shrug", "enter")
	s.wantSaid(`send harbour text "/shrug" reply 0 mentions []`)
	s.keys("a", "alt+enter", "b", "enter")
	s.wantSaid(`send harbour text "a\nb" reply 0 mentions []`)
}

func TestFormsOfMessages(t *testing.T) {
	d := harbour()
	for i, change := range []func(m *client.Message){
		func(m *client.Message) { m.EditSeq, m.PinSeq = 9, 9 },
		func(m *client.Message) { m.RecallSeq, m.Content = 9, nil },
		func(m *client.Message) { m.EraseSeq, m.Content = 9, nil },
		func(m *client.Message) { m.Content.Mentions = []string{"alice"} },
		func(m *client.Message) { m.Content.Type = "nick" },
		func(m *client.Message) { m.Content.Type, m.Content.Data = "image", make([]byte, 9) },
		func(m *client.Message) {
			m.Kind, m.Content, m.Body = replica.KindMembers, nil, &wire.Body{Body: &wire.Body_Members{Members: &wire.Members{Added: []string{"bob"}, Removed: []string{"carol"}}}}
		},
		func(m *client.Message) {
			title := "Piers"
			m.Kind, m.Content, m.Body = replica.KindInfo, nil, &wire.Body{Body: &wire.Body_Info{Info: &wire.Info{Title: &title}}}
		},
		func(m *client.Message) { m.Kind, m.Content = replica.KindReaction, nil },
	} {
		change(d.write("harbour", "eve", fmt.Sprintf("text-%d", i), noon))
	}
	s := newScreen(t, d, Config{Conversation: "harbour"})
	s.want("Eve text-0 (edited) ⚑", "message recalled", "message erased", "@12:00 Eve text-3", "eve is now known as text-4",
		"[image] text-5 (9 bytes)", "→ Bob joined, ← carol left", "Eve changed the title to Piers")
	s.wantNot("text-1", "text-2", "text-8")
}

func TestTypingAndTheConnection(t *testing.T) {
	s := newScreen(t, harbour(), Config{Conversation: "alice~bob"})
	s.send(notes{client.TypingChanged{Conversation: "alice~bob", User: "bob", Typing: true}})
	s.want("Bob is typing…")
	s.clock = s.clock.Add(typingLasts + time.Second)
	s.send(tick{})
	s.wantNot("typing")
	s.keys("hey")
	if n := count(s.device.said, "typing alice~bob true"); n != 1 {
		t.Errorf("typing told %d times for three keys", n)
	}
	s.clock = s.clock.Add(typingRests + time.Second)
	s.send(tick{})
	if count(s.device.said, "typing alice~bob false") != 1 {
		t.Errorf("the end of typing is not told: %v", s.device.said)
	}
	s.send(notes{client.StateChanged{State: client.Offline, Err: errors.New("connection refused")}})
	s.want("✗ offline", "connection refused")
	s.send(notes{client.StateChanged{State: client.Connecting}})
	s.want("connecting…")
	s.send(notes{client.StateChanged{State: client.Synced}})
	s.want("● online")
}

func count(list []string, what string) (n int) {
	for _, have := range list {
		if have == what {
			n++
		}
	}
	return n
}

func TestCommands(t *testing.T) {
	s := newScreen(t, harbour(), Config{})
	s.keys("/join pier", "enter")
	s.wantSaid("join pier")
	s.want("this group is not open: ask �]0;owned� somebody to", "invite you")
	s.keys("/join harbour", "enter")
	s.want("The Harbour · 2 members")
	s.keys("/create pier The Pier", "enter")
	s.wantSaid(`create pier "The Pier"`)
	s.want("Made pier", " The Pier")
	s.keys("/invite @bob, @eve", "enter")
	s.wantSaid("add pier [bob eve]")
	s.keys("/nonsense", "enter")
	s.want("there is no /nonsense", "> /nonsense")
	s.keys("esc", "/inv", "tab")
	s.want("> /invite")
	s.keys("esc", "/help", "enter")
	s.want("Keys", "PgUp, PgDn")
	s.keys(slices.Repeat([]string{"pgdown"}, 20)...)
	s.want("✗", "Signs")
	s.keys("esc")
	s.wantNot("Signs")
}

func TestGotoADay(t *testing.T) {
	d := newFake()
	d.add("log", wire.Kind_GROUP, "")
	for i := range 400 {
		d.write("log", "bob", fmt.Sprintf("line-%d.", i+1), noon+uint64(i)*3_600_000)
	}
	s := newScreen(t, d, Config{})
	s.keys("/goto 2026-03-10", "enter")
	if first, _ := shownLines(t, s); first != 133 { // 12 + 5*24 + 1
		t.Errorf("line %d is at the top:\n%s", first, s.text())
	}
	s.want("Tue 10 Mar 2026", "more below")
	s.keys("/goto 2030-01-01", "enter")
	s.want("nothing that late", "line-400.")
	s.keys("/goto nowhere", "enter")
	s.want("say /goto")
	s.keys("/goto start", "enter")
	s.want("line-1.")
}

func TestTheListOrdersAndCounts(t *testing.T) {
	d := harbour()
	quiet := d.add("quiet", wire.Kind_GROUP, "Quiet")
	quiet.Self.Pinned = true
	gone := d.add("gone", wire.Kind_GROUP, "Gone")
	gone.Removed = true
	busy := d.add("busy", wire.Kind_GROUP, "Busy")
	busy.Unread, busy.Mentions, busy.LastTimeMs = 12_345, 2, noon
	s := newScreen(t, d, Config{Conversation: "harbour"})
	text := s.text()
	at := func(what string) int { return strings.Index(text, what) }
	if !(at("⚑Quiet") < at("#Busy") && at("#Busy") < at("@Bob") && at("@Bob") < at("#The Harbour")) || at("Gone") >= 0 {
		t.Errorf("the list:\n%s", text)
	}
	s.want("@12k")
	s.send(tea.WindowSizeMsg{Width: 40, Height: 20})
	s.want("12346 unread in 2 conv")
	s.keys("ctrl+l", "down", "up", "up", "up")
	s.want("Conversations", "⚑Quiet")
	s.keys("down", "enter")
	s.want(" Busy")
}

func TestOfflineHistoryFailureIsNotAskedForAgainAndAgain(t *testing.T) {
	d := newFake()
	d.add("log", wire.Kind_GROUP, "")
	for i := range 300 {
		d.write("log", "bob", fmt.Sprintf("line-%d.", i+1), noon)
	}
	d.storedFrom, d.historyErr = 280, errors.New("not connected")
	s := newScreen(t, d, Config{})
	asked := len(d.histories)
	for range 5 {
		s.send(tick{}, notes{client.ProfileChanged{User: "bob"}})
		s.text()
	}
	if len(d.histories) != asked {
		t.Errorf("asked %d times more", len(d.histories)-asked)
	}
	d.historyErr = nil
	s.keys("pgup")
	s.want("line-27")
}

// What one bundle of events costs in a busy conversation: the page read again, laid out and drawn.
func BenchmarkBusyConversation(b *testing.B) {
	d := newFake()
	d.add("log", wire.Kind_GROUP, "")
	for i := range pageMax {
		d.write("log", tidemark.UserID(fmt.Sprintf("user-%d", i%50)), "a message of quite usual length, as people write them", noon+uint64(i)*60_000)
	}
	m := NewModel(b.Context(), Config{Device: d, Zone: time.UTC})
	m.Update(tea.WindowSizeMsg{Width: 120, Height: 50})
	m.show("log")
	m.page.from = 1
	b.ReportAllocs()
	for b.Loop() {
		m.page.stale = true
		m.refresh()
		_ = m.View()
	}
}
