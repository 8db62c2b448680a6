// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/provider.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/scan.h"

/* Bound on the walk of a process's list of objects, which may be a ring. */
#define MAX_LINKS 4096

struct search {
	struct mp_scan scan;
	bool *used;      /* by object: it gives out blocks in this process */
	bool unresolved; /* some reference does not lead anywhere yet */
	struct mp_providers *out;
};

/* ---- deciding who allocates ---------------------------------------------------------------- */

static bool can_provide(const struct mp_object *o)
{
	return o->open_path && !o->is_loader &&
	       (o->exports_malloc || o->exports_private || o->hides_malloc);
}

static void follow_slot(struct search *w, uint64_t addr)
{
	const struct mp_function *f = NULL;
	const struct mp_scan_map *m;
	uint64_t value;

	m = mp_scan_word(&w->scan, addr, &value) ? mp_scan_find(&w->scan, value) : NULL;
	if (m && m->has_bias)
		f = mp_object__at(&w->scan.objects[m->object], value - m->bias);
	/* Not bound yet (it leads to a PLT), or nowhere: the symbol's search order will tell. */
	if (!f) {
		w->unresolved = true;
		return;
	}
	/* glibc's reallocarray beside a jemalloc that has none does not make glibc an allocator */
	if (!(f->family.flags & MP_FAMILY_CALLER) && can_provide(&w->scan.objects[m->object]))
		w->used[m->object] = true;
}

/* Every instance of every object: where do its references to allocation functions lead? */
static void follow_slots(struct search *w)
{
	for (size_t i = 0; i < w->scan.nr_maps; i++) {
		const struct mp_scan_map *m = &w->scan.maps[i];
		const struct mp_object *o = &w->scan.objects[m->object];

		if (!m->has_bias || o->is_loader)
			continue;
		/* several executable mappings of one instance: once is enough */
		if (i && w->scan.maps[i - 1].object == m->object &&
		    w->scan.maps[i - 1].bias == m->bias)
			continue;
		for (size_t k = 0; k < o->nr_slots; k++)
			follow_slot(w, m->bias + o->slots[k]);
	}
}

/* First field of r_debug that matters: the head of the list of objects in search order. */
static bool find_link_map(const struct search *w, uint64_t *head)
{
	const uint64_t r_map = 8; /* offsetof(struct r_debug, r_map), link.h */
	uint64_t r_debug;

	for (size_t i = 0; i < w->scan.nr_maps; i++) {
		const struct mp_scan_map *m = &w->scan.maps[i];
		const struct mp_object *o = &w->scan.objects[m->object];

		if (!m->has_bias)
			continue;
		if (o->r_debug && mp_scan_word(&w->scan, m->bias + o->r_debug + r_map, head) &&
		    *head)
			return true;
		if (o->dt_debug && mp_scan_word(&w->scan, m->bias + o->dt_debug, &r_debug) &&
		    r_debug && mp_scan_word(&w->scan, r_debug + r_map, head) && *head)
			return true;
	}
	return false;
}

/* The object whose dynamic segment is at run-time address @ld. */
static bool find_by_dynamic(const struct search *w, uint64_t ld, size_t *object)
{
	for (size_t i = 0; i < w->scan.nr_maps; i++) {
		const struct mp_scan_map *m = &w->scan.maps[i];
		const struct mp_object *o = &w->scan.objects[m->object];

		if (!m->has_bias || !o->dynamic || m->bias + o->dynamic != ld)
			continue;
		*object = m->object;
		return true;
	}
	return false;
}

/* The first object in search order that exports malloc gets what is not resolved yet. */
static bool use_search_order(struct search *w)
{
	uint64_t link, ld;
	size_t object;

	if (!find_link_map(w, &link))
		return false;
	for (int n = 0; n < MAX_LINKS && link; n++) {
		/* struct link_map, link.h: l_addr, l_name, l_ld, l_next */
		if (!mp_scan_word(&w->scan, link + 16, &ld) ||
		    !mp_scan_word(&w->scan, link + 24, &link))
			return false;
		if (!find_by_dynamic(w, ld, &object) || !can_provide(&w->scan.objects[object]) ||
		    !w->scan.objects[object].exports_malloc)
			continue;
		w->used[object] = true;
		return true;
	}
	return false;
}

