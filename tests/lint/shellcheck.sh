#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# No shell script of ours gives shellcheck anything to say.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

need shellcheck
find autogen.sh check try .ci/run bench build-aux/setup.sh tests \
	\( -name '*.sh' -o -name check -o -name try -o -path .ci/run \) -print0 |
	sort -z | xargs -0 shellcheck --external-sources
