// SPDX-License-Identifier: Apache-2.0

// One line of a log: which kind it is and what it says. Nothing here knows of other lines.

package irc

import (
	"strings"
	"unicode/utf8"
)

// Kind says what a line of a log is.
type Kind uint8

// The kinds of lines.
const (
	Odd        Kind = iota // none of the others: listed, not imported
	Message                // somebody said something
	Action                 // somebody did something ("/me")
	Notice                 // somebody sent a notice
	Mode                   // somebody changed a mode of the channel or of a user
	Topic                  // somebody set the topic
	Join                   // somebody came
	Leave                  // somebody went, by leaving or by quitting
	Kick                   // somebody was thrown out by somebody
	NickChange             // somebody has another nick from here on
	kinds
)

// String is the kind's name in English, in the plural, for summaries.
func (k Kind) String() string {
	return [...]string{"odd lines", "messages", "actions", "notices", "modes", "topics", "joins", "leaves", "kicks", "nick changes"}[k]
}

// LineBytesMax is the length of the longest line that is taken for anything but odd: a body must fit a server's limit.
const LineBytesMax = 32 << 10

// Line is what one line of a log says.
type Line struct {
	Kind  Kind
	Clock int    // minutes since midnight; -1 where the line has no time
	Nick  string // who did it; empty when odd
	Other string // Kick: who was thrown out; NickChange: the new nick
	Text  string // what was said or done; Join, Leave: the reason, if any; Odd: the line itself
}

// ParseLine reads one line, without its line end. It never fails: what it does not know is [Odd]. Bytes that are not
// UTF-8 are read as Latin-1, as clients of those days wrote it.
func ParseLine(raw []byte) Line {
	s := toUTF8(raw)
	if len(s) > LineBytesMax {
		return Line{Kind: Odd, Clock: -1, Text: s[:100] + "…"}
	}
	clock, rest := cutClock(s)
	line, ok := Line{}, false
	switch {
	case strings.HasPrefix(rest, "=== "):
		line, ok = parseEvent(rest[len("=== "):])
	case clock < 0:
	case strings.HasPrefix(rest, "<"):
		line, ok = parseSpoken(rest[1:])
	case strings.HasPrefix(rest, " * "):
		nick, does, _ := strings.Cut(rest[len(" * "):], " ")
		line, ok = Line{Kind: Action, Nick: nick, Text: does}, isNick(nick)
	case strings.HasPrefix(rest, "-"):
		line, ok = parseNotice(rest[1:])
	case strings.HasPrefix(rest, "("):
		line, ok = parseRelayed(rest[1:])
	}
	if !ok {
		return Line{Kind: Odd, Clock: clock, Text: s}
	}
	line.Clock = clock
	return line
}

// cutClock takes "[HH:MM] " off. Without one, or with one that no clock shows, clock is -1 and rest is s.
func cutClock(s string) (clock int, rest string) {
	if len(s) < 8 || s[0] != '[' || s[3] != ':' || s[6] != ']' || s[7] != ' ' {
		return -1, s
	}
	hour, ok1 := twoDigits(s[1:3])
	minute, ok2 := twoDigits(s[4:6])
	if !ok1 || !ok2 || hour > 23 || minute > 59 {
		return -1, s
	}
	return hour*60 + minute, s[8:]
}

func twoDigits(s string) (n int, ok bool) {
	if s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), true
}

// parseSpoken reads "nick> text". A message may be empty.
func parseSpoken(s string) (Line, bool) {
	left, text, found := strings.Cut(s, ">")
	nick, ok := cleanNick(left)
	if !found || !ok || text != "" && text[0] != ' ' {
		return Line{}, false
	}
	return Line{Kind: Message, Nick: nick, Text: strings.TrimPrefix(text, " ")}, true
}

// parseRelayed reads "nick/#channel) text": said to a channel that the logging client did not have in view.
func parseRelayed(s string) (Line, bool) {
	left, text, found := strings.Cut(s, ") ")
	nick, channel, isTo := strings.Cut(left, "/#")
	nick, ok := cleanNick(nick)
	if !found || !isTo || !ok || channel == "" {
		return Line{}, false
	}
	return Line{Kind: Message, Nick: nick, Text: text}, true
}

// parseNotice reads "nick:#channel- text".
func parseNotice(s string) (Line, bool) {
	left, text, found := strings.Cut(s, "- ")
	nick, channel, isTo := strings.Cut(left, ":#")
	nick, ok := cleanNick(nick)
	if !found || !isTo || !ok || channel == "" {
		return Line{}, false
	}
	return Line{Kind: Notice, Nick: nick, Text: text}, true
}

// parseEvent reads what stands after "=== ". Old logs write actions that way too, so what looks like nothing else is
// one; "netjoined: a -> b" and the like, which servers say, are nobody's.
func parseEvent(s string) (Line, bool) {
	for _, parse := range [...]func(string) (Line, bool){parseMode, parseTopic, parseNickChange, parseKick, parseComing, parseGoing} {
		if line, ok := parse(s); ok {
			return line, true
		}
	}
	if first, _, _ := strings.Cut(s, " "); strings.HasSuffix(first, ":") || strings.HasPrefix(s, "mode/") {
		return Line{}, false
	}
	nick, does, ok := cutNick(s)
	return Line{Kind: Action, Nick: nick, Text: does}, ok && does != ""
}

