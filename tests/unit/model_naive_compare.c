// SPDX-License-Identifier: GPL-2.0-or-later
/* A report against the naive model: bytes counted one by one. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model_naive_inside.h"

/* What the report's sites ought to say of this instant. */
struct now {
	uint64_t live_blocks, live_bytes, resident, charged, untouched, mapped, direct;
	uint64_t orders[MP_ORDERS];
	uint64_t touched_by[NAIVE_CALLERS];
};

struct compare {
	struct naive *n;
	const struct mp_report *r;
	uint32_t ids[NAIVE_CALLERS]; /* id in the report of each caller */
	uint32_t touch_ids[NAIVE_CALLERS];
	struct now now[NAIVE_CALLERS];
	uint64_t sum[8]; /* of one process: the enum below */
	uint64_t arrived, sited, present;
};
enum { BLOCK, RETAINED, BEFORE, OTHER, STACK, TOOL, ZERO };

#define CHECK(c, got, want, ...)                                                              \
	do {                                                                                  \
		if ((got) != (want))                                                          \
			return differ(c, #got, (int64_t)(got), (int64_t)(want), __VA_ARGS__); \
	} while (0)

static bool differ(struct compare *c, const char *what, int64_t got, int64_t want, const char *fmt,
		   ...) __attribute__((format(printf, 5, 6)));

static bool differ(struct compare *c, const char *what, int64_t got, int64_t want, const char *fmt,
		   ...)
{
	char *text = c->n->text;
	size_t room = sizeof(c->n->text);
	int n = snprintf(text, room, "%s is %lld, not %lld: ", what, (long long)got,
			 (long long)want);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + n, room - n, fmt, ap);
	va_end(ap);
	return false;
}

static void number_callers(struct compare *c)
{
	size_t i;

	for (i = 0; i < c->r->nr_sites; i++) {
		const struct mp_place *place = c->r->sites[i].frame->place;
		uint32_t *ids = place->what == MP_PLACE_EXACT ? c->touch_ids : c->ids;

		ids[naive_caller(place->addr)] = c->r->sites[i].id;
	}
}

static const struct mp_block *find_block(const struct mp_proc *p, uint64_t addr)
{
	size_t i;

	for (i = 0; i < p->nr_blocks; i++)
		if (p->blocks[i].addr == addr)
			return &p->blocks[i];
	return NULL;
}

/* Which live block has each byte of the page; -1: none. */
static void paint(const struct proc *p, uint64_t page, int owner[MP_PAGE_SIZE])
{
	uint64_t start = NAIVE_BASE + page * MP_PAGE_SIZE, a;
	int i;

	memset(owner, -1, MP_PAGE_SIZE * sizeof(*owner));
	for (i = 0; i < BLOCKS; i++) {
		const struct block *b = &p->blocks[i];

		if (!b->live || b->start + b->size <= start || b->start >= start + MP_PAGE_SIZE)
			continue;
		for (a = b->start > start ? b->start : start;
		     a < b->start + b->size && a < start + MP_PAGE_SIZE; a++)
			owner[a - start] = i;
	}
}

/* The caller with most bytes among @bytes; of equals, the one with the lowest id. */
static uint32_t most(const uint32_t ids[NAIVE_CALLERS], const uint64_t bytes[NAIVE_CALLERS])
{
	uint32_t i, best = 0;

	for (i = 1; i < NAIVE_CALLERS; i++)
		if (bytes[i] > bytes[best] ||
		    (bytes[i] == bytes[best] && bytes[best] && ids[i] < ids[best]))
			best = i;
	return best;
}

static void book(struct compare *c, const struct page *g, const struct map *m, uint64_t rest)
{
	bool heap = m->id && (m->growth || m->heap);

	if (g->source == MP_SRC_TOOL)
		c->sum[TOOL] += rest;
	else if (m->id && m->stack)
		c->sum[STACK] += rest;
	else if (!heap)
		c->sum[OTHER] += rest;
	else
		c->sum[g->source == MP_SRC_SEEDED ? BEFORE : RETAINED] += rest;
	if (!m->id || !m->anon || heap || g->source == MP_SRC_TOOL)
		return;
	c->now[m->caller].resident += rest;
	c->now[m->caller].direct += rest;
}

