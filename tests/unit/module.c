// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernel module's text, real and hostile, in a directory that stands for debugfs's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/module.h"
#include "trace/trace.h"

#define HEADER                                                                                    \
	"start end perms kind f_anon f_thp f_mthp f_zero f_cow f_swapin f_file f_shmem minor "    \
	"major foreign first_ns last_ns present anon thp mthp swap zero huge_zero hugetlb node0 " \
	"node1 name\n"
#define HEAP                                                                               \
	"0x55d0ca000000 0x55d0ca021000 rw-p heap 20 1 2 3 4 5 6 7 40 8 9 1000 2000 30 29 " \
	"512 16 3 2 1024 0 20 10 [heap]\n"
#define GONE "- - ---- gone 1 0 0 0 0 0 0 0 1 0 0 5 5 - - - - - - - - - - -\n"

static int parse(const char *text, size_t len, struct mp_module_vmas *out, size_t *line)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, len, "r");
	int rc;

	assert_non_null(f);
	rc = mp_module_vmas_parse(f, out, line);
	fclose(f);
	return rc;
}

static void rows(void **state)
{
	static const char text[] = HEADER HEAP
		"0x7f0000000000 0x7f0000001000 r-xp file 0 0 0 0 0 0 1 0 1 0 0 - - 1 0 0 0 0 0 0 0 "
		"1 0 /usr/lib/my\\040lib.so (deleted)\n" GONE;
	struct mp_module_vmas v;

	(void)state;
	assert_int_equal(parse(text, strlen(text), &v, NULL), 0);
	assert_int_equal(v.nr, 3);
	assert_int_equal(v.known_nodes, 3);
	assert_true(v.row[0].start == 0x55d0ca000000 && v.row[0].end == 0x55d0ca021000);
	assert_string_equal(v.row[0].perms, "rw-p");
	assert_string_equal(v.row[0].kind, "heap");
	for (int i = 1; i < MP_MODULE_KINDS; i++)
		assert_int_equal(v.row[0].faults[i], i);
	assert_true(v.row[0].minor == 40 && v.row[0].major == 8 && v.row[0].foreign == 9);
	assert_true(v.row[0].present == 30 && v.row[0].huge_zero == 1024 && v.row[0].swap == 3);
	assert_true(v.row[0].nodes[0] == 20 && v.row[0].nodes[1] == 10);
	assert_string_equal(v.row[0].name, "[heap]");
	assert_true(v.row[1].first_ns == MP_MODULE_NONE);
	assert_string_equal(v.row[1].name, "/usr/lib/my\\040lib.so (deleted)");
	assert_true(v.row[2].start == MP_MODULE_NONE && v.row[2].present == MP_MODULE_NONE);
	assert_string_equal(v.row[2].name, "");
	mp_module_vmas_free(&v);
}

/* Later versions add columns and may order them otherwise. */
static void by_name(void **state)
{
	static const char text[] =
		"new end start perms kind f_thp f_anon f_mthp f_zero f_cow f_swapin f_file f_shmem "
		"minor major foreign first_ns last_ns present anon thp mthp swap zero huge_zero "
		"hugetlb nodes nodex node300 node15 name\n"
		"?! 0x3000 0x1000 rw-p anon 2 1 0 0 0 0 0 0 3 0 0 1 1 2 2 0 0 0 0 0 0 x y 4 5 -\n";
	struct mp_module_vmas v;

	(void)state;
	assert_int_equal(parse(text, strlen(text), &v, NULL), 0);
	assert_int_equal(v.nr, 1);
	assert_true(v.row[0].start == 0x1000 && v.row[0].end == 0x3000);
	assert_true(v.row[0].faults[0] == 1 && v.row[0].faults[1] == 2);
	assert_int_equal(v.row[0].nodes[15], 9); /* those above are counted with it */
	mp_module_vmas_free(&v);
}

static void refuse(const char *text, size_t len, size_t line)
{
	struct mp_module_vmas v;
	size_t where = 0;

	assert_int_equal(parse(text, len, &v, &where), -EBADMSG);
	assert_int_equal(where, line);
	assert_true(!v.row && !v.nr);
}

