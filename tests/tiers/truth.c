// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What served each allocation, by libc's own account: breakpoints (int3) on statements of its
 * _int_malloc and sysmalloc, which tests/tiers/places.c has found. To be preloaded; where
 * TIERS_PLACES is no absolute path it does nothing, so that a program can be run with and without.
 *
 * TIERS_PLACES: what places prints. TIERS_TRUTH: the file to write, struct record of each allocation
 * in the order of their beginnings. The thread goes on at full speed behind a breakpoint: the
 * instruction that was there is executed in a copy. It never allocates.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "../../bpf/event.h"

#define MAX_PLACES  64
#define MAX_RECORDS (8ULL << 20)
#define GREW_BRK    1
#define GREW_HEAP   2

struct record {
	uint32_t tid;
	uint8_t fn;   /* enum mp_fn */
	uint8_t tier; /* enum mp_tier */
	uint8_t grew;
	uint8_t scanned; /* the bin was found by the map of bins */
	uint64_t requested;
	uint64_t old; /* of realloc: the block it is given; else 0 */
};

struct place {
	uint64_t at;
	uint32_t len, rip, pushed;
	uint8_t code[16];
	char what[32];
	uint8_t *copy;
};

static struct place places[MAX_PLACES];
static size_t nr_places;
static uint64_t text_start, text_end; /* malloc.c's own */
static struct {
	uint64_t nr;
	struct record list[];
} * out;

static __thread struct record *now __attribute__((tls_model("initial-exec")));
/* malloc is jumped to next, on behalf of the call under way: its caller is that one's. */
static __thread int jumps __attribute__((tls_model("initial-exec")));
/* What happens below this stack pointer is libc's getting a thread cache for itself. */
static __thread uint64_t own_sp __attribute__((tls_model("initial-exec")));
static struct record nowhere;

static void __attribute__((noreturn)) die(const char *why)
{
	write(2, "truth: ", 7);
	write(2, why, strlen(why));
	write(2, "\n", 1);
	_exit(99);
}

/* ---- at a breakpoint ------------------------------------------------------------------------ */

static void begin_call(const struct place *p, const greg_t *r, uint8_t fn, uint8_t tier,
		       uint64_t requested)
{
	uint64_t caller = *(uint64_t *)(r[REG_RSP] + p->pushed), n;

	if (now && (jumps || (caller >= text_start && caller < text_end))) {
		now->tier = tier; /* of malloc on behalf of realloc or memalign */
		jumps = 0;
		return;
	}
	n = __atomic_fetch_add(&out->nr, 1, __ATOMIC_RELAXED);
	now = n < MAX_RECORDS ? &out->list[n] : &nowhere;
	*now = (struct record){
		.tid = (uint32_t)syscall(SYS_gettid), .fn = fn, .tier = tier, .requested = requested
	};
}

static void begin_realloc(const struct place *p, const greg_t *r)
{
	uint64_t old = (uint64_t)r[REG_RDI];
	uint8_t tier = !old ? MP_TIER_TCACHE
		       : ((uint64_t *)old)[-1] & 2 /* IS_MMAPPED */
			       ? MP_TIER_MMAP
			       : MP_TIER_INPLACE;

	begin_call(p, r, MP_FN_REALLOC, tier, (uint64_t)r[REG_RSI]);
	now->old = old;
	jumps = !old;
}

/* Alignments that every block has are left to malloc. */
static void begin_aligned(const struct place *p, const greg_t *r, uint8_t fn, uint64_t alignment,
			  uint64_t requested)
{
	begin_call(p, r, fn, MP_TIER_TCACHE, requested);
	jumps = alignment <= 16;
}

/* The map of bins leads to a bin of any size: that of its chunk, which is being taken off, tells. */
static void taken_off(const greg_t *r)
{
	uint64_t size = ((uint64_t *)r[REG_RDI])[1] & ~7ULL;

	if (!now->scanned)
		return;
	now->scanned = 0;
	now->tier = size < 1024 ? MP_TIER_SMALL : MP_TIER_LARGE;
}

static int is(const struct place *p, const char *what)
{
	return !strcmp(p->what, what);
}

