// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "view/json.h"
#include "view/views.h"
#include "view/xray.h"

static void books(struct mp_json *j, const struct mp_xray_arena *a)
{
	mp_json_open(j, "books", "{");
	for (int i = 1; i < MP_CHUNK_STATES; i++) {
		mp_json_open(j, mp_chunk_state_name(i), "{");
		mp_json_number(j, "chunks", a->chunks[i]);
		mp_json_number(j, "bytes", a->by[i].bytes);
		mp_json_number(j, "resident_bytes", a->by[i].present);
		mp_json_number(j, "zero_bytes", a->by[i].zero);
		mp_json_number(j, "swapped_bytes", a->by[i].swapped);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "}");
}

static void pages(struct mp_json *j, const struct mp_xray_pages *p)
{
	mp_json_open(j, "pages", "{");
	mp_json_number(j, "present_pages", p->present);
	mp_json_number(j, "zero_pages", p->zero);
	mp_json_number(j, "swapped_pages", p->swapped);
	mp_json_number(j, "idle_pages", p->idle);
	mp_json_number(j, "idle_cached_pages", p->cached);
	mp_json_number(j, "huge_pages", p->huge);
	mp_json_number(j, "huge_idle_pages", p->huge_idle);
	mp_json_open(j, "pinned", "[");
	for (int i = 0; i < MP_XRAY_PINS; i++) {
		mp_json_open(j, NULL, "{");
		mp_json_number(j, "live_bytes_max", mp_xray_pin_limits[i]);
		mp_json_number(j, "pages", p->pins[i]);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
	mp_json_close(j, "}");
}

static void common(struct mp_json *j, const struct mp_xray_arena *a)
{
	mp_json_number(j, "parts", a->parts);
	mp_json_number(j, "broken_parts", a->broken);
	mp_json_number(j, "trim_bytes", a->trim_bytes);
	books(j, a);
	pages(j, &a->pages);
}

static void holder(struct mp_json *j, const struct mp_xray_holder *h)
{
	if (!h->addr) {
		mp_json_word(j, "top_holder", NULL);
		return;
	}
	mp_json_open(j, "top_holder", "{");
	mp_json_address(j, "addr", h->addr);
	mp_json_number(j, "chunk_bytes", h->bytes);
	mp_json_word(j, "state", mp_chunk_state_name(h->state));
	mp_json_number(j, "free_below_bytes", h->free_below);
	mp_json_close(j, "}");
}

static void arena(struct mp_json *j, const struct mp_xray_arena *a)
{
	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_number(j, "index", a->index);
	mp_json_address(j, "addr", a->addr);
	mp_json_bool(j, "main", a->flags & MP_ARENA_MAIN);
	mp_json_bool(j, "busy", a->flags & MP_ARENA_BUSY);
	mp_json_number(j, "threads", a->threads);
	mp_json_number(j, "system_bytes", a->system_bytes);
	mp_json_address(j, "top", a->top);
	holder(j, &a->holder);
	common(j, a);
	mp_json_close(j, "}");
}

static void problems(struct mp_json *j, const struct mp_xray_report *r)
{
	mp_json_open(j, "problems", "[");
	for (const struct mp_xray_problem *p = mp_xray_problems; p->flag; p++)
		if (r->facts.flags & p->flag)
			mp_json_word(j, NULL, p->word);
	mp_json_close(j, "]");
	mp_json_open(j, "breaks", "[");
	for (size_t i = 0; i < r->nr_breaks; i++) {
		mp_json_open(j, NULL, "{");
		mp_json_address(j, "start", r->breaks[i].start);
		mp_json_address(j, "end", r->breaks[i].end);
		mp_json_address(j, "addr", r->breaks[i].at);
		mp_json_word(j, "why", mp_heap_end_name(r->breaks[i].how));
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
}

static void map(struct mp_json *j, const struct mp_xray_report *r)
{
	static const char *const names[MP_XPAGE_NR] = { "absent", "zero",   "swapped",
							"idle",   "top",    "pinned",
							"partly", "mostly", "full" };

	mp_json_open(j, "map", "[");
	for (size_t i = 0; i < r->nr_runs; i++) {
		mp_json_line(j);
		mp_json_open(j, NULL, "{");
		mp_json_address(j, "addr", r->runs[i].addr);
		mp_json_number(j, "pages", r->runs[i].nr);
		mp_json_word(j, "state", names[r->runs[i].state]);
		if (r->runs[i].kind == MP_HEAP_MMAPPED)
			mp_json_word(j, "arena", NULL);
		else
			mp_json_number(j, "arena", r->runs[i].arena);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
}

static void blocks(struct mp_json *j, const struct mp_xray_report *r)
{
	mp_json_open(j, "blocks", "[");
	for (size_t i = 0; i < r->nr_blocks; i++) {
		mp_json_line(j);
		mp_json_open(j, NULL, "{");
		mp_json_address(j, "addr", r->blocks[i].addr);
		mp_json_number(j, "usable", r->blocks[i].usable);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
}

static void process(struct mp_json *j, const struct mp_xray_report *r,
		    const struct mp_view_opts *opts)
{
	const struct mp_ev_xray *f = &r->facts;

	mp_json_open(j, NULL, "{");
	mp_json_number(j, "pid", r->pid);
	mp_json_string(j, "comm", r->comm);
	mp_json_bool(j, "frozen", f->flags & MP_XRAY_FROZEN);
	mp_json_number(j, "t_ns", f->begin_ns);
	mp_json_number(j, "copy_ns", f->end_ns - f->begin_ns);
	mp_json_number(j, "tries", f->tries);
	mp_json_number(j, "tcaches", f->tcaches);
	mp_json_bool(j, "partial", r->total.broken || f->flags & ~MP_XRAY_FROZEN || r->refused);
	problems(j, r);
	mp_json_number(j, "mmap_threshold_bytes", f->mmap_threshold);
	mp_json_number(j, "trim_threshold_bytes", f->trim_threshold);
	mp_json_number(j, "mapped_chunks_counted", f->mmapped_chunks);
	mp_json_number(j, "mapped_bytes_counted", f->mmapped_bytes);
	mp_json_open(j, "total", "{");
	common(j, &r->total);
	mp_json_close(j, "}");
	mp_json_open(j, "arenas", "[");
	for (size_t i = 0; i < r->nr_arenas; i++)
		arena(j, &r->arenas[i]);
	mp_json_close(j, "]");
	mp_json_open(j, "mapped", "{");
	common(j, &r->mapped);
	mp_json_close(j, "}");
	if (opts->pages)
		map(j, r);
	if (opts->blocks)
		blocks(j, r);
	mp_json_close(j, "}");
}

int mp_view_xray_json(const struct mp_xray_report *const *reports, size_t nr,
		      const struct mp_view_opts *opts, FILE *out)
{
	struct mp_json j = { .out = out };
	int err = mp_json_init(&j);

	if (err)
		return err;
	mp_json_open(&j, NULL, "{");
	mp_json_word(&j, "schema", "mallocpath.xray/1");
	mp_json_open(&j, "processes", "[");
	for (size_t i = 0; i < nr; i++)
		process(&j, reports[i], opts);
	mp_json_close(&j, "]");
	mp_json_close(&j, "}");
	mp_json_line(&j);
	mp_json_end(&j);
	err = mp_view_finish(out);
	return err ? err : j.err;
}
