/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_JSON_H
#define NSNTRACE_JSON_H

#include <stdio.h>

void json_string(FILE *stream, const char *text);

#endif
