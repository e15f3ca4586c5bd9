#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make microbench` does: runs the micro-benchmarks of the path of a message (frame codec, chain, rules, commit, wake,
# drain, heads) and compares them with the saved ones. With SAVE=yes it saves them instead. Times depend on the machine, and
# on what else it does: compare those of one machine. Allocations and bytes do not.

set -euo pipefail
cd "$(dirname "$0")/.."

baseline=docs/microbench.txt
count=${COUNT:-6}
packages=${PKG:-./chain ./core ./gateway ./partition ./session ./wire}
names=${BENCH:-'^Benchmark(AppendServerFrame|BodyHash|Changed|DecodeClientFrame|Deliver|Event|Framing|Import|Pipeline|Read|Reconnect|Seal|Submit|SubmitDuplicate|Verify|Wake)$'}

now=$(mktemp)
trap 'rm -f "$now"' EXIT
# shellcheck disable=SC2086 # a list of packages
go test -run '^$' -bench "$names" -benchmem -benchtime "${BENCHTIME:-0.3s}" -count "$count" $packages | tee "$now" | grep --line-buffered -v '^ok\|^PASS' >&2

if [ "${SAVE:-}" = yes ]; then
	grep -v '^ok\|^PASS' "$now" >"$baseline"
	echo "saved in $baseline"
	exit
fi
echo
go tool -modfile=tools/go.mod benchstat "saved=$baseline" "now=$now"
