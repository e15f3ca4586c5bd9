// SPDX-License-Identifier: Apache-2.0

// Text as people write it, for whatever depends on what is written (compression, length, who talks to whom): real IRC logs
// where there are some, otherwise logs made up to look like them.

package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidemark-im/tidemark/irc"
)

const (
	ircLogLines   = 2000   // lines of one made-up day
	ircWords      = 12_000 // made-up words; a few of them make most of the text, as in a language
	ircTalkers    = 60     // nicks in the channel at a time
	ircJoinEvery  = 14     // lines for each who comes
	ircReplyShare = 0.4    // of the messages begin with a nick
)

// OpenIRC lists the logs of a directory, or makes up logs of so many lines in scratch where dir is "".
func OpenIRC(dir, scratch string, lines int) (irc.Logs, error) {
	if dir == "" {
		dir = filepath.Join(scratch, "irc")
		if err := WriteIRC(dir, lines, 1); err != nil {
			return nil, err
		}
	}
	logs, err := irc.Open([]string{dir})
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	return logs, nil
}

// WriteIRC writes made-up logs into a directory, which it makes: one file a day, so many lines together. The same seed
// writes the same.
func WriteIRC(dir string, lines int, seed uint64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	c := newChatter(seed)
	day := time.Date(2005, 1, 1, 0, 0, 0, 0, time.UTC)
	for left := lines; left > 0; left -= ircLogLines {
		n := min(left, ircLogLines)
		err := writeLines(filepath.Join(dir, day.Format(time.DateOnly)+".txt"), func(w io.Writer) {
			for i := range n {
				c.line(w, i*24*60/ircLogLines)
			}
		})
		if err != nil {
			return err
		}
		day = day.AddDate(0, 0, 1)
	}
	return nil
}

// writeLines writes a file; write may ignore errors, which are told here.
func writeLines(path string, write func(io.Writer)) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	w := bufio.NewWriter(file)
	write(w)
	if err := errors.Join(w.Flush(), file.Close()); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	return nil
}

// chatter makes up what people in a channel say.
type chatter struct {
	random *rand.Rand
	zipf   *rand.Zipf
	words  []string
	nicks  []string
	coming int // lines until the next one comes
}

func newChatter(seed uint64) *chatter {
	c := &chatter{random: rand.New(rand.NewPCG(seed, 2))}
	c.zipf = rand.NewZipf(c.random, 1.07, 2, ircWords-1)
	syllables := strings.Fields("a the to in on er an re is at en it or es ing ion un bo ke mi lo ta su dre ch ve ld ack ow ess int ard ill ome ou ght pre con ble qu x")
	for range ircWords {
		word := syllables[c.random.IntN(len(syllables))]
		for range c.random.IntN(4) {
			word += syllables[c.random.IntN(len(syllables))]
		}
		c.words = append(c.words, word)
	}
	for range ircTalkers {
		c.nicks = append(c.nicks, c.nick())
	}
	return c
}

// nick is a name nobody has had: its number is part of it.
func (c *chatter) nick() string {
	return fmt.Sprintf("%s%d", c.words[c.random.IntN(len(c.words))], c.random.IntN(100_000))
}

// line writes one line of a log, with the time of a clock in minutes.
func (c *chatter) line(w io.Writer, minute int) {
	at := c.random.IntN(len(c.nicks))
	if c.coming--; c.coming < 0 {
		c.coming = ircJoinEvery
		c.nicks[at] = c.nick()
		fmt.Fprintf(w, "=== %s [~%s@host%d.example]  has joined #channel\n", c.nicks[at], c.nicks[at], c.random.IntN(1000))
		return
	}
	text := c.text()
	if c.random.Float64() < ircReplyShare {
		text = c.nicks[c.random.IntN(len(c.nicks))] + ": " + text
	}
	fmt.Fprintf(w, "[%02d:%02d] <%s> %s\n", minute/60%24, minute%60, c.nicks[at], text)
}

// text is one message: mostly short, now and then long, now and then with a link.
func (c *chatter) text() string {
	var words []string
	for range 1 + min(int(c.random.ExpFloat64()*9), 70) {
		words = append(words, c.words[c.zipf.Uint64()])
	}
	if c.random.IntN(40) == 0 {
		words = append(words, fmt.Sprintf("http://%s.example/%x", words[0], c.random.Uint32()))
	}
	return strings.Join(words, " ")
}

// TextsOf are the texts of what was said in logs, at most so many. With a payload, they are of exactly so many bytes, or up
// to three fewer where a character would be cut: what was said, one after the other.
func TextsOf(logs irc.Logs, payload, most int) ([]string, error) {
	var texts []string
	var stream strings.Builder
	for _, log := range logs {
		lines, err := log.Read()
		if err != nil {
			return nil, fmt.Errorf("bench: %w", err)
		}
		for _, line := range lines {
			switch {
			case line.Kind != irc.Message || line.Text == "":
				continue
			case payload == 0:
				texts = append(texts, line.Text)
			default:
				stream.WriteString(line.Text + " ")
				rest := stream.String()
				for len(rest) > payload {
					n := payload
					for !utf8.RuneStart(rest[n]) {
						n--
					}
					texts, rest = append(texts, rest[:n]), rest[n:]
				}
				stream.Reset()
				stream.WriteString(rest)
			}
			if len(texts) >= most {
				return texts[:most], nil
			}
		}
	}
	if len(texts) == 0 {
		return nil, errors.New("bench: nobody says anything in these logs")
	}
	return texts, nil
}
