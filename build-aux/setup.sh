# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What ./try and ./check share: installing what is missing, and building. The
# caller has set $top to the top of the source tree.

die() {
	echo "${0##*/}: $1" >&2
	exit 1
}

# Print the packages that the lists $@ name and this machine does not have.
missing_packages() {
	local package

	sed -e '/^#/d' -e 's/\t.*//' "${@/#/$top/build-aux/packages-}" |
	while read -r package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" \
			2>/dev/null | grep -qx installed || echo "$package"
	done
}

# Print the services that start by themselves.
enabled_services() {
	systemctl --root=/ list-unit-files --type=service --type=socket \
		--state=enabled --no-legend --plain | awk '{ print $1 }' | sort
}

# Keep Debian from starting the daemons that it installs, now and at the next
# boot: the tests start their own, in namespaces. A policy of the machine's
# owner stays as it is.
install_quietly() (
	policy=/usr/sbin/policy-rc.d
	systemd=$(command -v systemctl)

	if [ ! -e $policy ]; then
		trap 'rm -f $policy' EXIT
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
	fi

	export DEBIAN_FRONTEND=noninteractive
	before=${systemd:+$(enabled_services)}
	apt-get -qq update
	apt-get -qq -y --no-install-recommends install "$@" \
		</dev/null >/dev/null ||
		die "cannot install $*"

	[ "$systemd" ] || exit 0
	comm -13 <(echo "$before") <(enabled_services) |
		xargs -r systemctl --root=/ --quiet disable
)

# Install what the lists $@ name, quick where nothing is missing. Without apt
# nothing is done here: the user is told once something turns out to be missing.
install_packages() {
	local missing

	command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
		return 0
	mapfile -t missing < <(missing_packages "$@")
	if [ ${#missing[@]} -eq 0 ]; then
		return
	fi
	echo "Installing ${missing[*]}"
	install_quietly "${missing[@]}"
}

# Without apt, say what the lists $@ name.
list_packages() {
	command -v apt-get >/dev/null && return
	echo "There is no apt here. Needed, by the names that Debian gives them:"
	sed -e '/^#/d' -e 's/^/  /' "${@/#/$top/build-aux/packages-}" |
		expand -t 28
}

# Run a command as whoever owns the source tree, so that a build under sudo
# leaves nothing behind that only root can remove. Root's home is closed to it.
as_owner() {
	local uid gid home

	read -r uid gid < <(stat -c '%u %g' "$top")
	if [ "$uid" -eq 0 ]; then
		"$@"
	else
		home=$(getent passwd "$uid" | cut -d: -f6)
		HOME=${home:-/} setpriv --reuid "$uid" --regid "$gid" \
			--clear-groups "$@"
	fi
}

# Build in the folder $1 below the source tree, configured with the flags that
# follow; one that was configured with other flags is made anew. Without flags,
# those of an earlier build will do.
build() (
	dir=$top/$1
	shift

	cd "$top" || exit
	if [ ! -x configure ]; then
		as_owner ./autogen.sh || exit
	fi
	if [ $# -gt 0 ] && [ -e "$dir/config.status" ] &&
		[ "$("$dir/config.status" --config)" != "$*" ]; then
		rm -rf "$dir"
	fi
	as_owner mkdir -p "$dir" && cd "$dir" || exit
	if [ ! -e Makefile ]; then
		as_owner ../configure -q "$@" || exit
	fi
	as_owner make -s -j"$(nproc)"
)
