#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each header compiles alone.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

read -ra flags <<<"${FLAGS:--std=gnu11 -D_GNU_SOURCE -Wall -Wextra}"
status=0
while read -r header; do
	"${CC:-cc}" "${flags[@]}" -Isrc -fsyntax-only -x c \
		-include "$header" /dev/null || status=1
done < <(find src -name '*.h' | sort)
exit $status
