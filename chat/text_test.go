// SPDX-License-Identifier: Apache-2.0

// What others write must not command the terminal, and must fit it.

package chat

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

func TestClean(t *testing.T) {
	for raw, want := range map[string]string{
		"plain text\nin lines":             "plain text\nin lines",
		"\x1b[31mred\x1b[0m":               "�[31mred�[0m",
		"\x1b]0;title\x07":                 "�]0;title�",
		"a\tb\r\nc\rd\u2028e":              "a b\nc\nd\ne",
		"\u009b2J \x7f \x00":               "�2J � �",
		"\xff\xfe":                         "�",
		"abc\u202ecba\u2066x\u200f":        "abccbax",
		"zero\u200bwidth\ufeff\u00ad":      "zerowidth",
		"👩‍👩‍👧 ❤️":                         "👩‍👩‍👧 ❤️",
		"नमस्ते العربية":                   "नमस्ते العربية",
		"z" + strings.Repeat("\u0301", 50): "z" + strings.Repeat("\u0301", marksMax),
		"\ue000":                           "�",
	} {
		if got := Clean(raw); got != want {
			t.Errorf("Clean(%q) = %q, want %q", raw, got, want)
		}
	}
	if got := CleanLine(" two\n lines\t"); got != "two lines" {
		t.Errorf("CleanLine: %q", got)
	}
}

// Whatever people write: nothing is left that a terminal obeys, cleaning twice changes nothing, and wrapped lines fit.
func FuzzCleanAndWrap(f *testing.F) {
	f.Add("\x1b[2J hello 世界 👩‍👩‍👧 \u202e", 10)
	f.Add("long"+strings.Repeat("x", 100)+"\n\n  indented", 3)
	f.Fuzz(func(t *testing.T, s string, width int) {
		clean := Clean(s)
		if !utf8.ValidString(clean) || Clean(clean) != clean {
			t.Fatalf("%q -> %q -> %q", s, clean, Clean(clean))
		}
		for _, r := range clean {
			if unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%U is left of %q", r, s)
			}
		}
		width = 2 + (width%100+100)%100
		for _, m := range []measure{ansi.WcWidth, ansi.GraphemeWidth} {
			var kept strings.Builder
			for _, line := range wrap(m, clean, width, width/2) {
				if w := m.StringWidth(line); w > width {
					t.Fatalf("a line of %d cells in %d: %q", w, width, line)
				}
				kept.WriteString(line)
			}
			squeeze := func(s string) string { return strings.NewReplacer(" ", "", "\n", "").Replace(s) }
			if squeeze(kept.String()) != squeeze(clean) {
				t.Fatalf("wrapping %q lost something: %q", clean, kept.String())
			}
		}
	})
}

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		text          string
		width, indent int
		want          string
	}{
		{"", 10, 0, ""},
		{"one two three", 10, 0, "one two|three"},
		{"one two three", 10, 5, "one|two three"},
		{"abcdefghijkl", 5, 0, "abcde|fghij|kl"},
		{"ab abcdefghijkl", 5, 0, "ab ab|cdefg|hijkl"},
		{"世界你好吗", 5, 0, "世界|你好|吗"},
		{"a\n\nb", 5, 0, "a||b"},
		{"a long name", 4, 9, "|a|long|name"},
	} {
		if got := strings.Join(wrap(ansi.WcWidth, test.text, test.width, test.indent), "|"); got != test.want {
			t.Errorf("wrap(%q, %d, %d) = %q, want %q", test.text, test.width, test.indent, got, test.want)
		}
	}
}

func TestParseMoment(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"2004-12-05": "2004-12-05 00:00", "2004-12-05 18:30": "2004-12-05 18:30", "yesterday": "2026-03-03 00:00",
		"today": "2026-03-04 00:00", "2004-12": "2004-12-01 00:00", "09:15": "2026-03-04 09:15",
	} {
		if at, err := parseMoment(s, now); err != nil || at.Format("2006-01-02 15:04") != want {
			t.Errorf("%q is %v, err %v, want %s", s, at, err, want)
		}
	}
	for _, s := range []string{"", "soon", "2004-13-01", "2004-12-05 25:00"} {
		if at, err := parseMoment(s, now); err == nil {
			t.Errorf("%q is %v", s, at)
		}
	}
}
