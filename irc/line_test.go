// SPDX-License-Identifier: Apache-2.0

// Lines of logs: every kind, odd ones, and whatever else a file may hold.

package irc

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestLinesOfEveryKind(t *testing.T) {
	for raw, want := range map[string]Line{
		"[09:14] <ann> does anybody know?":         {Kind: Message, Clock: 554, Nick: "ann", Text: "does anybody know?"},
		"[09:14] <ann>  two spaces ":               {Kind: Message, Clock: 554, Nick: "ann", Text: " two spaces "},
		"[09:14] <ann>":                            {Kind: Message, Clock: 554, Nick: "ann"},
		"[09:14] <ann> <b> says > that":            {Kind: Message, Clock: 554, Nick: "ann", Text: "<b> says > that"},
		"[00:00] <bur[n] er> x":                    {Kind: Message, Nick: "bur[n]er", Text: "x"},
		"[00:00] <[optik] > x":                     {Kind: Message, Nick: "[optik]", Text: "x"},
		"[00:00] <o[-_-] o] > x":                   {Kind: Message, Nick: "o[-_-]o]", Text: "x"},
		"[00:00] <]Alex[> x":                       {Kind: Message, Nick: "]Alex[", Text: "x"},
		"[00:01] (far/#chan) hear me":              {Kind: Message, Clock: 1, Nick: "far", Text: "hear me"},
		"[23:59]  * bob looks it up":               {Kind: Action, Clock: 1439, Nick: "bob", Text: "looks it up"},
		"[23:59]  * [Saint] sometimes wonders":     {Kind: Action, Clock: 1439, Nick: "[Saint]", Text: "sometimes wonders"},
		"[00:00]  * bob":                           {Kind: Action, Nick: "bob"},
		"=== bob looks":                            {Kind: Action, Clock: -1, Nick: "bob", Text: "looks"},
		"=== bur[n] er wonders [1] now":            {Kind: Action, Clock: -1, Nick: "bur[n]er", Text: "wonders [1] now"},
		"=== bob thinks ann is now known as eve":   {Kind: Action, Clock: -1, Nick: "bob", Text: "thinks ann is now known as eve"},
		"[00:01] -bob:#chan- read - the topic":     {Kind: Notice, Clock: 1, Nick: "bob", Text: "read - the topic"},
		"[00:01] -a-b:#chan- x":                    {Kind: Notice, Clock: 1, Nick: "a-b", Text: "x"},
		"=== mode/#chan [+o bob]  by ChanServ":     {Kind: Mode, Clock: -1, Nick: "ChanServ", Text: "+o bob"},
		"=== mode/#c [+b *!*@[a] .b]  by [ed] ":    {Kind: Mode, Clock: -1, Nick: "[ed]", Text: "+b *!*@[a] .b"},
		"=== ..[topic/#chan:bob] : Hello : all":    {Kind: Topic, Clock: -1, Nick: "bob", Text: "Hello : all"},
		"=== eve [~eve@h.ex]  has joined #chan":    {Kind: Join, Clock: -1, Nick: "eve"},
		"=== [GuS]  [n=g@1.2]  has joined #Chan":   {Kind: Join, Clock: -1, Nick: "[GuS]"},
		"=== [GuS] [n=g@1.2]  has joined #Chan":    {Kind: Join, Clock: -1, Nick: "[GuS]"},
		"=== a[m] b [[H] -8@58]  has joined #c":    {Kind: Join, Clock: -1, Nick: "a[m]b"},
		"=== eve [n=[t] c@67]  has left #c []":     {Kind: Leave, Clock: -1, Nick: "eve"},
		"=== eve [~e@h]  has left #c [\"so [x]\"]": {Kind: Leave, Clock: -1, Nick: "eve", Text: "\"so [x]\""},
		"=== eve [~e@h]  has quit [Ping timeout]":  {Kind: Leave, Clock: -1, Nick: "eve", Text: "Ping timeout"},
		"=== a was kicked off #c by b (so loud)":   {Kind: Kick, Clock: -1, Nick: "b", Other: "a", Text: "so loud"},
		"=== [a]  was kicked off #c by [b]  (x)":   {Kind: Kick, Clock: -1, Nick: "[b]", Other: "[a]", Text: "x"},
		"=== ann is now known as ann_":             {Kind: NickChange, Clock: -1, Nick: "ann", Other: "ann_"},
		"=== a[x]  is now known as C[a] t[b]":      {Kind: NickChange, Clock: -1, Nick: "a[x]", Other: "C[a]t[b]"},
		"=== [a] is now known as a":                {Kind: NickChange, Clock: -1, Nick: "[a]", Other: "a"},
	} {
		if got := ParseLine([]byte(raw)); got != want {
			t.Errorf("%q\n got %+v\nwant %+v", raw, got, want)
		}
	}
}

func TestOddLines(t *testing.T) {
	for _, raw := range []string{
		"", " ", "hello", "<ann> no time", "[9:14] <ann> x", "[24:00] <ann> x", "[00:60] <ann> x", "[0a:00] <ann> x",
		"[00:00] <> x", "[00:00] <a b> x", "[00:00] <ann>x", "[00:00] <ann x", "[00:00] ann x", "[00:00]  *",
		"[00:00] -bob- x", "[00:00] -bob:#- x", "[00:00] (bob) x", "[00:00] (bob/#) x", "[00:00] <a\x1bb> x",
		"===", "=== ", "=== bob", "=== netjoined: a -> b", "=== mode/#chan [+o",
		"[00:00] <ann> " + strings.Repeat("x", LineBytesMax),
	} {
		if got := ParseLine([]byte(raw)); got.Kind != Odd || got.Text == "" && raw != "" {
			t.Errorf("%.60q is taken for %+v", raw, got)
		}
	}
}

func TestBytesThatAreNotUTF8AreReadAsLatin1(t *testing.T) {
	if got := ParseLine([]byte("[00:00] <ann> \xe9t\xe9")).Text; got != "été" {
		t.Errorf("got %q", got)
	}
}

// Whatever a file holds: nothing panics, every line is of a kind, texts are valid, times never fall.
func FuzzParseLog(f *testing.F) {
	for _, name := range []string{"2004-12-05", "2004-12-06"} {
		f.Add(readTestdata(f, name))
	}
	f.Add([]byte("=== [a]  [\n[11:11] <]>\n=== mode/#\n=== ..[topic/#:] : \n\xff\r\n\xef\xbb\xbf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := ParseLog(data, day(2004, 12, 5))
		want := bytes.Count(data, []byte("\n"))
		if text := bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")); len(text) > 0 && text[len(text)-1] != '\n' {
			want++
		}
		plan := NewPlan(Naming{})
		plan.Begin(Log{Date: day(2004, 12, 5)})
		ids, last := map[string]bool{}, uint64(0)
		for i, line := range lines {
			if line.TimeMs < last || line.Number != i+1 || !utf8.ValidString(line.Text) {
				t.Fatalf("line %d after time %d: %+v", i+1, last, line)
			}
			last = line.TimeMs
			entries := plan.Add(line, nil)
			if (len(entries) == 0) != (line.Kind == Odd) {
				t.Fatalf("%d entries of %+v", len(entries), line)
			}
			for _, e := range entries {
				if ids[e.ClientId] || !validEntry(e) {
					t.Fatalf("entry %v of %+v", e, line)
				}
				ids[e.ClientId] = true
			}
		}
		if len(lines) != want || plan.Counts().Total() != want {
			t.Fatalf("%d lines, %d counted, of %d", len(lines), plan.Counts().Total(), want)
		}
	})
}

func day(year, month, day int) time.Time {
	return time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
}
