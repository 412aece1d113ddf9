#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Make configure and what it needs, from a clone.
set -eu

cd "$(dirname "$0")"
exec autoreconf --install
