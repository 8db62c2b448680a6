// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A million random events to the model and to the naive one, which must agree on every block, page,
 * site and sum. MODEL_EVENTS=N runs N events, MODEL_SEED=S begins elsewhere. A failure names the
 * world that shows it: MODEL_WORLD=W runs that one alone and compares after each event.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "model/inside.h"
#include "model_naive_inside.h"

#ifdef __SANITIZE_ADDRESS__
#define EVENTS 200000 /* the sanitizers take their time */
#else
#define EVENTS 1000000
#endif
#define WORLD_EVENTS 5000 /* then all begins anew */
#define COMPARE_EACH 250
#define LAG          16 /* events that a reading may be late */

struct world {
	uint64_t number, seed, ns, pfn;
	uint64_t past[LAG]; /* times of the last events */
	bool alive[NAIVE_PROCS + 1], was[NAIVE_PROCS + 1];
	uint64_t old[NAIVE_PROCS + 1][8]; /* by thread: what it is reallocating */
	uint32_t stray_child;
	/* one process and image, nothing moved: what of an event's many changes is lost first is open */
	bool narrow;
	uint64_t grain; /* blocks start at multiples of it */
	struct mp_model *m;
	struct naive *n;
};

static uint64_t draw(struct world *w, uint64_t below)
{
	w->seed += 0x9e3779b97f4a7c15ULL; /* splitmix64 */
	uint64_t z = w->seed;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z ^ z >> 31) % below;
}

static void put(struct world *w, void *event, int type, size_t size, uint32_t pid, uint32_t tid)
{
	struct mp_ev *ev = event;

	*ev = (struct mp_ev){ .type = type, .size = size, .ts_ns = w->ns, .tgid = pid, .tid = tid };
	assert_int_equal(mp_model__apply(w->m, ev), 0);
	naive_apply(w->n, ev);
}

/* The callers lie in a file, so that they are the same sites in every process and image. */
static void map_code(struct world *w, uint32_t pid)
{
	struct mp_ev_maps maps = { .h = { .type = MP_EV_MAPS, .size = sizeof(maps), .tgid = pid },
				   .nr = 1 };
	struct {
		struct mp_ev_map ev;
		char name[8];
	} map = { .ev = { .h = { .type = MP_EV_MAP, .size = sizeof(map), .tgid = pid },
			  .start = NAIVE_CODE,
			  .end = NAIVE_CODE + 16 * NAIVE_CALLERS,
			  .ino = 5,
			  .perms = PROT_READ | PROT_EXEC,
			  .kind = MP_VMA_FILE } };

	maps.h.ts_ns = map.ev.h.ts_ns = maps.begin_ns = w->ns;
	assert_int_equal(mp_model__apply(w->m, &maps.h), 0);
	assert_int_equal(mp_model__apply(w->m, &map.ev.h), 0);
}

/* Stacks are told for odd callers, by an id above these. */
enum { CALL = 100, INSIDE = 200, TOUCHING = 300, MAIN = 1 };

static uint32_t stack_of(int kind, uint64_t addr)
{
	return naive_caller(addr) % 2 ? kind + naive_caller(addr) : 0;
}

static void tell_stack(struct world *w, uint32_t id, uint32_t prev, const uint64_t *pc, int nr)
{
	struct mp_ev_stack ev = {
		.id = id, .prev = prev, .nr = nr, .end = prev ? MP_STACK_GOES_ON : MP_STACK_WHOLE
	};

	memcpy(ev.pc, pc, nr * sizeof(*pc));
	put(w, &ev, MP_EV_STACK, sizeof(ev), 1, 1);
}

/* The same call as it is told by itself, and by a fault within the allocator. */
static void tell_stacks(struct world *w)
{
	uint64_t pc[6] = { NAIVE_CODE + 4, NAIVE_CODE + 8 };
	int i, nr;

	tell_stack(w, MAIN, 0, pc, 2);
	for (i = 1; i < NAIVE_CALLERS; i += 2) {
		for (nr = 0; nr < i % 3; nr++)
			pc[nr] = NAIVE_CODE + 5 + nr;
		pc[nr] = NAIVE_CODE + 16 * i;
		tell_stack(w, CALL + i, MAIN, pc, nr + 1);
		pc[nr + 1] = 0x7f0000001234;
		pc[nr + 2] = 0x7f0000005678 | MP_STACK_EXACT;
		tell_stack(w, INSIDE + i, MAIN, pc, nr + 3);
		pc[nr] |= MP_STACK_EXACT;
		tell_stack(w, TOUCHING + i, MAIN, pc, nr + 1);
	}
}

