// SPDX-License-Identifier: GPL-2.0-or-later
/* The process that parses: what it may not do, and what its loss costs. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "fixture.h"
#include "frames.h"
#include "symbol/jail.h"

#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static const char good_c[] =
	"int outer(int n) { return n * 3; }\nint main(void) { return outer(1); }\n";

/* A unit that spans the code: an entry whose sibling is itself, or more entries than are read. */
static const char loop_s[] =
	"	.text\n	.globl outer\n	.type outer,@function\nouter:\n	.rept 64\n	nop\n	.endr\n"
	"	ret\n	.size outer,.-outer\n.Lend:\n"
	"	.section .debug_abbrev,\"\",@progbits\n"
	"	.uleb128 1, 0x11\n	.byte 1\n	.uleb128 0x11, 1, 0x12, 1, 0, 0\n"
	"	.uleb128 2, 0x24\n	.byte 1\n	.uleb128 0x01, 0x13, 0, 0\n"
	"	.uleb128 3, 0x24\n	.byte 0\n	.uleb128 0, 0\n"
	"	.uleb128 0\n"
	"	.section .debug_info,\"\",@progbits\n"
	"	.long .Lafter - .Lstart\n.Lstart:\n	.value 4\n	.long 0\n	.byte 8\n"
	"	.uleb128 1\n	.quad outer, .Lend\n"
	"	.ifdef LONG\n	.rept 9000000\n	.byte 3\n	.endr\n	.endif\n"
	".Lself:\n	.uleb128 2\n	.long .Lself - .Lstart + 4\n"
	"	.byte 0\n	.byte 0\n.Lafter:\n";

static struct mp_symbols *symbols;
static struct mp_symbol got[FRAMES_MAX];

static uint64_t status_of(pid_t pid, const char *field, int base)
{
	char path[64], line[256];
	uint64_t value = UINT64_MAX;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)) && line[strlen(field)] == ':')
			value = strtoull(line + strlen(field) + 1, NULL, base);
	fclose(f);
	return value;
}

static void fresh(void)
{
	mp_symbols__free(symbols);
	symbols = mp_symbols__new();
	assert_non_null(symbols);
}

static void names_good(const char *name)
{
	assert_true(frames_of(symbols, name, "good", "outer", got) > 0);
	assert_string_equal(got[0].function, "outer");
	assert_non_null(got[0].file);
}

static void it_has_no_rights(void **state)
{
	static const char *const caps[] = { "CapPrm", "CapEff", "CapAmb" };
	pid_t pid;

	(void)state;
	fresh();
	assert_int_equal(mp_symbols__reader(symbols), 0); /* nothing was asked */
	names_good("good");
	pid = mp_symbols__reader(symbols);
	assert_true(pid > 0 && pid != getpid());
	assert_int_equal(status_of(pid, "PPid", 10), getpid());
	for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
		assert_int_equal(status_of(pid, caps[i], 16), 0);
	assert_int_equal(status_of(pid, "NoNewPrivs", 10), 1);
	if (!geteuid())
		assert_int_equal(status_of(pid, "Uid", 10), 65534);
	if (!SANITIZED)
		assert_int_equal(status_of(pid, "Seccomp", 10), 2);
}

/* What a reader taken over by its file would try first; a bit for each that succeeds. */
static int try_everything(void)
{
	int did = 0;

	did |= (open("/etc/passwd", O_RDONLY) >= 0) << 0;
	did |= (socket(AF_INET, SOCK_STREAM, 0) >= 0) << 1;
	did |= (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		MAP_FAILED)
	       << 2;
	did |= (kill(getppid(), 0) == 0) << 3;
	did |= (fork() >= 0) << 4;
	did |= (execl("/bin/true", "true", NULL) == 0) << 5;
	/* and what libdw needs is there */
	did |= (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
		MAP_FAILED)
	       << 6;
	return did;
}

