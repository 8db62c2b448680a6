// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sites and their stacks for the HTML page. What stacks share is told once: a frame is a place and
 * the frame outside of it, a place has one name or, with inlining, several.
 */
#include <errno.h>
#include <stddef.h>

#include "model/map.h"
#include "view/frames.h"
#include "view/html.h"
#include "view/order.h"

struct names {
	struct mp_json *j;
	const struct mp_report *r;
	struct mp_symbols *sym;
	const struct mp_view_opts *opts;
	struct mp_mem mem;
	struct mp_map frame_ids, place_ids; /* by pointer; ids from 1 */
	const struct mp_stack_frame **frames;
	const struct mp_place **places;
	size_t nr_frames, cap_frames, nr_places, cap_places;
};

static uint64_t id_in(const struct mp_map *ids, const void *p)
{
	return (uintptr_t)mp_map__get(ids, (uintptr_t)p);
}

static int add_place(struct names *n, const struct mp_place *place)
{
	if (id_in(&n->place_ids, place))
		return 0;
	if (mp_mem_grow(&n->mem, &n->places, &n->cap_places, n->nr_places + 1, sizeof(*n->places)))
		return -ENOMEM;
	n->places[n->nr_places++] = place;
	return mp_map__put(&n->place_ids, (uintptr_t)place, (void *)n->nr_places);
}

/* The frames from @frame outwards, until one that is known. */
static int add_frames(struct names *n, const struct mp_stack_frame *frame)
{
	for (; frame && !id_in(&n->frame_ids, frame); frame = frame->outer) {
		if (mp_mem_grow(&n->mem, &n->frames, &n->cap_frames, n->nr_frames + 1,
				sizeof(*n->frames)))
			return -ENOMEM;
		n->frames[n->nr_frames++] = frame;
		if (mp_map__put(&n->frame_ids, (uintptr_t)frame, (void *)n->nr_frames) ||
		    add_place(n, frame->place))
			return -ENOMEM;
	}
	return 0;
}

/* The function alone; without one, the label. */
static void short_name(struct mp_json *j, const struct mp_frames *f)
{
	const struct mp_symbol *symbol = mp_frames_name(f);

	if (symbol->function && *symbol->function)
		mp_html_label(j, NULL, symbol->function);
	else
		mp_json_string(j, NULL, mp_frames_label(f, 0).s);
}

/* Its names, innermost first: [short, label, object] each. */
static void place(struct names *n, const struct mp_place *p)
{
	const struct mp_stack_frame alone = { .place = p };
	const struct mp_site site = { .frame = &alone };
	struct mp_frames f;

	mp_json_line(n->j);
	mp_json_open(n->j, NULL, "[");
	for (mp_frames_begin(&f, &site, n->sym); f.frame; mp_frames_next(&f, n->sym)) {
		mp_json_open(n->j, NULL, "[");
		short_name(n->j, &f);
		mp_json_string(n->j, NULL, mp_frames_label(&f, 0).s);
		mp_html_label(n->j, NULL, p->what == MP_PLACE_SYSCALL ? "[kernel]" : p->object);
		mp_json_close(n->j, "]");
	}
	mp_json_close(n->j, "]");
}

static void stacks(struct names *n)
{
	size_t i;

	mp_json_open(n->j, "stacks", "{");
	mp_json_open(n->j, "place", "[");
	for (i = 0; i < n->nr_frames; i++)
		mp_json_number(n->j, NULL, id_in(&n->place_ids, n->frames[i]->place));
	mp_json_close(n->j, "]");
	mp_json_open(n->j, "outer", "[");
	for (i = 0; i < n->nr_frames; i++)
		mp_json_number(n->j, NULL,
			       n->frames[i]->outer ? id_in(&n->frame_ids, n->frames[i]->outer) : 0);
	mp_json_close(n->j, "]");
	mp_json_close(n->j, "}");
}

