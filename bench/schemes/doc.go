// SPDX-License-Identifier: Apache-2.0

// Package schemes puts four designs of group messages side by side: copies for the members who are offline, copies for
// all members, ids for all members, and one copy with a mark for each member, which is Tidemark's own. Each runs over
// the same store with the same options, under the same workload, through the same crashes; what is compared is counted
// and not timed, so that the same seed gives the same table on every machine.
//
//	report, err := schemes.Run(ctx, schemes.Config{Members: []int{10, 1000}}, os.Stderr)
//	...
//	err = report.WriteTable(os.Stdout)
//
// The first three are written as those who published them describe them, with what favours them where the description
// leaves a choice. The fourth is the server's own code: partitions and sessions over the store, without sockets.
//
// Read in this order: moment.go (when a crash may come), scheme.go (what a design must do), offline_copies.go,
// all_copies.go, all_ids.go and marks.go (the designs), world.go (members, devices and what they got), story.go
// (the workload and the crash), report.go (the tables). docs/designs.md shows the result and explains it.
//
// It does not measure how fast a design is, and is no client: its devices keep what they got and check nothing but that.
package schemes
