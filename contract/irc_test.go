// SPDX-License-Identifier: Apache-2.0

// Real comings and goings: channel logs are imported batch by batch, and between any two moments of the import a contract
// tells the joins and leaves that stand in the files, counted from the lines without the importer's plan.

package contract_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/irc"
	"github.com/tidemark-im/tidemark/record"
	"github.com/tidemark-im/tidemark/wire"
)

// reader is who asks: a member from the beginning, who is in no log.
const reader = "the.reader"

// coming is that somebody came or went: "+user" or "-user".
type coming string

// comings are all of the logs in their order, and how many there are after each line, by "DATE-LINE".
func comings(t *testing.T, logs irc.Logs) (all []coming, upTo map[string]int) {
	inside, upTo := map[tidemark.UserID]bool{}, map[string]int{}
	for _, log := range logs {
		data, err := os.ReadFile(log.Path)
		if err != nil {
			t.Fatal(err)
		}
		nicks := map[string]tidemark.UserID{}
		who := func(nick string) tidemark.UserID {
			if user, renamed := nicks[nick]; renamed {
				return user
			}
			return irc.UserOf(nick)
		}
		set := func(user tidemark.UserID, in bool) {
			if inside[user] != in {
				inside[user] = in
				all = append(all, coming(string("-+"[btoi(in)])+string(user)))
			}
		}
		lines := strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n")
		for i, text := range lines {
			line := irc.ParseLine([]byte(strings.TrimSuffix(text, "\r")))
			if line.Kind != irc.Odd {
				user := who(line.Nick)
				set(user, true) // whoever does anything is there
				switch line.Kind {
				case irc.Leave:
					set(user, false)
				case irc.Kick:
					set(who(line.Other), true)
					set(who(line.Other), false)
				case irc.NickChange:
					delete(nicks, line.Nick)
					nicks[line.Other] = user
				}
			}
			upTo[fmt.Sprintf("%s-%d", log.Name(), i+1)] = len(all)
		}
	}
	return all, upTo
}

// channel is a world that logs are imported into, and a client of the reader.
type channel struct {
	*world
	t       *testing.T
	comings []coming
	upTo    map[string]int
	moments []moment
	asked   int
	rows    int // joins and leaves told
	fulls   int
}

// moment is what the client had after one batch.
type moment struct {
	upTo int // comings that had been
	held *held
}

// Users implements [irc.Target].
func (c *channel) Users(_ context.Context, users []irc.User) error {
	c.fill(len(users), func(i int) core.Command { return &core.UpsertUser{User: users[i].ID, Nickname: users[i].Nickname} })
	return nil
}

// Conversation implements [irc.Target].
func (c *channel) Conversation(_ context.Context, sinceMs uint64) (uint64, error) {
	c.users(reader)
	c.do(&core.Create{Actor: app, Conversation: "#channel", Kind: record.Group, Members: []tidemark.UserID{reader}, CreatedMs: sinceMs,
		Settings: &wire.Settings{HistoryFromStart: true}})
	c.moments = append(c.moments, moment{0, newHeld()})
	c.read(c.moments[0].held, nil)
	return sinceMs, nil
}

