// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages and blocks of a process, a column a property: a million rows are some megabytes. */
#include "view/html.h"
#include "view/pack.h"

static uint64_t told(int64_t n)
{
	return n == MP_UNKNOWN || n < 0 ? 0 : (uint64_t)n + 1;
}

/* 255: not known, as in the model. */
static uint64_t word(uint8_t n)
{
	return (uint8_t)(n + 1);
}

enum page_column {
	PAGE_NUMBER,
	PAGE_PFN,
	PAGE_STATE,
	PAGE_KIND,
	PAGE_BY,
	PAGE_SOURCE,
	PAGE_ORDER,
	PAGE_NODE,
	PAGE_ZONE,
	PAGE_SITE,
	PAGE_TOUCHER,
	PAGE_BLOCKS,
	PAGE_BLOCK,
	PAGE_TIME,
	PAGE_FAULT_NS,
	PAGE_ALLOC_NS,
	PAGE_COLUMNS
};

static void pack_page(struct mp_pack *c, const struct mp_page *p, uint64_t origin_ns)
{
	mp_pack_next(&c[PAGE_NUMBER], p->addr >> MP_PAGE_SHIFT);
	mp_pack_next(&c[PAGE_PFN], p->pfn);
	mp_pack_number(&c[PAGE_STATE], p->state);
	mp_pack_number(&c[PAGE_KIND], word(p->kind));
	mp_pack_number(&c[PAGE_BY], word(p->by));
	mp_pack_number(&c[PAGE_SOURCE], p->source);
	mp_pack_number(&c[PAGE_ORDER], p->order);
	mp_pack_number(&c[PAGE_NODE], p->node_known ? p->node + 1 : 0);
	mp_pack_number(&c[PAGE_ZONE], p->node_known ? p->zone + 1 : 0);
	mp_pack_number(&c[PAGE_SITE], p->site);
	mp_pack_number(&c[PAGE_TOUCHER], p->toucher);
	mp_pack_number(&c[PAGE_BLOCKS], p->blocks);
	/* from the end of the page back to the start of the lowest block on it */
	mp_pack_number(&c[PAGE_BLOCK], p->blocks ? p->addr + MP_PAGE_SIZE - p->block : 0);
	mp_pack_next(&c[PAGE_TIME], mp_html_since(p->t_ns, origin_ns));
	mp_pack_number(&c[PAGE_FAULT_NS], told(p->fault_ns));
	mp_pack_number(&c[PAGE_ALLOC_NS], told(p->page_ns));
}

void mp_html_pages(struct mp_json *j, const struct mp_proc *p, uint64_t origin_ns)
{
	static const char *const names[PAGE_COLUMNS] = {
		"number", "pfn",  "state",   "kind",   "by",    "source", "order",    "node",
		"zone",   "site", "toucher", "blocks", "block", "t",      "fault_ns", "alloc_ns",
	};
	struct mp_pack columns[PAGE_COLUMNS] = { 0 };
	size_t i;

	for (i = 0; i < p->nr_pages; i++)
		pack_page(columns, &p->pages[i], origin_ns);
	mp_json_open(j, "pages", "{");
	mp_json_number(j, "rows", p->nr_pages);
	for (i = 0; i < PAGE_COLUMNS; i++)
		mp_pack_finish(&columns[i], j, names[i]);
	mp_json_close(j, "}");
}

enum block_column {
	BLOCK_ADDR,
	BLOCK_REQUESTED,
	BLOCK_ROOM,
	BLOCK_RESIDENT,
	BLOCK_SITE,
	BLOCK_TIER,
	BLOCK_TID,
	BLOCK_TIME,
	BLOCK_COLUMNS
};

static void pack_block(struct mp_pack *c, const struct mp_block *b, uint64_t origin_ns)
{
	bool room = b->usable != MP_UNKNOWN && b->usable >= 0 &&
		    (uint64_t)b->usable >= b->requested;

	mp_pack_next(&c[BLOCK_ADDR], b->addr);
	mp_pack_number(&c[BLOCK_REQUESTED], b->requested);
	mp_pack_number(&c[BLOCK_ROOM], room ? (uint64_t)b->usable - b->requested + 1 : 0);
	mp_pack_number(&c[BLOCK_RESIDENT], b->resident_bytes);
	mp_pack_number(&c[BLOCK_SITE], b->site);
	mp_pack_number(&c[BLOCK_TIER], (b->tier | b->sure << 4) << 1 | b->seeded);
	mp_pack_next(&c[BLOCK_TID], b->tid);
	mp_pack_next(&c[BLOCK_TIME], b->seeded ? 0 : mp_html_since(b->t_ns, origin_ns));
}

