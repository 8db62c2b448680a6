// SPDX-License-Identifier: GPL-2.0-or-later
/* Separate debug files: where they are found, and that none of another build is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fixture.h"
#include "frames.h"

static const char fixture_c[] =
	"#include <stdlib.h>\n"
	"static inline __attribute__((always_inline)) char *leaf(unsigned long n)\n"
	"{\n"
	"	return malloc(n + 1);\n"
	"}\n"
	"__attribute__((noinline)) char *outer(unsigned long n)\n"
	"{\n"
	"	char *p = leaf(n);\n"
	"	if (!p) abort();\n"
	"	p[0] = 1;\n"
	"	return p;\n"
	"}\n"
	"int main(int argc, char **argv) { (void)argv; free(outer((unsigned long)argc)); }\n";

static struct mp_symbols *symbols;

/* Each test looks with a fresh memory, in an empty directory "d" with the object "d/bin". */
static void begin(const char *object)
{
	fixture_shell("rm -rf d extra && mkdir -p d extra && cp %s d/bin", object);
	mp_symbols__free(symbols);
	symbols = mp_symbols__new();
	assert_non_null(symbols);
}

static void end(void)
{
	assert_false(mp_symbols__trouble(symbols, NULL));
}

static void has_names(void)
{
	struct frames_count n =
		frames_compare(symbols, "d/bin", "whole", "eu-addr2line", "outer|main", 1);

	assert_true(n.addresses > 20 && n.inlined > 3);
	end();
}

static void has_no_names(void)
{
	struct mp_symbol got[FRAMES_MAX];

	assert_int_equal(frames_of(symbols, "d/bin", "whole", "outer", got), 0);
	end();
}

static const char *build_id(const char *name)
{
	static char id[128];

	fixture_output(id, sizeof(id), "readelf -n %s | sed -n 's/ *Build ID: //p'", name);
	id[strcspn(id, "\n")] = '\0';
	assert_true(strlen(id) > 10);
	return id;
}

static void without_any_there_is_no_name(void **state)
{
	(void)state;
	begin("stripped");
	has_no_names();
}

static void by_build_id(void **state)
{
	const char *id = build_id("whole");

	(void)state;
	begin("stripped");
	fixture_shell("mkdir -p extra/.build-id/%.2s && "
		      "cp whole.debug extra/.build-id/%.2s/%s.debug",
		      id, id, id + 2);
	has_no_names();
	begin("stripped");
	fixture_shell("mkdir -p extra/.build-id/%.2s && "
		      "cp whole.debug extra/.build-id/%.2s/%s.debug",
		      id, id, id + 2);
	{
		char dirs[512];

		snprintf(dirs, sizeof(dirs), "/nonexistent::%s", fixture_path("extra"));
		assert_int_equal(mp_symbols__debug_dir(symbols, dirs), 0);
	}
	has_names();
}

static void by_link_in_three_places(void **state)
{
	char dir[256];

	(void)state;
	begin("linked");
	fixture_shell("cp whole.debug d/whole.debug");
	has_names();
	begin("linked");
	fixture_shell("mkdir d/.debug && cp whole.debug d/.debug/whole.debug");
	has_names();
	begin("linked");
	fixture_shell("mkdir -p extra/$PWD/d && cp whole.debug extra/$PWD/d/");
	strcpy(dir, fixture_path("extra"));
	assert_int_equal(mp_symbols__debug_dir(symbols, dir), 0);
	has_names();
	begin("linked");
	fixture_shell("cp whole.debug extra/");
	assert_int_equal(mp_symbols__debug_dir(symbols, dir), 0);
	has_names();
}

/* The same source with one more line at its top: believed, each line would be wrong. */
static void of_another_build_is_refused(void **state)
{
	(void)state;
	begin("linked");
	fixture_shell("cp other.debug d/whole.debug");
	has_no_names();
	/* the right one is still found behind it */
	begin("linked");
	fixture_shell("mkdir d/.debug && cp other.debug d/whole.debug && "
		      "cp whole.debug d/.debug/whole.debug");
	has_names();
	/* nothing but the checksum */
	begin("linked-no-id");
	fixture_shell("cp no-id.debug d/no-id.debug && printf x >>d/no-id.debug");
	has_no_names();
	begin("linked-no-id");
	fixture_shell("cp no-id.debug d/no-id.debug");
	has_names();
	begin("linked");
	fixture_shell("head -c 3000 whole.debug >d/whole.debug && mkfifo d/fifo && "
		      "mkdir -p d/.debug && ln -s ../fifo d/.debug/whole.debug");
	has_no_names();
}

