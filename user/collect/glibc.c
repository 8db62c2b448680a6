// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/glibc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../bpf/event.h"
#include "collect/glibc_file.h"

/* More arenas than any process has: eight a processor is glibc's own bound. */
#define MAX_ARENAS 65536
/* A thread-local variable of libc lies this near below the thread pointer. */
#define MAX_TLS (1 << 20)
/* Checks are done again while the process runs on and may be in the middle of a change. */
#define TRIES 8
/* malloc.c: HEAP_MAX_SIZE is twice the most that M_MMAP_THRESHOLD can be, and that is 32 MiB. */
#define HEAP_MAX_BYTES (64ULL << 20)

struct checked {
	pid_t pid;
	int mem; /* /proc/PID/mem */
	struct mp_glibc *g;
	char why[160];
};

struct mapping {
	uint64_t start, end;
	bool writable;
};

static bool read_word(const struct checked *c, uint64_t addr, uint64_t *word)
{
	return addr < 1ULL << 63 &&
	       pread(c->mem, word, sizeof(*word), (off_t)addr) == sizeof(*word);
}

/* The mapping that @addr lies in. */
static bool find_mapping(const struct checked *c, uint64_t addr, struct mapping *out)
{
	char name[64], perms[5], *line = NULL;
	bool found = false;
	size_t size = 0;
	FILE *f;

	snprintf(name, sizeof(name), "/proc/%d/maps", c->pid);
	f = fopen(name, "re");
	if (!f)
		return false;
	while (!found && getline(&line, &size, f) >= 0) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &out->start, &out->end, perms) != 3)
			continue;
		found = addr >= out->start && addr < out->end;
		out->writable = perms[1] == 'w';
	}
	free(line);
	fclose(f);
	return found;
}

static bool __attribute__((format(printf, 2, 3))) wrong(struct checked *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	return false;
}

/* An arena that is not the main one lies right behind the header of its first heap. */
static bool check_arena(struct checked *c, uint64_t arena)
{
	uint64_t heap = arena & ~(c->g->heap_max_bytes - 1), owner;

	if (arena % 16 || arena - heap < 32 || arena - heap > 4096)
		return wrong(c, "arena %#" PRIx64 " does not begin a heap", arena);
	if (!read_word(c, heap, &owner) || owner != arena)
		return wrong(c, "the heap at %#" PRIx64 " is not of its arena", heap);
	return true;
}

/* The list of arenas leads back to the main one. */
static bool check_ring(struct checked *c)
{
	struct mp_glibc *g = c->g;
	uint64_t arena = g->main_arena;

	g->arenas = 0;
	for (int n = 0; n < MAX_ARENAS; n++) {
		g->arenas++;
		if (!read_word(c, arena + g->at.next, &arena))
			return wrong(c, "the list of arenas leads out of memory");
		if (arena == g->main_arena)
			return true;
		if (!check_arena(c, arena))
			return false;
	}
	return wrong(c, "the list of arenas does not end");
}

/* The top chunk ends where writable memory does or before, and has a size. */
static bool check_top(struct checked *c)
{
	const struct mp_glibc *g = c->g;
	uint64_t top, first, size;
	struct mapping m;

	if (!read_word(c, g->main_arena + g->at.top, &top) ||
	    !read_word(c, g->main_arena + g->at.bins, &first))
		return wrong(c, "main_arena cannot be read");
	c->g->started = top;
	if (!top)
		return !first || wrong(c, "main_arena has bins but no top chunk");
	/* at first the top is the head of the unsorted list, taken for a chunk of size 0 */
	if (top == g->main_arena + g->at.bins - 16)
		return true;
	if (!find_mapping(c, top, &m) || !m.writable || top % 16)
		return wrong(c, "main_arena's top chunk %#" PRIx64 " is in no heap", top);
	if (!read_word(c, top + 8, &size) || (size & ~7ULL) > m.end - top || (size & ~7ULL) < 16)
		return wrong(c, "main_arena's top chunk has a size that cannot be");
	return true;
}

/* Every list of free chunks is a ring through its head. */
static bool check_bins(struct checked *c)
{
	const struct mp_glibc *g = c->g;
	uint64_t head = g->main_arena + g->at.bins - 16, first, back;

	if (!read_word(c, head + 16, &first) || (first && !read_word(c, first + 24, &back)))
		return wrong(c, "main_arena's unsorted list cannot be read");
	if (first && back != head)
		return wrong(c, "main_arena's unsorted list is no ring");
	return true;
}

/*
 * The thresholds may have any value (mallopt, tunables), but where the heap began is known, unless
 * nothing came from brk yet.
 */
static bool check_parameters(struct checked *c)
{
	const struct mp_glibc *g = c->g;
	uint64_t base, system_mem;
	struct mapping m;

	if (!read_word(c, g->mp + g->at.mp_sbrk_base, &base) ||
	    !read_word(c, g->main_arena + g->at.system_mem, &system_mem))
		return wrong(c, "mp_ cannot be read");
	if (!base)
		return !system_mem || wrong(c, "mp_.sbrk_base is 0, but main_arena has memory");
	if (!find_mapping(c, base, &m) || !m.writable)
		return wrong(c, "mp_.sbrk_base %#" PRIx64 " is in no heap", base);
	return system_mem || wrong(c, "mp_.sbrk_base is set, but main_arena has no memory");
}

