// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/top.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "view/frames.h"
#include "view/order.h"
#include "view/rows.h"
#include "view/top_rates.h"
#include "view/units.h"
#include "view/views.h"

#define HEAD 5 /* lines above the first site, without the bar */
/* All but pinned: heaps are not walked while a screen is shown. */
#define SORTS MP_SORT_PINNED

enum page { SITES, SITE, HELP };

struct mp_top {
	struct mp_view_opts opts; /* the caller's, but for the order */
	struct mp_symbols *sym;
	struct mp_report *r; /* NULL: none yet */
	struct mp_rates rates;
	struct mp_table_row *rows; /* all, in order */
	uint64_t *keys;            /* of each row, for its rate */
	size_t *seen;              /* indices of the rows that the filter leaves */
	size_t nr_rows, nr_seen;
	size_t chosen, first; /* of those seen */
	enum page page;
	char *text; /* SITE: its lines */
	size_t text_at;
	char filter[64];
	bool typing, frozen;
};

struct screen { /* being drawn */
	struct mp_top_line *lines;
	size_t n, room, columns;
};

struct mp_top *mp_top__new(const struct mp_view_opts *opts, struct mp_symbols *sym)
{
	struct mp_top *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->opts = *opts;
	t->sym = sym;
	return t;
}

void mp_top__free(struct mp_top *t)
{
	if (!t)
		return;
	mp_rates__fini(&t->rates);
	mp_report__free(t->r);
	free(t->rows);
	free(t->keys);
	free(t->seen);
	free(t->text);
	free(t);
}

bool mp_top__frozen(const struct mp_top *t)
{
	return t->frozen;
}

/* ---- what there is to show -------------------------------------------------------------------- */

static struct mp_label label_of(struct mp_top *t, const struct mp_table_row *row)
{
	struct mp_label name;
	struct mp_frames f;

	mp_frames_shown(&f, row->site, t->sym, &t->opts);
	name = mp_frames_label(&f, 0);
	if (row->site->mapping) {
		memmove(name.s + 7, name.s, sizeof(name.s) - 7);
		memcpy(name.s, "(mmap) ", 7);
		name.s[sizeof(name.s) - 1] = '\0';
	}
	return name;
}

static void filter(struct mp_top *t)
{
	t->nr_seen = 0;
	for (size_t i = 0; i < t->nr_rows; i++)
		if (!*t->filter || strcasestr(label_of(t, &t->rows[i]).s, t->filter))
			t->seen[t->nr_seen++] = i;
	if (t->chosen >= t->nr_seen)
		t->chosen = t->nr_seen ? t->nr_seen - 1 : 0;
}

/* 0 or -ENOMEM; then what was shown before stays. */
static int make_rows(struct mp_top *t, struct mp_report *r)
{
	size_t nr;
	struct mp_table_row *rows = mp_rows_make(r, t->sym, &t->opts, &nr);
	uint64_t *keys = calloc(nr + 1, sizeof(*keys));
	size_t *seen = calloc(nr + 1, sizeof(*seen));

	if (!rows || !keys || !seen) {
		free(rows);
		free(keys);
		free(seen);
		return -ENOMEM;
	}
	free(t->rows);
	free(t->keys);
	free(t->seen);
	t->rows = rows;
	t->keys = keys;
	t->seen = seen;
	t->nr_rows = nr;
	for (size_t i = 0; i < nr; i++)
		keys[i] = mp_rates_key(label_of(t, &rows[i]).s);
	return 0;
}

