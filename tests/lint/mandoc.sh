#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mandoc finds nothing in the manual.
# shellcheck source=tests/lint/lib.sh
. "$(dirname "$0")/lib.sh"

need mandoc
mandoc -Tlint -Wwarning man/nsntrace.1