static uint64_t caller(struct world *w)
{
	uint64_t i = draw(w, NAIVE_CALLERS);

	return i ? NAIVE_CODE + 16 * i : 0;
}

static uint64_t some_size(struct world *w)
{
	switch (draw(w, 20)) {
	case 0:
		return 0;
	case 1:
		return draw(w, 40 * MP_PAGE_SIZE);
	case 2:
	case 3:
		return draw(w, 5 * MP_PAGE_SIZE);
	}
	return draw(w, w->grain < 16 && draw(w, 2) ? 8 : 300);
}

static uint64_t some_addr(struct world *w, uint64_t size)
{
	return NAIVE_BASE + draw(w, NAIVE_PAGES * MP_PAGE_SIZE - size) / w->grain * w->grain;
}

static struct mp_ev_alloc some_alloc(struct world *w)
{
	uint64_t size = some_size(w);

	return (struct mp_ev_alloc){ .addr = draw(w, 40) ? some_addr(w, size + 16) : 0,
				     .requested = size,
				     .caller = caller(w),
				     .fn = MP_FN_MALLOC };
}

static void do_alloc(struct world *w, uint32_t pid, uint32_t tid)
{
	struct mp_ev_alloc ev = some_alloc(w);

	ev.stack = stack_of(CALL, ev.caller);
	put(w, &ev, MP_EV_ALLOC, sizeof(ev), pid, tid);
}

static uint64_t block_or_not(struct world *w, uint32_t pid)
{
	uint64_t addr = draw(w, 10) ? naive_some_block(w->n, pid, draw(w, 300)) : 0;

	return addr ? addr : some_addr(w, 16);
}

static void do_free(struct world *w, uint32_t pid, uint32_t tid)
{
	struct mp_ev_free ev = { .addr = block_or_not(w, pid),
				 .caller = caller(w),
				 .fn = draw(w, 2) ? MP_FN_FREE : MP_FN_DELETE };

	put(w, &ev, MP_EV_FREE, sizeof(ev), pid, tid);
}

static void do_realloc(struct world *w, uint32_t pid, uint32_t tid)
{
	struct mp_ev_free ev = { .addr = block_or_not(w, pid), .fn = MP_FN_REALLOC };
	struct mp_ev_realloc_done done = { .a = some_alloc(w), .old = w->old[pid][tid % 8] };

	if (!done.old || !draw(w, 50)) { /* now and then a return is lost */
		w->old[pid][tid % 8] = ev.addr;
		put(w, &ev, MP_EV_REALLOC, sizeof(ev), pid, tid);
		return;
	}
	if (!draw(w, 3))
		done.a.addr = done.old;
	if (!draw(w, 60))
		done.old += 16; /* its entry was lost */
	if (!draw(w, 10))
		done.a.addr = done.a.requested = 0;
	if (done.a.addr + done.a.requested > NAIVE_BASE + NAIVE_PAGES * MP_PAGE_SIZE)
		done.a.requested = 8;
	done.a.fn = MP_FN_REALLOC;
	done.a.stack = stack_of(CALL, done.a.caller);
	w->old[pid][tid % 8] = 0;
	put(w, &done, MP_EV_REALLOC_DONE, sizeof(done), pid, tid);
}

/* A fresh one, so that no two pages of a process ever have the same. */
static uint64_t new_pfns(struct world *w, uint64_t nr)
{
	w->pfn = (w->pfn + nr - 1) / nr * nr + nr;
	return w->pfn - nr;
}

static void send_folio(struct world *w, const struct mp_ev_fault *fault, uint32_t pid, uint32_t tid)
{
	uint64_t nr = 1ULL << fault->order;
	struct {
		struct mp_ev_pages ev;
		uint64_t entry;
	} e = { .ev = { .addr = fault->addr & ~(nr * MP_PAGE_SIZE - 1),
			.begin_ns = w->ns,
			.nr = nr,
			.source = MP_SRC_FAULT,
			.contig = 1,
			.order = fault->order } };

	e.entry = (fault->pfn & ~(nr - 1)) | MP_PAGE_PRESENT | MP_PAGE_ANON;
	w->ns += 100;
	put(w, &e, MP_EV_PAGES, sizeof(e), pid, tid);
}

