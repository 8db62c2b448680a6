// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Views of reports made by hand, against the texts in tests/golden/, read and agreed to by eye.
 * MP_GOLDEN_REWRITE=1 writes them anew: look at git diff then.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <yajl/yajl_tree.h>

#include "view/label.h"
#include "view_reports.h"

static const struct golden {
	const char *report, *view, *variant;
	struct mp_view_opts opts;
} goldens[] = {
	{ "lazy", "table", "", { .top = 20 } },
	{ "lazy", "table", "-bytes", { .bytes = true } },
	{ "lazy", "table", "-top1", { .top = 1, .sort = MP_SORT_CALLS } },
	{ "lazy", "table", "-charged", { .sort = MP_SORT_CHARGED, .width = 70, .color = true } },
	{ "lazy", "table", "-verbose", { .verbose = 1 } },
	{ "lazy", "tree", "", { .top = 20 } },
	{ "lazy", "tree", "-mmap", { .site = 3, .utf8 = true } },
	{ "lazy", "tree", "-calls", { .sort = MP_SORT_CALLS, .bytes = true } },
	{ "lazy", "json", "", { .top = 20 } },
	{ "lazy", "json", "-all", { .pages = true, .blocks = true } },
	{ "losses", "table", "", { .top = 20 } },
	{ "losses", "tree", "", { .top = 20 } },
	{ "losses", "json", "", { .top = 20 } },
	{ "empty", "table", "", { .top = 20 } },
	{ "empty", "tree", "", { .top = 20 } },
	{ "empty", "json", "", { .top = 20 } },
	{ "audited", "table", "", { .top = 20 } },
	{ "audited", "tree", "-verbose", { .verbose = 1 } },
	{ "audited", "json", "", { .top = 20 } },
	{ "ended", "table", "", { .top = 20 } },
	{ "ended", "json", "", { .top = 20 } },
	{ "lazy", "fold", "", { .top = 20 } },
	{ "lazy", "fold", "-verbose", { .verbose = 1, .sort = MP_SORT_FAULTS } },
	{ "lazy", "csv", "", { .top = 1 } },
	{ "losses", "fold", "-calls", { .sort = MP_SORT_CALLS } },
	{ "losses", "csv", "", { .top = 20 } },
	{ "empty", "csv", "", { .top = 20 } },
};

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!f)
		return NULL;
	if (getdelim(&text, &size, '\0', f) < 0) {
		free(text);
		text = NULL;
	}
	fclose(f);
	return text;
}