/* Everything a page adds to sums; @site is whose page it is in the main. */
static void add_page(struct compare *c, struct proc *p, uint64_t page, const int *owner,
		     uint32_t site)
{
	const struct page *g = &p->pages[page];
	const struct map *m = &p->maps[page];
	bool came = g->source == MP_SRC_FAULT || g->source == MP_SRC_POPULATE ||
		    g->source == MP_SRC_MOVED;
	uint64_t covered = 0, charged = 0, bytes, i, j;
	int lowest = -1;

	for (i = 0; i < MP_PAGE_SIZE; i++) {
		if (owner[i] < 0)
			continue;
		if (lowest < 0)
			lowest = owner[i];
		covered++;
		c->now[p->blocks[owner[i]].caller].resident++;
		c->sited += came && p->blocks[owner[i]].caller;
	}
	for (i = 0; i < MP_PAGE_SIZE; i = j) { /* blocks are whole runs of bytes */
		for (j = i; j < MP_PAGE_SIZE && owner[j] == owner[i]; j++)
			;
		if (owner[i] < 0)
			continue;
		bytes = MP_PAGE_SIZE * (j - i) / covered;
		c->now[p->blocks[owner[i]].caller].charged += bytes;
		charged += bytes;
	}
	if (lowest >= 0)
		c->now[p->blocks[lowest].caller].charged += MP_PAGE_SIZE - charged;
	c->sum[BLOCK] += covered;
	c->present++;
	c->arrived += came ? MP_PAGE_SIZE : 0;
	c->sited += came && m->id && m->caller ? MP_PAGE_SIZE - covered : 0;
	book(c, g, m, MP_PAGE_SIZE - covered);
	c->now[site].orders[g->order]++;
	c->now[site].touched_by[g->toucher]++;
}

static bool compare_page(struct compare *c, struct proc *p, const struct mp_page *row,
			 uint64_t page)
{
	const struct page *g = &p->pages[page];
	uint64_t bytes[NAIVE_CALLERS] = { 0 }, lowest = 0, blocks = 0;
	int owner[MP_PAGE_SIZE], i, last = -1;
	uint32_t site;

	paint(p, page, owner);
	for (i = 0; i < (int)MP_PAGE_SIZE; i++) {
		if (owner[i] < 0)
			continue;
		bytes[p->blocks[owner[i]].caller]++;
		blocks += owner[i] != last;
		last = owner[i];
		if (!lowest)
			lowest = p->blocks[owner[i]].start;
	}
	/* id 0 takes part like any other: the lowest of equals */
	site = most(c->ids, bytes);
	if (bytes[0] && bytes[0] >= bytes[site])
		site = 0;
	if (!blocks)
		site = p->maps[page].id ? p->maps[page].caller : 0;
	CHECK(c, row->addr, NAIVE_BASE + page * MP_PAGE_SIZE, "page %llu", (long long)page);
	CHECK(c, row->pfn, g->pfn, "page %llu", (long long)page);
	CHECK(c, row->state, g->state, "page %llu", (long long)page);
	CHECK(c, row->kind, g->kind, "page %llu", (long long)page);
	CHECK(c, row->by, g->by, "page %llu", (long long)page);
	CHECK(c, row->source, g->source, "page %llu", (long long)page);
	CHECK(c, row->order, g->order, "page %llu", (long long)page);
	CHECK(c, row->t_ns, g->t_ns, "page %llu", (long long)page);
	CHECK(c, row->toucher, c->touch_ids[g->toucher], "page %llu", (long long)page);
	CHECK(c, row->block, lowest, "page %llu", (long long)page);
	CHECK(c, row->blocks, blocks, "page %llu", (long long)page);
	CHECK(c, row->site, c->ids[site], "page %llu", (long long)page);
	if (g->state == MP_STATE_ZERO)
		c->sum[ZERO] += MP_PAGE_SIZE;
	if (g->state == MP_STATE_PRESENT || g->state == MP_STATE_SHARED_COW)
		add_page(c, p, page, owner, site);
	return true;
}