static void refuse_row(const char *field, const char *with)
{
	char text[2048] = HEADER HEAP HEAP;
	char *at = strstr(text + strlen(HEADER HEAP), field), rest[512];

	assert_non_null(at);
	strcpy(rest, at + strlen(field));
	strcpy(at, with);
	strcat(at, rest);
	refuse(text, strlen(text), 3);
}

static void hostile(void **state)
{
	char *text;

	(void)state;
	refuse("\n", 1, 1);
	refuse("start end\n", 10, 1);
	refuse(HEADER, strlen(HEADER) - 1, 1);        /* no end of line */
	refuse("x" HEADER, strlen(HEADER) + 1, 1);    /* no "start" */
	refuse("end " HEADER, strlen(HEADER) + 4, 1); /* "end" twice */
	refuse("  " HEADER, strlen(HEADER) + 2, 1);
	refuse(HEADER "\n", strlen(HEADER) + 1, 2);
	refuse(HEADER HEAP, strlen(HEADER HEAP) - 1, 2);
	refuse(HEADER "0x1000\0 0x2000", strlen(HEADER) + 14, 2);
	refuse_row("0x55d0ca021000", "0x55d0ca000000"); /* empty */
	refuse_row("0x55d0ca021000", "-");
	refuse_row("0x55d0ca000000", "-");
	refuse_row("rw-p", "rw-pp");
	refuse_row("rw-p", "\033[2J");
	refuse_row("heap", "a_much_too_long_kind");
	refuse_row("heap", "");
	refuse_row(" 40 ", " -1 ");
	refuse_row(" 40 ", " +1 ");
	refuse_row(" 40 ", " 18446744073709551615 "); /* our own word for "not known" */
	refuse_row(" 40 ", " 18446744073709551616 ");
	refuse_row(" 40 ", " 4x ");
	refuse_row(" 40 ", "  ");
	refuse_row(" 40 ", " 40 40 40 40 40 40 40 40 40 40 40 40 40 40 x ");
	refuse_row(" 10 [heap]", "");
	refuse_row(" [heap]", "");

	text = malloc(1 << 20);
	assert_non_null(text);
	memset(text, 'a', 1 << 20);
	refuse(text, 1 << 20, 1);
	memset(text, ' ', 1 << 20);
	text[70000] = '\n';
	refuse(text, 1 << 20, 1);
	for (int i = 0; i < 1000; i++)
		memcpy(text + 2 * i, "x ", 2);
	strcpy(text + 2000, HEADER HEAP);
	refuse(text, strlen(text), 1); /* too many columns */
	free(text);
}

/* ---- PID/pages ------------------------------------------------------------------------------ */

static char dir[] = "/tmp/mallocpath-module-XXXXXX";
static char own[300];
static union {
	struct mp_ev ev;
	struct mp_ev_pages pages;
	struct mp_ev_witness witness;
	char bytes[8192];
} got[64];
static int nr_got;

static void put(const char *name, const char *text)
{
	char path[400];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(own, sizeof(own), "%s/4242", dir);
	mp_module_use_root(dir);
	return mkdir(own, 0700);
}

static int remove_dir(void **state)
{
	static const char *const names[] = { "4242/pages", "4242/vmas", "4242", "track", "status" };
	char path[400];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		remove(path);
	}
	return rmdir(dir);
}

static int keep(void *ctx, const struct mp_ev *ev)
{
	(void)ctx;
	assert_true(nr_got < 64 && ev->size <= sizeof(got[0]));
	assert_int_equal(mp_decode(ev, ev->size), ev->size);
	assert_int_equal(ev->tgid, 4242);
	memcpy(&got[nr_got++], ev, ev->size);
	return 0;
}

static int walk(const char *text, const uint64_t *tool, size_t nr_tool)
{
	struct mp_err err = { 0 };
	int rc;

	put("track", "");
	put("4242/pages", text);
	nr_got = 0;
	rc = mp_module_walk(4242, tool, nr_tool, keep, NULL, &err);
	assert_true(!rc == !err.text[0]);
	return rc;
}

