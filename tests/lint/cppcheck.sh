#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# cppcheck finds nothing. The C library is described by --library=gnu; its real
# headers would only slow the analysis down. Leaks are left to LeakSanitizer:
# cppcheck does not know the cleanup attribute.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

need cppcheck
cppcheck --quiet --std=c11 --library=gnu --library=tests/lint/cppcheck.cfg \
	--inline-suppr -j "$(nproc)" --error-exitcode=1 \
	--enable=warning,performance,portability \
	--suppress=memleak --suppress=resourceLeak \
	-D_GNU_SOURCE -DPACKAGE_VERSION='"0"' -Isrc src
