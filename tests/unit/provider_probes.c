// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's word on the probes: a uprobe at each of them, in a program that calls each allocation
 * function with arguments it tells beforehand. Every call must hit once, with these arguments in
 * their registers and the return address on top of the stack.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <asm/perf_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "collect/provider.h"
#include "fixture.h"

/* Calls through one known return address; tells "ADDRESS A B C NAME" before it does. */
static const char caller_c[] =
	"#define _GNU_SOURCE\n"
	"#include <dlfcn.h>\n#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\n"
	"void *through(void *fn, unsigned long a, unsigned long b, unsigned long c);\n"
	"extern char behind[];\n"
	"asm(\".text\\nthrough: push %rbx\\nmov %rdi,%rax\\nmov %rsi,%rdi\\nmov %rdx,%rsi\\n\"\n"
	"    \"mov %rcx,%rdx\\ncall *%rax\\n.globl behind\\nbehind: pop %rbx\\nret\\n\");\n"
	"static char line[256];\n"
	"static void *call(const char *name, unsigned long a, unsigned long b, unsigned long c)\n"
	"{\n"
	"	void *fn = dlsym(RTLD_DEFAULT, name);\n"
	"	int n = snprintf(line, sizeof(line), \"%p %lx %lx %lx %s\\n\", fn, a, b, c, name);\n"
	"	if (!fn) return NULL;\n"
	"	if (write(1, line, n) != n) _exit(1);\n"
	"	return through(fn, a, b, c);\n"
	"}\n"
	"#define L (unsigned long)\n"
	"int main(void)\n"
	"{\n"
	"	void *p, *q, *out = NULL;\n"
	"	char go;\n"
	"	if (write(1, \"ready\\n\", 6) != 6 || read(0, &go, 1) != 1) return 1;\n"
	"	dprintf(1, \"%p\\n\", (void *)behind);\n"
	"	p = call(\"malloc\", 0x1234, 0x77, 0x78);\n"
	"	p = call(\"realloc\", L p, 0x51234, 0x79);\n"
	"	p = call(\"reallocarray\", L p, 0x17, 0x19) ?: p;\n"
	"	call(\"free\", L p, 0x7a, 0x7b);\n"
	"	p = call(\"calloc\", 0x21, 0x22, 0x7e);\n"
	"	call(\"cfree\", L p, 0x7f, 0x80);\n"
	"	call(\"memalign\", 0x40, 0x501, 0x81);\n"
	"	call(\"aligned_alloc\", 0x80, 0x600, 0x82);\n"
	"	call(\"posix_memalign\", L &out, 0x100, 0x503);\n"
	"	call(\"valloc\", 0x504, 0x83, 0x84);\n"
	"	call(\"pvalloc\", 0x505, 0x85, 0x86);\n"
	"	p = call(\"_Znwm\", 0x506, 0x87, 0x88);\n"
	"	if (p) call(\"_ZdlPv\", L p, 0x89, 0x8a);\n"
	"	p = call(\"_Znam\", 0x2507, 0x8b, 0x8c);\n"
	"	if (p) call(\"_ZdaPvm\", L p, 0x2507, 0x8d);\n"
	"	q = call(\"mallocx\", 0x6508, 0, 0x8e);\n"
	"	if (q) q = call(\"rallocx\", L q, 0x9508, 0);\n"
	"	if (q) call(\"sdallocx\", L q, 0x9508, 0);\n"
	"	call(\"sbrk\", 0, 0x8f, 0x90);\n"
	"	dprintf(1, \"end\\n\");\n"
	"	return read(0, &go, 1) != 1;\n"
	"}\n";

#define RING_PAGES 16
#define REGS                                                                           \
	(1ULL << PERF_REG_X86_DI | 1ULL << PERF_REG_X86_SI | 1ULL << PERF_REG_X86_DX | \
	 1ULL << PERF_REG_X86_SP)
#define STACK_BYTES 8

struct sample { /* as perf lays it out: registers in the order of their numbers (dx si di sp) */
	struct perf_event_header h;
	uint64_t regs_abi, dx, si, di, sp;
	uint64_t stack_size, stack[STACK_BYTES / 8], stack_used;
};

struct probe {
	const struct mp_attach *attach;
	int fd;
	struct perf_event_mmap_page *ring;
};

static uint32_t uprobe_pmu(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "r");
	unsigned int type = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u", &type), 1);
	fclose(f);
	return type;
}