int mp_top__update(struct mp_top *t, struct mp_report *r, uint64_t now_ns)
{
	struct mp_sample *now = calloc(r->nr_sites + 1, sizeof(*now));

	if (!now || make_rows(t, r)) {
		free(now);
		mp_report__free(r);
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->nr_rows; i++)
		now[i] = (struct mp_sample){
			.key = t->keys[i],
			.calls = t->rows[i].sum.calls,
			.faults = mp_order_faults(t->rows[i].sum.faults),
			.resident = mp_units_signed(t->rows[i].sum.resident_bytes),
		};
	mp_rates__update(&t->rates, now, t->nr_rows, now_ns);
	mp_report__free(t->r);
	t->r = r;
	filter(t);
	return 0;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void order_by(struct mp_top *t, int step)
{
	t->opts.sort = (t->opts.sort + SORTS + step) % SORTS;
	if (t->r)
		make_rows(t, t->r); /* without memory the order stays as it was */
	t->chosen = t->first = 0;
	filter(t);
}

/* The chosen site's path, as the tree view has it. */
static void open_site(struct mp_top *t)
{
	struct mp_view_opts opts = t->opts;
	size_t len;
	FILE *f;

	if (!t->nr_seen)
		return;
	free(t->text);
	t->text = NULL;
	f = open_memstream(&t->text, &len);
	if (!f)
		return;
	opts.site = t->rows[t->seen[t->chosen]].site->id;
	opts.color = false;
	mp_view_tree(t->r, t->sym, &opts, f);
	fclose(f);
	t->text_at = 0;
	t->page = SITE;
}

static void move(struct mp_top *t, long by)
{
	size_t *at = t->page == SITE ? &t->text_at : &t->chosen;
	long to = (long)*at + by;

	*at = to < 0 ? 0 : to;
	if (t->page != SITE && *at >= t->nr_seen)
		*at = t->nr_seen ? t->nr_seen - 1 : 0;
}

static bool type(struct mp_top *t, int key)
{
	size_t len = strlen(t->filter);

	if (key == MP_KEY_ENTER || key == MP_KEY_BACK)
		t->typing = false;
	if (key == MP_KEY_BACK) {
		*t->filter = '\0';
	} else if (key == MP_KEY_ERASE && len) {
		t->filter[len - 1] = '\0';
	} else if (key >= ' ' && key < 127 && len + 1 < sizeof(t->filter)) {
		t->filter[len] = key;
		t->filter[len + 1] = '\0';
	}
	filter(t);
	return true;
}

static void act(struct mp_top *t, int key)
{
	switch (key) {
	case 's':
		order_by(t, 1);
		break;
	case 'S':
		order_by(t, -1);
		break;
	case 'f':
	case ' ':
		t->frozen = !t->frozen;
		break;
	case '/':
		t->typing = true;
		t->page = SITES;
		break;
	case 'h':
	case '?':
		t->page = HELP;
		break;
	case MP_KEY_ENTER:
		if (t->page == SITES)
			open_site(t);
		break;
	case MP_KEY_BACK:
	case MP_KEY_ERASE:
		if (t->page == SITES)
			*t->filter = '\0';
		t->page = SITES;
		filter(t);
		break;
	}
}

#define FAR (1L << 30)

bool mp_top__key(struct mp_top *t, int key)
{
	static const struct {
		int key;
		long by;
	} moves[] = {
		{ MP_KEY_UP, -1 },       { 'k', -1 },
		{ MP_KEY_DOWN, 1 },      { 'j', 1 },
		{ MP_KEY_PAGE_UP, -10 }, { MP_KEY_PAGE_DOWN, 10 },
		{ MP_KEY_HOME, -FAR },   { MP_KEY_END, FAR },
	};

	if (t->typing)
		return type(t, key);
	if (key == 'q' && t->page == SITES)
		return false;
	if (key == 'q')
		key = MP_KEY_BACK;
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
		if (moves[i].key == key)
			move(t, moves[i].by);
	act(t, key);
	return true;
}

/* ---- drawing --------------------------------------------------------------------------------- */

static void put(struct screen *s, enum mp_look look, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void put(struct screen *s, enum mp_look look, const char *fmt, ...)
{
	struct mp_top_line *line = &s->lines[s->n];
	va_list ap;

	if (s->n == s->room)
		return;
	va_start(ap, fmt);
	vsnprintf(line->text, sizeof(line->text), fmt, ap);
	va_end(ap);
	mp_label_clip(line->text, s->columns);
	line->look = look;
	s->n++;
}

static struct mp_text bytes(const struct mp_top *t, int64_t n)
{
	return mp_units_bytes(n, t->opts.bytes);
}

/* "12.3M": for lines with many of them. */
static struct mp_text brief(const struct mp_top *t, int64_t n)
{
	struct mp_text text = bytes(t, n);
	char *unit = strchr(text.s, ' ');

	if (unit) {
		unit[0] = unit[1];
		unit[1] = '\0';
	}
	return text;
}

static void draw_who(const struct mp_top *t, struct screen *s)
{
	char comm[80] = "";

	if (t->r->nr_procs)
		mp_label_safe(comm, sizeof(comm), t->r->procs[0].comm);
	if (t->r->nr_procs == 1)
		put(s, MP_LOOK_BOLD, "mallocpath: %s (pid %" PRIu32 ")%s", comm, t->r->procs[0].pid,
		    t->frozen ? "   FROZEN (f goes on)" : "");
	else
		put(s, MP_LOOK_BOLD, "mallocpath: %s and %zu more processes%s", comm,
		    t->r->nr_procs - !!t->r->nr_procs, t->frozen ? "   FROZEN (f goes on)" : "");
}

static void add(int64_t *sum, int64_t n)
{
	if (n != MP_UNKNOWN)
		*sum = *sum == MP_UNKNOWN ? n : *sum + n;
}

/* Of all processes together; what comes out is Rss less the parts named. */
static void draw_books(const struct mp_top *t, struct screen *s)
{
	int64_t rss = MP_UNKNOWN, block = 0, kept = 0, before = 0, file = 0;

	for (size_t i = 0; i < t->r->nr_procs; i++) {
		const struct mp_books *b = &t->r->procs[i].books;

		if (t->r->procs[i].exited)
			continue;
		add(&rss, b->rss);
		add(&block, b->block);
		add(&kept, b->retained);
		add(&kept, b->metadata);
		add(&before, b->before_attach);
		add(&file, b->file);
	}
	if (rss == MP_UNKNOWN)
		put(s, MP_LOOK_PLAIN, "Rss - (being read)");
	else
		put(s, MP_LOOK_PLAIN,
		    "Rss %s = blocks %s + kept %s + before %s + files %s + rest %s",
		    brief(t, rss).s, brief(t, block).s, brief(t, kept).s, brief(t, before).s,
		    brief(t, file).s, brief(t, rss - block - kept - before - file).s);
}

static void draw_rates(const struct mp_top *t, struct screen *s)
{
	const struct mp_rate *all = &t->rates.all;
	uint64_t blocks = 0;

	for (size_t i = 0; i < t->r->nr_procs; i++)
		blocks += t->r->procs[i].live_blocks;
	put(s, MP_LOOK_PLAIN, "%" PRIu64 " live blocks; %.0f mallocs/s, %.0f faults/s%s", blocks,
	    all->calls, all->faults, t->r->loss.events_dropped ? "; EVENTS WERE LOST" : "");
}

static void draw_bar(const struct mp_top *t, struct screen *s)
{
	if (t->typing)
		put(s, MP_LOOK_PLAIN, "show only: %s_", t->filter);
	else
		put(s, MP_LOOK_PLAIN, "by %s%s%s   (s order, / filter, Enter one site, h help)",
		    mp_sort_name(t->opts.sort), *t->filter ? ", only " : "", t->filter);
}

static void draw_row(struct mp_top *t, struct screen *s, size_t i)
{
	const struct mp_table_row *row = &t->rows[t->seen[i]];
	const struct mp_rate rate = mp_rates__of(&t->rates, t->keys[t->seen[i]]);
	bool time = t->opts.sort == MP_SORT_FAULT_NS;
	bool count = t->opts.sort == MP_SORT_CALLS || t->opts.sort == MP_SORT_FAULTS;
	int64_t metric = mp_units_signed(row->metric);
	struct mp_label name = label_of(t, row);
	char growth[40];

	snprintf(growth, sizeof(growth), "%s%s", rate.resident < 0 ? "-" : "+",
		 bytes(t, rate.resident < 0 ? -rate.resident : rate.resident).s);
	put(s, i == t->chosen ? MP_LOOK_CHOSEN : MP_LOOK_PLAIN, "%11s %11s %10.0f %9.0f  %s",
	    time    ? mp_units_ns(metric, t->opts.bytes).s
	    : count ? mp_units_count(metric).s
		    : bytes(t, metric).s,
	    growth, rate.calls, rate.faults, name.s);
}

static void draw_sites(struct mp_top *t, struct screen *s)
{
	size_t left;

	put(s, MP_LOOK_TITLE, "%11s %11s %10s %9s  %s", mp_sort_name(t->opts.sort), "resident/s",
	    "mallocs/s", "faults/s", "site");
	left = s->room - s->n;
	if (t->chosen < t->first)
		t->first = t->chosen;
	if (left && t->chosen >= t->first + left)
		t->first = t->chosen - left + 1;
	for (size_t i = t->first; i < t->nr_seen && s->n < s->room; i++)
		draw_row(t, s, i);
	if (!t->nr_seen)
		put(s, MP_LOOK_PLAIN, "%s",
		    *t->filter ? "no site has this in its name" : "no allocation was seen yet");
}

static void draw_help(struct screen *s)
{
	static const char *const lines[] = {
		"s, S      order by the next, by the previous number",
		"up, down  choose a site (also j, k; page up, page down, home, end)",
		"Enter     the chosen site's path, from malloc to the page frames",
		"/         show only sites with a text in their name; Esc shows all",
		"f, space  freeze what is shown; tracing goes on",
		"q, Esc    back; from the list q ends and detaches",
		"",
		"resident/s  how much more or less of the site is in memory, a second",
		"kept    memory of the heap under no live block, and its own",
		"before  memory that was there before, of which no block is known",
		"Rss is read about once a second, less often where that would cost the process more",
	};

	put(s, MP_LOOK_BOLD, "mallocpath top: keys");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		put(s, MP_LOOK_PLAIN, "%s", lines[i]);
}

static void draw_site(struct mp_top *t, struct screen *s)
{
	const char *p = t->text ? t->text : "";
	size_t skip = t->text_at, len;

	put(s, MP_LOOK_BOLD, "one site, as it was when opened (Esc: back)");
	for (; *p && s->n < s->room; p += len + !!p[len]) {
		len = strcspn(p, "\n");
		if (skip) {
			skip--;
			continue;
		}
		put(s, MP_LOOK_PLAIN, "%.*s", (int)len, p);
	}
	if (!*p && s->n <= 1 && t->text_at)
		t->text_at--; /* beyond the end */
}

size_t mp_top__draw(struct mp_top *t, size_t columns, size_t rows, struct mp_top_line *out,
		    size_t room)
{
	size_t all = HEAD + (t->opts.top > 0 && (size_t)t->opts.top < t->nr_seen
				     ? (size_t)t->opts.top
				     : t->nr_seen);
	struct screen s = { .lines = out, .columns = columns };

	s.room = rows ? rows : all;
	if (s.room > room)
		s.room = room;
	if (t->page == HELP) {
		draw_help(&s);
		return s.n;
	}
	if (t->page == SITE) {
		draw_site(t, &s);
		return s.n;
	}
	if (!t->r) {
		put(&s, MP_LOOK_BOLD, "mallocpath: the first numbers are being read");
		return s.n;
	}
	draw_who(t, &s);
	draw_books(t, &s);
	draw_rates(t, &s);
	if (rows)
		draw_bar(t, &s);
	put(&s, MP_LOOK_PLAIN, "%s", "");
	draw_sites(t, &s);
	return s.n;
}
