// SPDX-License-Identifier: GPL-2.0-or-later
/* Who provides malloc: programs of every kind, which tell the truth by dlsym(3) or by their making. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/provider.h"
#include "fixture.h"

/* Says ready, then where dlsym finds malloc and free and which glibc it is, then waits. */
static const char teller_c[] =
	"#define _GNU_SOURCE\n"
	"#include <dlfcn.h>\n#include <gnu/libc-version.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
	"#include <unistd.h>\n"
	"int main(void)\n"
	"{\n"
	"	dprintf(1, \"ready\\n%p %p %s\\n\", dlsym(RTLD_DEFAULT, \"malloc\"),\n"
	"		dlsym(RTLD_DEFAULT, \"free\"), gnu_get_libc_version());\n"
	"	for (;;) pause();\n"
	"	free(realloc(calloc(1, 1), 2));\n"
	"}\n";
/* Takes nothing from the C library but is an allocator in one. */
static const char own_c[] =
	"#include <stddef.h>\n#include <string.h>\n"
	"static char heap[1 << 20]; static size_t used;\n"
	"void *malloc(size_t n) { used = (used + n + 31) & ~15ul; return heap + used - n; }\n"
	"void free(void *p) { (void)p; }\n"
	"void *calloc(size_t n, size_t m) { return malloc(n * m); }\n"
	"void *realloc(void *p, size_t n) { void *q = malloc(n); return p ? memmove(q, p, n) : q; }\n";
static const char waiter_c[] = "#include <unistd.h>\n#include <stdlib.h>\n"
			       "void *volatile kept;\n"
			       "int main(void) { if (write(1, \"ready\\n\", 6) != 6) return 1;\n"
			       "for (;;) pause(); kept = malloc(3); free(kept); }\n";

static struct mp_providers found;
static struct mp_err err;

static void find(pid_t pid)
{
	if (mp_providers_find(pid, &found, &err))
		fail_msg("%s", err.text);
}

static const struct mp_attach *probe_of(const char *symbol, size_t provider)
{
	for (size_t i = 0; i < found.nr_probes; i++)
		if (found.probes[i].provider == provider && !strcmp(found.probes[i].symbol, symbol))
			return &found.probes[i];
	return NULL;
}

static uint64_t entry_of(const char *symbol, size_t provider)
{
	const struct mp_attach *a = probe_of(symbol, provider);

	if (!a)
		fail_msg("%s has no probe in %s", symbol, found.list[provider].object);
	assert_true(mp_providers_text(&found, a->addr));
	return a->addr - a->into;
}

static size_t count_allocating(void)
{
	size_t n = 0;

	for (size_t i = 0; i < found.nr; i++)
		n += found.list[i].allocates;
	return n;
}

/* Build id as readelf has it, against ours. */
static void check_build_id(const struct mp_provider *p)
{
	char said[128], ours[128] = "";

	fixture_output(said, sizeof(said),
		       "readelf -n '%s' | sed -n 's/.*Build ID: //p' | tr -d '\\n'", p->open_path);
	for (uint32_t i = 0; i < p->build_id_len; i++)
		sprintf(ours + 2 * i, "%02x", p->build_id[i]);
	assert_true(p->build_id_len > 0);
	assert_string_equal(ours, said);
}