static void attach(struct probe *p, const struct mp_providers *found, pid_t pid)
{
	const char *path = found->list[p->attach->provider].open_path;
	struct perf_event_attr attr = {
		.type = uprobe_pmu(),
		.size = sizeof(attr),
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.sample_regs_user = REGS,
		.sample_stack_user = STACK_BYTES,
		.config1 = (uint64_t)(uintptr_t)path,
		.config2 = p->attach->offset,
	};

	p->fd = (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (p->fd < 0)
		fail_msg("%s %s: %s", path, p->attach->symbol, strerror(errno));
	p->ring = mmap(NULL, (1 + RING_PAGES) * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	assert_ptr_not_equal(p->ring, MAP_FAILED);
}

static void detach(struct probe *p)
{
	munmap(p->ring, (1 + RING_PAGES) * 4096);
	close(p->fd);
}

struct call {
	uint64_t fn, args[3];
	char name[64];
};

static bool matches(const struct sample *s, const struct call *c, uint64_t behind, unsigned int nr)
{
	const uint64_t regs[3] = { s->di, s->si, s->dx };

	if (s->stack_used < 8 || s->stack[0] != behind)
		return false;
	for (unsigned int i = 0; i < nr; i++)
		if (regs[i] != c->args[i])
			return false;
	return true;
}

static unsigned int count_hits(const struct probe *p, const struct call *c, uint64_t behind)
{
	static const unsigned int nr_args[MP_FN_MAX] = {
		[MP_FN_MALLOC] = 1,         [MP_FN_CALLOC] = 2,
		[MP_FN_REALLOC] = 2,        [MP_FN_REALLOCARRAY] = 3,
		[MP_FN_MEMALIGN] = 2,       [MP_FN_ALIGNED_ALLOC] = 2,
		[MP_FN_POSIX_MEMALIGN] = 3, [MP_FN_VALLOC] = 1,
		[MP_FN_PVALLOC] = 1,        [MP_FN_NEW] = 1,
		[MP_FN_FREE] = 1,           [MP_FN_DELETE] = 1,
	};
	const char *data = (const char *)p->ring + p->ring->data_offset;
	uint64_t head = __atomic_load_n(&p->ring->data_head, __ATOMIC_ACQUIRE);
	unsigned int hits = 0;

	assert_true(head <= p->ring->data_size); /* never wrapped: nothing was lost */
	for (uint64_t at = 0; at < head;) {
		const struct sample *s = (const struct sample *)(data + at);

		if (s->h.type == PERF_RECORD_SAMPLE)
			hits += matches(s, c, behind, nr_args[p->attach->fn]);
		at += s->h.size;
	}
	return hits;
}

static void check_call(const struct probe *probes, size_t nr, const struct call *c, uint64_t behind)
{
	unsigned int all = 0;

	for (size_t i = 0; i < nr; i++) {
		const struct mp_attach *a = probes[i].attach;
		unsigned int hits = count_hits(&probes[i], c, behind);

		if (a->addr - a->into == c->fn && hits != 1)
			fail_msg("%s (%s+%u): %u hits for one call", c->name, a->symbol, a->into,
				 hits);
		if (a->addr - a->into == c->fn)
			return;
		all += a->fn == MP_FN_MMAP ? 0 : hits;
	}
	/*
	 * It has no probe: then it only jumps to a function that has one. A chain of such jumps is
	 * told apart at the return, but a free has none, so there it must be one.
	 */
	if (strstr(c->name, "free") || !strncmp(c->name, "_Zd", 3) ? all != 1 : !all)
		fail_msg("%s: %u hits elsewhere for one call", c->name, all);
}

/* Functions of the C++ run-time library: they call malloc and are no part of the provider. */
static bool is_elsewhere(const struct mp_providers *found, uint64_t fn)
{
	return !mp_providers_text(found, fn);
}

static void probe_program(const char *env, unsigned int least)
{
	struct fixture_program program = fixture_start(env, "./caller");
	static struct probe probes[256];
	static struct call list[64];
	struct mp_providers found;
	struct mp_err err;
	unsigned int calls = 0;
	char line[256];
	uint64_t behind;

	if (mp_providers_find(program.pid, &found, &err))
		fail_msg("%s", err.text);
	assert_true(found.nr_probes <= 256);
	for (size_t i = 0; i < found.nr_probes; i++) {
		probes[i].attach = &found.probes[i];
		attach(&probes[i], &found, program.pid);
	}
	fputs("x", program.in);
	fflush(program.in);
	assert_non_null(fgets(line, sizeof(line), program.out));
	behind = strtoull(line, NULL, 16);
	while (fgets(line, sizeof(line), program.out) && strcmp(line, "end\n")) {
		struct call *c = &list[calls++];

		assert_int_equal(sscanf(line, "%lx %lx %lx %lx %63s", &c->fn, &c->args[0],
					&c->args[1], &c->args[2], c->name),
				 5);
	}
	assert_string_equal(line, "end\n");
	assert_true(calls >= least);
	for (unsigned int i = 0; i < calls; i++)
		if (!is_elsewhere(&found, list[i].fn) || !strcmp(list[i].name, "sbrk"))
			check_call(probes, found.nr_probes, &list[i], behind);
	for (size_t i = 0; i < found.nr_probes; i++)
		detach(&probes[i]);
	mp_providers_free(&found);
	fixture_stop(&program);
}

static void in_glibc(void **state)
{
	(void)state;
	probe_program("A=b", 11);
}

static void in_jemalloc(void **state)
{
	(void)state;
	probe_program("LD_PRELOAD=libjemalloc.so.2", 15);
}

static void in_tcmalloc(void **state)
{
	(void)state;
	probe_program("LD_PRELOAD=libtcmalloc_minimal.so.4", 13);
}

static void in_mimalloc(void **state)
{
	(void)state;
	probe_program("LD_PRELOAD=libmimalloc.so.2", 13);
}

static int setup(void **state)
{
	(void)state;
	fixture_begin();
	fixture_write("caller.c", caller_c);
	fixture_shell("gcc -O1 -w -o caller caller.c -ldl");
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
		cmocka_unit_test(in_glibc),
		cmocka_unit_test(in_jemalloc),
		cmocka_unit_test(in_tcmalloc),
		cmocka_unit_test(in_mimalloc),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
