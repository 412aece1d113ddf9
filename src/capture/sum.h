/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NSNTRACE_CAPTURE_SUM_H
#define NSNTRACE_CAPTURE_SUM_H

#include <stddef.h>
#include <stdint.h>

uint64_t sum_bytes(const void *bytes, size_t size);
uint16_t sum_fold(uint64_t sum);

uint32_t sum_crc32c(const void *bytes, size_t size);

#endif
