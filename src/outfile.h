/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_OUTFILE_H
#define NSNTRACE_OUTFILE_H

#include "base/rights.h"

int outfile_open(const char *path, const struct identity *user);

#endif