/* Without a list of objects: libc only if nobody else has a malloc. */
static void use_any(struct search *w)
{
	for (int libc = 0; libc < 2; libc++)
		for (size_t i = 0; i < w->scan.nr_objects; i++) {
			const struct mp_object *o = &w->scan.objects[i];

			if (!can_provide(o) || !o->exports_malloc || o->is_libc != libc)
				continue;
			w->used[i] = true;
			return;
		}
}

static bool any_used(const struct search *w)
{
	for (size_t i = 0; i < w->scan.nr_objects; i++)
		if (w->used[i])
			return true;
	return false;
}

static void decide(struct search *w)
{
	follow_slots(w);
	if ((w->unresolved || !any_used(w)) && !use_search_order(w) && !any_used(w))
		use_any(w);
	/* Nobody can refer to a malloc that is linked in and hidden, so it is there for its own object. */
	for (size_t i = 0; i < w->scan.nr_objects; i++)
		if (can_provide(&w->scan.objects[i]) && w->scan.objects[i].hides_malloc)
			w->used[i] = true;
}

/* ---- the result ---------------------------------------------------------------------------- */

static int add_text(struct mp_provider *p, const struct mp_scan_map *m)
{
	struct mp_text *list = reallocarray(p->text, p->nr_text + 1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	p->text = list;
	list[p->nr_text++] = (struct mp_text){ m->start, m->end };
	return 0;
}

static int fill_provider(const struct search *w, size_t object, struct mp_provider *p)
{
	const struct mp_object *o = &w->scan.objects[object];
	bool has_bias = false;

	p->object = strdup(o->path);
	p->open_path = strdup(o->open_path);
	if (!p->object || !p->open_path)
		return -ENOMEM;
	p->dev_major = o->id.dev_major;
	p->dev_minor = o->id.dev_minor;
	p->ino = o->id.ino;
	p->kind = o->kind;
	p->allocates = w->used[object];
	memcpy(p->version, o->version, sizeof(p->version));
	memcpy(p->build_id, o->build_id, sizeof(p->build_id));
	p->build_id_len = o->build_id_len;
	for (size_t i = 0; i < w->scan.nr_maps; i++) {
		const struct mp_scan_map *m = &w->scan.maps[i];

		if (m->object != object)
			continue;
		if (m->has_bias && !has_bias)
			p->bias = m->bias;
		has_bias |= m->has_bias;
		if (add_text(p, m))
			return -ENOMEM;
	}
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct mp_attach *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool wants(const struct mp_object *o, const struct mp_function *f, bool allocates)
{
	/* tcmalloc has an mmap and sbrk of its own, which programs then call instead of libc's */
	if (f->family.flags & MP_FAMILY_WRAPPER)
		return o->is_libc || (allocates && f->exported);
	return allocates && !(f->family.flags & MP_FAMILY_UNFIT);
}

static void add_probe(struct search *w, size_t object, uint16_t provider,
		      const struct mp_function *f)
{
	const struct mp_object *o = &w->scan.objects[object];
	struct mp_attach *a = &w->out->probes[w->out->nr_probes];

	if (!wants(o, f, w->used[object]) || f->forwards || mp_object__at(o, f->value) != f)
		return;
	if (!f->usable) {
		mp_scan_note(&w->scan, "%s: %s is no code that can be probed", o->path, f->name);
		return;
	}
	*a = (struct mp_attach){
		.provider = provider,
		.fn = f->family.fn,
		.kind = f->spot.kind,
		.into = f->spot.into,
		.offset = f->offset + f->spot.into,
		.addr = w->out->list[provider].bias + f->value + f->spot.into,
		.size = f->size,
	};
	snprintf(a->symbol, sizeof(a->symbol), "%s", f->name);
	w->out->nr_probes++;
}

/* Two functions that overlap (a hostile or odd file) could give one spot: keep the first. */
static void drop_twins(struct mp_providers *out, size_t first)
{
	size_t keep = first;

	qsort(out->probes + first, out->nr_probes - first, sizeof(*out->probes), by_offset);
	for (size_t i = first; i < out->nr_probes; i++)
		if (keep == first || out->probes[keep - 1].offset != out->probes[i].offset)
			out->probes[keep++] = out->probes[i];
	out->nr_probes = keep;
}

static int add_provider(struct search *w, size_t object)
{
	const struct mp_object *o = &w->scan.objects[object];
	struct mp_providers *out = w->out;
	size_t first = out->nr_probes;
	struct mp_provider *list;
	struct mp_attach *probes;
	int err;

	if (out->nr > UINT16_MAX)
		return 0;
	list = reallocarray(out->list, out->nr + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	out->list = list;
	memset(&list[out->nr], 0, sizeof(*list));
	err = fill_provider(w, object, &list[out->nr++]);
	if (err)
		return err;
	probes = reallocarray(out->probes, first + o->nr_functions + 1, sizeof(*probes));
	if (!probes)
		return -ENOMEM;
	out->probes = probes;
	for (size_t i = 0; i < o->nr_functions; i++)
		add_probe(w, object, (uint16_t)(out->nr - 1), &o->functions[i]);
	drop_twins(out, first);
	return 0;
}

static int add_providers(struct search *w)
{
	int err = 0;

	for (size_t i = 0; !err && i < w->scan.nr_objects; i++)
		if (w->used[i])
			err = add_provider(w, i);
	for (size_t i = 0; !err && i < w->scan.nr_objects; i++)
		if (!w->used[i] && w->scan.objects[i].is_libc && w->scan.objects[i].open_path)
			err = add_provider(w, i);
	return err;
}

static int fail_none(const struct search *w, struct mp_err *err)
{
	bool dynamic = false;

	for (size_t i = 0; i < w->scan.nr_objects; i++)
		dynamic |= w->scan.objects[i].dynamic != 0;
	if (!w->scan.nr_objects)
		return mp_fail(err, MP_EXIT_FAILED, ENOENT,
			       "process %d: it maps no program; is it a kernel thread or ending?",
			       w->scan.pid);
	if (!dynamic)
		return mp_fail(
			err, MP_EXIT_FAILED, ENOENT,
			"process %d: %s is static and has no symbol named malloc (stripped, or "
			"it does not use one); trace pages and mappings with --alloc=none, or "
			"run it unstripped",
			w->scan.pid, w->scan.objects[0].path);
	return mp_fail(err, MP_EXIT_FAILED, ENOENT,
		       "process %d: no object that %s maps defines malloc; "
		       "trace pages and mappings with --alloc=none",
		       w->scan.pid, w->scan.objects[0].path);
}

static int search(struct search *w, pid_t pid, struct mp_err *err)
{
	int ret = mp_scan_process(&w->scan, pid, err);

	if (ret)
		return ret;
	w->used = calloc(w->scan.nr_objects + 1, sizeof(*w->used));
	if (!w->used)
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "process %d: out of memory", pid);
	decide(w);
	if (!any_used(w))
		return fail_none(w, err);
	if (add_providers(w))
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "process %d: out of memory", pid);
	w->out->notes = w->scan.notes;
	w->out->nr_notes = w->scan.nr_notes;
	w->scan.notes = NULL;
	w->scan.nr_notes = 0;
	return 0;
}

int mp_providers_find(pid_t pid, struct mp_providers *out, struct mp_err *err)
{
	struct search w = { .out = out };
	int ret;

	memset(out, 0, sizeof(*out));
	ret = search(&w, pid, err);
	mp_scan_clear(&w.scan);
	free(w.used);
	if (ret)
		mp_providers_free(out);
	return ret;
}

void mp_providers_free(struct mp_providers *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nr; i++) {
		free(p->list[i].object);
		free(p->list[i].open_path);
		free(p->list[i].text);
	}
	for (size_t i = 0; i < p->nr_notes; i++)
		free(p->notes[i]);
	free(p->list);
	free(p->probes);
	free(p->notes);
	memset(p, 0, sizeof(*p));
}

bool mp_providers_text(const struct mp_providers *p, uint64_t addr)
{
	for (size_t i = 0; i < p->nr; i++)
		for (size_t k = 0; p->list[i].allocates && k < p->list[i].nr_text; k++)
			if (addr >= p->list[i].text[k].start && addr < p->list[i].text[k].end)
				return true;
	return false;
}
