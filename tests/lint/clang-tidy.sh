#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# clang-tidy finds nothing. One file at a time: its analyzer takes a va_list in
# a second file for uninitialized.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

need clang-tidy
find src -name '*.c' -print0 | sort -z |
	xargs -0 -I{} -P "$(nproc)" clang-tidy --quiet {} -- \
		-std=gnu11 -D_GNU_SOURCE -DPACKAGE_VERSION='"0"' -Isrc
