/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MP_COLLECT_TRACEFS_H
#define MP_COLLECT_TRACEFS_H

#include <stdint.h>

/*
 * Number of the tracepoint @group/@prefix@name, or -errno. Where tracefs is not mounted it is opened
 * without being mounted anywhere, so nothing is left behind.
 */
int64_t mp_tracefs_id(const char *group, const char *prefix, const char *name);

#endif
