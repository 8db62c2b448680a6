// SPDX-License-Identifier: GPL-2.0-or-later
/* The HTML page as a file: whole, harmless, and with columns that another reader unpacks. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <yajl/yajl_tree.h>
#include <zlib.h>

#include "view/html.h"
#include "view/pack.h"
#include "view_reports.h"

/* The text between @from and @to, which the caller frees. */
static char *between(const char *text, const char *from, const char *to)
{
	const char *start = strstr(text, from), *end;

	assert_non_null(start);
	start += strlen(from);
	end = strstr(start, to);
	assert_non_null(end);
	return strndup(start, end - start);
}

static yajl_val parse(const char *json)
{
	char message[300];
	yajl_val root = yajl_tree_parse(json, message, sizeof(message));

	if (!root)
		fail_msg("%s", message);
	return root;
}

static yajl_val get(yajl_val node, const char *name)
{
	const char *path[] = { name, NULL };
	yajl_val found = yajl_tree_get(node, path, yajl_t_any);

	assert_non_null(found);
	return found;
}

static char *page_of(const struct mp_report *r)
{
	struct mp_view_opts opts = { .top = 0 };
	char *text;
	int err;

	text = test_view(r, "html", &opts, &err);
	assert_int_equal(err, 0);
	return text;
}

static void every_report_is_a_page(void **state)
{
	const struct test_report *t;
	char *text, *data, *script;

	(void)state;
	for (t = test_reports; t->name; t++) {
		text = page_of(t->report);
		assert_memory_equal(text, "<!DOCTYPE html>\n", 16);
		data = between(text, "id=\"data\">", "</script>");
		assert_null(strchr(data, '<'));
		yajl_tree_free(parse(data));
		script = between(text, "<script nonce=\"page\">", "</script>\n</html>\n");
		assert_non_null(strstr(script, "openProcess"));
		/* neither part may end before its time, and nothing may be loaded */
		assert_null(strstr(script, "</script"));
		assert_null(strstr(script, "<!--"));
		assert_null(strstr(text, "https:"));
		assert_null(strstr(text, " src="));
		free(script);
		free(data);
		free(text);
	}
}

static void no_name_ends_the_data(void **state)
{
	struct mp_proc proc = test_report("lazy")->procs[0];
	struct mp_report r = *test_report("lazy");
	char *text, *data;
	yajl_val root;

	(void)state;
	proc.comm = "</script><!--<s>";
	r.procs = &proc;
	text = page_of(&r);
	data = between(text, "id=\"data\">", "</script>");
	assert_null(strchr(data, '<'));
	root = parse(data);
	assert_string_equal(YAJL_GET_STRING(get(get(root, "processes")->u.array.values[0], "comm")),
			    proc.comm);
	yajl_tree_free(root);
	free(data);
	free(text);
}

static size_t from_base64(const char *text, unsigned char *to)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned int bits = 0, n = 0;
	size_t used = 0;

	for (; *text && *text != '='; text++) {
		const char *digit = strchr(digits, *text);

		assert_non_null(digit);
		bits = bits << 6 | (unsigned int)(digit - digits);
		n += 6;
		if (n >= 8) {
			n -= 8;
			to[used++] = bits >> n;
		}
	}
	return used;
}

/* Numbers of a column; @running: each is told as the difference to the one before. */
static void unpack(const char *text, bool running, uint64_t *out, size_t rows)
{
	static unsigned char small[1 << 16], bytes[1 << 16];
	uLongf n = sizeof(bytes);
	uint64_t last = 0, value;
	unsigned int shift;
	size_t at = 0, i;

	assert_true(strlen(text) < sizeof(small));
	assert_int_equal(uncompress(bytes, &n, small, from_base64(text, small)), Z_OK);
	for (i = 0; i < rows; i++) {
		for (value = 0, shift = 0; bytes[at] > 127; shift += 7)
			value |= (uint64_t)(bytes[at++] & 127) << shift;
		value |= (uint64_t)bytes[at++] << shift;
		last += value & 1 ? ~(value >> 1) : value >> 1;
		out[i] = running ? last : value;
	}
	assert_int_equal(at, n);
}