static void is_run(int i, uint64_t addr, uint32_t nr, uint64_t entry)
{
	assert_int_equal(got[i].ev.type, MP_EV_WITNESS_PAGES);
	assert_int_equal(got[i].pages.source, MP_SRC_WITNESS);
	assert_int_equal(got[i].pages.addr, addr);
	assert_int_equal(got[i].pages.nr, nr);
	assert_int_equal(got[i].pages.contig, 1);
	assert_int_equal(got[i].pages.entries[0], entry);
	assert_true(got[i].pages.begin_ns >= got[0].witness.begin_ns);
	assert_true(got[i].pages.begin_ns <= got[i].ev.ts_ns);
}

#define ANON_PAGE (MP_PAGE_PRESENT | MP_PAGE_ANON)
#define ZERO_PAGE (MP_PAGE_PRESENT | MP_PAGE_ZERO)

static void pages(void **state)
{
	const uint64_t tool[] = { 0x1ff0, 0x55000321, 0x55000400 };

	(void)state;
	assert_int_equal(walk("addr pfn order node flags\n"
			      "0x1000 10 0 0 anon,write,dirty,young\n"
			      "0x2000 11 0 0 anon\n"
			      "0x3000 77 0 0 file,young\n"
			      "0x5000 7 0 0 zero\n"
			      "0x6000 7 0 0 zero,young\n"
			      "0x8000 20 0 0 anon\n"
			      "0x9000 30 0 0 anon,moving\n"
			      "0xa000 5 0 0 anon\n"
			      "0x1ff000 40 0 0 anon\n"
			      "0x200000 41 9 0 anon,huge\n"
			      "0x55000000 90 0 0 anon\n"
			      "0x7f0000000000 1024 9 0 zero,huge\n"
			      "0x7f0000001000 1025 9 0 zero,huge\n",
			      tool, 3),
			 0);
	assert_int_equal(got[0].ev.type, MP_EV_WITNESS);
	assert_int_equal(got[0].witness.phase, MP_WITNESS_BEGINS);
	/* pages that hold a probe are told as such before */
	assert_int_equal(got[1].ev.type, MP_EV_PAGES);
	assert_int_equal(got[1].pages.source, MP_SRC_TOOL);
	assert_int_equal(got[1].pages.addr, 0x1000);
	assert_int_equal(got[1].pages.entries[0], ANON_PAGE | 10);
	is_run(2, 0x1000, 2, ANON_PAGE | 10);
	is_run(3, 0x5000, 2, ZERO_PAGE | 7);
	assert_int_equal(got[4].pages.contig, 0);
	assert_int_equal(got[4].pages.nr, 3);
	assert_int_equal(got[4].pages.entries[0], ANON_PAGE | 20);
	assert_int_equal(got[4].pages.entries[1], 0);
	assert_int_equal(got[4].pages.entries[2], ANON_PAGE | 5);
	is_run(5, 0x1ff000, 1, ANON_PAGE | 40); /* no run goes from one page table to the next */
	is_run(6, 0x200000, 1, ANON_PAGE | MP_PAGE_HUGE | 41);
	assert_int_equal(got[7].pages.source, MP_SRC_TOOL);
	is_run(8, 0x55000000, 1, ANON_PAGE | 90);
	is_run(9, 0x7f0000000000, 2, ZERO_PAGE | MP_PAGE_HUGE | 1024);
	assert_int_equal(got[10].witness.phase, MP_WITNESS_DONE);
	assert_int_equal(nr_got, 11);
}

static void long_list(void **state)
{
	char *text = malloc(20000 * 32), *p = text;
	uint64_t addr = 0x10000000, n = 0;

	(void)state;
	assert_non_null(text);
	p += sprintf(p, "flags new pfn addr\n");
	for (int i = 0; i < 20000; i++)
		p += sprintf(p, "anon - %d %#llx\n", 5000 + i,
			     (unsigned long long)(addr + i * MP_PAGE_SIZE));
	assert_int_equal(walk(text, NULL, 0), 0);
	assert_int_equal(nr_got, 2 + (20000 + 511) / 512);
	for (int i = 1; i < nr_got - 1; i++) {
		is_run(i, addr + n * MP_PAGE_SIZE, got[i].pages.nr, ANON_PAGE | (5000 + n));
		n += got[i].pages.nr;
	}
	assert_int_equal(n, 20000);
	free(text);
}

