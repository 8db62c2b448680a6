// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/vmas.h"

#include <inttypes.h>
#include <string.h>

#include "view/json.h"
#include "view/label.h"
#include "view/units.h"
#include "view/views.h"

static int64_t told(uint64_t n)
{
	return n == MP_MODULE_NONE ? MP_UNKNOWN : mp_units_signed(n);
}

/* ---- table ---------------------------------------------------------------------------------- */

enum unit { COUNT, PAGES, BYTES };

#define AT(field) offsetof(struct mp_module_vma, field)

/* Names are those of the module's own file. Columns that are not @always hide while all is 0. */
static const struct {
	const char *title;
	size_t at;
	enum unit unit;
	bool always;
} columns[] = {
	{ "present", AT(present), PAGES, true },
	{ "anon", AT(anon), PAGES, true },
	{ "thp", AT(thp), PAGES, false },
	{ "mthp", AT(mthp), PAGES, false },
	{ "swap", AT(swap), PAGES, false },
	{ "zero", AT(zero), PAGES, false },
	{ "huge_zero", AT(huge_zero), PAGES, false },
	{ "hugetlb", AT(hugetlb), PAGES, false },
	{ "f_anon", AT(faults[0]), COUNT, false },
	{ "f_thp", AT(faults[1]), COUNT, false },
	{ "f_mthp", AT(faults[2]), COUNT, false },
	{ "f_zero", AT(faults[3]), COUNT, false },
	{ "f_cow", AT(faults[4]), COUNT, false },
	{ "f_swapin", AT(faults[5]), COUNT, false },
	{ "f_file", AT(faults[6]), COUNT, false },
	{ "f_shmem", AT(faults[7]), COUNT, false },
	{ "minor", AT(minor), COUNT, true },
	{ "major", AT(major), COUNT, false },
	{ "foreign", AT(foreign), COUNT, false },
};
#define NR_COLUMNS (sizeof(columns) / sizeof(columns[0]))

struct table {
	const struct mp_module_vmas *vmas;
	const struct mp_view_opts *opts;
	FILE *out;
	struct mp_module_vma total;
	uint64_t size;
	int width[NR_COLUMNS], size_width; /* 0: not shown */
};

static uint64_t value(const struct mp_module_vma *row, size_t c)
{
	uint64_t n;

	memcpy(&n, (const char *)row + columns[c].at, sizeof(n));
	return n;
}

static struct mp_text cell(const struct table *t, const struct mp_module_vma *row, size_t c)
{
	int64_t n = told(value(row, c));

	if (columns[c].unit == COUNT)
		return mp_units_count(n);
	if (n > INT64_MAX / (int64_t)MP_PAGE_SIZE)
		n = MP_UNKNOWN;
	return mp_units_bytes(n == MP_UNKNOWN ? n : n * (int64_t)MP_PAGE_SIZE, t->opts->bytes);
}

static int widest(int width, const char *text)
{
	int len = (int)strlen(text);

	return len > width ? len : width;
}

static struct mp_text size_cell(const struct table *t, const struct mp_module_vma *row)
{
	bool placed = row->start != MP_MODULE_NONE;

	return mp_units_bytes(placed ? told(row->end - row->start) : MP_UNKNOWN, t->opts->bytes);
}

static void add_up(struct table *t)
{
	for (size_t i = 0; i < t->vmas->nr; i++) {
		const struct mp_module_vma *row = &t->vmas->row[i];

		if (row->start != MP_MODULE_NONE)
			t->size += row->end - row->start;
		for (size_t c = 0; c < NR_COLUMNS; c++) {
			uint64_t n = value(&t->total, c), more = value(row, c);

			if (more != MP_MODULE_NONE && __builtin_add_overflow(n, more, &n))
				n = INT64_MAX;
			memcpy((char *)&t->total + columns[c].at, &n, sizeof(n));
		}
	}
}

static void measure(struct table *t)
{
	add_up(t);
	t->size_width = widest(4, mp_units_bytes(told(t->size), t->opts->bytes).s);
	for (size_t c = 0; c < NR_COLUMNS; c++) {
		if (!columns[c].always && !t->opts->verbose && !value(&t->total, c))
			continue;
		t->width[c] = widest((int)strlen(columns[c].title), cell(t, &t->total, c).s);
		for (size_t i = 0; i < t->vmas->nr; i++)
			t->width[c] = widest(t->width[c], cell(t, &t->vmas->row[i], c).s);
	}
	for (size_t i = 0; i < t->vmas->nr; i++)
		t->size_width = widest(t->size_width, size_cell(t, &t->vmas->row[i]).s);
}

/* @used: columns printed so far */
static void print_numbers(const struct table *t, const struct mp_module_vma *row, const char *size,
			  const char *name, int used)
{
	int width = t->opts->width > 0 ? t->opts->width : MP_WIDTH_DEFAULT;
	char label[1024];

	used += fprintf(t->out, "  %*s", t->size_width, size);
	for (size_t c = 0; c < NR_COLUMNS; c++)
		if (t->width[c])
			used += fprintf(t->out, "  %*s", t->width[c],
					row ? cell(t, row, c).s : columns[c].title);
	mp_label_safe(label, sizeof(label), name);
	if (!t->opts->verbose)
		mp_label_clip(label, width - used - 2 < 12 ? 12 : (size_t)(width - used - 2));
	fprintf(t->out, "%s%s\n", *label ? "  " : "", label);
}

static void print_row(const struct table *t, const struct mp_module_vma *row)
{
	char range[48] = "-";
	int used;

	if (row->start != MP_MODULE_NONE)
		snprintf(range, sizeof(range), "%" PRIx64 "-%" PRIx64, row->start, row->end);
	used = fprintf(t->out, "%-25s  %-4s  %-8s", range, row->perms, row->kind);
	print_numbers(t, row, size_cell(t, row).s, row->name, used);
}