/* One number a site, in the order of their ids. */
static const struct {
	const char *name;
	size_t offset; /* of a uint64_t in struct mp_site */
} columns[] = {
	{ "calls", offsetof(struct mp_site, calls) },
	{ "frees", offsetof(struct mp_site, frees) },
	{ "requested_bytes", offsetof(struct mp_site, requested_bytes) },
	{ "live_blocks", offsetof(struct mp_site, live_blocks) },
	{ "live_bytes", offsetof(struct mp_site, live_bytes) },
	{ "resident_bytes", offsetof(struct mp_site, resident_bytes) },
	{ "charged_bytes", offsetof(struct mp_site, charged_bytes) },
	{ "untouched_bytes", offsetof(struct mp_site, untouched_bytes) },
	{ "fault_ns", offsetof(struct mp_site, fault_ns) },
	{ "timed_faults", offsetof(struct mp_site, timed_faults) },
};

static void counts(struct names *n)
{
	size_t c, i;

	for (c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
		mp_json_open(n->j, columns[c].name, "[");
		for (i = 0; i < n->r->nr_sites; i++) {
			const char *s = (const char *)&n->r->sites[i];

			mp_json_number(n->j, NULL, *(const uint64_t *)(s + columns[c].offset));
		}
		mp_json_close(n->j, "]");
	}
}

/* What is no plain number. */
static void site(struct names *n, const struct mp_site *s)
{
	struct mp_json *j = n->j;
	struct mp_frames f;

	mp_frames_shown(&f, s, n->sym, n->opts);
	mp_json_open(j, NULL, "[");
	mp_json_number(j, NULL, id_in(&n->frame_ids, s->frame));
	mp_json_number(j, NULL, f.index);
	mp_json_number(j, NULL, s->end);
	mp_json_number(j, NULL, s->mapping);
	mp_json_number(j, NULL, s->fn);
	mp_json_number(j, NULL, mp_order_faults(s->faults));
	mp_json_signed(j, NULL, s->pinned);
	mp_json_close(j, "]");
}

static void sites(struct names *n)
{
	struct mp_json *j = n->j;
	size_t i;

	mp_json_open(j, "sites", "{");
	counts(n);
	mp_json_open(j, "ends", "[");
	for (i = 0; i < MP_STACK_END_MAX; i++)
		mp_json_word(j, NULL, mp_frames_end(i));
	mp_json_close(j, "]");
	mp_json_open(j, "fns", "[");
	for (i = 0; i < MP_FN_MAX; i++)
		mp_json_word(j, NULL, i ? mp_fn_name(i) : NULL);
	mp_json_close(j, "]");
	/* stack, shown frame, why the stack ends, mapping, fn, faults, pinned bytes */
	mp_json_open(j, "rows", "[");
	for (i = 0; i < n->r->nr_sites; i++)
		site(n, &n->r->sites[i]);
	mp_json_close(j, "]");
	mp_json_close(j, "}");
}

static int collect(struct names *n)
{
	size_t i;

	for (i = 0; i < n->r->nr_sites; i++)
		if (add_frames(n, n->r->sites[i].frame))
			return -ENOMEM;
	return 0;
}

int mp_html_sites(struct mp_json *j, const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts)
{
	struct names n = { .j = j, .r = r, .sym = sym, .opts = opts };
	int err;
	size_t i;

	n.frame_ids.mem = n.place_ids.mem = &n.mem;
	err = collect(&n);
	if (!err) {
		mp_json_open(j, "places", "[");
		for (i = 0; i < n.nr_places; i++)
			place(&n, n.places[i]);
		mp_json_close(j, "]");
		stacks(&n);
		sites(&n);
	}
	mp_map__fini(&n.frame_ids);
	mp_map__fini(&n.place_ids);
	mp_mem_free(&n.mem, n.frames);
	mp_mem_free(&n.mem, n.places);
	return err;
}
