// SPDX-License-Identifier: GPL-2.0-or-later
/* Pages as characters: a line is a stretch of addresses, a character one page or several. */
#include <inttypes.h>
#include <string.h>

#include "view/xray.h"

#define COLUMNS   64
#define CELLS_MAX 4096 /* characters, over all heaps, beyond which each stands for more pages */

/* What several pages are drawn as: the state most of them have, but not as absent if any is there. */
static const char letters[MP_XPAGE_NR + 1] = ".zs-t!o*#";

struct map {
	FILE *out;
	uint64_t scale;             /* pages a character */
	uint64_t next;              /* address of the next character */
	uint64_t seen[MP_XPAGE_NR]; /* pages of it so far */
	uint64_t filled;            /* all of these */
	int column;
};

static void put_cell(struct map *m)
{
	int best = MP_XPAGE_ABSENT;

	for (int i = 1; i < MP_XPAGE_NR; i++)
		if (m->seen[i] > (best ? m->seen[best] : 0))
			best = i;
	if (!m->column)
		fprintf(m->out, "%#14" PRIx64 "  ", m->next);
	fputc(letters[best], m->out);
	m->next += m->filled * MP_PAGE_SIZE;
	memset(m->seen, 0, sizeof(m->seen));
	m->filled = 0;
	if (++m->column == COLUMNS) {
		fputc('\n', m->out);
		m->column = 0;
	}
}

static void end_stretch(struct map *m)
{
	if (m->filled)
		put_cell(m);
	if (m->column)
		fputc('\n', m->out);
	m->column = 0;
}

static void put_run(struct map *m, const struct mp_xray_run *run)
{
	uint64_t left = run->nr;

	while (left) {
		uint64_t n = m->scale - m->filled;

		n = n < left ? n : left;
		m->seen[run->state] += n;
		m->filled += n;
		left -= n;
		if (m->filled == m->scale)
			put_cell(m);
	}
}

void mp_view_xray_map(const struct mp_xray_report *r, FILE *out)
{
	struct map m = { .out = out, .scale = 1 };
	uint64_t pages = 0, end = 0;

	for (size_t i = 0; i < r->nr_runs; i++)
		pages += r->runs[i].nr;
	while (pages / m.scale > CELLS_MAX)
		m.scale *= 2;
	fprintf(out,
		"\npages, %" PRIu64
		" a character: # full of live bytes, * more than half, o up to half, "
		"! 1 to 64,\n- none, t top chunk, z zero page, s swapped, . not there\n",
		m.scale);
	for (size_t i = 0; i < r->nr_runs; i++) {
		const struct mp_xray_run *run = &r->runs[i];

		if (!i || run->addr != end || run->arena != run[-1].arena ||
		    run->kind != run[-1].kind) {
			end_stretch(&m);
			m.next = run->addr;
		}
		put_run(&m, run);
		end = run->addr + run->nr * MP_PAGE_SIZE;
	}
	end_stretch(&m);
}