static bool compare_blocks(struct compare *c, struct proc *p, const struct mp_proc *out)
{
	uint64_t live = 0, resident, page, a;
	const struct mp_block *row;
	int i;

	for (i = 0; i < BLOCKS; i++) {
		const struct block *b = &p->blocks[i];

		if (!b->live)
			continue;
		live++;
		for (resident = 0, a = b->start; a < b->start + b->size; a++) {
			page = (a - NAIVE_BASE) / MP_PAGE_SIZE;
			resident += p->pages[page].there &&
				    (p->pages[page].state == MP_STATE_PRESENT ||
				     p->pages[page].state == MP_STATE_SHARED_COW);
		}
		row = find_block(out, b->start);
		CHECK(c, row != NULL, true, "block %llx", (long long)b->start);
		CHECK(c, row->requested, b->size, "block %llx", (long long)b->start);
		CHECK(c, row->t_ns, b->t_ns, "block %llx", (long long)b->start);
		CHECK(c, row->tid, b->tid, "block %llx", (long long)b->start);
		CHECK(c, row->site, c->ids[b->caller], "block %llx", (long long)b->start);
		CHECK(c, row->resident_bytes, resident, "block %llx", (long long)b->start);
		c->now[b->caller].live_blocks++;
		c->now[b->caller].live_bytes += b->size;
		c->now[b->caller].untouched += b->size - resident;
	}
	CHECK(c, out->nr_blocks, live, "blocks of %u", out->pid);
	CHECK(c, out->live_blocks, live, "blocks of %u", out->pid);
	return true;
}

static bool compare_event(struct compare *c, const struct mp_past *got, const struct past *want)
{
	long long page = want->page;

	CHECK(c, got->what, want->what, "past of page %lld", page);
	CHECK(c, got->t_ns, want->t_ns, "past of page %lld", page);
	CHECK(c, got->pfn, want->pfn, "past of page %lld", page);
	CHECK(c, got->other, want->other < 0 ? 0 : NAIVE_BASE + want->other * MP_PAGE_SIZE,
	      "past of page %lld", page);
	CHECK(c, got->site, want->touched ? c->touch_ids[want->who] : c->ids[want->who],
	      "past of page %lld", page);
	CHECK(c, got->owner, c->ids[want->owner], "past of page %lld", page);
	CHECK(c, got->kind, want->kind, "past of page %lld", page);
	CHECK(c, got->by, want->by, "past of page %lld", page);
	CHECK(c, got->order, want->order, "past of page %lld", page);
	CHECK(c, got->fn, want->fn, "past of page %lld", page);
	return true;
}

/* What pages do at the end of a process, which is told where they stand at that instant. */
static struct past end_of(const struct naive *n, const struct proc *p, int page, size_t newest)
{
	const struct page *g = &p->pages[page];

	return (struct past){ .page = page,
			      .what = MP_PAST_EXIT,
			      .kind = MP_KIND_NONE,
			      .by = MP_BY_NONE,
			      .order = g->order,
			      .other = -1,
			      .pfn = g->pfn,
			      .t_ns = p->exit_ns,
			      .owner = newest ? n->past[newest - 1].owner : 0 };
}

/* The row's past, newest first, against all of it that there is room for. */
static bool compare_past(struct compare *c, struct proc *p, const struct mp_page *row, int page)
{
	struct naive *n = c->n;
	size_t at = n->newest[p - n->procs][page], k = row->nr_past, newer = 0;

	if (!naive_past_kept(n, at))
		at = 0;
	if (p->exited && p->pages[page].there) {
		struct past end = end_of(n, p, page, at);

		CHECK(c, k > 0, true, "past of page %d", page);
		if (!compare_event(c, &row->past[--k], &end))
			return false;
	}
	for (; naive_past_kept(n, at); newer = at, at = n->past[at - 1].before) {
		CHECK(c, k > 0, true, "past of page %d", page);
		if (!compare_event(c, &row->past[--k], &n->past[at - 1]))
			return false;
	}
	CHECK(c, k, 0, "past of page %d", page);
	/* it is known to be cut where the entry before was there when the oldest came */
	CHECK(c, row->past_cut, at && newer && newer - at <= n->keep, "past of page %d", page);
	return true;
}

static bool compare_gone(struct compare *c, struct proc *p, const struct mp_page *row, int page)
{
	CHECK(c, row->addr, NAIVE_BASE + page * MP_PAGE_SIZE, "page %d, gone", page);
	CHECK(c, row->state, MP_STATE_GONE, "page %d, gone", page);
	CHECK(c, row->blocks + row->site + row->block, 0, "page %d, gone", page);
	return compare_past(c, p, row, page);
}

