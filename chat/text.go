// SPDX-License-Identifier: Apache-2.0

// Text in cells: how wide it is, and where its lines break.

package chat

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// measure is how the terminal counts the cells of text: the same way as the renderer that writes to it.
type measure = ansi.Method

// wrap breaks text into lines of at most width cells, the first shorter by indent. Words move to the next line, words
// longer than a line are broken, wide characters may be parted from each other. It returns at least one line.
func wrap(m measure, text string, width, indent int) []string {
	width = max(width, 2)
	w := wrapper{measure: m, width: width, left: max(width-indent, 0)}
	for i, paragraph := range strings.Split(text, "\n") {
		if i > 0 {
			w.newLine()
		}
		w.add(paragraph)
	}
	return append(w.lines, strings.TrimRight(w.line.String(), " "))
}

type wrapper struct {
	measure measure
	width   int
	left    int // cells free on the line
	line    strings.Builder
	lines   []string
	started bool // the line has a word
}

func (w *wrapper) newLine() {
	w.lines = append(w.lines, strings.TrimRight(w.line.String(), " "))
	w.line.Reset()
	w.left, w.started = w.width, false
}

// add appends a paragraph, word by word. A word is what stands between spaces, or one wide character.
func (w *wrapper) add(text string) {
	for len(text) > 0 {
		word, width := w.word(text)
		text = text[len(word):]
		switch {
		case word == " " && w.left == 0: // swallowed by the line's end
		case width <= w.left:
			w.put(word, width)
		case word == " ":
		case width <= w.width && (w.started || w.left < w.width):
			w.newLine()
			w.put(word, width)
		default:
			w.broken(word)
		}
	}
}

func (w *wrapper) put(word string, width int) {
	w.line.WriteString(word)
	w.left -= width
	w.started = true
}

// broken puts a word that is longer than a line.
func (w *wrapper) broken(word string) {
	for len(word) > 0 {
		cluster, width := ansi.FirstGraphemeCluster(word, w.measure)
		if width > w.left {
			w.newLine()
		}
		w.put(cluster, width)
		word = word[len(cluster):]
	}
}

// word is the first word of text: a space, a wide character, or a run of others.
func (w *wrapper) word(text string) (word string, width int) {
	for end := 0; end < len(text); {
		cluster, cells := ansi.FirstGraphemeCluster(text[end:], w.measure)
		switch {
		case end == 0 && (cluster == " " || cells > 1):
			return cluster, cells
		case cluster == " " || cells > 1:
			return text[:end], width
		}
		end += len(cluster)
		width += cells
	}
	return text, width
}

// fit is s in exactly width cells: cut with an ellipsis, or filled with spaces.
func fit(m measure, s string, width int) string {
	if width <= 0 {
		return ""
	}
	s = m.Truncate(s, width, "…")
	return s + strings.Repeat(" ", max(width-m.StringWidth(s), 0))
}