static void print_table(const struct mp_vmas_report *r, const struct mp_vmas_of *p,
			const struct mp_view_opts *opts, FILE *out)
{
	struct table t = { .vmas = &p->vmas, .opts = opts, .out = out };
	int used;

	fprintf(out, "process %d", p->pid);
	if (p->vmas.since_ns <= r->now_ns)
		fprintf(out, ", faults counted for %s",
			mp_units_ns(told(r->now_ns - p->vmas.since_ns), opts->bytes).s);
	fputc('\n', out);
	measure(&t);
	used = fprintf(out, "%s%-25s  %-4s  %-8s", opts->color ? "\033[1m" : "", "range", "perm",
		       "kind");
	print_numbers(&t, NULL, "size", "name", used);
	fputs(opts->color ? "\033[0m" : "", out);
	for (size_t i = 0; i < p->vmas.nr; i++)
		print_row(&t, &p->vmas.row[i]);
	used = fprintf(out, "%-25s  %-4s  %-8s", "total", "", "");
	print_numbers(&t, &t.total, mp_units_bytes(told(t.size), opts->bytes).s, "", used);
	fputc('\n', out);
}

int mp_view_vmas_table(const struct mp_vmas_report *r, const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_module_status *m = &r->module;

	for (size_t i = 0; i < r->nr; i++)
		print_table(r, &r->procs[i], opts, out);
	if (m->faults_missed)
		fprintf(out, "missed: %" PRIu64 " faults, of any process, were not counted\n",
			m->faults_missed);
	if (m->faults_unplaced)
		fprintf(out, "missed: the address of %" PRIu64 " faults, for want of memory\n",
			m->faults_unplaced);
	if (m->full)
		fputs("the module's memory limit is reached: new addresses are not kept\n", out);
	return mp_view_finish(out);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void faults(struct mp_json *j, const struct mp_module_vma *row)
{
	mp_json_open(j, "faults", "{");
	for (int i = 0; i < MP_MODULE_KINDS; i++)
		mp_json_signed(j, mp_kind_name(i), told(row->faults[i]));
	mp_json_close(j, "}");
	mp_json_signed(j, "minor", told(row->minor));
	mp_json_signed(j, "major", told(row->major));
	mp_json_signed(j, "foreign", told(row->foreign));
	mp_json_signed(j, "first_ns", told(row->first_ns));
	mp_json_signed(j, "last_ns", told(row->last_ns));
}

static void vma(struct mp_json *j, const struct mp_module_vma *row, uint32_t known_nodes)
{
	char node[12];

	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_address(j, "start", row->start);
	mp_json_address(j, "end", row->end);
	mp_json_word(j, "perms", row->perms);
	mp_json_string(j, "name", row->name);
	mp_json_word(j, "kind", row->kind);
	faults(j, row);
	mp_json_signed(j, "present_pages", told(row->present));
	mp_json_signed(j, "anon_pages", told(row->anon));
	mp_json_signed(j, "thp_pages", told(row->thp));
	mp_json_signed(j, "mthp_pages", told(row->mthp));
	mp_json_signed(j, "swap_pages", told(row->swap));
	mp_json_signed(j, "zero_pages", told(row->zero));
	mp_json_signed(j, "huge_zero_pages", told(row->huge_zero));
	mp_json_signed(j, "hugetlb_pages", told(row->hugetlb));
	mp_json_open(j, "nodes", "{");
	for (int i = 0; i < MP_MODULE_NODES; i++) {
		snprintf(node, sizeof(node), "%d", i);
		if (known_nodes >> i & 1)
			mp_json_signed(j, node, told(row->nodes[i]));
	}
	mp_json_close(j, "}");
	mp_json_close(j, "}");
}

static void process(struct mp_json *j, const struct mp_vmas_of *p)
{
	const struct mp_module_vmas *v = &p->vmas;

	mp_json_open(j, NULL, "{");
	mp_json_number(j, "pid", (uint64_t)p->pid);
	mp_json_signed(j, "tracked_since_ns", told(v->since_ns));
	mp_json_open(j, "vmas", "[");
	for (size_t i = 0; i < v->nr; i++)
		if (v->row[i].start != MP_MODULE_NONE)
			vma(j, &v->row[i], v->known_nodes);
	mp_json_close(j, "]");
	for (size_t i = 0; i < v->nr; i++) {
		if (v->row[i].start != MP_MODULE_NONE)
			continue;
		mp_json_open(j, v->row[i].kind, "{");
		faults(j, &v->row[i]);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "}");
}

int mp_view_vmas_json(const struct mp_vmas_report *r, FILE *out)
{
	struct mp_json j = { .out = out };
	int err = mp_json_init(&j);

	if (err)
		return err;
	mp_json_open(&j, NULL, "{");
	mp_json_word(&j, "schema", "mallocpath.vmas/1");
	mp_json_open(&j, "module", "{");
	mp_json_text(&j, "version", r->module.version);
	mp_json_number(&j, "faults_missed", r->module.faults_missed);
	mp_json_number(&j, "faults_unplaced", r->module.faults_unplaced);
	mp_json_number(&j, "moves_missed", r->module.moves_missed);
	mp_json_bool(&j, "full", r->module.full);
	mp_json_close(&j, "}");
	mp_json_number(&j, "t_ns", r->now_ns);
	mp_json_open(&j, "processes", "[");
	for (size_t i = 0; i < r->nr; i++)
		process(&j, &r->procs[i]);
	mp_json_close(&j, "]");
	mp_json_close(&j, "}");
	mp_json_line(&j);
	mp_json_end(&j);
	err = mp_view_finish(out);
	return err ? err : j.err;
}
