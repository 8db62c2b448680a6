// SPDX-License-Identifier: GPL-2.0-or-later
/* Names of just-in-time compilers: the file's text, whose it must be, and where it is looked for. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture.h"
#include "symbol/perfmap.h"
#include "symbol/symbol.h"

static struct mp_perfmap *map;

static void read_map(const char *text, size_t len)
{
	int fd;

	mp_perfmap__free(map);
	fixture_write("map", "");
	fd = open(fixture_path("map"), O_RDWR | O_TRUNC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, len), len);
	map = mp_perfmap__read(fd);
	close(fd);
	assert_non_null(map);
}

static void finds(uint64_t addr, const char *name, uint64_t start)
{
	uint64_t at = 0;
	const char *found = mp_perfmap__find(map, addr, &at);

	assert_non_null(found);
	assert_string_equal(found, name);
	assert_int_equal(at, start);
}

static void finds_none(uint64_t addr)
{
	uint64_t at;

	assert_null(mp_perfmap__find(map, addr, &at));
}

static void names_within_their_size(void **state)
{
	static const char text[] = "7f1000 20 LazyCompile:~add /srv/app.js:3:14\n"
				   "7f1040 10 Builtin:Call\n0x7f2000 0x8 with_prefix\n"
				   "7F3000 1 UPPER\n";

	(void)state;
	read_map(text, sizeof(text) - 1);
	finds_none(0x7f0fff);
	finds(0x7f1000, "LazyCompile:~add /srv/app.js:3:14", 0x7f1000);
	finds(0x7f101f, "LazyCompile:~add /srv/app.js:3:14", 0x7f1000);
	finds_none(0x7f1020);
	finds(0x7f1041, "Builtin:Call", 0x7f1040);
	finds(0x7f2007, "with_prefix", 0x7f2000);
	finds(0x7f3000, "UPPER", 0x7f3000);
	finds_none(0x7f3001);
}

static void the_last_word_counts(void **state)
{
	static const char text[] = "1000 100 old\n1000 80 new\n1040 20 inside\n1040 8 newest\n";

	(void)state;
	read_map(text, sizeof(text) - 1);
	finds(0x1000, "new", 0x1000);
	finds(0x1047, "newest", 0x1040);
	finds(0x1048, "new", 0x1000);
	finds_none(0x1080);
}

static void what_is_no_line_is_skipped(void **state)
{
	static const char text[] = "\n\n 1000 10 blank\n1000\n1000 10\n1000 10 \n1000 zz name\n"
				   "zz 10 name\n1000 0 empty\n10000000000000000 10 long\n"
				   "ffffffffffffffff 2 wraps\n-1 10 minus\n0x 10 none\n"
				   "2000 10 good\n3000 10 no_end";

	(void)state;
	read_map(text, sizeof(text) - 1);
	finds_none(0x1000);
	finds_none(0);
	finds_none(UINT64_MAX);
	finds(0x2000, "good", 0x2000);
	finds(0x3000, "no_end", 0x3000);
	read_map("", 0);
	finds_none(0x2000);
	read_map("2000 10 a\0b\n3000 10 c\n", 22);
	finds(0x2000, "a", 0x2000);
	finds_none(0x3000); /* the text ends at the zero byte */
}

static void many_lines(void **state)
{
	static char text[1 << 20];
	size_t len = 0;

	(void)state;
	for (unsigned int i = 0; i < 30000; i++)
		len += (size_t)sprintf(text + len, "%x 10 f%u\n", 0x100000 + (29999 - i) * 16, i);
	read_map(text, len);
	finds(0x100000, "f29999", 0x100000);
	finds(0x100000 + 12345 * 16 + 15, "f17654", 0x100000 + 12345 * 16);
}

/* ---- whose file ---------------------------------------------------------------------------- */

static char path[64];

static void put_map(uint32_t pid, uid_t uid)
{
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/perf-%u.map", pid);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "5000 10 compiled\n");
	fclose(f);
	assert_int_equal(chown(path, uid, (gid_t)-1), 0);
}

static int try(uint32_t pid)
{
	int fd = mp_perfmap_open(pid);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static void it_must_be_the_processs(void **state)
{
	struct fixture_program p = fixture_start("A=b", "./waiter");
	uint32_t pid = (uint32_t)p.pid;
	const struct timespec old[2] = { { .tv_sec = 1000000 }, { .tv_sec = 1000000 } };

	(void)state;
	assert_int_equal(try(pid), -ENOENT);
	put_map(pid, geteuid());
	assert_int_equal(try(pid), 0);
	/* one that lay there before the process began is another's */
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_int_equal(try(pid), -ESTALE);
	unlink(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(try(pid), -ENOENT);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(try(pid), -EPERM);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(try(pid), -EPERM);
	rmdir(path);
	if (!geteuid()) {
		put_map(pid, 4711);
		assert_int_equal(try(pid), -EPERM);
		unlink(path);
	}
	put_map(pid, geteuid());
	fixture_stop(&p);
	assert_int_equal(try(pid), 0); /* it ended, and told its names before */
	unlink(path);
}

static void a_place_in_no_object(void **state)
{
	struct fixture_program p = fixture_start("A=b", "./waiter");
	struct mp_code code = { .tgid = (uint32_t)p.pid, .path = "", .addr = 0x5003 };
	struct mp_symbols *s = mp_symbols__new();
	struct mp_symbol got[4];

	(void)state;
	put_map((uint32_t)p.pid, geteuid());
	code.offset = code.addr;
	assert_int_equal(mp_symbols__frames(s, &code, got, 4), 0); /* not asked to */
	mp_symbols__use_jit_maps(s);
	assert_int_equal(mp_symbols__frames(s, &code, got, 4), 1);
	assert_string_equal(got[0].function, "compiled");
	assert_int_equal(got[0].into, 3);
	code.addr = 0x5010;
	assert_int_equal(mp_symbols__frames(s, &code, got, 4), 0);
	code.is_return = true;
	assert_int_equal(mp_symbols__frames(s, &code, got, 4), 1);
	assert_int_equal(got[0].into, 16);
	mp_symbols__free(s);
	unlink(path);
	fixture_stop(&p);
}

static int setup(void **state)
{
	(void)state;
	fixture_begin();
	fixture_write("waiter.c",
		      "#include <unistd.h>\nint main(void) { return write(1, \"ready\\n\", 6)"
		      " != 6 || pause(); }\n");
	fixture_shell("gcc -O2 -o waiter waiter.c");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mp_perfmap__free(map);
	mp_perfmap__free(NULL);
	fixture_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_within_their_size),
		cmocka_unit_test(the_last_word_counts),
		cmocka_unit_test(what_is_no_line_is_skipped),
		cmocka_unit_test(many_lines),
		cmocka_unit_test(it_must_be_the_processs),
		cmocka_unit_test(a_place_in_no_object),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
