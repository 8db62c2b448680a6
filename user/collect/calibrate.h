/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Facts about the running kernel that the programs rest on, each one checked against this process's
 * own pagemap before it is used: the direct map's base, the array of struct page, the zero page.
 */
#ifndef MP_COLLECT_CALIBRATE_H
#define MP_COLLECT_CALIBRATE_H

#include "../bpf/shared.h"
#include "base/err.h"

/* Fills @set (follow is left alone). 0, or -errno with @err (exit 3): the source is refused. */
int mp_calibrate(struct mp_settings *set, struct mp_err *err);

/* Value of @name in an enum of the kernel's BTF, or -ENOENT. */
int mp_btf_enum(const char *name);

#endif
