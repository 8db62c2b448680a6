// SPDX-License-Identifier: GPL-2.0-or-later
/* Chunks that are free without looking it: in a thread's cache or in a fastbin. */
#include <stdbool.h>
#include <string.h>

#include "collect/heap_walk.h"

#define CHUNK_HEAD   16U
#define SMALLEST     32U /* bytes of the smallest chunk */
#define SMALL_BINS   64U /* of the thread cache: one size each; those above hold several */
#define TCACHE_BYTES 8192U

struct marker {
	struct mp_heap_image *image;
	struct mp_heap_marks *out;
	struct mp_heap_copy *copy; /* where the last chunk was */
};

/* The chunk's size field followed by the first two words it would hand out. */
static uint8_t *chunk_at(struct marker *m, uint64_t chunk)
{
	if (chunk % 16)
		return NULL;
	if (!m->copy || chunk < m->copy->start || chunk >= m->copy->end)
		m->copy = mp_heap_image__at(m->image, chunk);
	return m->copy ? mp_heap_copy_at(m->copy, chunk + 8, 24) : NULL;
}

/* Marks the chunk whose size field is at @field; one that is in a list already is not in two. */
static bool mark(struct marker *m, uint8_t *field, uint64_t least, uint64_t most, uint64_t state)
{
	uint64_t size;

	memcpy(&size, field, sizeof(size));
	if (size >> MP_CHUNK_SHIFT || (size & ~7ULL) < least || (size & ~7ULL) > most)
		return false;
	size |= state << MP_CHUNK_SHIFT;
	memcpy(field, &size, sizeof(size));
	m->out->nr++;
	return true;
}

static uint64_t link_of(const struct marker *m, const uint8_t *field, uint64_t chunk)
{
	uint64_t next;

	memcpy(&next, field + 8, sizeof(next));
	return m->image->glibc.at.fd_mangled ? next ^ (chunk + CHUNK_HEAD) >> 12 : next;
}

/* Every list ends: a chunk that comes again bears a mark. */
static bool mark_bin(struct marker *m, uint64_t tcache, uint64_t mem, unsigned int bin)
{
	uint64_t least = SMALLEST + 16ULL * bin, most = least;

	if (bin >= SMALL_BINS) {
		least = SMALLEST + 16ULL * SMALL_BINS;
		most = 1ULL << 40;
	}
	while (mem) {
		uint8_t *field = chunk_at(m, mem - CHUNK_HEAD);
		uint64_t key;

		if (!field)
			return false;
		memcpy(&key, field + 16, sizeof(key));
		if (!m->out->key)
			m->out->key = key;
		/* until 2.33 the key was the cache's address, since then it is the process's */
		if (!key || (key != m->out->key && key != tcache))
			return false;
		mem = link_of(m, field, mem - CHUNK_HEAD);
		if (!mark(m, field, least, most, MP_CHUNK_TCACHE))
			return false;
	}
	return true;
}

static void mark_tcache(struct marker *m, uint64_t tcache)
{
	const struct mp_glibc_layout *at = &m->image->glibc.at;
	uint64_t bytes = at->tcache_entries + 8ULL * at->tcache_bins;
	uint8_t copy[TCACHE_BYTES], *field = chunk_at(m, tcache - CHUNK_HEAD);

	/* a thread that has not used its cache points nowhere, or to one that all of them share */
	if (!tcache || !mp_heap_image__span(m->image, tcache))
		return;
	if (bytes > sizeof(copy) || mp_heap_image__read(m->image, tcache, copy, bytes)) {
		m->out->flags |= MP_XRAY_TCACHES;
		return;
	}
	m->out->tcaches++;
	if (field)
		mark(m, field, bytes, bytes + 32, MP_CHUNK_OWN);
	for (unsigned int i = 0; i < at->tcache_bins; i++) {
		uint64_t mem;

		memcpy(&mem, copy + at->tcache_entries + 8ULL * i, sizeof(mem));
		if (mem && !mark_bin(m, tcache, mem, i))
			m->out->flags |= MP_XRAY_LISTS;
	}
}

static bool mark_fastbin(struct marker *m, uint64_t chunk, unsigned int bin)
{
	uint64_t size = SMALLEST + 16ULL * bin;

	while (chunk) {
		uint8_t *field = chunk_at(m, chunk);
		uint64_t next;

		if (!field)
			return false;
		next = link_of(m, field, chunk);
		if (!mark(m, field, size, size, MP_CHUNK_FASTBIN))
			return false;
		chunk = next;
	}
	return true;
}

void mp_heap_mark_lists(struct mp_heap_image *image, const struct mp_heap_arenas *arenas,
			struct mp_heap_marks *out)
{
	struct marker m = { .image = image, .out = out };

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < image->nr_threads; i++)
		mark_tcache(&m, image->threads[i].tcache);
	for (size_t i = 0; i < arenas->nr; i++)
		for (unsigned int bin = 0; bin < MP_FASTBINS; bin++)
			if (!mark_fastbin(&m, arenas->list[i].fastbins[bin], bin))
				out->flags |= MP_XRAY_LISTS;
}
