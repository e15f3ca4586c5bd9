# SPDX-License-Identifier: Apache-2.0
#
# To be sourced: need COMMAND PACKAGE... installs Debian packages where a command is missing.

need() {
	local command=$1 sudo=
	shift
	command -v "$command" >/dev/null 2>&1 && return 0
	echo "== installing $* ($command is missing)"
	[ "$(id -u)" -eq 0 ] || sudo=sudo
	$sudo apt-get update -qq
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}
