// SPDX-License-Identifier: Apache-2.0

package server

import "github.com/tidemark-im/tidemark/journal"

// WrapJournal puts something between the partitions and the journal.
func (c *Config) WrapJournal(wrap func(journal.Journal) journal.Journal) { c.wrapJournal = wrap }