/* Pages that went, of each process by how. */
static bool compare_departed(struct compare *c, struct proc *p, const struct mp_proc *out)
{
	uint64_t pages[MP_PAST_NR] = { 0 };
	size_t i;

	for (i = 0; i < c->n->nr_past; i++)
		if (&c->n->procs[c->n->past[i].pid - 1] == p && c->n->past[i].other < 0)
			pages[c->n->past[i].what] += MP_PAGE_SIZE;
	CHECK(c, out->departed != NULL, c->n->keep > 0, "pages of %u", out->pid);
	for (i = 0; out->departed && i < MP_PAST_NR; i++)
		CHECK(c, out->departed[i], i < MP_PAST_MUNMAP ? 0 : pages[i],
		      "pages of %u that went by %s", out->pid, mp_past_name(i));
	return true;
}

static bool compare_proc(struct compare *c, struct proc *p, const struct mp_proc *out)
{
	const struct mp_books *b = &out->books;
	uint64_t rows = 0, i;
	double coverage;

	memset(c->sum, 0, sizeof(c->sum));
	c->arrived = c->sited = c->present = 0;
	if (!compare_blocks(c, p, out))
		return false;
	for (i = 0; i < NAIVE_PAGES; i++) {
		if (p->maps[i].id && p->maps[i].anon && !p->maps[i].growth && !p->maps[i].heap)
			c->now[p->maps[i].caller].mapped += MP_PAGE_SIZE;
		bool gone = !p->pages[i].there &&
			    naive_past_kept(c->n, c->n->newest[p - c->n->procs][i]);

		if (!p->pages[i].there && !gone)
			continue;
		CHECK(c, rows < out->nr_pages, true, "pages of %u", out->pid);
		if (gone && !compare_gone(c, p, &out->pages[rows++], i))
			return false;
		if (gone)
			continue;
		if (c->n->keep && !compare_past(c, p, &out->pages[rows], i))
			return false;
		if (!compare_page(c, p, &out->pages[rows++], i))
			return false;
	}
	if (!compare_departed(c, p, out))
		return false;
	CHECK(c, out->nr_pages, rows, "pages of %u", out->pid);
	CHECK(c, out->present_pages, c->present, "pages of %u", out->pid);
	CHECK(c, b->block, (int64_t)c->sum[BLOCK], "books of %u", out->pid);
	CHECK(c, b->retained, (int64_t)c->sum[RETAINED], "books of %u", out->pid);
	CHECK(c, b->before_attach, (int64_t)c->sum[BEFORE], "books of %u", out->pid);
	CHECK(c, b->other_anon, (int64_t)c->sum[OTHER], "books of %u", out->pid);
	CHECK(c, b->stack, (int64_t)c->sum[STACK], "books of %u", out->pid);
	CHECK(c, b->tool, (int64_t)c->sum[TOOL], "books of %u", out->pid);
	CHECK(c, b->zero, (int64_t)c->sum[ZERO], "books of %u", out->pid);
	CHECK(c, b->pss_anon, p->exited ? p->exit_pss : naive_pss(c->n, p), "books of %u",
	      out->pid);
	coverage = c->arrived ? (double)c->sited / c->arrived : NAN;
	CHECK(c, isnan(b->site_coverage), isnan(coverage), "books of %u", out->pid);
	CHECK(c, !isnan(coverage) && fabs(b->site_coverage - coverage) > 1e-9, false,
	      "site coverage of %u: %f, not %f", out->pid, b->site_coverage, coverage);
	return true;
}

/* The touchers by pages, then id, as many as a report holds. */
static bool compare_touchers(struct compare *c, const struct mp_site *s, struct now now)
{
	int i;

	now.touched_by[0] = 0;
	for (i = 0; i < MP_TOUCHERS; i++) {
		uint32_t best = most(c->touch_ids, now.touched_by);

		CHECK(c, s->touchers[i].pages, now.touched_by[best], "toucher %d of site %u", i,
		      s->id);
		CHECK(c, s->touchers[i].site, now.touched_by[best] ? c->touch_ids[best] : 0,
		      "toucher %d of site %u", i, s->id);
		now.touched_by[best] = 0;
	}
	return true;
}