static void hostile_pages(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"addr pfn\n",
		"addr pfn order node flags\n0x1000 5 0 0 anon",
		"addr pfn order node flags\n0x1000 5 0 0\n",
		"addr pfn order node flags\n0x1001 5 0 0 anon\n",
		"addr pfn order node flags\nx 5 0 0 anon\n",
		"addr pfn order node flags\n0x1000 x 0 0 anon\n",
		"addr pfn order node flags\n0x1000  0 0 anon\n",
		"addr pfn order node flags\n0x2000 5 0 0 anon\n0x1000 6 0 0 anon\n",
		"addr pfn order node flags\n0x1000 5 0 0 anon\n0x1000 5 0 0 anon\n",
		"addr pfn order node flags\n0xfffffffffffff000 5 0 0 anon\n",
		"addr pfn order node flags\n\n",
	};
	char *text = malloc(200001);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(walk(bad[i], NULL, 0), -EBADMSG);
		/* it must not look whole */
		assert_true(nr_got < 2 || got[nr_got - 1].ev.type != MP_EV_WITNESS);
	}
	assert_int_equal(walk("addr pfn order node flags\n0x1000 - 0 0 anon\n", NULL, 0), -EPERM);
	assert_int_equal(walk("addr pfn order node flags\n0x0 5 0 0 anon\n", NULL, 0), 0);
	assert_non_null(text);
	memset(text, 'a', 200000);
	text[200000] = '\0';
	assert_int_equal(walk(text, NULL, 0), -EBADMSG);
	free(text);
}

static int stop(void *ctx, const struct mp_ev *ev)
{
	(void)ctx;
	return ev->type == MP_EV_WITNESS_PAGES ? 77 : 0;
}

static void the_sink_stops_it(void **state)
{
	(void)state;
	put("4242/pages", "addr pfn order node flags\n0x1000 5 0 0 anon\n");
	assert_int_equal(mp_module_walk(4242, NULL, 0, stop, NULL, NULL), 77);
}

static void status_and_track(void **state)
{
	struct mp_module_status status;
	struct mp_module_vmas v;
	struct mp_err err;

	(void)state;
	put("status", "name value\nversion 7\nfaults_missed 12\nfaults_unplaced x\ntable full\n");
	assert_int_equal(mp_module_status(&status, &err), 0);
	assert_true(mp_module_there());
	assert_string_equal(status.version, "7");
	assert_true(status.faults_missed == 12 && !status.faults_unplaced && status.full);
	put("status", "name value\n");
	assert_int_equal(mp_module_status(&status, &err), -EBADMSG);
	put("track", "pid tracked_since_ns\n1 5\n4242 123456\n");
	put("4242/vmas", HEADER HEAP GONE);
	assert_int_equal(mp_module_vmas(4242, &v, &err), 0);
	assert_true(v.nr == 2 && v.since_ns == 123456);
	mp_module_vmas_free(&v);
	put("4242/vmas", HEADER GONE "nonsense\n");
	assert_int_equal(mp_module_vmas(4242, &v, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "line 3"));
	assert_int_equal(mp_module_vmas(4243, &v, &err), -ESRCH);
	assert_int_equal(err.exit, MP_EXIT_FAILED);
}

static void not_there(void **state)
{
	struct mp_module_status status;
	struct mp_err err;

	(void)state;
	mp_module_use_root("/tmp/mallocpath-no-such-directory");
	assert_false(mp_module_there());
	assert_int_equal(mp_module_status(&status, &err), -ENOENT);
	assert_int_equal(err.exit, MP_EXIT_LACKS);
	assert_int_equal(mp_module_track(1, &err), -ENOENT);
	assert_int_equal(err.exit, MP_EXIT_LACKS);
	mp_module_use_root(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows),
		cmocka_unit_test(by_name),
		cmocka_unit_test(hostile),
		cmocka_unit_test(pages),
		cmocka_unit_test(long_list),
		cmocka_unit_test(hostile_pages),
		cmocka_unit_test(the_sink_stops_it),
		cmocka_unit_test(status_and_track),
		cmocka_unit_test(not_there),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