static void do_fault(struct world *w, uint32_t pid, uint32_t tid)
{
	static const uint32_t kinds[] = {
		MP_FAULT_ANON | MP_FAULT_WRITE,  MP_FAULT_ANON | MP_FAULT_WRITE | MP_FAULT_PROT,
		MP_FAULT_ANON | MP_FAULT_MAJOR,  MP_FAULT_ZERO,
		MP_FAULT_ANON | MP_FAULT_KERNEL, MP_FAULT_ANON | MP_FAULT_GUP,
	};
	struct mp_ev_fault ev = {
		.addr = NAIVE_BASE + draw(w, NAIVE_PAGES * MP_PAGE_SIZE),
		.ip = caller(w),
		.flags = MP_FAULT_WALKED | MP_FAULT_PRESENT | MP_FAULT_KIND_KNOWN |
			 kinds[draw(w, 6)],
		.syscall = -1,
	};
	uint64_t page = (ev.addr - NAIVE_BASE) / MP_PAGE_SIZE;

	ev.pfn = new_pfns(w, 1);
	if (!draw(w, 4)) {
		ev.flags |= MP_FAULT_IN_ALLOC;
		ev.in_fn = draw(w, 4) ? MP_FN_MALLOC : MP_FN_MMAP;
		ev.caller = caller(w);
	}
	ev.stack = stack_of(TOUCHING, ev.ip);
	if (ev.flags & MP_FAULT_IN_ALLOC && ev.in_fn != MP_FN_MMAP) {
		/* the allocator touched: nobody outside of it is told of */
		ev.stack = stack_of(INSIDE, ev.caller);
		ev.ip -= naive_caller(ev.ip) % 2 * 16;
		ev.ip = naive_caller(ev.ip) ? ev.ip : 0;
	}
	if (!draw(w, 10)) {
		ev.order = 1 + draw(w, 4);
		ev.pfn = new_pfns(w, 1 << ev.order) + page % (1 << ev.order);
	}
	if (!draw(w, 400)) {
		ev.flags |= MP_FAULT_PMD;
		ev.order = 9;
		ev.pfn = new_pfns(w, 512) + page;
	}
	put(w, &ev, MP_EV_FAULT, sizeof(ev), pid, tid);
	if (ev.order && ev.order < 9 && ev.flags & MP_FAULT_ANON && draw(w, 8))
		send_folio(w, &ev, pid, tid);
}

/* What a reading may hold: what is there, something new, swap, zero page, nothing. */
static uint64_t some_entry(struct world *w, uint32_t pid, uint64_t nr)
{
	uint64_t pfn = naive_some_pfn(w->n, pid, draw(w, NAIVE_PAGES));

	switch (draw(w, 8)) {
	case 0:
		return draw(w, 100) | MP_PAGE_SWAP;
	case 1:
		return NAIVE_ZERO_PFN | MP_PAGE_PRESENT | MP_PAGE_ZERO;
	case 2:
		return 0;
	case 3:
		if (nr == 1 && pfn)
			return 0;
	}
	return new_pfns(w, nr) | MP_PAGE_PRESENT | MP_PAGE_ANON;
}

/* Of the folio that the kernel has made, or has left. */
static uint64_t some_order(struct world *w)
{
	switch (draw(w, 4)) {
	case 0:
		return MP_PAGE_HUGE;
	case 1:
		return MP_PAGE_ORDERED | draw(w, 5) << MP_PAGE_ORDER_SHIFT;
	}
	return 0;
}

static void do_pages(struct world *w, uint32_t pid, uint32_t tid)
{
	static const int sources[] = { MP_SRC_POPULATE, MP_SRC_SEEDED, MP_SRC_RECONCILED,
				       MP_SRC_CHECK,    MP_SRC_CHECK,  MP_SRC_TOOL,
				       MP_SRC_MOVED,    MP_SRC_MOVED };
	struct {
		struct mp_ev_pages ev;
		uint64_t entries[16];
	} e = { .ev = { .source = sources[draw(w, 8)], .contig = draw(w, 2) } };
	uint64_t i, page = draw(w, NAIVE_PAGES - 16);
	const struct mp_page_rec *rec;

	e.ev.nr = 1 + draw(w, 16);
	e.ev.addr = NAIVE_BASE + page * MP_PAGE_SIZE;
	e.ev.begin_ns = draw(w, 2) ? w->ns : w->past[draw(w, LAG)];
	e.entries[0] = some_entry(w, pid, e.ev.contig ? 16 : 1);
	for (i = 0; !e.ev.contig && i < e.ev.nr; i++) {
		rec = mp_pages__get(&mp_process_of(w->m, pid)->pages,
				    (e.ev.addr >> MP_PAGE_SHIFT) + i);
		e.entries[i] = some_entry(w, pid, 1);
		/* mostly what the ledger has: readings confirm more than they change */
		if (rec && rec->state != MP_STATE_SWAPPED && draw(w, 3))
			e.entries[i] = rec->pfn | MP_PAGE_PRESENT |
				       (rec->state == MP_STATE_ZERO ? MP_PAGE_ZERO : MP_PAGE_ANON);
	}
	e.ev.shares = e.ev.source != MP_SRC_POPULATE && e.ev.source != MP_SRC_MOVED && draw(w, 2);
	for (i = 0; e.ev.shares && i < e.ev.nr; i++)
		if (e.entries[i] & MP_PAGE_ANON && !draw(w, 3))
			e.entries[i] |= MP_PAGE_SHARED;
	for (i = 0; e.ev.source == MP_SRC_MOVED && i < (e.ev.contig ? 1 : e.ev.nr); i++)
		if (e.entries[i] & MP_PAGE_ANON)
			e.entries[i] |= some_order(w);
	if (e.ev.source == MP_SRC_MOVED && e.ev.contig && draw(w, 2))
		e.entries[0] = MP_PAGE_MOVING;
	put(w, &e, MP_EV_PAGES, sizeof(e), pid, tid);
}