static bool compare_site(struct compare *c, const struct mp_site *s)
{
	uint32_t i = naive_caller(s->frame->place->addr), k;
	const struct caller *was = &c->n->callers[i];
	const struct now *now = &c->now[i];
	uint64_t open = now->mapped > now->direct ? now->mapped - now->direct : 0;

	if (!i)
		return true;
	if (s->frame->place->what == MP_PLACE_EXACT) {
		CHECK(c, s->calls + s->live_blocks + s->resident_bytes, 0, "toucher %u", s->id);
		return true;
	}
	CHECK(c, s->calls, was->calls, "site %u", s->id);
	CHECK(c, s->frees, was->frees, "site %u", s->id);
	CHECK(c, s->failed, was->failed, "site %u", s->id);
	CHECK(c, s->requested_bytes, was->requested, "site %u", s->id);
	CHECK(c, s->live_blocks, now->live_blocks, "site %u", s->id);
	CHECK(c, s->live_bytes, now->live_bytes + now->mapped, "site %u", s->id);
	CHECK(c, s->resident_bytes, now->resident, "site %u", s->id);
	CHECK(c, s->charged_bytes, now->charged, "site %u", s->id);
	CHECK(c, s->untouched_bytes, now->untouched + open, "site %u", s->id);
	for (k = 0; k < MP_KIND_NR; k++)
		CHECK(c, s->faults[k], was->faults[k], "site %u, kind %u", s->id, k);
	for (k = 0; k < MP_BY_NR; k++)
		CHECK(c, s->faults_by[k], was->by[k], "site %u, by %u", s->id, k);
	for (k = 0; k < MP_ORDERS; k++)
		CHECK(c, s->orders[k], now->orders[k], "site %u, order %u", s->id, k);
	return compare_touchers(c, s, *now);
}

/* Whose pages went how, and who gave them back: each sum of the list, and no other. */
static bool compare_ways(struct compare *c)
{
	static uint64_t sums[NAIVE_CALLERS][NAIVE_CALLERS][MP_PAST_NR];
	uint64_t all = 0, told = 0;
	size_t i, k;

	memset(sums, 0, sizeof(sums));
	for (i = 0; i < c->n->nr_past; i++) {
		const struct past *e = &c->n->past[i];

		if (e->what < MP_PAST_MUNMAP || e->other >= 0)
			continue;
		sums[e->owner][e->who][e->what] += MP_PAGE_SIZE;
		all += MP_PAGE_SIZE;
	}
	for (i = 0; i <= c->r->nr_sites; i++) {
		const struct mp_site *s = i ? &c->r->sites[i - 1] : NULL;
		size_t nr = s ? s->nr_departed : c->r->nr_departed;

		for (k = 0; k < nr; k++) {
			const struct mp_departed *d = s ? &s->departed[k] : &c->r->departed[k];
			uint32_t by = 0, of = s ? naive_caller(s->frame->place->addr) : 0;

			if (d->by)
				by = naive_caller(c->r->sites[d->by - 1].frame->place->addr);
			CHECK(c, d->bytes, sums[of][by][d->what], "pages of %u by %u, %s", of, by,
			      mp_past_name(d->what));
			told += d->bytes;
		}
	}
	CHECK(c, told, all, "pages that went");
	return true;
}

static bool compare_all(struct compare *c)
{
	size_t i, procs = 0;

	number_callers(c);
	for (i = 0; i < c->r->nr_procs; i++)
		if (!compare_proc(c, &c->n->procs[c->r->procs[i].pid - 1], &c->r->procs[i]))
			return false;
	for (i = 0; i < NAIVE_PROCS; i++)
		procs += c->n->procs[i].exists;
	CHECK(c, c->r->nr_procs, procs, "processes");
	for (i = 0; i < c->r->nr_sites; i++)
		if (!compare_site(c, &c->r->sites[i]))
			return false;
	if (!compare_ways(c))
		return false;
	CHECK(c, c->r->history, c->n->keep > 0, "history");
	CHECK(c, c->r->loss.history_lost,
	      c->n->nr_past > c->n->keep ? c->n->nr_past - c->n->keep : 0, "history");
	CHECK(c, c->r->loss.frees_lost, c->n->lost, "loss");
	CHECK(c, c->r->loss.frees_unmatched, c->n->unmatched, "loss");
	CHECK(c, c->r->loss.moved_unseen_pages, c->n->moved, "loss");
	return true;
}

const char *naive_compare(struct naive *n, const struct mp_report *r)
{
	struct compare c = { .n = n, .r = r };

	return compare_all(&c) ? NULL : n->text;
}