static void check_teller(const char *env, const char *object, int kind, const char *version)
{
	struct fixture_program p = fixture_start(env, "./teller");
	uint64_t malloc_at, free_at;
	char glibc[32];

	assert_int_equal(fscanf(p.out, "%lx %lx %31s", &malloc_at, &free_at, glibc), 3);
	find(p.pid);
	assert_int_equal(count_allocating(), 1);
	assert_true(found.list[0].allocates);
	assert_non_null(strstr(found.list[0].object, object));
	assert_int_equal(found.list[0].kind, kind);
	assert_string_equal(found.list[0].version, version ? version : glibc);
	assert_int_equal(entry_of("malloc", 0), malloc_at);
	assert_int_equal(entry_of("free", 0), free_at);
	check_build_id(&found.list[0]);
	/* libc's mmap is watched whoever allocates, and named once */
	assert_int_equal(found.nr, kind == MP_ALLOC_GLIBC ? 1 : 2);
	assert_non_null(strstr(found.list[found.nr - 1].object, "libc.so.6"));
	assert_non_null(probe_of("mmap", found.nr - 1));
	for (size_t i = 1; i < found.nr_probes; i++)
		assert_true(found.probes[i - 1].provider != found.probes[i].provider ||
			    found.probes[i - 1].offset < found.probes[i].offset);
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void glibc_is_found(void **state)
{
	(void)state;
	check_teller("A=b", "libc.so.6", MP_ALLOC_GLIBC, NULL);
	check_teller("LD_BIND_NOW=1", "libc.so.6", MP_ALLOC_GLIBC, NULL);
}

/* Versions as the package manager has them. */
static void package_version(const char *package, char *out, size_t size)
{
	fixture_output(out, size, "dpkg-query -W -f '${Version}' %s | sed 's/-.*//'", package);
}

static void preloads_are_found(void **state)
{
	char version[64];

	(void)state;
	package_version("libjemalloc2", version, sizeof(version));
	check_teller("LD_PRELOAD=libjemalloc.so.2", "libjemalloc", MP_ALLOC_JEMALLOC, version);
	package_version("libtcmalloc-minimal4", version, sizeof(version));
	check_teller("LD_PRELOAD=libtcmalloc_minimal.so.4", "libtcmalloc", MP_ALLOC_TCMALLOC,
		     version);
	check_teller("LD_PRELOAD=libmimalloc.so.2", "libmimalloc", MP_ALLOC_MIMALLOC, "");
}

static void free_of_glibc_is_probed_behind_its_test(void **state)
{
	static const unsigned char test_je[] = { 0x48, 0x85, 0xff, 0x0f, 0x84 };
	unsigned char code[sizeof(test_je)];
	struct fixture_program p = fixture_start("A=b", "./teller");
	const struct mp_attach *a;
	FILE *f;

	(void)state;
	find(p.pid);
	a = probe_of("free", 0);
	assert_non_null(a);
	f = fopen(found.list[0].open_path, "r");
	assert_non_null(f);
	assert_int_equal(fseek(f, (long)(a->offset - a->into), SEEK_SET), 0);
	assert_int_equal(fread(code, 1, sizeof(code), f), sizeof(code));
	fclose(f);
	assert_int_equal(a->kind, MP_PROBE_EMULATED);
	/* Debian 12's: test %rdi,%rdi; je. Another libc may begin otherwise */
	if (!memcmp(code, test_je, sizeof(code)))
		assert_int_equal(a->into, 3);
	else
		print_message("free of this libc does not begin with test; je\n");
	assert_non_null(probe_of("malloc", 0));
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void lazy_references_follow_the_search_order(void **state)
{
	struct fixture_program p;

	(void)state;
	fixture_shell("gcc -w -O1 -Wl,-z,lazy -o lazy waiter.c");
	p = fixture_start("LD_PRELOAD=libjemalloc.so.2", "./lazy");
	find(p.pid);
	assert_non_null(strstr(found.list[0].object, "libjemalloc"));
	assert_int_equal(count_allocating(), 1);
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void fixed_address_program_is_found(void **state)
{
	struct fixture_program p;

	(void)state;
	/* malloc's address is taken, so every slot leads to the program's PLT */
	fixture_write("taken.c", "#include <stdlib.h>\n#include <unistd.h>\n"
				 "void *(*volatile taken)(size_t) = malloc;\n"
				 "int main(void) { if (write(1, \"ready\\n\", 6) != 6) return 1;\n"
				 "free(taken(9)); for (;;) pause(); }\n");
	fixture_shell("gcc -w -O1 -no-pie -fno-pic -o taken taken.c");
	p = fixture_start("A=b", "./taken");
	find(p.pid);
	assert_int_equal(count_allocating(), 1);
	assert_int_equal(found.list[0].kind, MP_ALLOC_GLIBC);
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void program_with_its_own_malloc_is_found(void **state)
{
	struct fixture_program p;

	(void)state;
	fixture_shell("gcc -w -O1 -fno-builtin -rdynamic -o own waiter.c own.c");
	p = fixture_start("A=b", "./own");
	find(p.pid);
	assert_int_equal(count_allocating(), 1);
	assert_string_equal(found.list[0].object, fixture_path("own"));
	assert_int_equal(found.list[0].kind, MP_ALLOC_OTHER);
	assert_non_null(probe_of("malloc", 0));
	assert_false(found.list[1].allocates);
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void hidden_malloc_stands_beside_libc(void **state)
{
	struct fixture_program p;
	size_t hidden;

	(void)state;
	fixture_shell(
		"gcc -w -O1 -fno-builtin -fPIC -shared -fvisibility=hidden -o libown.so own.c");
	p = fixture_start("LD_PRELOAD=./libown.so", "./teller");
	find(p.pid);
	assert_int_equal(count_allocating(), 2);
	hidden = strstr(found.list[0].object, "libown") ? 0 : 1;
	assert_non_null(strstr(found.list[hidden].object, "libown.so"));
	assert_non_null(strstr(found.list[!hidden].object, "libc.so.6"));
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void two_allocators_coexist(void **state)
{
	struct fixture_program p;

	(void)state;
	fixture_write("user.c", "#include <stdlib.h>\nvoid *use(void) { return malloc(5); }\n");
	fixture_write("deep.c",
		      "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <unistd.h>\n"
		      "#include <stdlib.h>\n"
		      "int main(void) { void *h; free(malloc(1));\n"
		      "h = dlopen(\"./libuser.so\", RTLD_NOW | RTLD_DEEPBIND);\n"
		      "if (!h || write(1, \"ready\\n\", 6) != 6) return 1; for (;;) pause(); }\n");
	fixture_shell("gcc -w -O1 -fno-builtin -fPIC -shared -o libown2.so own.c");
	fixture_shell("gcc -w -O1 -fno-builtin -fPIC -shared -o libuser.so user.c "
		      "-L. -Wl,--no-as-needed -lown2 -Wl,-rpath,'$ORIGIN'");
	fixture_shell("gcc -w -O1 -fno-builtin -o deep deep.c -ldl");
	p = fixture_start("A=b", "./deep");
	find(p.pid);
	assert_int_equal(count_allocating(), 2);
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void static_program_is_its_own_provider(void **state)
{
	struct fixture_program p;
	uint64_t at;
	char said[64];

	(void)state;
	fixture_shell("gcc -w -O1 -static -o static waiter.c");
	p = fixture_start("A=b", "./static");
	find(p.pid);
	assert_int_equal(found.nr, 1);
	assert_string_equal(found.list[0].object, fixture_path("static"));
	assert_int_equal(found.list[0].kind, MP_ALLOC_GLIBC);
	fixture_output(said, sizeof(said), "nm static | sed -n 's/ T malloc$//p'");
	at = strtoull(said, NULL, 16);
	assert_true(at > 0);
	assert_int_equal(entry_of("malloc", 0), at);
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void expect_none(const char *command, const char *text)
{
	struct fixture_program p = fixture_start("A=b", command);

	assert_int_equal(mp_providers_find(p.pid, &found, &err), -ENOENT);
	assert_int_equal(err.exit, MP_EXIT_FAILED);
	if (!strstr(err.text, text) || !strstr(err.text, "--alloc=none"))
		fail_msg("unclear: %s", err.text);
	assert_int_equal(found.nr, 0);
	assert_int_equal(found.nr_probes, 0);
	fixture_stop(&p);
}

static void programs_without_malloc_are_named(void **state)
{
	(void)state;
	fixture_write(
		"bare.c",
		"static long call(long n, long a, const void *b, long c)\n"
		"{ long r; asm volatile(\"syscall\" : \"=a\"(r) : \"0\"(n), \"D\"(a), \"S\"(b), "
		"\"d\"(c) : \"rcx\", \"r11\", \"memory\"); return r; }\n"
		"void _start(void) { call(1, 1, \"ready\\n\", 6); for (;;) call(34, 0, 0, 0); }\n");
	fixture_shell("gcc -w -O1 -static -s -o stripped waiter.c");
	fixture_shell("gcc -w -O1 -nostdlib -pie -fPIE -o bare bare.c");
	expect_none("./stripped", "static and has no symbol named malloc");
	expect_none("./bare", "no object that");
}

static void deleted_objects_are_still_reached(void **state)
{
	struct fixture_program p;
	char byte;
	FILE *f;

	(void)state;
	fixture_shell(
		"cp \"$(readlink -f /usr/lib/x86_64-linux-gnu/libjemalloc.so.2)\" libgone.so");
	p = fixture_start("LD_PRELOAD=./libgone.so", "./teller");
	/* replaced, as an upgrade does it: the path now leads to another file */
	fixture_shell("cp own.c other && mv other libgone.so");
	find(p.pid);
	assert_int_equal(found.list[0].kind, MP_ALLOC_JEMALLOC);
	f = fopen(found.list[0].open_path, "r");
	assert_non_null(f);
	assert_int_equal(fread(&byte, 1, 1, f), 1);
	assert_int_equal(byte, 0x7f);
	fclose(f);
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void indirect_malloc_is_noted(void **state)
{
	struct fixture_program p;
	bool noted = false;

	(void)state;
	fixture_write("ifunc.c",
		      "#include <stddef.h>\nstatic void *real(size_t n) { (void)n; return 0; }\n"
		      "static void *pick(void) { return real; }\n"
		      "void *malloc(size_t) __attribute__((ifunc(\"pick\")));\n");
	fixture_shell("gcc -w -O1 -fno-builtin -fPIC -shared -o libifunc.so ifunc.c");
	/* only mapped, so that the program can start: its own references lead to libc */
	fixture_write("mapped.c",
		      "#include <dlfcn.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
		      "int main(void) { if (!dlopen(\"./libifunc.so\", RTLD_NOW)) return 1;\n"
		      "free(malloc(1)); if (write(1, \"ready\\n\", 6) != 6) return 1;\n"
		      "for (;;) pause(); }\n");
	fixture_shell("gcc -w -O1 -fno-builtin -o mapped mapped.c -ldl");
	p = fixture_start("A=b", "./mapped");
	find(p.pid);
	assert_int_equal(count_allocating(), 1);
	assert_int_equal(found.list[0].kind, MP_ALLOC_GLIBC);
	for (size_t i = 0; i < found.nr_notes; i++)
		noted |= strstr(found.notes[i], "IFUNC") && strstr(found.notes[i], "libifunc.so");
	assert_true(noted);
	mp_providers_free(&found);
	fixture_stop(&p);
}

static void ended_process_is_said_to_be(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	assert_int_equal(mp_providers_find(pid, &found, &err), -ESRCH);
	assert_int_equal(err.exit, MP_EXIT_FAILED);
	assert_non_null(strstr(err.text, "does not exist or has ended"));
	mp_providers_free(&found);
}

static int setup(void **state)
{
	(void)state;
	fixture_begin();
	fixture_write("teller.c", teller_c);
	fixture_write("own.c", own_c);
	fixture_write("waiter.c", waiter_c);
	fixture_shell("gcc -w -O1 -fno-builtin -o teller teller.c -ldl");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_end();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(glibc_is_found),
		cmocka_unit_test(preloads_are_found),
		cmocka_unit_test(free_of_glibc_is_probed_behind_its_test),
		cmocka_unit_test(lazy_references_follow_the_search_order),
		cmocka_unit_test(fixed_address_program_is_found),
		cmocka_unit_test(program_with_its_own_malloc_is_found),
		cmocka_unit_test(hidden_malloc_stands_beside_libc),
		cmocka_unit_test(two_allocators_coexist),
		cmocka_unit_test(static_program_is_its_own_provider),
		cmocka_unit_test(programs_without_malloc_are_named),
		cmocka_unit_test(deleted_objects_are_still_reached),
		cmocka_unit_test(indirect_malloc_is_noted),
		cmocka_unit_test(ended_process_is_said_to_be),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
