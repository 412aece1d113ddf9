#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makefile.am lists every source and every test, in order: what it does not list
# is neither shipped nor run.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

export LC_ALL=C
status=0

# Compare what Makefile.am lists, of the form $1, with the files on stdin.
compare() {
	diff -u --label Makefile.am --label "what is there" \
		<(sed -n "s|^\t\($1[^ ]*\).*|\1|p" Makefile.am) -
}

find src -name '*.[ch]' ! -path src/nsntrace.c | sort |
	compare src/ || status=1
# Tests that need root come in a list of their own, after the others.
{
	find tests/unit -name 'test_*.c' ! -name 'test_live_*' | sort
	find tests/unit -name 'test_live_*.c' | sort
} | sed 's/\.c$//' |
	compare tests/unit/test_ || status=1
find tests/fuzz tests/unit -name '*.h' | sort |
	compare 'tests/[^ ]*\.h' || status=1
find tests/fuzz -name 'fuzz_*.c' | sort | sed 's/\.c$//' |
	compare tests/fuzz/fuzz_ || status=1
exit $status
