// SPDX-License-Identifier: Apache-2.0

// The reference, by examples that can be counted on one's fingers.

package invariant_test

import (
	"slices"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/sim/invariant"
	"github.com/tidemark-im/tidemark/wire"
)

func modelOf(bodies ...*wire.Body) *invariant.Model {
	m := invariant.NewModel("team")
	for i, body := range bodies {
		m.Append(&wire.Event{Seq: uint64(i + 1), Sender: "ann", Body: wire.MarshalBody(body)})
	}
	return m
}

func said(m *wire.Message) *wire.Body { return &wire.Body{Body: &wire.Body_Message{Message: m}} }

func TestTheModelCounts(t *testing.T) {
	m := modelOf(
		members([]string{"ann", "ben"}, nil),                                                                           // 1
		said(&wire.Message{Text: "1"}),                                                                                 // 2
		said(&wire.Message{Text: "2", Mentions: []string{"ben", "cat"}}),                                               // 3: cat is no member
		said(&wire.Message{Text: "3", Class: wire.MessageClass_SILENT}),                                                // 4
		said(&wire.Message{Text: "4", MentionAll: true}),                                                               // 5
		&wire.Body{Body: &wire.Body_Recall{Recall: &wire.Recall{Seq: 5}}},                                              // 6
		&wire.Body{Body: &wire.Body_Edit{Edit: &wire.Edit{Seq: 2, Message: &wire.Message{Mentions: []string{"ben"}}}}}, // 7
	)
	for _, test := range []struct {
		read, floor      tidemark.Seq
		own              []tidemark.Seq
		unread, mentions uint64
	}{
		{unread: 2, mentions: 2},
		{read: 2, unread: 1, mentions: 1},
		{floor: 2, unread: 1, mentions: 1},
		{own: []tidemark.Seq{3}, unread: 1, mentions: 1},
		{read: 7},
	} {
		if unread, mentions := m.Counts("ben", test.read, test.floor, test.own); unread != test.unread || mentions != test.mentions {
			t.Errorf("%+v: %d unread, %d mentions", test, unread, mentions)
		}
	}
	if _, mentions := m.Counts("cat", 0, 0, nil); mentions != 0 {
		t.Errorf("somebody who was no member is mentioned %d times", mentions)
	}
}

func TestTheModelKnowsWhoSeesWhat(t *testing.T) {
	open := &wire.Body{Body: &wire.Body_Info{Info: &wire.Info{Settings: &wire.Settings{HistoryFromStart: true}}}}
	m := modelOf(
		members([]string{"ann", "ben"}, nil), // 1
		said(&wire.Message{}),                // 2
		members(nil, []string{"ben"}),        // 3
		said(&wire.Message{}),                // 4
		members([]string{"ben"}, nil),        // 5
		open,                                 // 6
		members([]string{"cat"}, nil),        // 7
	)
	for _, test := range []struct {
		user      tidemark.UserID
		sees, saw []tidemark.Seq
	}{
		{"ann", []tidemark.Seq{1, 2, 3, 4, 5, 6, 7}, []tidemark.Seq{1, 2, 3, 4, 5, 6, 7}},
		{"ben", []tidemark.Seq{5, 6, 7}, []tidemark.Seq{1, 2, 3, 5, 6, 7}},
		{"cat", []tidemark.Seq{1, 2, 3, 4, 5, 6, 7}, []tidemark.Seq{1, 2, 3, 4, 5, 6, 7}},
		{"dan", nil, nil},
	} {
		var sees, saw []tidemark.Seq
		for seq := tidemark.Seq(1); seq <= 7; seq++ {
			if m.Sees(test.user, seq) {
				sees = append(sees, seq)
			}
			if m.Saw(test.user, seq) {
				saw = append(saw, seq)
			}
		}
		if !slices.Equal(sees, test.sees) || !slices.Equal(saw, test.saw) {
			t.Errorf("%s sees %v and saw %v, want %v and %v", test.user, sees, saw, test.sees, test.saw)
		}
	}
	if readers := m.Readers(2); len(readers) != 0 {
		t.Errorf("the second event may be read by %v: ann wrote it, and all others came later", readers)
	}
}
