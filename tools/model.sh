#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks docs/model/session.pml with spin: over all interleavings nothing is lost and everything is clean in the end. Then
# breaks each rule of docs/model/variants.txt, and fails if spin does not find what that must lead to. Installs spin and gcc
# where they are missing. COMMITS (3), CUTS (1) and CRASHES (1) bound the large run.

set -euo pipefail
cd "$(dirname "$0")/.."
source tools/need.sh
need spin spin
need gcc gcc libc6-dev

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# explore NAME KIND MACRO...: writes what the search says to NAME.txt. KIND safety: assertions, in every state. KIND liveness:
# also that no run goes on for ever without getting clean.
explore() {
	local name=$1 kind=$2 dir=$work/$1 compile='-DSAFETY -DNOCLAIM' run=
	shift 2
	[ "$kind" = safety ] || compile= run=-a
	mkdir -p "$dir"
	cp docs/model/session.pml "$dir"
	(
		cd "$dir"
		spin -a "${@/#/-D}" session.pml >spin.txt
		# shellcheck disable=SC2086 # these are lists of flags
		gcc "${optimise:--O2}" -w -DMEMLIM=6000 $compile -o pan pan.c
		# shellcheck disable=SC2086
		./pan $run -m1000000 -w22 >../"$name.txt"
	)
	rm -rf "$dir"
}

states() { awk '/states, stored/ {print $1}' "$work/$1.txt"; }

status=0
holds() { # holds NAME KIND MACRO...
	explore "$@"
	if grep -q 'errors: 0' "$work/$1.txt" && ! grep -q 'Search not completed\|max search depth too small' "$work/$1.txt"; then
		printf '%-24s holds    %10d states  %s\n' "$1" "$(states "$1")" "${*:3}"
	else
		printf '%-24s FAILS    %s\n' "$1" "$(grep -m1 '^pan:1' "$work/$1.txt")"
		status=1
	fi
}

holds safety safety "COMMITS=${COMMITS:-3}" "CUTS=${CUTS:-1}" "CRASHES=${CRASHES:-1}"
holds liveness liveness COMMITS=2 CUTS=1 CRASHES=1

while read -r macro effect text; do
	case $macro in '#'* | '') continue ;; esac
	case $effect in # what the failed assertion of the model says
	lost) said='hasOthers\[i\]==others\[i\]\|hasOwn))==0' macros='ENDLESS ANY_ORDER COMMITS=3 CRASHES=0' ;;
	order) said='low>i\|mine&' macros='ENDLESS COMMITS=3 CRASHES=0' ;;
	stuck) said='dirty==0' macros='COMMITS=2 CRASHES=0' ;;
	acked) said='acked<=cursor' macros='ENDLESS COMMITS=2 CRASHES=0' ;;
	*) echo "docs/model/variants.txt: $macro: what is $effect?" >&2; exit 1 ;;
	esac
	# shellcheck disable=SC2086
	optimise=-O0 explore "$macro" safety "$macro" $macros
	if grep -m1 '^pan:1' "$work/$macro.txt" | grep -q "assertion violated.*\($said\)"; then
		printf '%-24s %-8s %10d states  %s\n' "$macro" "$effect" "$(states "$macro")" "$text"
	else
		printf '%-24s is not found out: %s: %s\n' "$macro" "$text" "$(grep -m1 '^pan:1' "$work/$macro.txt" || echo no error)"
		status=1
	fi
done <docs/model/variants.txt
exit $status