/* Heaps of other arenas are aligned to their greatest size, which huge pages change. */
static bool read_heap_max(struct checked *c)
{
	const struct mp_glibc *g = c->g;
	uint64_t huge = 0;

	c->g->heap_max_bytes = HEAP_MAX_BYTES;
	if (g->at.mp_hp_pagesize == MP_GLIBC_NONE)
		return true;
	if (!read_word(c, g->mp + g->at.mp_hp_pagesize, &huge))
		return wrong(c, "mp_ cannot be read");
	if (huge & (huge - 1) || huge > 1ULL << 32)
		return wrong(c, "mp_.hp_pagesize is %#" PRIx64, huge);
	if (huge)
		c->g->heap_max_bytes = huge * 4;
	return true;
}

static bool check_all(struct checked *c)
{
	return read_heap_max(c) && check_ring(c) && check_top(c) && check_bins(c) &&
	       check_parameters(c);
}

/* Where the thread-local @tls is, relative to the thread pointer. */
static bool find_tp(const struct checked *c, const struct mp_code_tls *tls, int64_t *tp)
{
	uint64_t word = (uint64_t)tls->value;

	if (tls->is_slot && !read_word(c, c->g->base + (uint64_t)tls->value, &word))
		return false;
	*tp = (int64_t)word;
	return *tp < 0 && *tp >= -MAX_TLS && *tp % 8 == 0;
}

static int check_process(pid_t pid, const struct mp_glibc_file *file, struct mp_glibc *g,
			 struct mp_err *err)
{
	struct checked c = { .pid = pid, .g = g };
	char name[64];
	bool right;

	snprintf(name, sizeof(name), "/proc/%d/mem", pid);
	c.mem = open(name, O_RDONLY | O_CLOEXEC);
	if (c.mem < 0)
		return mp_fail(err,
			       errno == EACCES || errno == EPERM ? MP_EXIT_LACKS : MP_EXIT_FAILED,
			       errno == ENOENT ? ESRCH : errno,
			       "process %d: its memory may not be read, or it has ended", pid);
	right = find_tp(&c, &file->tcache, &g->tcache_tp) &&
		find_tp(&c, &file->thread_arena, &g->thread_arena_tp);
	if (!right)
		wrong(&c, "libc's thread-local variables (tcache, thread_arena) have no place yet");
	for (int n = 0; right && n < TRIES; n++) {
		if (n)
			usleep(1000);
		if (check_all(&c))
			break;
		right = n + 1 < TRIES;
	}
	close(c.mem);
	return right ? 0 : mp_fail(err, MP_EXIT_FAILED, EBADMSG, "process %d: %s", pid, c.why);
}

static struct mp_glibc_code_at function_of(const struct mp_providers *p, size_t provider, int fn)
{
	for (size_t i = 0; i < p->nr_probes; i++) {
		const struct mp_attach *a = &p->probes[i];

		if (a->provider == provider && a->fn == fn)
			return (struct mp_glibc_code_at){
				a->addr - a->into - p->list[provider].bias, a->size
			};
	}
	return (struct mp_glibc_code_at){ 0, 0 };
}

static int read_provider(const struct mp_providers *p, size_t provider, struct mp_glibc_file *file,
			 struct mp_err *err)
{
	const struct mp_provider *v = &p->list[provider];
	const char *why = "";
	struct mp_elf *e;
	int fd, ret;

	fd = open(v->open_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return mp_fail(err, MP_EXIT_FAILED, EBADMSG, "%s can no longer be opened",
			       v->object);
	ret = mp_elf__open(fd, &e);
	if (ret) {
		close(fd);
		return mp_fail(err, MP_EXIT_FAILED, EBADMSG, "%s is no ELF object", v->object);
	}
	ret = mp_glibc_read_file(e, function_of(p, provider, MP_FN_MALLOC),
				 function_of(p, provider, MP_FN_CALLOC), file, &why);
	mp_elf__close(e);
	close(fd);
	if (ret == -ENOMEM)
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "out of memory");
	return ret ? mp_fail(err, MP_EXIT_FAILED, EBADMSG, "%s: %s", v->object, why) : 0;
}

int mp_glibc_find_in(pid_t pid, const struct mp_providers *providers, struct mp_glibc *out,
		     struct mp_err *err)
{
	struct mp_glibc_file file;
	size_t i = 0;
	int ret;

	memset(out, 0, sizeof(*out));
	while (i < providers->nr &&
	       (providers->list[i].kind != MP_ALLOC_GLIBC || !providers->list[i].allocates))
		i++;
	if (i == providers->nr)
		return mp_fail(
			err, MP_EXIT_FAILED, ENOENT,
			"process %d: its malloc is %s, not glibc's; only glibc's heap can be read",
			pid, providers->nr ? providers->list[0].object : "none that is known");
	ret = read_provider(providers, i, &file, err);
	if (ret)
		return ret;
	out->base = providers->list[i].bias;
	out->main_arena = out->base + file.main_arena;
	out->mp = out->base + file.mp;
	out->at = file.at;
	return check_process(pid, &file, out, err);
}

int mp_glibc_find(pid_t pid, struct mp_glibc *out, struct mp_err *err)
{
	struct mp_providers providers;
	int ret = mp_providers_find(pid, &providers, err);

	if (ret)
		return ret;
	ret = mp_glibc_find_in(pid, &providers, out, err);
	mp_providers_free(&providers);
	return ret;
}
