// SPDX-License-Identifier: Apache-2.0

// What a check found.

package verify

import (
	"fmt"
	"strings"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/store"
)

// Counts is how many of each were checked.
type Counts struct {
	Users, Conversations, Events, Members, ClientIDs, Hours, CurrentForms, Mentions, Recalls, ListRows, Commits,
	Profiles, Devices, Cursors, MembershipEvents, ProfileEntries, Contacts, Requests, Answers, Reactions, Privates uint64
	Accounts, Named uint64
}

// each lists the counts by name.
func (c *Counts) each() []struct {
	name string
	n    *uint64
} {
	return []struct {
		name string
		n    *uint64
	}{
		{"users", &c.Users}, {"conversations", &c.Conversations}, {"events", &c.Events}, {"members", &c.Members},
		{"client ids", &c.ClientIDs}, {"hours", &c.Hours}, {"current forms", &c.CurrentForms}, {"mentions", &c.Mentions},
		{"recalls", &c.Recalls}, {"list rows", &c.ListRows}, {"commits", &c.Commits}, {"profiles", &c.Profiles},
		{"devices", &c.Devices}, {"cursors", &c.Cursors}, {"membership events", &c.MembershipEvents},
		{"profile entries", &c.ProfileEntries}, {"contacts", &c.Contacts}, {"requests to join", &c.Requests},
		{"answers in threads", &c.Answers}, {"reactions", &c.Reactions}, {"private records", &c.Privates},
		{"accounts", &c.Accounts}, {"named entries", &c.Named},
	}
}

func (c *Counts) add(o Counts) {
	others := o.each()
	for i, own := range c.each() {
		*own.n += *others[i].n
	}
}

// minus is what was counted since o.
func (c Counts) minus(o Counts) Counts {
	others := o.each()
	for i, own := range c.each() {
		*own.n -= *others[i].n
	}
	return c
}

// Damage is one place where the data are not what they must be.
type Damage struct {
	Partition    uint32
	Conversation tidemark.ConversationID // "": not in a conversation
	Seq          tidemark.Seq            // 0: not at an event
	What         string                  // what is wrong there
	Found        string
	Expected     string
}

// String is the damage in one line.
func (d Damage) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "partition %d", d.Partition)
	if d.Conversation != "" {
		fmt.Fprintf(&b, ", conversation %q", d.Conversation)
	}
	if d.Seq != 0 {
		fmt.Fprintf(&b, ", event %d", d.Seq)
	}
	fmt.Fprintf(&b, ": %s: found %s, expected %s", d.What, d.Found, d.Expected)
	return b.String()
}

// Report is the result of a check.
type Report struct {
	Meta        store.Meta
	Counts      Counts
	Damages     []Damage // by partition, in the order they were met
	Undescribed int      // so many more
}

// OK reports whether nothing is damaged.
func (r Report) OK() bool { return len(r.Damages) == 0 }

// String is the report for people: the counts and every damage, a line each.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "format %d, %d partitions, epoch %d\n", r.Meta.FormatVersion, r.Meta.Partitions, r.Meta.Epoch)
	for _, c := range r.Counts.each() {
		fmt.Fprintf(&b, "%-17s %d\n", c.name, *c.n)
	}
	for _, d := range r.Damages {
		fmt.Fprintf(&b, "damaged: %s\n", d)
	}
	if r.Undescribed > 0 {
		fmt.Fprintf(&b, "damaged: and %d places more\n", r.Undescribed)
	}
	if r.OK() {
		b.WriteString("ok: everything agrees\n")
	}
	return b.String()
}
