// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the model alone costs: events a second from a recorded file, and bytes per live block.
 *
 *	model [EVENTS [BLOCKS]]
 *	model --record FILE [EVENTS]	only makes the recording, with stacks
 *
 * First with the callers alone, then with stacks: 20000 different ones of 7 to 42 frames, told when
 * each is first used.
 *
 * The recording is made by a small allocator of size classes with a heap that grows by brk: blocks
 * of mixed sizes, freed mostly soon after (as programs do) and sometimes at random, a page fault at
 * the first touch of each page. It holds a million live blocks at most. CPU time is measured, of
 * reading and applying together; the middle of five runs counts.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "model/model.h"
#include "trace/trace.h"

#define RUNS     5
#define LIVE_MAX 1000000
#define CLASSES  64 /* of 16 bytes each */
#define HEAP     0x555555000000ULL
#define PID      1000
#define STACKS   20000
#define TREE     7 /* chunks that hang from one */

struct heap {
	uint64_t seed, top, touched, ns, pfn;
	uint64_t *live;
	size_t nr_live, cap_live;
	uint64_t *freed[CLASSES];
	size_t nr_freed[CLASSES], cap_freed[CLASSES];
	int (*put)(void *ctx, const struct mp_ev *ev);
	void *ctx;
	uint64_t events;
	bool with_stacks;
	uint32_t told; /* ids up to here */
};

static void die(const char *what)
{
	fprintf(stderr, "model: %s\n", what);
	exit(1);
}

static uint64_t draw(struct heap *h)
{
	/* xorshift64*: the same sequence every time */
	h->seed ^= h->seed >> 12;
	h->seed ^= h->seed << 25;
	h->seed ^= h->seed >> 27;
	return h->seed * 0x2545f4914f6cdd1dULL >> 16;
}

static void put(struct heap *h, void *event, int type, size_t size)
{
	struct mp_ev *ev = event;

	*ev = (struct mp_ev){
		.type = type, .size = size, .ts_ns = h->ns += 300, .tgid = PID, .tid = PID
	};
	if (h->put(h->ctx, ev))
		die("an event could not be stored or applied");
	h->events++;
}

static void push(uint64_t **array, size_t *n, size_t *cap, uint64_t value)
{
	if (*n == *cap) {
		*cap = *cap ? *cap * 2 : 1024;
		*array = realloc(*array, *cap * sizeof(**array));
		if (!*array)
			die("no memory");
	}
	(*array)[(*n)++] = value;
}

/* Chunks of a tree as call stacks share them; each is where a stack begins, the first few are not. */
static void tell(struct heap *h, uint32_t id)
{
	struct mp_ev_stack ev = { .id = id, .prev = id > TREE ? (id - 1) / TREE : 0, .nr = 7 };
	int i;

	ev.end = ev.prev ? MP_STACK_GOES_ON : MP_STACK_WHOLE;
	for (i = 0; i < ev.nr; i++)
		ev.pc[i] = HEAP - 0x40000000 + (uint64_t)id * 64 + i * 4;
	put(h, &ev, MP_EV_STACK, sizeof(ev));
}

/* A few are most of the calls, as in programs: the lesser of two draws. */
static uint32_t some_stack(struct heap *h)
{
	uint64_t a = draw(h) % STACKS, b = draw(h) % STACKS;
	uint32_t id = 1 + (a < b ? a : b);

	if (!h->with_stacks)
		return 0;
	while (h->told < id)
		tell(h, ++h->told);
	return id;
}

static void touch(struct heap *h, uint64_t end)
{
	for (; h->touched < end; h->touched += MP_PAGE_SIZE) {
		struct mp_ev_fault ev = {
			.addr = h->touched,
			.ip = HEAP - 0x100000,
			.pfn = ++h->pfn,
			.fault_ns = 700,
			.flags = MP_FAULT_WRITE | MP_FAULT_WALKED | MP_FAULT_PRESENT |
				 MP_FAULT_ANON | MP_FAULT_KIND_KNOWN | MP_FAULT_TIMED,
			.stack = some_stack(h),
			.syscall = -1,
		};

		put(h, &ev, MP_EV_FAULT, sizeof(ev));
	}
}

/* Small sizes are the rule: the product of two draws. */
static uint64_t some_size(struct heap *h)
{
	uint64_t r = draw(h);

	return 1 + (r & 31) * (r >> 8 & 31);
}

static void make_block(struct heap *h)
{
	uint64_t size = some_size(h), class = (size + 8 + 15) / 16;
	struct mp_ev_alloc ev = {
		.requested = size,
		.chunk = class * 16 | 1,
		.caller = HEAP - 0x200000 + draw(h) % 500 * 16,
		.stack = some_stack(h),
		.fn = MP_FN_MALLOC,
	};

	if (h->nr_freed[class]) {
		ev.addr = h->freed[class][--h->nr_freed[class]];
	} else {
		ev.addr = h->top + 16;
		h->top += class * 16;
	}
	put(h, &ev, MP_EV_ALLOC, sizeof(ev));
	touch(h, ev.addr + size);
	/* the class is kept below the address */
	push(&h->live, &h->nr_live, &h->cap_live, ev.addr << 8 | class);
}