// parseMode reads "mode/#channel [+o nick]  by who".
func parseMode(s string) (Line, bool) {
	s, found := strings.CutPrefix(s, "mode/#")
	_, s, found2 := strings.Cut(s, " [")
	at := strings.LastIndex(s, "]  by ")
	if !found || !found2 || at < 0 {
		return Line{}, false
	}
	nick, ok := cleanNick(s[at+len("]  by "):])
	return Line{Kind: Mode, Nick: nick, Text: s[:at]}, ok
}

// parseTopic reads "..[topic/#channel:who] : text".
func parseTopic(s string) (Line, bool) {
	s, found := strings.CutPrefix(s, "..[topic/#")
	_, s, found2 := strings.Cut(s, ":")
	left, text, found3 := strings.Cut(s, " : ")
	left, found4 := strings.CutSuffix(left, "]")
	nick, ok := cleanNick(left)
	return Line{Kind: Topic, Nick: nick, Text: text}, found && found2 && found3 && found4 && ok
}

// parseNickChange reads "old is now known as new".
func parseNickChange(s string) (Line, bool) {
	left, right, found := strings.Cut(s, " is now known as ")
	before, ok := cleanNick(left)
	after, ok2 := cleanNick(right)
	return Line{Kind: NickChange, Nick: before, Other: after}, found && ok && ok2
}

// parseKick reads "nick was kicked off #channel by who (reason)".
func parseKick(s string) (Line, bool) {
	left, right, found := strings.Cut(s, " was kicked off #")
	_, right, found2 := strings.Cut(right, " by ")
	kicked, ok := cleanNick(left)
	by, reason, ok2 := cutNick(right)
	if !found || !found2 || !ok || !ok2 || len(reason) < 2 || reason[0] != '(' || reason[len(reason)-1] != ')' {
		return Line{}, false
	}
	return Line{Kind: Kick, Nick: by, Other: kicked, Text: reason[1 : len(reason)-1]}, true
}

// parseComing reads "nick [user@host]  has joined #channel".
func parseComing(s string) (Line, bool) {
	at := strings.LastIndex(s, "]  has joined #")
	if at < 0 {
		return Line{}, false
	}
	nick, ok := cutHost(s[:at+1])
	return Line{Kind: Join, Nick: nick}, ok
}

// parseGoing reads "nick [user@host]  has left #channel [reason]" and "nick [user@host]  has quit [reason]".
func parseGoing(s string) (Line, bool) {
	at := strings.Index(s, "]  has left #")
	if at < 0 {
		at = strings.Index(s, "]  has quit")
	}
	if at < 0 {
		return Line{}, false
	}
	nick, ok := cutHost(s[:at+1])
	_, reason, _ := strings.Cut(s[at+len("]  has "):], " [")
	return Line{Kind: Leave, Nick: nick, Text: strings.TrimSuffix(reason, "]")}, ok
}

// cutHost reads "nick [user@host]", in logs with and without the space after every bracket.
func cutHost(s string) (nick string, ok bool) {
	nick, host, ok := cutNick(s)
	if ok && strings.HasPrefix(host, "[") {
		return nick, true
	}
	nick, host, _ = strings.Cut(s, " ")
	return nick, isNick(nick) && strings.HasPrefix(host, "[")
}

// cutNick takes a nick off the front. Logs of 2004 to 2007 put a space after every ']', also inside nicks: "a[b] c d" is
// the nick "a[b]c" and "d", and "[a]  d" is "[a]" and "d".
func cutNick(s string) (nick, rest string, ok bool) {
	for at := 0; at < len(s); at++ {
		if s[at] != ' ' || at > 0 && s[at-1] == ']' {
			continue
		}
		nick, ok = cleanNick(s[:at])
		return nick, s[at+1:], ok
	}
	return "", "", false
}

// cleanNick takes the spaces after ']' out of a nick, and tells whether the rest is one.
func cleanNick(s string) (nick string, ok bool) {
	if strings.Contains(s, "] ") {
		s = strings.ReplaceAll(s, "] ", "]")
	}
	return s, isNick(s)
}

// isNick reports whether s may be a nick: no spaces, no angle brackets, no control characters, of a bearable length.
func isNick(s string) bool {
	if s == "" || len(s) > nickBytesMax {
		return false
	}
	for _, r := range s {
		if r <= ' ' || r == '<' || r == '>' || r >= 0x7f && r <= 0xa0 {
			return false
		}
	}
	return true
}

// toUTF8 is raw as valid UTF-8: itself, or each byte taken as the Latin-1 character it is.
func toUTF8(raw []byte) string {
	if utf8.Valid(raw) {
		return string(raw)
	}
	runes := make([]rune, len(raw))
	for i, b := range raw {
		runes[i] = rune(b)
	}
	return string(runes)
}