static unsigned int magnitude(uint64_t n)
{
	return n ? 64 - __builtin_clzll(n) : 0;
}

/* Blocks below this many bytes are left out, so that at most @most remain. */
static uint64_t least_named(const struct mp_proc *p, size_t most)
{
	size_t counts[65] = { 0 }, i, n = 0;

	for (i = 0; i < p->nr_blocks; i++)
		counts[magnitude(p->blocks[i].requested)]++;
	for (i = 65; i > 0; i--) {
		n += counts[i - 1];
		if (n > most)
			return i == 65 ? UINT64_MAX : 1ULL << (i - 1);
	}
	return 0;
}

void mp_html_blocks(struct mp_json *j, const struct mp_proc *p, uint64_t origin_ns, size_t most)
{
	static const char *const names[BLOCK_COLUMNS] = { "addr", "requested", "room", "resident",
							  "site", "tier",      "tid",  "t" };
	struct mp_pack columns[BLOCK_COLUMNS] = { 0 };
	uint64_t least = least_named(p, most);
	size_t i, n = 0;

	for (i = 0; i < p->nr_blocks; i++) {
		if (p->blocks[i].requested < least)
			continue;
		pack_block(columns, &p->blocks[i], origin_ns);
		n++;
	}
	mp_json_open(j, "blocks", "{");
	mp_json_number(j, "rows", n);
	mp_json_number(j, "all", p->nr_blocks);
	mp_json_number(j, "least", least);
	for (i = 0; i < BLOCK_COLUMNS; i++)
		mp_pack_finish(&columns[i], j, names[i]);
	mp_json_close(j, "}");
}

void mp_html_vmas(struct mp_json *j, const struct mp_proc *p, uint64_t origin_ns)
{
	size_t i;

	mp_json_open(j, "vmas", "[");
	for (i = 0; i < p->nr_vmas; i++) {
		const struct mp_vma *v = &p->vmas[i];

		mp_json_line(j);
		mp_json_open(j, NULL, "{");
		mp_json_number(j, "start", v->start >> MP_PAGE_SHIFT);
		mp_json_number(j, "end", v->end >> MP_PAGE_SHIFT);
		mp_json_number(j, "perms", v->perms);
		mp_json_word(j, "kind", mp_vma_kind_name(v->kind));
		mp_html_label(j, "name", v->name);
		mp_json_number(j, "present", v->present_pages);
		mp_json_number(j, "site", v->site);
		mp_json_word(j, "growth", v->growth ? mp_fn_name(v->growth) : NULL);
		mp_json_number(j, "op", v->op);
		mp_json_bool(j, "hooked", v->hooked);
		mp_json_number(j, "t", v->op ? mp_html_since(v->t_ns, origin_ns) : 0);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
}

static void moment(struct mp_json *j, const struct mp_moment *m, uint64_t origin_ns)
{
	mp_json_open(j, NULL, "[");
	mp_json_number(j, NULL, mp_html_since(m->t_ns, origin_ns));
	mp_json_number(j, NULL, m->live_bytes);
	mp_json_number(j, NULL, m->live_peak);
	mp_json_number(j, NULL, m->resident_bytes);
	mp_json_number(j, NULL, m->resident_peak);
	mp_json_signed(j, NULL, m->rss_bytes);
	mp_json_number(j, NULL, m->growths);
	mp_json_number(j, NULL, m->grown_bytes);
	mp_json_number(j, NULL, m->site);
	mp_json_close(j, "]");
}

void mp_html_moments(struct mp_json *j, const struct mp_proc *p, uint64_t origin_ns)
{
	size_t i;

	mp_json_number(j, "moment_ns", p->moment_ns);
	mp_json_open(j, "moments", "[");
	for (i = 0; i < p->nr_moments; i++)
		moment(j, &p->moments[i], origin_ns);
	mp_json_close(j, "]");
}
