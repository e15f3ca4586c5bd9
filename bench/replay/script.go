// SPDX-License-Identifier: Apache-2.0

// Who says what: made up from a seed, or taken from logs of IRC channels.

package replay

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tidemark-im/tidemark/irc"
)

// Line is one message to send.
type Line struct {
	Author       int // index in Script.Authors
	Conversation int // index in Script.Conversations
	Text         string
}

// Script is what the users say, in the order in which they say it.
type Script struct {
	Authors       []string // user ids
	Conversations []string // ids of groups; every author is a member of each
	Lines         []Line
}

// authorsWanted is how many users a script has.
const authorsWanted = 20

// MadeUp is a script of random words.
func MadeUp(seed uint64, lines int) Script {
	random := rand.New(rand.NewPCG(seed, 1))
	words := strings.Fields("tide mark wave log seq head drain wake 潮 标记 ünïcode ok yes no why because https://example.org/a?b=c :-) the a of and")
	s := Script{Conversations: []string{"harbour", "pier", "lighthouse", "beach", "reef"}}
	for i := range authorsWanted {
		s.Authors = append(s.Authors, fmt.Sprintf("sailor%02d", i))
	}
	for range lines {
		text := make([]string, 1+random.IntN(20))
		for i := range text {
			text[i] = words[random.IntN(len(words))]
		}
		s.Lines = append(s.Lines, Line{random.IntN(len(s.Authors)), random.IntN(len(s.Conversations)), strings.Join(text, " ")})
	}
	return s
}

// FromIRC takes what the most talkative people of the logs at paths said, up to linesMax lines. Each log becomes a conversation.
func FromIRC(paths []string, linesMax int) (Script, error) {
	logs, err := irc.Open(paths)
	if err != nil {
		return Script{}, err
	}
	type spoken struct {
		author, text string
		log          int
	}
	var all []spoken
	said := map[string]int{}
	for i, log := range logs {
		lines, err := log.Read()
		if err != nil {
			return Script{}, err
		}
		for _, line := range lines {
			if line.Kind == irc.Message && line.Text != "" {
				author := string(irc.UserOf(line.Nick))
				all = append(all, spoken{author, line.Text, i})
				said[author]++
			}
		}
	}
	authors := slices.SortedFunc(maps.Keys(said), func(a, b string) int {
		if said[a] != said[b] {
			return said[b] - said[a]
		}
		return strings.Compare(a, b)
	})
	if len(authors) < authorsWanted {
		return Script{}, fmt.Errorf("replay: only %d people say anything in these logs, %d are needed", len(authors), authorsWanted)
	}
	s := Script{Authors: authors[:authorsWanted]}
	conversations := map[int]int{}
	for _, line := range all {
		author := slices.Index(s.Authors, line.author)
		if author < 0 || len(s.Lines) == linesMax {
			continue
		}
		conversation, known := conversations[line.log]
		if !known {
			conversation = len(s.Conversations)
			conversations[line.log] = conversation
			s.Conversations = append(s.Conversations, "irc-"+logs[line.log].Name())
		}
		s.Lines = append(s.Lines, Line{author, conversation, line.text})
	}
	return s, nil
}