static void do_page_free(struct world *w, uint32_t pid)
{
	struct mp_ev_page_free ev = { .pfn = naive_some_pfn(w->n, pid, draw(w, NAIVE_PAGES)),
				      .order = w->narrow || draw(w, 10) ? 0 : draw(w, 4) };

	if (!ev.pfn || !draw(w, 20))
		ev.pfn = new_pfns(w, 1) + draw(w, 3); /* of a page nobody knows yet */
	put(w, &ev, MP_EV_PAGE_FREE, sizeof(ev), 0, 0);
}

static uint64_t some_range(struct world *w, __u64 *len)
{
	uint64_t nr = 1 + draw(w, draw(w, 4) ? 8 : 60);

	*len = nr * MP_PAGE_SIZE;
	return NAIVE_BASE + draw(w, NAIVE_PAGES - nr) * MP_PAGE_SIZE;
}

static void do_range(struct world *w, uint32_t pid, uint32_t tid)
{
	static const int ops[] = { MP_OP_MUNMAP, MP_OP_MADVISE, MP_OP_MMAP, MP_OP_MMAP,
				   MP_OP_MREMAP };
	struct mp_ev_range ev = { .op = ops[draw(w, w->narrow ? 4 : 5)], .caller = caller(w) };
	uint64_t moved;

	ev.enter_ns = draw(w, 2) ? w->ns : w->past[draw(w, LAG)];
	ev.addr = some_range(w, &ev.len);
	ev.in_fn = draw(w, 3) ? MP_FN_NONE : draw(w, 2) ? MP_FN_MALLOC : MP_FN_MMAP;
	if (ev.op == MP_OP_MADVISE)
		ev.prot = draw(w, 4) ? MADV_DONTNEED : MADV_FREE;
	if (ev.op == MP_OP_MMAP) {
		ev.flags = MAP_PRIVATE | MAP_ANONYMOUS | (draw(w, 8) ? 0 : MAP_STACK) |
			   (draw(w, 2) ? MAP_FIXED : 0);
		ev.prot = PROT_READ | PROT_WRITE;
		ev.ret = ev.addr;
	}
	if (ev.op == MP_OP_MREMAP) {
		ev.old = some_range(w, &ev.old_len);
		moved = ev.addr + ev.len <= ev.old || ev.old + ev.old_len <= ev.addr;
		ev.ret = moved ? ev.addr : ev.old;
		if (ev.ret + ev.len > NAIVE_BASE + NAIVE_PAGES * MP_PAGE_SIZE)
			ev.len = ev.old_len;
	}
	ev.stack = stack_of(CALL, ev.caller);
	if (!draw(w, 20))
		ev.ret = -12;
	if (ev.ret == -12 && ev.op == MP_OP_MADVISE)
		ev.ret = -22; /* ENOMEM does the work all the same */
	put(w, &ev, MP_EV_RANGE, sizeof(ev), pid, tid);
}