static void rewrite(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void equals_the_text(void **state)
{
	char path[200], *text, *expected;
	const struct golden *g;
	size_t i;
	int err;

	(void)state;
	for (i = 0; i < sizeof(goldens) / sizeof(goldens[0]); i++) {
		g = &goldens[i];
		snprintf(path, sizeof(path), "tests/golden/%s%s.%s", g->report, g->variant,
			 g->view);
		text = test_view(test_report(g->report), g->view, &g->opts, &err);
		assert_int_equal(err, 0);
		if (getenv("MP_GOLDEN_REWRITE"))
			rewrite(path, text);
		expected = read_file(path);
		if (!expected)
			fail_msg("cannot read %s (run from the top of the tree)", path);
		print_message("%s\n", path);
		assert_string_equal(text, expected);
		free(expected);
		free(text);
	}
}

static void text_is_for_terminals(void **state)
{
	struct mp_view_opts opts = { .verbose = 0 };
	const struct test_report *t;
	const char *s;
	char *text;
	size_t len;
	int err, v;

	(void)state;
	for (t = test_reports; t->name; t++) {
		for (v = 0; v < 2; v++) {
			text = test_view(t->report, v ? "tree" : "table", &opts, &err);
			for (s = text; *s; s += len) {
				len = mp_utf8_len(s);
				assert_int_not_equal(len, 0);
				assert_true(*s == '\n' || (unsigned char)*s >= 0x20);
			}
			free(text);
		}
	}
}

static void table_keeps_its_width(void **state)
{
	static const int widths[] = { 0, 90, 100, 150 };
	struct mp_view_opts opts = { .top = 0 };
	char *text, *line, *rest;
	size_t i;
	int err;

	(void)state;
	for (i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		opts.width = widths[i];
		text = test_view(test_report("lazy"), "table", &opts, &err);
		for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			assert_true(mp_label_columns(line) <=
				    (size_t)(widths[i] ? widths[i] : 100));
		free(text);
	}
}

static yajl_val get(yajl_val node, const char *name)
{
	const char *path[] = { name, NULL };

	return yajl_tree_get(node, path, yajl_t_any);
}

static long long sum_sites(yajl_val root, const char *name)
{
	yajl_val sites = get(root, "sites");
	long long sum = 0;
	size_t i;

	assert_true(YAJL_IS_ARRAY(sites));
	for (i = 0; i < sites->u.array.len; i++)
		sum += YAJL_GET_INTEGER(get(sites->u.array.values[i], name));
	return sum;
}

/* The last row of the table is "total": its columns, in the order of the titles. */
static int total_row(char *table, long long n[6])
{
	char *line = strstr(table, "  total\n");

	while (line > table && line[-1] != '\n')
		line--;
	return sscanf(line, "%lld %lld %lld %lld %lld %lld", &n[0], &n[1], &n[2], &n[3], &n[4],
		      &n[5]);
}

/* Two views of one report tell the same totals. */
static void totals_agree(void **state)
{
	struct mp_view_opts opts = { .bytes = true };
	const struct mp_report *r = test_report("lazy");
	char *table, *json, message[200];
	yajl_val root;
	long long n[6];
	int err;

	(void)state;
	table = test_view(r, "table", &opts, &err);
	json = test_view(r, "json", &opts, &err);
	root = yajl_tree_parse(json, message, sizeof(message));
	assert_non_null(root);
	assert_int_equal(total_row(table, n), 6);
	/* the unknown site owns 24 KiB and has no entry in "sites" */
	assert_int_equal(n[0], sum_sites(root, "resident_bytes") + 24 * 1024);
	assert_int_equal(n[1], sum_sites(root, "live_bytes"));
	assert_int_equal(n[2], sum_sites(root, "untouched_bytes"));
	assert_int_equal(n[3], sum_sites(root, "calls"));
	assert_int_equal(n[4], sum_sites(root, "frees"));
	assert_int_equal(n[5], 2550 + 10 + 17 + 1);
	yajl_tree_free(root);
	free(json);
	free(table);
}

/* Bytes that are no UTF-8 must not make the document invalid, and must not vanish. */
static void json_is_valid(void **state)
{
	struct mp_view_opts opts = { .pages = true, .blocks = true };
	const char *path[] = { "processes", NULL };
	yajl_val root, proc, cmdline;
	char *json, message[200];
	int err;

	(void)state;
	json = test_view(test_report("lazy"), "json", &opts, &err);
	root = yajl_tree_parse(json, message, sizeof(message));
	assert_non_null(root);
	proc = yajl_tree_get(root, path, yajl_t_array)->u.array.values[0];
	cmdline = get(proc, "cmdline");
	assert_string_equal(YAJL_GET_STRING(cmdline->u.array.values[1]), "--mode\t\xef\xbf\xbd");
	assert_string_equal(YAJL_GET_STRING(cmdline->u.array.values[2]), "\xc3\xa9t\xc3\xa9");
	assert_int_equal(get(proc, "pages")->u.array.len, 4);
	assert_int_equal(get(proc, "blocks")->u.array.len, 2);
	yajl_tree_free(root);
	free(json);

	opts.pages = opts.blocks = false;
	json = test_view(test_report("lazy"), "json", &opts, &err);
	root = yajl_tree_parse(json, message, sizeof(message));
	proc = yajl_tree_get(root, path, yajl_t_array)->u.array.values[0];
	assert_null(get(proc, "pages"));
	assert_null(get(proc, "blocks"));
	yajl_tree_free(root);
	free(json);
}

static void full_disk_is_told(void **state)
{
	struct mp_view_opts opts = { .top = 0 };
	const struct mp_view *v;
	FILE *out;

	(void)state;
	for (v = mp_views; v->name; v++) {
		out = fopen("/dev/full", "w");
		assert_non_null(out);
		assert_int_equal(v->print(test_report("lazy"), NULL, &opts, out), -ENOSPC);
		fclose(out);
	}
}

static void tree_of_no_such_site(void **state)
{
	struct mp_view_opts opts = { .site = 6 };
	int err;

	(void)state;
	free(test_view(test_report("lazy"), "tree", &opts, &err));
	assert_int_equal(err, -ENOENT);
}

static void words_of_the_command_line(void **state)
{
	enum mp_sort sort = MP_SORT_CALLS;

	(void)state;
	assert_int_equal(mp_sort_parse("fault-ns", &sort), 0);
	assert_int_equal(sort, MP_SORT_FAULT_NS);
	assert_int_equal(mp_sort_parse("resident", &sort), 0);
	assert_int_equal(sort, MP_SORT_RESIDENT);
	assert_int_equal(mp_sort_parse("size", &sort), -EINVAL);
	assert_int_equal(sort, MP_SORT_RESIDENT);
	assert_non_null(mp_view_find("tree"));
	assert_null(mp_view_find("tre"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equals_the_text),
		cmocka_unit_test(text_is_for_terminals),
		cmocka_unit_test(table_keeps_its_width),
		cmocka_unit_test(totals_agree),
		cmocka_unit_test(json_is_valid),
		cmocka_unit_test(full_disk_is_told),
		cmocka_unit_test(tree_of_no_such_site),
		cmocka_unit_test(words_of_the_command_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