static void alternate_file_of_dwz(void **state)
{
	struct mp_symbol got[FRAMES_MAX];

	(void)state;
	fixture_shell("mkdir -p z && cp whole z/one && cp other z/two && cd z && "
		      "dwz -m common one two && readelf -S one | grep -q gnu_debugaltlink");
	begin("z/one");
	fixture_shell("cp z/common d/common");
	/* names of what is in the common file: that of an inlined function */
	assert_true(
		frames_compare(symbols, "d/bin", "z/one", "eu-addr2line", "outer|main", 1).inlined >
		3);
	end();
	begin("z/one");
	frames_of(symbols, "d/bin", "whole", "outer", got); /* it is gone: no harm */
	end();
}

static void small_debug_data(void **state)
{
	struct mp_symbol got[FRAMES_MAX];

	(void)state;
	fixture_shell("cp whole mini && strip -g mini && xz -kf mini && "
		      "objcopy --add-section .gnu_debugdata=mini.xz stripped with-mini");
	begin("with-mini");
	assert_int_equal(frames_of(symbols, "d/bin", "whole", "outer", got), 1);
	assert_string_equal(got[0].function, "outer");
	assert_null(got[0].file);
	end();
}

/* A server of our own, that has the debug file; asked only if the user named it. */
static void from_servers_the_user_named(void **state)
{
	struct fixture_program server;
	struct mp_symbol got[FRAMES_MAX];
	char line[64], url[64];

	(void)state;
	fixture_shell("mkdir -p www/buildid/%s && cp whole.debug www/buildid/%s/debuginfo",
		      build_id("whole"), build_id("whole"));
	fixture_write("server.py",
		      "import functools, http.server\n"
		      "class H(http.server.SimpleHTTPRequestHandler):\n"
		      "    def log_message(self, *a): open('asked', 'a').write(self.path + '\\n')\n"
		      "s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), "
		      "functools.partial(H, directory='www'))\n"
		      "print('ready'); print(s.server_port, flush=True)\n"
		      "s.serve_forever()\n");
	server = fixture_start("PYTHONUNBUFFERED=1", "python3 server.py");
	assert_non_null(fgets(line, sizeof(line), server.out));
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", atoi(line));
	setenv("DEBUGINFOD_CACHE_PATH", fixture_path("cache"), 1);

	setenv("DEBUGINFOD_URLS", "", 1);
	begin("stripped");
	has_no_names();
	unsetenv("DEBUGINFOD_URLS");
	begin("stripped");
	has_no_names();
	fixture_shell("test ! -e asked");

	setenv("DEBUGINFOD_URLS", url, 1);
	begin("stripped");
	assert_true(frames_of(symbols, "d/bin", "whole", "outer", got) > 0);
	assert_string_equal(got[0].function, "outer");
	assert_non_null(got[0].file);
	end();
	assert_string_equal(getenv("DEBUGINFOD_URLS"), url);
	fixture_shell("test $(wc -l <asked) = 1 && grep -q /debuginfo asked");
	/* one that has nothing */
	fixture_shell("rm -rf cache www/buildid asked");
	begin("stripped");
	has_no_names();
	fixture_shell("test -e asked");
	unsetenv("DEBUGINFOD_URLS");
	fixture_stop(&server);
}

static int setup(void **state)
{
	(void)state;
	unsetenv("DEBUGINFOD_URLS");
	fixture_begin();
	fixture_write("fixture.c", fixture_c);
	fixture_shell("gcc -O2 -g -o whole fixture.c && "
		      "objcopy --only-keep-debug whole whole.debug && "
		      "cp whole stripped && strip stripped && cp stripped linked && "
		      "objcopy --add-gnu-debuglink=whole.debug linked");
	fixture_shell(
		"(echo; cat fixture.c) >moved.c && gcc -O2 -g -o moved moved.c && cp moved other && "
		"objcopy --only-keep-debug moved other.debug");
	fixture_shell("gcc -O2 -g -Wl,--build-id=none -o no-id fixture.c && "
		      "objcopy --only-keep-debug no-id no-id.debug && cp no-id linked-no-id && "
		      "strip linked-no-id && "
		      "objcopy --add-gnu-debuglink=no-id.debug linked-no-id");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mp_symbols__free(symbols);
	fixture_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_any_there_is_no_name),
		cmocka_unit_test(by_build_id),
		cmocka_unit_test(by_link_in_three_places),
		cmocka_unit_test(of_another_build_is_refused),
		cmocka_unit_test(alternate_file_of_dwz),
		cmocka_unit_test(small_debug_data),
		cmocka_unit_test(from_servers_the_user_named),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
