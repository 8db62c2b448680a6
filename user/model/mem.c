// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/mem.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_HEADER 8 /* what glibc keeps beside each chunk's usable bytes */

static void add(struct mp_mem *mem, size_t bytes)
{
	for (; mem; mem = mem->parent)
		mem->used += bytes;
}

static void sub(struct mp_mem *mem, size_t bytes)
{
	for (; mem; mem = mem->parent)
		mem->used -= bytes;
}

static int over_limit(const struct mp_mem *mem, size_t size)
{
	while (mem->parent)
		mem = mem->parent;
	if (!mem->limit || (size <= mem->limit && mem->used <= mem->limit - size))
		return 0;
	errno = ENOMEM;
	return 1;
}

void *mp_mem_alloc(struct mp_mem *mem, size_t size)
{
	void *p = over_limit(mem, size) ? NULL : malloc(size);

	if (p)
		add(mem, malloc_usable_size(p) + CHUNK_HEADER);
	return p;
}

void *mp_mem_zalloc(struct mp_mem *mem, size_t size)
{
	void *p = over_limit(mem, size) ? NULL : calloc(1, size);

	if (p)
		add(mem, malloc_usable_size(p) + CHUNK_HEADER);
	return p;
}

void *mp_mem_resize(struct mp_mem *mem, void *old, size_t size)
{
	size_t had = old ? malloc_usable_size(old) + CHUNK_HEADER : 0;
	void *p;

	if (size > had && over_limit(mem, size - had))
		return NULL;
	p = realloc(old, size);
	if (!p)
		return NULL;
	sub(mem, had);
	add(mem, malloc_usable_size(p) + CHUNK_HEADER);
	return p;
}

int mp_mem_grow(struct mp_mem *mem, void *array, size_t *cap, size_t want, size_t size)
{
	size_t room = *cap ? *cap : 4;
	void *p;

	if (want <= *cap)
		return 0;
	while (room < want)
		room += room / 2;
	if (room > SIZE_MAX / size)
		return -ENOMEM;
	memcpy(&p, array, sizeof(p));
	p = mp_mem_resize(mem, p, room * size);
	if (!p)
		return -ENOMEM;
	memcpy(array, &p, sizeof(p));
	*cap = room;
	return 0;
}

void mp_mem_free(struct mp_mem *mem, void *ptr)
{
	if (!ptr)
		return;
	sub(mem, malloc_usable_size(ptr) + CHUNK_HEADER);
	free(ptr);
}