static void do_life(struct world *w, uint32_t pid, uint32_t tid)
{
	struct mp_ev_fork fork = { .child = 1 + draw(w, NAIVE_PROCS), .followed = 1 };
	struct mp_ev_exec exec = { .comm = "next" };
	struct mp_ev_exit exit = { .valid = 0 };
	uint64_t nr;

	switch (w->narrow ? 2 : draw(w, 8)) {
	case 0:
		for (nr = draw(w, 6); nr--;) /* the old image goes before the word of the new one */
			do_page_free(w, pid);
		put(w, &exec, MP_EV_EXEC, sizeof(exec), pid, tid);
		memset(w->old[pid], 0, sizeof(w->old[pid]));
		map_code(w, pid);
		return;
	case 1:
		if (pid == 1)
			return; /* somebody must go on */
		put(w, &exit, MP_EV_EXIT, sizeof(exit), pid, tid);
		w->alive[pid] = false;
		return;
	case 2:
		fork.child = 1000 + w->stray_child++;
		fork.followed = 0;
		put(w, &fork, MP_EV_FORK, sizeof(fork), pid, tid);
		return;
	}
	if (w->was[fork.child])
		return;
	put(w, &fork, MP_EV_FORK, sizeof(fork), pid, tid);
	w->was[fork.child] = w->alive[fork.child] = true;
}

static void step(struct world *w)
{
	uint32_t pid, tid;

	do
		pid = 1 + draw(w, NAIVE_PROCS);
	while (!w->alive[pid]);
	tid = pid * 8 + draw(w, 8);
	w->past[draw(w, LAG)] = w->ns;
	w->ns += 1 + draw(w, 30000);
	switch (draw(w, 64)) {
	case 0 ... 15:
		do_alloc(w, pid, tid);
		break;
	case 16 ... 29:
		do_free(w, pid, tid);
		break;
	case 30 ... 37:
		do_realloc(w, pid, tid);
		break;
	case 38 ... 51:
		do_fault(w, pid, tid);
		break;
	case 52 ... 55:
		do_pages(w, pid, tid);
		break;
	case 56 ... 58:
		do_page_free(w, pid);
		break;
	case 59 ... 62:
		do_range(w, pid, tid);
		break;
	default:
		if (!draw(w, 8))
			do_life(w, pid, tid);
		else
			do_fault(w, pid, tid);
	}
}

static void compare(struct world *w, uint64_t events)
{
	struct mp_report *r = mp_model__report(w->m, MP_REPORT_PAGES | MP_REPORT_BLOCKS);
	const char *wrong = mp_model_check(w->m);

	assert_non_null(r);
	if (!wrong)
		wrong = naive_compare(w->n, r);
	if (wrong)
		fail_msg("world %llu, event %llu: %s", (unsigned long long)w->number,
			 (unsigned long long)events, wrong);
	mp_report__free(r);
}

static void run_world(uint64_t number, uint64_t seed, uint64_t events, uint64_t each)
{
	struct world w = { .number = number, .seed = seed + number * 0x1000003, .ns = 1ULL << 40 };
	struct mp_ev_host host = { .h = { .type = MP_EV_HOST, .size = sizeof(host) },
				   .zero_pfn = NAIVE_ZERO_PFN };
	struct mp_ev_proc proc = { .comm = "random", .launched = number & 1 };
	/* half the worlds keep what was, half of those not all of it */
	static const size_t keeps[] = { 0, 1 << 20, 0, 700 };
	uint64_t i;

	w.pfn = 4096;
	for (i = 0; i < LAG; i++)
		w.past[i] = w.ns;
	w.m = mp_model__new();
	w.grain = number % 8 ? 16 : 1 + draw(&w, 8); /* some allocators' are less than glibc's */
	w.narrow = keeps[number % 4] && keeps[number % 4] < events;
	w.n = naive_new(keeps[number % 4]);
	if (keeps[number % 4])
		assert_int_equal(mp_model__keep_history(w.m, keeps[number % 4]), 0);
	w.alive[1] = w.was[1] = true;
	assert_int_equal(mp_model__apply(w.m, &host.h), 0);
	put(&w, &proc, MP_EV_PROC, sizeof(proc), 1, 0);
	map_code(&w, 1);
	tell_stacks(&w);
	for (i = 1; i <= events; i++) {
		step(&w);
		if (i % each == 0)
			compare(&w, i);
	}
	naive_free(w.n);
	mp_model__free(w.m);
}

static uint64_t asked(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void agrees_with_the_naive_model(void **state)
{
	uint64_t events = asked("MODEL_EVENTS", EVENTS), seed = asked("MODEL_SEED", 1);
	uint64_t world = asked("MODEL_WORLD", UINT64_MAX), i;

	(void)state;
	if (world != UINT64_MAX) {
		run_world(world, seed, WORLD_EVENTS, 1);
		return;
	}
	for (i = 0; i * WORLD_EVENTS < events; i++)
		run_world(i, seed, WORLD_EVENTS, COMPARE_EACH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_naive_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
