#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `make check` does: every check that needs no running server. Runs all of them and fails if any failed, so that
# one run tells everything that is wrong. Changes nothing in the tree.

set -euo pipefail
cd "$(dirname "$0")/.."

skipped=77 # the status of a check that could not be made here

tool() { go tool -modfile=tools/go.mod "$@"; }

# The Go files that belong to the repository, generated ones included.
go_files() { git ls-files --cached --others --exclude-standard -- '*.go' | while read -r f; do [ -f "$f" ] && echo "$f"; done; }

check_format() {
	local unformatted
	unformatted=$(go_files | xargs -r gofmt -l)
	[ -z "$unformatted" ] || { printf 'not gofmt-ed (run gofmt -w on them):\n%s\n' "$unformatted"; return 1; }
}

check_vet() { go vet ./...; }

check_staticcheck() { tool staticcheck ./...; }

# The database is on the network. That it cannot be reached is no finding, and no clean bill either: say so.
check_vulnerabilities() {
	local out status=0
	out=$(timeout 300 go tool -modfile=tools/go.mod govulncheck ./... 2>&1) || status=$?
	if [ $status -eq 0 ]; then return 0; fi
	if [ $status -eq 3 ]; then printf '%s\n' "$out"; return 1; fi # 3: govulncheck found something
	if [ $status -eq 124 ] || grep -qE 'fetching vulnerabilities:|dial tcp|no such host|i/o timeout|TLS handshake' <<<"$out"; then
		echo "the vulnerability database cannot be reached from here, so nothing was looked up"
		return $skipped
	fi
	printf '%s\n' "$out"
	return 1
}

# Generates into a copy and compares, so that a dirty tree neither hides a stale file nor gets overwritten.
check_generated() (
	[ -x node_modules/.bin/buf ] || npm ci --no-audit --no-fund --loglevel=error || exit 1
	copy=$(mktemp -d)
	trap 'rm -rf "$copy"' EXIT
	cp -R buf.yaml buf.gen.yaml package.json go.mod go.sum proto "$copy"
	mkdir "$copy/tools" && cp tools/go.mod tools/go.sum "$copy/tools"
	ln -s "$PWD/node_modules" "$copy/node_modules"
	(cd "$copy" && node_modules/.bin/buf generate && node_modules/.bin/buf build --as-file-descriptor-set -o descriptors.binpb) || exit 1
	generated=$(cd "$copy" && find . -name '*.go' | sort)
	committed=$(find . -path ./node_modules -prune -o \( -name '*.pb.go' -o -name '*_vtproto.pb.go' -o -name '*.connect.go' \) -print | sort)
	if ! diff <(echo "$generated") <(echo "$committed"); then
		echo "generated files missing (<) or left over (>): run make generate, and delete those left over"
		exit 1
	fi
	stale=0
	while read -r f; do
		cmp -s "$f" "$copy/$f" || { echo "$f is not what proto/ generates: run make generate"; stale=1; }
	done <<<"$generated"
	cmp -s api/tidemark.binpb "$copy/descriptors.binpb" || { echo "api/tidemark.binpb is not what proto/ generates: run make generate"; stale=1; }
	exit $stale
)

# The OpenAPI document as the server gives it, by the rules of redocly.yaml.
check_openapi() (
	[ -x node_modules/.bin/redocly ] || npm ci --no-audit --no-fund --loglevel=error || exit 1
	copy=$(mktemp -d)
	trap 'rm -rf "$copy"' EXIT
	go run ./cmd/tidemark openapi >"$copy/openapi.yaml" || exit 1
	cp redocly.yaml "$copy"
	cd "$copy"
	REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true "$OLDPWD/node_modules/.bin/redocly" lint openapi.yaml --format=stylish 2>&1 || exit 1
)

check_tidy() { go mod tidy -diff || { echo "run go mod tidy"; return 1; }; }

check_scripts() {
	local f
	while read -r f; do bash -n "$f" || return 1; done < <(git ls-files --cached --others --exclude-standard -- '*.sh' .ci/run)
}

failed=()
run() {
	local name=$1 begin=$SECONDS status=0 verdict
	shift
	echo "== $name"
	"$@" || status=$?
	case $status in
	0) verdict=ok ;;
	"$skipped") verdict=SKIPPED ;;
	*) verdict=FAILED failed+=("$name") ;;
	esac
	echo "   $verdict ($((SECONDS - begin)) s)"
}

run "gofmt" check_format
run "go vet" check_vet
run "staticcheck" check_staticcheck
run "known vulnerabilities" check_vulnerabilities
run "generated code is current" check_generated
run "the OpenAPI document" check_openapi
run "go.mod is tidy" check_tidy
run "shell scripts parse" check_scripts

if [ ${#failed[@]} -gt 0 ]; then
	printf 'make check: FAILED:'
	printf ' [%s]' "${failed[@]}"
	echo
	exit 1
fi
echo "make check: ok"
