// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/strings.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

struct mp_string {
	uint64_t hash;
	size_t len;
	char text[];
};

void mp_strings__init(struct mp_strings *s, struct mp_mem *mem)
{
	*s = (struct mp_strings){ .mem = mem };
}

void mp_strings__fini(struct mp_strings *s)
{
	size_t i;

	for (i = 0; i < s->room; i++)
		mp_mem_free(s->mem, s->slots[i]);
	mp_mem_free(s->mem, s->slots);
	s->slots = NULL;
	s->room = 0;
}

/* FNV-1a */
static uint64_t hash_of(const char *text, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	while (len--)
		h = (h ^ (unsigned char)*text++) * 0x100000001b3ULL;
	return h ^ h >> 32;
}

static struct mp_string **slot_of(const struct mp_strings *s, uint64_t hash, const char *text,
				  size_t len)
{
	size_t i = hash & (s->room - 1);

	for (; s->slots[i]; i = (i + 1) & (s->room - 1))
		if (s->slots[i]->hash == hash && s->slots[i]->len == len &&
		    !memcmp(s->slots[i]->text, text, len))
			break;
	return &s->slots[i];
}

static int grow(struct mp_strings *s)
{
	struct mp_strings old = *s;
	size_t i;

	s->room = old.room ? old.room * 2 : 64;
	s->slots = mp_mem_zalloc(s->mem, s->room * sizeof(*s->slots));
	if (!s->slots) {
		*s = old;
		return -ENOMEM;
	}
	for (i = 0; i < old.room; i++)
		if (old.slots[i])
			*slot_of(s, old.slots[i]->hash, old.slots[i]->text, old.slots[i]->len) =
				old.slots[i];
	mp_mem_free(s->mem, old.slots);
	return 0;
}

const char *mp_strings__keep(struct mp_strings *s, const char *text, size_t len)
{
	struct mp_string **slot, *new;
	uint64_t hash;

	len = strnlen(text, len);
	hash = hash_of(text, len);
	if (s->n * 4 >= s->room * 3 && grow(s))
		return NULL;
	slot = slot_of(s, hash, text, len);
	if (*slot)
		return (*slot)->text;
	new = mp_mem_alloc(s->mem, sizeof(*new) + len + 1);
	if (!new)
		return NULL;
	new->hash = hash;
	new->len = len;
	memcpy(new->text, text, len);
	new->text[len] = '\0';
	*slot = new;
	s->n++;
	return new->text;
}
