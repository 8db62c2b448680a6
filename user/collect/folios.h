/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How large the folios are that pages belong to, from /proc/kpageflags. */
#ifndef MP_COLLECT_FOLIOS_H
#define MP_COLLECT_FOLIOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MP_FOLIOS_RUN   1024U /* frames looked at together */
#define MP_FOLIOS_ALIGN 1024U /* of the largest folio there is in anonymous memory, and more */

struct mp_folios {
	int fd;          /* of /proc/kpageflags; -1: nothing is known */
	uint64_t around; /* first frame of what @whole holds */
	size_t nr_whole;
	uint64_t run[MP_FOLIOS_RUN + 1], whole[MP_FOLIOS_ALIGN];
};

void mp_folios_init(struct mp_folios *f, int fd);

/*
 * The orders of the folios of @nr frames from @pfn on, at most MP_FOLIOS_RUN. False if the kernel
 * does not say, or said nonsense because they changed meanwhile.
 */
bool mp_folios_orders(struct mp_folios *f, uint64_t pfn, size_t nr, uint8_t *orders);

/* The bit of a frame's flags word that tells the zero page (include/uapi/linux/kernel-page-flags.h) */
bool mp_folios_is_zero(const struct mp_folios *f, uint64_t pfn);

#endif
