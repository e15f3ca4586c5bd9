// SPDX-License-Identifier: Apache-2.0

// Package verify checks a data directory: that every log is whole and every structure beside the logs is what the logs
// say, by brute force.
//
//	report, err := verify.Run(ctx, verify.Config{Dir: "data"})
//	if err != nil { ... }        // it could not be read
//	fmt.Print(report)            // what was checked, and what is damaged
//	if !report.OK() { ... }
//
// For each conversation it recomputes the hash chain, and rebuilds from the events: members, public data, current forms,
// mentions, recalls, hours, client ids, head. It reads each kind of row once, side by side in the order of
// conversations; it keeps in memory one conversation's members and changed messages, and sums of what is ordered
// otherwise.
//
// It needs the directory for itself (no server may run), repairs nothing, and changes nothing. It does not check what
// no log tells: profiles' contents, private settings, roles of the past. Of a conversation whose older events are no
// longer kept, only the log, its client ids and its marks are checked.
package verify
