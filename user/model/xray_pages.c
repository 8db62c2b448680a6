// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "model/xray_inside.h"

const uint32_t mp_xray_pin_limits[MP_XRAY_PINS] = {
	16, 32, 64, 128, 256, 512, 1024, 2048, MP_PAGE_SIZE - 1, MP_PAGE_SIZE,
};
#define PINNED 64 /* live bytes of a page that is drawn as held by few */

/* ---- the map -------------------------------------------------------------------------------- */

static int map_add(struct mp_xray *x, uint64_t addr, uint64_t nr, enum mp_xray_page state)
{
	struct mp_xray_report *r = &x->r;
	struct mp_xray_run *last = r->nr_runs ? &r->runs[r->nr_runs - 1] : NULL;

	if (!(x->want & MP_XRAY_WANT_MAP))
		return 0;
	if (last && last->addr + last->nr * MP_PAGE_SIZE == addr && last->state == state &&
	    last->arena == x->heap.arena && last->kind == x->heap.kind) {
		last->nr += nr;
		return 0;
	}
	if (mp_mem_grow(&x->mem, &r->runs, &x->runs_cap, r->nr_runs + 1, sizeof(*r->runs)))
		return -ENOMEM;
	r->runs[r->nr_runs++] =
		(struct mp_xray_run){ addr, nr, x->heap.arena, x->heap.kind, (uint8_t)state };
	return 0;
}

/* ---- pages ---------------------------------------------------------------------------------- */

static enum mp_xray_page present_kind(uint32_t held, uint32_t top)
{
	if (!held)
		return top == MP_PAGE_SIZE ? MP_XPAGE_TOP : MP_XPAGE_IDLE;
	if (held <= PINNED)
		return MP_XPAGE_PINNED;
	if (held <= MP_PAGE_SIZE / 2)
		return MP_XPAGE_PARTLY;
	return held < MP_PAGE_SIZE ? MP_XPAGE_MOSTLY : MP_XPAGE_FULL;
}

/* @nr present pages that are alike, from @addr on */
static int count_present(struct mp_xray *x, uint64_t addr, uint64_t nr, bool huge)
{
	struct mp_xray_pages *p = &x->sum->pages;
	int ret, i = 0;

	if (x->own && x->ops) {
		ret = x->ops->metadata(x->ctx, addr, nr, x->own);
		if (ret)
			return ret;
	}
	p->present += nr;
	p->huge += huge ? nr : 0;
	if (!x->held) {
		p->idle += nr;
		p->cached += x->cached ? nr : 0;
		p->huge_idle += huge ? nr : 0;
	} else {
		while (mp_xray_pin_limits[i] < x->held)
			i++;
		p->pins[i] += nr;
	}
	return map_add(x, addr, nr, present_kind(x->held, x->top));
}

