// SPDX-License-Identifier: Apache-2.0

package core

import "github.com/tidemark-im/tidemark/record"

// Evaluate decides one command against a view. On refusal the reply carries the error and out is left as it was given.
func Evaluate(view View, cmd Command, env Env, out *record.Changes) Reply {
	panic("core: Evaluate is being written")
}
