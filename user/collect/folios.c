// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/folios.h"

#include <string.h>
#include <unistd.h>

/* include/uapi/linux/kernel-page-flags.h */
#define KPF_HEAD (1ULL << 15)
#define KPF_TAIL (1ULL << 16)
#define KPF_ZERO (1ULL << 24)

void mp_folios_init(struct mp_folios *f, int fd)
{
	memset(f, 0, sizeof(*f));
	f->fd = fd;
}

/* Frames beyond the end of memory have no flags. */
static size_t read_flags(const struct mp_folios *f, uint64_t pfn, size_t nr, uint64_t *flags)
{
	ssize_t n = pread(f->fd, flags, nr * sizeof(*flags), (off_t)(pfn * sizeof(*flags)));

	return n < 0 ? 0 : (size_t)n / sizeof(*flags);
}

bool mp_folios_is_zero(const struct mp_folios *f, uint64_t pfn)
{
	uint64_t flags;

	return read_flags(f, pfn, 1, &flags) == 1 && flags & KPF_ZERO;
}

/* Of the folio whose head is flags[0]; *@whole: its end is in sight. */
static size_t length(const uint64_t *flags, size_t nr, bool *whole)
{
	size_t n = 1;

	while (n < nr && flags[n] & KPF_TAIL)
		n++;
	*whole = n < nr;
	return n;
}

static bool order_of(size_t pages, uint8_t *order)
{
	*order = (uint8_t)__builtin_ctzll(pages);
	return pages == 1ULL << *order;
}

/* A folio that begins or ends outside the run: folios lie at multiples of their size. */
static bool order_around(struct mp_folios *f, uint64_t pfn, uint8_t *order)
{
	uint64_t around = pfn & ~(uint64_t)(MP_FOLIOS_ALIGN - 1);
	size_t i = pfn - around;
	bool whole;

	if (!f->nr_whole || f->around != around) {
		f->nr_whole = read_flags(f, around, MP_FOLIOS_ALIGN, f->whole);
		f->around = around;
	}
	if (i >= f->nr_whole)
		return false;
	while (i && f->whole[i] & KPF_TAIL)
		i--;
	return f->whole[i] & KPF_HEAD &&
	       order_of(length(f->whole + i, f->nr_whole - i, &whole), order);
}

bool mp_folios_orders(struct mp_folios *f, uint64_t pfn, size_t nr, uint8_t *orders)
{
	size_t have, i = 0;

	if (f->fd < 0 || !nr || nr > MP_FOLIOS_RUN)
		return false;
	have = read_flags(f, pfn, nr + 1, f->run);
	if (have < nr)
		return false;
	f->nr_whole = 0; /* what was read before may have changed */
	while (i < nr) {
		uint64_t flags = f->run[i];
		bool whole = false;
		uint8_t order = 0;
		size_t n = 1;

		if (flags & (KPF_HEAD | KPF_TAIL)) {
			n = length(f->run + i, have - i, &whole);
			if (!(whole && flags & KPF_HEAD && order_of(n, &order)) &&
			    !order_around(f, pfn + i, &order))
				return false;
		}
		for (size_t end = i + n < nr ? i + n : nr; i < end; i++)
			orders[i] = order;
	}
	return true;
}
