#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Every C file is as clang-format would write it.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

need clang-format
status=0
while read -r file; do
	clang-format "$file" | diff -u --label "$file" \
		--label "clang-format -i $file" "$file" - || status=1
done < <(find src tests bench -name '*.[ch]' | sort)
exit $status