static void at_entry(const struct place *p, const greg_t *r)
{
	if (is(p, "malloc"))
		begin_call(p, r, MP_FN_MALLOC, MP_TIER_TCACHE, (uint64_t)r[REG_RDI]);
	else if (is(p, "calloc"))
		begin_call(p, r, MP_FN_CALLOC, MP_TIER_TCACHE,
			   (uint64_t)r[REG_RDI] * (uint64_t)r[REG_RSI]);
	else if (is(p, "realloc"))
		begin_realloc(p, r);
	else if (is(p, "memalign"))
		begin_aligned(p, r, MP_FN_MEMALIGN, (uint64_t)r[REG_RDI], (uint64_t)r[REG_RSI]);
	else if (is(p, "posix_memalign"))
		begin_aligned(p, r, MP_FN_POSIX_MEMALIGN, (uint64_t)r[REG_RSI],
			      (uint64_t)r[REG_RDX]);
}

static void inside(const struct place *p, const greg_t *r)
{
	if ((uint64_t)r[REG_RSP] < own_sp)
		return;
	own_sp = is(p, "tcache_init") ? (uint64_t)r[REG_RSP] + p->pushed : 0;
	if (own_sp)
		return;
	if (is(p, "int_malloc"))
		now->tier = MP_TIER_UNKNOWN;
	else if (is(p, "fastbin"))
		now->tier = MP_TIER_FASTBIN;
	else if (is(p, "small"))
		now->tier = MP_TIER_SMALL;
	else if (is(p, "unsorted"))
		now->tier = MP_TIER_UNSORTED;
	else if (is(p, "large"))
		now->tier = MP_TIER_LARGE;
	else if (is(p, "scan"))
		now->scanned = 1;
	else if (is(p, "unlink"))
		taken_off(r);
	else if (is(p, "top"))
		now->tier = MP_TIER_TOP;
	else if (is(p, "mmap"))
		now->tier = MP_TIER_MMAP;
	else if (is(p, "brk"))
		now->grew |= (int64_t)r[REG_RDI] > 0 ? GREW_BRK : 0;
	else if (is(p, "heap"))
		now->grew |= GREW_HEAP;
	else if (is(p, "inplace"))
		now->tier = MP_TIER_INPLACE;
	else
		at_entry(p, r);
}

static void on_trap(int sig, siginfo_t *info, void *ctx)
{
	greg_t *r = ((ucontext_t *)ctx)->uc_mcontext.gregs;
	uint64_t at = (uint64_t)r[REG_RIP] - 1;
	size_t i = 0;

	(void)sig;
	(void)info;
	while (i < nr_places && places[i].at != at)
		i++;
	if (i == nr_places)
		die("a breakpoint that is not ours");
	if (now)
		inside(&places[i], r);
	else
		at_entry(&places[i], r);
	r[REG_RIP] = (greg_t)places[i].copy;
}

/* ---- setting them ---------------------------------------------------------------------------- */

static int find_libc(struct dl_phdr_info *info, size_t size, void *base)
{
	(void)size;
	if (!info->dlpi_name || !strstr(info->dlpi_name, "libc.so.6"))
		return 0;
	*(uint64_t *)base = info->dlpi_addr;
	return 1;
}

/* sscanf allocates. */
static uint64_t number(char **p)
{
	uint64_t n = strtoull(*p, p, 0);

	while (**p == ' ')
		(*p)++;
	return n;
}

static uint8_t hex(const char *p)
{
	char text[3] = { p[0], p[1], 0 };

	return (uint8_t)strtoul(text, NULL, 16);
}

static void parse_line(char *p, uint64_t base)
{
	struct place *pl = &places[nr_places];
	size_t i;

	if (!strncmp(p, "text ", 5)) {
		p += 5;
		text_start = base + number(&p);
		text_end = base + number(&p);
		return;
	}
	if (nr_places == MAX_PLACES)
		die("too many places");
	pl->at = base + number(&p);
	pl->len = (uint32_t)number(&p);
	pl->rip = (uint32_t)number(&p);
	pl->pushed = (uint32_t)number(&p);
	for (i = 0; i < pl->len; i++, p += 2)
		pl->code[i] = hex(p);
	strncpy(pl->what, p + 1, sizeof(pl->what) - 1);
	nr_places++;
}