static void end_block(struct heap *h)
{
	size_t recent = h->nr_live < 1000 ? h->nr_live : 1000;
	size_t i = draw(h) % 10 < 7 ? h->nr_live - 1 - draw(h) % recent : draw(h) % h->nr_live;
	uint64_t block = h->live[i], class = block & 0xff;
	struct mp_ev_free ev = { .addr = block >> 8, .fn = MP_FN_FREE };

	h->live[i] = h->live[--h->nr_live];
	put(h, &ev, MP_EV_FREE, sizeof(ev));
	push(&h->freed[class], &h->nr_freed[class], &h->cap_freed[class], ev.addr);
}

static void begin(struct heap *h, int (*fn)(void *ctx, const struct mp_ev *ev), void *ctx)
{
	struct mp_ev_allocator a = { .kind = MP_ALLOC_GLIBC };
	struct {
		struct mp_ev_allocator ev;
		char object[8];
	} e = { a, "libc" };

	*h = (struct heap){ .seed = 42, .top = HEAP, .touched = HEAP, .put = fn, .ctx = ctx };
	put(h, &e, MP_EV_ALLOCATOR, sizeof(e));
}

static void end(struct heap *h)
{
	int i;

	free(h->live);
	for (i = 0; i < CLASSES; i++)
		free(h->freed[i]);
}

static int to_file(void *ctx, const struct mp_ev *ev)
{
	return mp_writer__put(ctx, ev);
}

static int to_model(void *ctx, const struct mp_ev *ev)
{
	return mp_model__apply(ctx, ev);
}

static void record(const char *path, uint64_t events, bool with_stacks)
{
	struct mp_err err = { 0 };
	struct mp_writer *w = mp_writer__open(path, MP_LEVEL_DEFAULT, 0, 0, &err);
	struct heap h;

	if (!w)
		die(err.text);
	begin(&h, to_file, w);
	h.with_stacks = with_stacks;
	while (h.events < events) {
		if (!h.nr_live || (h.nr_live < LIVE_MAX && draw(&h) % 9 < 5))
			make_block(&h);
		else
			end_block(&h);
	}
	end(&h);
	if (mp_writer__close(w, &err))
		die(err.text);
}

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static double replay(const char *path, double *report_seconds, uint64_t *live)
{
	struct mp_model *m = mp_model__new();
	struct mp_err err = { 0 };
	struct mp_report *r;
	double start = cpu_seconds(), took;
	int truncated;

	if (!m || mp_file_read(path, to_model, m, &truncated, &err))
		die(m ? err.text : "no memory");
	took = cpu_seconds() - start;
	*live = mp_model__live_blocks(m);
	start = cpu_seconds();
	r = mp_model__report(m, 0);
	*report_seconds = cpu_seconds() - start;
	if (!r)
		die("no report");
	mp_report__free(r);
	mp_model__free(m);
	return took;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void speed(uint64_t events, bool with_stacks)
{
	const char *path = "build/bench-model.mpt";
	double took[RUNS], report = 0;
	uint64_t live = 0;
	int i;

	record(path, events, with_stacks);
	for (i = 0; i < RUNS; i++)
		took[i] = replay(path, &report, &live);
	unlink(path);
	qsort(took, RUNS, sizeof(*took), by_value);
	printf("model: %.2f million events/s from a file, %s (middle of %d runs, %.2f to %.2f), "
	       "%" PRIu64 " events, %" PRIu64 " blocks live at the end, report %.2f s\n",
	       events / took[RUNS / 2] / 1e6, with_stacks ? "stacks" : "callers", RUNS,
	       events / took[RUNS - 1] / 1e6, events / took[0] / 1e6, events, live, report);
}

/* The heap filled, thinned out by half at random, and filled again: no leaf is as it was built. */
static void size(uint64_t blocks)
{
	struct mp_model *m = mp_model__new();
	uint64_t before, n = blocks;
	double start, took;
	struct heap h;

	if (!m)
		die("no memory");
	begin(&h, to_model, m);
	while (h.nr_live < blocks)
		make_block(&h);
	printf("model: %.1f bytes per live block at %" PRIu64 " blocks, built in order\n",
	       (double)mp_model__block_bytes(m) / mp_model__live_blocks(m),
	       mp_model__live_blocks(m));
	before = h.events;
	start = cpu_seconds();
	while (n-- > blocks / 2)
		end_block(&h);
	while (h.nr_live < blocks)
		make_block(&h);
	took = cpu_seconds() - start;
	printf("model: %.1f bytes per live block at %" PRIu64
	       " blocks, half of them replaced, %.2f million events/s\n",
	       (double)mp_model__block_bytes(m) / mp_model__live_blocks(m),
	       mp_model__live_blocks(m), (h.events - before) / took / 1e6);
	end(&h);
	mp_model__free(m);
}

int main(int argc, char **argv)
{
	uint64_t events;

	if (argc > 2 && !strcmp(argv[1], "--record")) {
		record(argv[2], argc > 3 ? strtoull(argv[3], NULL, 10) : 10000000, true);
		return 0;
	}
	events = argc > 1 ? strtoull(argv[1], NULL, 10) : 12000000;

	speed(events, false);
	speed(events, true);
	size(argc > 2 ? strtoull(argv[2], NULL, 10) : 10000000);
	return 0;
}
