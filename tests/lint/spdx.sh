#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Each source, script and build file says its licence near its top.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

status=0
while read -r file; do
	head -n 3 "$file" |
		grep -q 'SPDX-License-Identifier: GPL-2.0-or-later' && continue
	echo "$file: no SPDX line"
	status=1
done < <(find configure.ac Makefile.am autogen.sh check try .ci m4 src tests \
	man -type f \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' -o \
	-name '*.ac' -o -name '*.am' -o -path m4/nsntrace.m4 -o -name check -o \
	-name try -o -name run -o -name '*.1' \) | sort)
exit $status