static void its_system_calls_are_few(void **state)
{
	int status = -1;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(mp_jail_enter(0) ? 128 : SANITIZED ? 0 : try_everything());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Its socket, the object, and nothing of ours: no BPF map, no trace, no terminal. */
static void it_has_nothing_open(void **state)
{
	FILE *ours = fopen(fixture_path("fixture.c"), "r");
	char path[64], link[256], target[256];
	struct dirent *e;
	ssize_t n;
	DIR *d;

	(void)state;
	assert_non_null(ours);
	fresh();
	names_good("good");
	snprintf(path, sizeof(path), "/proc/%d/fd", mp_symbols__reader(symbols));
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(link, sizeof(link), "%s/%.16s", path, e->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		assert_true(n > 0);
		target[n] = '\0';
		if (strcmp(target, "/dev/null") && strncmp(target, "socket:", 7) &&
		    strcmp(target, fixture_path("good")) && !(SANITIZED && e->d_name[0] == '2'))
			fail_msg("descriptor %s is %s", e->d_name, target);
	}
	closedir(d);
	fclose(ours);
}

static void it_ends_with_us(void **state)
{
	pid_t pid;

	(void)state;
	fresh();
	names_good("good");
	pid = mp_symbols__reader(symbols);
	mp_symbols__free(symbols);
	symbols = NULL;
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left over */
}

static void killed_between_questions(void **state)
{
	pid_t pid;

	(void)state;
	fresh();
	names_good("good");
	pid = mp_symbols__reader(symbols);
	kill(pid, SIGKILL);
	names_good("twin");
	assert_int_not_equal(mp_symbols__reader(symbols), pid);
	assert_false(mp_symbols__trouble(symbols, NULL));
	names_good("good"); /* from memory */
	/* and what was not asked of the first one is opened again in the next */
	frames_of(symbols, "good", "good", "main", got);
	assert_string_equal(got[0].function, "main");
}

/* Stopped, then killed by another process while we wait for its answer. */
static void killed_in_mid_answer(void **state)
{
	pid_t pid, killer;

	(void)state;
	fresh();
	names_good("good");
	pid = mp_symbols__reader(symbols);
	assert_int_equal(kill(pid, SIGSTOP), 0);
	killer = fork();
	assert_true(killer >= 0);
	if (!killer) {
		usleep(200000);
		kill(pid, SIGKILL);
		_exit(0);
	}
	names_good("twin");
	assert_int_not_equal(mp_symbols__reader(symbols), pid);
	waitpid(killer, NULL, 0);
	assert_false(mp_symbols__trouble(symbols, NULL));
}

/* An object that takes forever is given up alone, and told of. */
static void one_that_takes_forever(void **state)
{
	struct mp_err err = { .exit = 0 };

	(void)state;
	fresh();
	mp_symbols__limit(symbols, 0);
	assert_int_equal(frames_of(symbols, "long", "long", "outer", got), 0);
	assert_true(mp_symbols__trouble(symbols, &err));
	assert_non_null(strstr(err.text, "1 object "));
	assert_non_null(strstr(err.text, "/long"));
	assert_non_null(strstr(err.text, "too long"));
	mp_symbols__limit(symbols, 30000);
	names_good("good");
	assert_int_equal(frames_of(symbols, "long", "long", "outer", got), 0);
	assert_true(mp_symbols__trouble(symbols, &err));
	assert_non_null(strstr(err.text, "1 object "));
}

/* Left by counting, with time for it: the symbol table's name is still right. */
static void a_loop_in_the_dwarf(void **state)
{
	(void)state;
	fresh();
	assert_int_equal(frames_of(symbols, "loop", "loop", "outer", got), 1);
	assert_string_equal(got[0].function, "outer");
	assert_int_equal(frames_of(symbols, "long", "long", "outer", got), 1);
	assert_string_equal(got[0].function, "outer");
	assert_false(mp_symbols__trouble(symbols, NULL));
}

/* Cut anywhere, or with bytes turned: an answer or none, and the next object has its names. */
static void damaged_objects(void **state)
{
	struct mp_err err = { .exit = 0 };
	size_t size;
	char said[32];

	(void)state;
	fixture_output(said, sizeof(said), "stat -c %%s good");
	size = strtoull(said, NULL, 10);
	fresh();
	for (size_t cut = 40; cut < size; cut += size / 23) {
		fixture_shell("head -c %zu good >cut-%zu", cut, cut);
		snprintf(said, sizeof(said), "cut-%zu", cut);
		frames_at(symbols, said, 0x1000 + cut % 500, got);
	}
	for (unsigned int seed = 1; seed < 24; seed++) {
		fixture_shell("cp good bent-%u && python3 -c \"import random; random.seed(%u); "
			      "d = bytearray(open('bent-%u', 'rb').read())\nfor i in range(200): "
			      "d[random.randrange(64, len(d))] = random.randrange(256)\n"
			      "open('bent-%u', 'wb').write(d)\"",
			      seed, seed, seed, seed);
		snprintf(said, sizeof(said), "bent-%u", seed);
		for (uint64_t at = 0x1000; at < 0x1200; at += 16)
			frames_at(symbols, said, at, got);
	}
	names_good("good");
	if (mp_symbols__trouble(symbols, &err))
		fail_msg("%s", err.text); /* libdw withstands these: else a reader was lost */
}

static int setup(void **state)
{
	(void)state;
	fixture_begin();
	fixture_write("fixture.c", good_c);
	fixture_write("loop.s", loop_s);
	fixture_shell("gcc -O0 -g -o good fixture.c && cp good twin && "
		      "gcc -shared -nostdlib -o loop loop.s && "
		      "gcc -shared -nostdlib -Wa,--defsym,LONG=1 -o long loop.s");
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
		cmocka_unit_test(it_has_no_rights),
		cmocka_unit_test(its_system_calls_are_few),
		cmocka_unit_test(it_has_nothing_open),
		cmocka_unit_test(it_ends_with_us),
		cmocka_unit_test(killed_between_questions),
		cmocka_unit_test(killed_in_mid_answer),
		cmocka_unit_test(one_that_takes_forever),
		cmocka_unit_test(a_loop_in_the_dwarf),
		cmocka_unit_test(damaged_objects),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
