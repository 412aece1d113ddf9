/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_DOCTOR_H
#define NSNTRACE_DOCTOR_H

#include "options.h"

int doctor(const struct options *options);
int doctor_knock(void);

#endif
