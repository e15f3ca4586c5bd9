#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every fuzz target of the repository, one after the other, each for the time given (default 10s). A target that
# fails leaves its input under testdata/fuzz of its package: commit it with the repair.

set -euo pipefail
cd "$(dirname "$0")/.."

fuzztime=${1:-10s}
status=0
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		echo "== $package $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" "$package" || status=1
	done
done
exit $status