static void read_places(const char *path, uint64_t base)
{
	static char text[16384];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	char *line, *save = NULL;

	if (fd < 0 || n <= 0)
		die("TIERS_PLACES cannot be read");
	close(fd);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		parse_line(line, base);
}

/* Near libc, so that a displacement from rip still reaches. */
static uint8_t *room_near(uint64_t base)
{
	for (uint64_t hint = base - (64 << 20); hint > base - (1ULL << 30); hint -= 16 << 20) {
		void *p = mmap((void *)hint, 65536, PROT_READ | PROT_WRITE | PROT_EXEC,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p != MAP_FAILED)
			return p;
	}
	die("no room near libc");
}

static uint8_t *jump(uint8_t *to, uint64_t where)
{
	memcpy(to, "\xff\x25\0\0\0\0", 6); /* jmp *0(%rip) */
	memcpy(to + 6, &where, 8);
	return to + 14;
}

/* The condition of a jump, as in its opcode; -1: it is none. Where it goes is in *@to. */
static int condition(const struct place *p, uint64_t *to)
{
	int32_t far;

	*to = p->at + p->len;
	if ((p->code[0] & 0xf0) == 0x70) {
		*to += (uint64_t)(int64_t)(int8_t)p->code[1];
		return p->code[0] & 15;
	}
	if (p->code[0] != 0x0f || (p->code[1] & 0xf0) != 0x80)
		return -1;
	memcpy(&far, p->code + 2, 4);
	*to += (uint64_t)(int64_t)far;
	return p->code[1] & 15;
}

static void copy_out(struct place *p, uint8_t *to)
{
	uint64_t target;
	int32_t disp;
	int cc = condition(p, &target);

	p->copy = to;
	if (cc >= 0) {
		*to++ = (uint8_t)(0x70 | cc);
		*to++ = 14; /* over the jump back */
		jump(jump(to, p->at + p->len), target);
		return;
	}
	memcpy(to, p->code, p->len);
	if (p->rip) {
		memcpy(&disp, to + p->rip, 4);
		disp += (int32_t)(p->at - (uint64_t)to);
		memcpy(to + p->rip, &disp, 4);
	}
	jump(to + p->len, p->at + p->len);
}

static void set_break(const struct place *p)
{
	uint8_t *page = (uint8_t *)(p->at & ~4095ULL);

	if (*(uint8_t *)p->at != p->code[0] && *(uint8_t *)p->at != 0xcc)
		die("libc is not the one the places are of");
	if (*(uint8_t *)p->at == 0xcc)
		die("there is a breakpoint already");
	if (mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC))
		die("mprotect");
	*(uint8_t *)p->at = 0xcc;
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

/* Memory for the records, far from all else: that is mapped where it is without them. */
static void map_records(const char *file)
{
	uint64_t size = sizeof(*out) + MAX_RECORDS * sizeof(struct record);
	int fd = -1;

	if (file) {
		fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
		if (fd < 0 || ftruncate(fd, (off_t)size))
			die("TIERS_TRUTH cannot be written");
	}
	out = mmap((void *)(16ULL << 40), size, PROT_READ | PROT_WRITE,
		   MAP_FIXED_NOREPLACE |
			   (file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE),
		   fd, 0);
	if (out == MAP_FAILED)
		die("no room for the records");
	if (fd >= 0)
		close(fd);
}

static void __attribute__((constructor)) begin(void)
{
	const char *path = getenv("TIERS_PLACES"), *file = getenv("TIERS_TRUTH");
	struct sigaction sa = { .sa_sigaction = on_trap,
				.sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };
	uint64_t base = 0;
	uint8_t *room;

	if (!path)
		return;
	dl_iterate_phdr(find_libc, &base);
	if (!base)
		die("no libc");
	map_records(*path == '/' ? file : NULL);
	room = room_near(base);
	if (*path != '/')
		return;
	read_places(path, base);
	sigaction(SIGTRAP, &sa, NULL);
	for (size_t i = 0; i < nr_places; i++)
		copy_out(&places[i], room + i * 64);
	for (size_t i = 0; i < nr_places; i++)
		set_break(&places[i]);
}
