// SPDX-License-Identifier: Apache-2.0

// What the tests of this package may change in a configuration and nobody else.

package server

import "github.com/tidemark-im/tidemark/journal"

// WrapJournal puts something between the partitions and the journal.
func (c *Config) WrapJournal(wrap func(journal.Journal) journal.Journal) { c.wrapJournal = wrap }
