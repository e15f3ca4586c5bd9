// SPDX-License-Identifier: Apache-2.0

// The list of all checks by the statements of PROTOCOL.md, and the choice among them.

package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// check is one thing that a server must do.
type check struct {
	statement string      // its number in PROTOCOL.md: "2.4"
	what      string      // what is checked, a sentence
	run       func(*play) // see the package's documentation
}

// tables are the checks of all files.
var tables = [][]check{
	checksOfWays,
	checksOfConnection,
	checksOfGroups,
	checksOfContracts,
	checksOfSync,
	checksOfMessages,
	checksOfHistory,
	checksOfEnding,
	checksOfChain,
	checksOfErrors,
	checksOfCounts,
	checksOfForms,
	checksOfOneself,
	checksOfRooms,
	checksOfServices,
	checksOfUsers,
	checksOfPresence,
	checksOfLater,
	checksOfContacts,
}

// unchecked are the statements that cannot be checked from outside, each with the reason.
var unchecked = map[string]string{
	"3.3":  "it is about the examples in the repository, which tests of every SDK run, and asks nothing of a server",
	"5.50": "it takes a server that was restored from an older copy and takes back; until then the kit has nothing that it lost",
	"5.52": "it takes a server that was restored from an older copy",
	"5.53": "it takes a server that was restored from an older copy",
	"5.54": "it is about devices; the hostile server is for them",
}

// all are the checks in the order of their statements.
var all = sorted(slices.Concat(tables...))

// sorted puts checks into the order of their statements; those of one statement stay as they are.
func sorted(checks []check) []check {
	slices.SortStableFunc(checks, func(a, b check) int { return compareStatements(a.statement, b.statement) })
	return checks
}

// compareStatements orders "2.4" before "2.10".
func compareStatements(a, b string) int {
	aSection, aNumber := parts(a)
	bSection, bNumber := parts(b)
	return cmp.Or(cmp.Compare(aSection, bSection), cmp.Compare(aNumber, bNumber))
}

// parts are the two numbers of a statement; 0 for what is none.
func parts(statement string) (section, number int) {
	before, after, _ := strings.Cut(statement, ".")
	section, _ = strconv.Atoi(before)
	number, _ = strconv.Atoi(after)
	return section, number
}

// Listed is a check as it is listed.
type Listed struct {
	Statement string `json:"statement"` // its number in PROTOCOL.md: "2.4"
	What      string `json:"what"`      // what is checked, a sentence
}

// List answers the checks that `only` chooses (see [Config]) in the order of their statements.
func List(only []string) ([]Listed, error) {
	chosen, err := choose(only)
	list := make([]Listed, len(chosen))
	for i, c := range chosen {
		list[i] = Listed{c.statement, c.what}
	}
	return list, err
}

// Unchecked answers the statements that cannot be checked from outside, each with the reason.
func Unchecked() map[string]string { return unchecked }

// choose takes the checks of these statements and sections; all without any. What chooses nothing is an error.
func choose(only []string) ([]check, error) {
	if len(only) == 0 {
		return all, nil
	}
	var chosen []check
	used := make([]bool, len(only))
	for _, c := range all {
		section, _, _ := strings.Cut(c.statement, ".")
		take := false
		for i, name := range only {
			if name == c.statement || name == section {
				take, used[i] = true, true
			}
		}
		if take {
			chosen = append(chosen, c)
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return nil, fmt.Errorf("no check is of statement or section %q: use numbers such as 2.4, or 3", only[i])
	}
	return chosen, nil
}
