// SPDX-License-Identifier: Apache-2.0

// Package contract answers what changed in the sets of a user since the versions that a client holds: its conversations,
// the members of some of them, its contacts, and profiles.
//
//	answer, err := contract.Changes(set, "alice", &wire.ChangesRequest{
//		Groups:       &wire.GroupsContract{ListVersion: kept.List, InfoVersion: kept.Info},
//		GroupMembers: []*wire.GroupMembersContract{{Conversation: "team"}},
//	})
//
// # Versions
//
// A version is a number, or a vector of numbers, over what is there anyway: the positions of the partitions, and the seq
// of a conversation's log. Nothing is written to hand one out, nothing is kept for it, and none repeats: positions and seqs
// never fall, and a lost history has another epoch. A version names only what is published, so a crash cannot take it
// back. What changed is what has a position past it: list rows and heads that are compared in memory, the events of the
// log that are about members, and the indexes of changed profiles and contacts, which have one entry for each, at its
// last change.
//
// A version that cannot be used (none, damaged, of another epoch, user, conversation or set of users, of the future, of a
// seq that is no longer kept or not visible) is answered by the whole set, marked as full. It is never answered by nothing.
//
// # Pages
//
// Large answers come in pages. The new versions are those of the first page, and travel in the page token: whatever
// changes while the client reads has a position past them, and comes with the next question. So a page is read as things
// are now, no snapshot is kept, and nothing is lost. Of two ways to find what changed the shorter is taken; see profiles.go.
//
// The package writes nothing, keeps nothing between calls, and does not know HTTP. Who may ask as which user is the
// caller's to decide.
package contract