/* The first of the pages told that ends above @addr. */
static size_t told_at(const struct mp_xray *x, uint64_t addr)
{
	size_t low = 0, high = x->nr_told;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (x->told[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* [start, end) are whole pages that hold what x->held, cached and top say, each of them. */
static int count_pages(struct mp_xray *x, uint64_t start, uint64_t end)
{
	size_t i = x->cursor;
	int ret = 0;

	if (i >= x->nr_told || x->told[i].end <= start || (i && x->told[i - 1].end > start))
		i = told_at(x, start);
	for (; !ret && start < end && i < x->nr_told && x->told[i].start < end; i++) {
		const struct mp_xray_told *t = &x->told[i];
		uint64_t from = t->start > start ? t->start : start;
		uint64_t to = t->end < end ? t->end : end, nr = (to - from) / MP_PAGE_SIZE;

		if (from > start)
			ret = map_add(x, start, (from - start) / MP_PAGE_SIZE, MP_XPAGE_ABSENT);
		if (ret)
			break;
		start = to;
		if (t->state == MP_HEAP_PRESENT) {
			ret = count_present(x, from, nr, t->huge);
		} else if (t->state == MP_HEAP_ZERO) {
			x->sum->pages.zero += nr;
			ret = map_add(x, from, nr, MP_XPAGE_ZERO);
		} else {
			x->sum->pages.swapped += nr;
			ret = map_add(x, from, nr, MP_XPAGE_SWAPPED);
		}
	}
	if (!ret && start < end)
		ret = map_add(x, start, (end - start) / MP_PAGE_SIZE, MP_XPAGE_ABSENT);
	return ret;
}

static void empty_page(struct mp_xray *x, uint64_t page)
{
	x->page = page;
	x->held = x->cached = x->top = x->own = 0;
}

/* @bytes of the page at hand, or of each of several, are of a chunk in @state. */
static void fill_page(struct mp_xray *x, uint64_t bytes, enum mp_chunk_state state)
{
	switch (state) {
	case MP_CHUNK_TCACHE:
	case MP_CHUNK_FASTBIN:
		x->cached += (uint32_t)bytes;
		break;
	case MP_CHUNK_TOP:
		x->top += (uint32_t)bytes;
		break;
	case MP_CHUNK_BIN:
		break;
	case MP_CHUNK_OWN:
		x->own += (uint32_t)bytes;
		/* fallthrough */
	default: /* what could not be read is not taken for free */
		x->held += (uint32_t)bytes;
	}
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static void count_bytes(struct mp_xray *x, uint64_t start, uint64_t end, struct mp_xray_bytes *by)
{
	by->bytes += end - start;
	while (x->cursor < x->nr_told && x->told[x->cursor].end <= start)
		x->cursor++;
	for (size_t i = x->cursor; i < x->nr_told && x->told[i].start < end; i++) {
		const struct mp_xray_told *t = &x->told[i];
		uint64_t from = t->start > start ? t->start : start;
		uint64_t to = t->end < end ? t->end : end;

		if (t->state == MP_HEAP_PRESENT)
			by->present += to - from;
		else if (t->state == MP_HEAP_ZERO)
			by->zero += to - from;
		else
			by->swapped += to - from;
		if (t->end > end)
			break;
		x->cursor = i;
	}
}

uint64_t mp_xray_pages_present(const struct mp_xray *x, uint64_t start, uint64_t end)
{
	uint64_t bytes = 0;

	if (start >= end)
		return 0;
	for (size_t i = told_at(x, start); i < x->nr_told && x->told[i].start < end; i++) {
		const struct mp_xray_told *t = &x->told[i];

		if (t->state == MP_HEAP_PRESENT)
			bytes += (t->end < end ? t->end : end) -
				 (t->start > start ? t->start : start);
	}
	return bytes;
}

/* ---- a heap --------------------------------------------------------------------------------- */

/* What lies outside of the heap on its first and last page is not known to be free. */
void mp_xray_pages_begin(struct mp_xray *x)
{
	x->cursor = 0;
	x->nr_told = 0;
	x->at = x->heap.start;
	empty_page(x, x->at & MP_PAGE_MASK);
	x->held = (uint32_t)(x->at - x->page);
}

int mp_xray_pages_end(struct mp_xray *x)
{
	if (x->at == x->page)
		return 0;
	x->held += (uint32_t)(x->page + MP_PAGE_SIZE - x->at);
	return count_pages(x, x->page, x->page + MP_PAGE_SIZE);
}

int mp_xray_pages_add(struct mp_xray *x, uint64_t end, enum mp_chunk_state state)
{
	uint64_t next = x->page + MP_PAGE_SIZE, last = end & MP_PAGE_MASK;
	int ret = 0;

	if (state == MP_CHUNK_LIVE) { /* a head of eight bytes, then the block */
		uint64_t block = end - x->at < 8 ? end : x->at + 8;

		x->own += (uint32_t)((block < next ? block : next) - x->at);
		count_bytes(x, x->at, block, &x->sum->by[MP_CHUNK_OWN]);
		count_bytes(x, block, end, &x->sum->by[MP_CHUNK_LIVE]);
	} else {
		count_bytes(x, x->at, end, &x->sum->by[state]);
	}
	if (end < next) {
		fill_page(x, end - x->at, state);
		x->at = end;
		return 0;
	}
	fill_page(x, next - x->at, state);
	ret = count_pages(x, x->page, next);
	if (!ret && last > next) {
		empty_page(x, next);
		fill_page(x, MP_PAGE_SIZE, state);
		ret = count_pages(x, next, last);
	}
	empty_page(x, last);
	fill_page(x, end - last, state);
	x->at = end;
	return ret;
}