// Import implements [irc.Target].
func (c *channel) Import(_ context.Context, entries []*wire.ImportEntry) (appended, skipped uint64, err error) {
	reply := c.do(&core.Import{Conversation: "#channel", Entries: entries})
	parts := strings.Split(strings.TrimPrefix(entries[len(entries)-1].ClientId, "irc-"), "-") // year, month, day, line
	now, known := c.upTo[strings.Join(parts[:4], "-")]
	if !known {
		c.Fatalf("entry %q is of no line", entries[len(entries)-1].ClientId)
	}
	inside := map[string]string{reader: wire.Role_MEMBER.String()}
	for _, coming := range c.comings[:now] {
		if coming[0] == '+' {
			inside[string(coming[1:])] = wire.Role_MEMBER.String()
		} else {
			delete(inside, string(coming[1:]))
		}
	}
	last := len(c.moments) - 1
	for _, at := range slices.Compact([]int{0, last / 3, last / 2, last}) {
		from := c.moments[at]
		h := from.held.clone()
		told, full := []coming{}, h.fulls
		c.read(h, func(come coming) { told = append(told, come) })
		if dump(h.rows) != dump(inside) {
			c.t.Fatalf("from moment %d to %d the members are %d, of the files %d", at, last+1, len(h.rows), len(inside))
		}
		if want := c.comings[from.upTo:now]; h.fulls > full {
			c.fulls++ // the list itself was the shorter answer
		} else if !slices.Equal(told, want) {
			c.t.Fatalf("from moment %d to %d were told %d joins and leaves, in the files are %d:\n%v\n%v", at, last+1, len(told), len(want), told, want)
		}
		for id := range h.rows {
			if h.profiles[id] == "" {
				c.t.Fatalf("the profile of %s was not told", id)
			}
		}
		c.asked++
		c.rows += len(told)
		if at == last {
			c.moments = append(c.moments, moment{now, h})
		}
	}
	return uint64(reply.Appended), uint64(reply.Skipped), nil
}

// read brings what a client has up to date, and tells of joins and leaves.
func (c *channel) read(h *held, tell func(coming)) {
	for more := true; more; more = h.token != "" {
		a := c.ask(reader, &wire.ChangesRequest{Limit: 1000, GroupMembers: []*wire.GroupMembersContract{{
			Conversation: "#channel", ListVersion: h.list, InfoVersion: h.info, PageToken: h.token,
		}}})
		h.members(a, a.GroupMembers[0])
		for _, e := range a.GroupMembers[0].Events {
			for _, id := range e.Added {
				tell(coming("+" + id))
			}
			for _, id := range e.Removed {
				tell(coming("-" + id))
			}
		}
	}
}

func testChannel(t *testing.T, paths []string, batch int) *channel {
	logs, err := irc.Open(paths)
	if err != nil {
		t.Fatal(err)
	}
	c := &channel{t: t, world: newTest(t, nil)}
	c.comings, c.upTo = comings(t, logs)
	if _, err := irc.Run(t.Context(), logs, c, irc.RunConfig{BatchEntries: batch}); err != nil {
		t.Fatal(err)
	}
	if last := c.moments[len(c.moments)-1]; last.upTo != len(c.comings) || len(c.comings) == 0 {
		t.Errorf("%d of %d joins and leaves were imported", last.upTo, len(c.comings))
	}
	t.Logf("%d logs, %d joins and leaves, %d moments, %d questions that told %d joins and leaves, and %d of them the whole list",
		len(logs), len(c.comings), len(c.moments), c.asked, c.rows, c.fulls)
	return c
}

func TestA4MembershipBetweenVersionsOfLogs(t *testing.T) {
	for _, batch := range []int{1, 3, 10} {
		if c := testChannel(t, []string{"../irc/testdata/2004-12-05.txt", "../irc/testdata/2004-12-06.txt"}, batch); c.rows == 0 || len(c.moments) < 3 {
			t.Errorf("in batches of %d nothing was told", batch)
		}
	}
}

// The real logs, where somebody has them: TIDEMARK_IRC_LOGS names their directory.
func TestA4MembershipBetweenVersionsOfRealLogs(t *testing.T) {
	dir := os.Getenv("TIDEMARK_IRC_LOGS")
	if dir == "" {
		t.Skip("TIDEMARK_IRC_LOGS is not set")
	}
	c := testChannel(t, []string{dir}, 4000)
	if nobody := c.moments[len(c.moments)-1].held.rows; len(slices.Collect(maps.Keys(nobody))) < 1000 {
		t.Errorf("in the end there are %d members", len(nobody))
	}
}
