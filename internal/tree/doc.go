// SPDX-License-Identifier: Apache-2.0

// Package tree holds the tests that read the repository itself: which package may import which and why, how large a
// function or a file may be, what must be documented, which words and paths may not appear.
//
//	go test ./internal/tree
//
// It only parses; it does not type-check, build or run anything, and there is nothing in it to import.
package tree
