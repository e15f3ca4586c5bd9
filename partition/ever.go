// SPDX-License-Identifier: Apache-2.0

// Members of now and of the past: whom a trace asks about.

package partition

import (
	"fmt"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/record"
)

// EverMembers is a page of all who are or have been members of a conversation, by ordinal: those past after, at most
// limit.
func (p *Partition) EverMembers(c record.Conversation, after record.User, limit int) ([]MemberRow, error) {
	var rows []MemberRow
	p.stats.misses.Add(1)
	err := p.db.Members(c, after+1, func(u record.User, m *record.Member) bool {
		if m = p.memberAsCommitted(c, u, m); m != nil && m.JoinedSeq > 0 {
			rows = append(rows, MemberRow{Ordinal: u, Member: m})
		}
		return len(rows) < limit
	})
	if err != nil {
		return nil, fmt.Errorf("partition: members of %d: %w", c, err)
	}
	for i := range rows {
		var id tidemark.UserID
		if id, err = p.UserID(rows[i].Ordinal); err != nil {
			return nil, err
		}
		rows[i].User = id
	}
	return rows, nil
}
