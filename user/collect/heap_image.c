// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/heap_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mp_heap_image__clear(struct mp_heap_image *image)
{
	for (size_t i = 0; i < image->nr_copies; i++) {
		struct mp_heap_copy *c = &image->copies[i];

		if (!c->borrowed)
			free(c->bytes);
		free(c->have);
	}
	free(image->spans);
	free(image->runs);
	free(image->copies);
	free(image->heads);
	free(image->threads);
	memset(image, 0, sizeof(*image));
}

int mp_heap_image_add(void *list, size_t *nr, const void *elem, size_t size)
{
	char *bytes;

	memcpy(&bytes, list, sizeof(bytes));
	if (!(*nr & (*nr - 1))) { /* full: a power of two, or none yet */
		bytes = reallocarray(bytes, *nr ? *nr * 2 : 1, size);
		if (!bytes)
			return -ENOMEM;
		memcpy(list, &bytes, sizeof(bytes));
	}
	memcpy(bytes + *nr * size, elem, size);
	++*nr;
	return 0;
}

/* Both kinds begin with their address. */
static int by_address(const void *a, const void *b)
{
	uint64_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

void mp_heap_image__sort(struct mp_heap_image *image)
{
	if (image->nr_copies)
		qsort(image->copies, image->nr_copies, sizeof(*image->copies), by_address);
	if (image->nr_heads)
		qsort(image->heads, image->nr_heads, sizeof(*image->heads), by_address);
}

struct mp_heap_copy *mp_heap_image__at(const struct mp_heap_image *image, uint64_t addr)
{
	size_t low = 0, high = image->nr_copies;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (image->copies[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < image->nr_copies && addr >= image->copies[low].start ? &image->copies[low]
									  : NULL;
}

uint8_t *mp_heap_copy_at(const struct mp_heap_copy *copy, uint64_t addr, uint64_t len)
{
	uint64_t first, last;

	if (addr < copy->start || addr > copy->end || len > copy->end - addr || !len)
		return NULL;
	if (copy->have) {
		first = addr / MP_PAGE_SIZE - copy->start / MP_PAGE_SIZE;
		last = (addr + len - 1) / MP_PAGE_SIZE - copy->start / MP_PAGE_SIZE;
		for (; first <= last; first++)
			if (!(copy->have[first / 64] >> (first % 64) & 1))
				return NULL;
	}
	return copy->bytes + (addr - copy->start);
}

int mp_heap_image__read(const void *image, uint64_t addr, void *to, size_t len)
{
	const struct mp_heap_copy *copy = mp_heap_image__at(image, addr);
	const uint8_t *from = copy ? mp_heap_copy_at(copy, addr, len) : NULL;

	if (!from)
		return -ENODATA;
	memcpy(to, from, len);
	return 0;
}

size_t mp_heap_image__run(const struct mp_heap_image *image, uint64_t addr)
{
	size_t low = 0, high = image->nr_runs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (image->runs[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct mp_heap_span *mp_heap_image__span(const struct mp_heap_image *image, uint64_t addr)
{
	size_t low = 0, high = image->nr_spans;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (image->spans[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < image->nr_spans && addr >= image->spans[low].start ? &image->spans[low] : NULL;
}
