// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/kept.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "symbol/object.h"

/* Every answer is some 100 bytes. */
#define MAX_ANSWERS (1U << 20)

static int compare(const void *p, const void *q)
{
	const struct mp_kept_key *a = p, *b = q;

	if (a->object != b->object)
		return a->object > b->object ? 1 : -1;
	if (a->where != b->where)
		return a->where > b->where ? 1 : -1;
	return a->is_return - b->is_return;
}

static int compare_texts(const void *p, const void *q)
{
	return strcmp(p, q);
}

const struct mp_kept_answer *mp_kept_find(struct mp_kept *k, const struct mp_kept_key *key)
{
	struct mp_kept_answer **found = tfind(key, &k->answers, compare);

	return found ? *found : NULL;
}

/* The one copy of @s; *@to becomes NULL for "". */
static int keep_text(struct mp_kept *k, const char *s, const char **to)
{
	char **found, *copy;

	*to = NULL;
	if (!s)
		return -EBADMSG;
	if (!*s)
		return 0;
	found = tfind(s, &k->texts, compare_texts);
	if (found) {
		*to = *found;
		return 0;
	}
	copy = strdup(s);
	if (!copy || !tsearch(copy, &k->texts, compare_texts)) {
		free(copy);
		return -ENOMEM;
	}
	*to = copy;
	return 0;
}

static int take_frame(struct mp_kept *k, const struct mp_wire *m, size_t *at, struct mp_symbol *f)
{
	uint8_t inlined;

	if (mp_wire_get(m, at, &inlined, sizeof(inlined)) ||
	    mp_wire_get(m, at, &f->line, sizeof(f->line)) ||
	    mp_wire_get(m, at, &f->into, sizeof(f->into)) ||
	    keep_text(k, mp_wire_get_string(m, at), &f->function) ||
	    keep_text(k, mp_wire_get_string(m, at), &f->file))
		return -EBADMSG;
	f->inlined = inlined != 0;
	return 0;
}

const struct mp_kept_answer *mp_kept_add(struct mp_kept *k, const struct mp_kept_key *key,
					 const struct mp_wire *m, bool told)
{
	size_t nr = m->head.n, at = 0;
	struct mp_kept_answer *a;

	if (k->nr >= MAX_ANSWERS || nr > MP_FRAMES_MAX)
		return NULL;
	a = calloc(1, sizeof(*a) + nr * sizeof(a->frames[0]));
	if (!a)
		return NULL;
	a->key = *key;
	a->nr = nr;
	for (size_t i = 0; i < nr; i++)
		if (take_frame(k, m, &at, &a->frames[i]))
			goto fail;
	/* the address before a call's end is looked up, the return address was asked for */
	if (!told && nr && key->is_return && key->where && a->frames[nr - 1].function &&
	    !a->frames[nr - 1].inlined)
		a->frames[nr - 1].into++;
	if (!tsearch(a, &k->answers, compare))
		goto fail;
	k->nr++;
	return a;
fail:
	free(a);
	return NULL;
}

void mp_kept_clear(struct mp_kept *k)
{
	tdestroy(k->answers, free);
	tdestroy(k->texts, free);
	*k = (struct mp_kept){ 0 };
}