static void numbers_come_back(void **state)
{
	static const uint64_t numbers[] = { 0,     1, 127,        128, 16383,
					    16384, 1, 1ULL << 52, 0,   UINT64_MAX };
	enum { NR = sizeof(numbers) / sizeof(numbers[0]) };
	struct mp_pack plain = { 0 }, running = { 0 }, none = { 0 };
	struct mp_json j = { 0 };
	uint64_t out[NR];
	char *text = NULL;
	size_t size = 0, i;
	yajl_val root;

	(void)state;
	j.out = open_memstream(&text, &size);
	assert_int_equal(mp_json_init(&j), 0);
	for (i = 0; i < NR; i++) {
		mp_pack_number(&plain, numbers[i]);
		mp_pack_next(&running, numbers[i]);
	}
	mp_json_open(&j, NULL, "{");
	mp_pack_finish(&plain, &j, "plain");
	mp_pack_finish(&running, &j, "running");
	mp_pack_finish(&none, &j, "none");
	mp_json_close(&j, "}");
	mp_json_end(&j);
	fclose(j.out);
	assert_int_equal(j.err, 0);
	root = parse(text);
	unpack(YAJL_GET_STRING(get(root, "plain")), false, out, NR);
	assert_memory_equal(out, numbers, sizeof(numbers));
	unpack(YAJL_GET_STRING(get(root, "running")), true, out, NR);
	assert_memory_equal(out, numbers, sizeof(numbers));
	assert_string_equal(YAJL_GET_STRING(get(root, "none")), "");
	yajl_tree_free(root);
	free(text);
}

static void pages_are_packed(void **state)
{
	const struct mp_proc *p = &test_report("lazy")->procs[0];
	char *text = page_of(test_report("lazy"));
	char *data = between(text, "id=\"data\">", "</script>");
	yajl_val root = parse(data), process, pages;
	uint64_t number[4], pfn[4], site[4], fault_ns[4];
	size_t i;

	(void)state;
	process = get(root, "processes")->u.array.values[0];
	pages = get(process, "pages");
	assert_int_equal(YAJL_GET_INTEGER(get(pages, "rows")), 4);
	unpack(YAJL_GET_STRING(get(pages, "number")), true, number, 4);
	unpack(YAJL_GET_STRING(get(pages, "pfn")), true, pfn, 4);
	unpack(YAJL_GET_STRING(get(pages, "site")), false, site, 4);
	unpack(YAJL_GET_STRING(get(pages, "fault_ns")), false, fault_ns, 4);
	for (i = 0; i < 4; i++) {
		assert_true(number[i] << 12 == p->pages[i].addr);
		assert_true(pfn[i] == p->pages[i].pfn);
		assert_int_equal(site[i], p->pages[i].site);
		assert_true(fault_ns[i] == (p->pages[i].fault_ns == MP_UNKNOWN
						    ? 0
						    : (uint64_t)p->pages[i].fault_ns + 1));
	}
	yajl_tree_free(root);
	free(data);
	free(text);
}

/* Of too many blocks the smallest are left out, and it is said from which size on they are there. */
static void blocks_are_bounded(void **state)
{
	struct mp_block rows[100];
	struct mp_proc p = { .blocks = rows, .nr_blocks = 100 };
	char *text = NULL;
	size_t size = 0, most, n;
	yajl_val root, blocks;
	long long least;

	(void)state;
	for (n = 0; n < 100; n++)
		rows[n] = (struct mp_block){ .addr = 4096 * n, .requested = n };
	for (most = 0; most <= 100; most += 20) {
		struct mp_json j = { .out = open_memstream(&text, &size) };

		assert_int_equal(mp_json_init(&j), 0);
		mp_json_open(&j, NULL, "{");
		mp_html_blocks(&j, &p, 0, most);
		mp_json_close(&j, "}");
		mp_json_end(&j);
		fclose(j.out);
		root = parse(text);
		blocks = get(root, "blocks");
		least = YAJL_GET_INTEGER(get(blocks, "least"));
		assert_int_equal(YAJL_GET_INTEGER(get(blocks, "all")), 100);
		assert_true(YAJL_GET_INTEGER(get(blocks, "rows")) <= (long long)most);
		assert_int_equal(YAJL_GET_INTEGER(get(blocks, "rows")),
				 least < 100 ? 100 - least : 0);
		assert_true(most < 100 || least == 0);
		yajl_tree_free(root);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_report_is_a_page), cmocka_unit_test(no_name_ends_the_data),
		cmocka_unit_test(numbers_come_back),      cmocka_unit_test(pages_are_packed),
		cmocka_unit_test(blocks_are_bounded),
	};

	return cmocka_run_group_tests_name("view_html", tests, NULL, NULL);
}
