# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# For the lint scripts, which source it: they run at the top of the source tree
# and fail where their tool is missing, because a check that did not run has
# found nothing.

cd "${top_srcdir:-$(dirname "${BASH_SOURCE[0]}")/../..}" || exit 1

need() {
	command -v "$1" >/dev/null && return
	echo "$1 is missing"
	exit 1
}
