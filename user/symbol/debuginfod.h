/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Debug files from the servers the user has named in DEBUGINFOD_URLS, and from nowhere else. */
#ifndef MP_SYMBOL_DEBUGINFOD_H
#define MP_SYMBOL_DEBUGINFOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the user has named any. */
bool mp_debuginfod_wanted(void);

/*
 * Asks for the debug file with build id @id, for at most @timeout_ms; libdebuginfod keeps it in the
 * user's cache. Returns a descriptor, -ENOENT: they have none or the library is not installed,
 * -ETIMEDOUT, or -errno.
 */
int mp_debuginfod_fetch(const uint8_t *id, size_t len, int timeout_ms);

#endif
