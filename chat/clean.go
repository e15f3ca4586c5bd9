// SPDX-License-Identifier: Apache-2.0

// What others wrote, made harmless for a terminal.

package chat

import (
	"strings"
	"unicode"
)

// marksMax is how many combining marks may stand on one character: enough for every script, too few to cover other lines.
const marksMax = 6

// Clean is s without anything that a terminal obeys instead of showing. Control characters (escape sequences begin with
// one) and bytes that are not UTF-8 become '�'; characters that turn the direction of text or that nobody can see are
// taken out; tabs become spaces, and whatever ends a line becomes '\n'.
func Clean(s string) string {
	if isPlain(s) {
		return s
	}
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\r\n", "\n"), "�")
	marks := 0
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Mn, unicode.Me) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case r == '\r', r == '\u2028', r == '\u2029', r == '\u0085':
			return '\n'
		case unicode.IsControl(r), unicode.Is(unicode.Co, r): // C0, DEL, C1; private use
			return '�'
		case invisible(r), marks > marksMax:
			return -1
		}
		return r
	}, s)
}

// CleanLine is [Clean] on one line: names, titles, reasons.
func CleanLine(s string) string {
	return strings.Join(strings.Fields(Clean(s)), " ")
}

// isPlain reports whether s is printable ASCII and line ends, which most texts are.
func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' && s[i] != '\n' || s[i] > '~' {
			return false
		}
	}
	return true
}

// invisible reports whether r shows nothing, or turns the direction of what is around it. Joiners are needed by scripts
// and emoji and stay.
func invisible(r rune) bool {
	switch {
	case r == '\u200c' || r == '\u200d': // joiners
		return false
	case r >= 0xe0000 && r <= 0xe01ef: // tags, and selectors of glyph variants
		return true
	}
	return unicode.Is(unicode.Cf, r)
}
