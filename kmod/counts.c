// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Faults by address. A region of 2 MiB has a chain of chunks, each one page; a chunk is a small
 * open-addressed table whose cells say "this page, this kind, this latency, by whom: n times, first
 * and last then". Rows of any range are sums over cells, so they follow VMAs wherever those go, and
 * the numbers of PID/vmas and PID/latency come from the same cells.
 *
 * The probe takes chunks from a reserve that a worker refills: it neither sleeps nor calls the page
 * allocator. With the reserve or the memory used up a fault is counted without its address.
 */
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/irq_work.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mallocpath.h"

#define REGION_SHIFT 21
#define GROUP        8  /* cells that a page's counts may lie in, in each chunk */
#define GROUPS       21 /* as many as fit in a page */
#define BATCH        32 /* chunks handled before a lock is let go */

const char *const mp_kind_names[MP_KIND_NR] = {
	[MP_KIND_ANON] = "anon", [MP_KIND_THP] = "thp",     [MP_KIND_MTHP] = "mthp",
	[MP_KIND_ZERO] = "zero", [MP_KIND_COW] = "cow",     [MP_KIND_SWAPIN] = "swapin",
	[MP_KIND_FILE] = "file", [MP_KIND_SHMEM] = "shmem",
};

/* The key of a cell, never 0 */
#define WHAT_PAGE(what)   ((what)&511)
#define WHAT_KIND(what)   ((what) >> 9 & 7)
#define WHAT_BUCKET(what) ((what) >> 12 & 31)
#define WHAT_MAJOR        (1U << 17)
#define WHAT_FOREIGN      (1U << 18)
#define WHAT_USED         (1U << 19)

struct mp_cell {
	u32 what; /* 0: empty */
	u32 count;
	u64 first_ns, last_ns;
};

struct mp_chunk {
	struct rb_node node;   /* of a region's first chunk */
	struct mp_chunk *next; /* of the region; of the pool */
	unsigned long region;
	struct mp_cell cells[GROUPS][GROUP];
};
static_assert(sizeof(struct mp_chunk) <= PAGE_SIZE);
static_assert(MP_KIND_NR <= 8 && MP_BUCKETS <= 32);

/* --- the reserve */

static struct {
	raw_spinlock_t lock;
	struct mp_chunk *reserve;
	unsigned int nr_reserve;
	atomic_long_t used; /* bytes: chunks in use or in reserve, spaces, targets */
	bool full;          /* the worker could not refill the reserve */
	struct irq_work kick;
	struct work_struct refill;
} pool;

static atomic_long_t unplaced; /* faults, since the module was loaded */

/* Faults come from every CPU while the worker waits for its turn. */
static unsigned int reserve_wanted(void)
{
	unsigned long wanted = 64UL * num_online_cpus();

	return clamp(wanted, 1UL, mp_memory_limit / PAGE_SIZE / 4 + 1);
}

bool mp_memory_charge(size_t bytes)
{
	if (atomic_long_add_return(bytes, &pool.used) <= mp_memory_limit)
		return true;
	atomic_long_sub(bytes, &pool.used);
	return false;
}

void mp_memory_uncharge(size_t bytes)
{
	atomic_long_sub(bytes, &pool.used);
}

size_t mp_memory_used(void)
{
	return atomic_long_read(&pool.used);
}

unsigned long mp_faults_unplaced(void)
{
	return atomic_long_read(&unplaced);
}

bool mp_memory_full(void)
{
	return READ_ONCE(pool.full);
}

static void chunk_free(struct mp_chunk *chunk)
{
	free_page((unsigned long)chunk);
	mp_memory_uncharge(PAGE_SIZE);
}

static void chunks_free(struct mp_chunk *chunk)
{
	while (chunk) {
		struct mp_chunk *next = chunk->next;

		chunk_free(chunk);
		chunk = next;
	}
}

static struct mp_chunk *chunk_alloc(void)
{
	struct mp_chunk *chunk;

	if (!mp_memory_charge(PAGE_SIZE))
		return NULL;
	chunk = (struct mp_chunk *)get_zeroed_page(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (!chunk)
		mp_memory_uncharge(PAGE_SIZE);
	return chunk;
}

static void pool_refill(struct work_struct *work)
{
	while (READ_ONCE(pool.nr_reserve) < reserve_wanted()) {
		struct mp_chunk *chunk = chunk_alloc();

		WRITE_ONCE(pool.full, !chunk);
		if (!chunk)
			return;
		raw_spin_lock(&pool.lock);
		chunk->next = pool.reserve;
		pool.reserve = chunk;
		pool.nr_reserve++;
		raw_spin_unlock(&pool.lock);
	}
}

/* A probe may interrupt whoever holds the scheduler's locks; an interrupt of our own does not. */
static void pool_kick(struct irq_work *work)
{
	queue_work(system_highpri_wq, &pool.refill);
}

static struct mp_chunk *pool_take(unsigned long region)
{
	struct mp_chunk *chunk;
	bool low;

	raw_spin_lock(&pool.lock);
	chunk = pool.reserve;
	if (chunk) {
		pool.reserve = chunk->next;
		pool.nr_reserve--;
	}
	low = pool.nr_reserve <= reserve_wanted() / 2;
	raw_spin_unlock(&pool.lock);
	if (low)
		irq_work_queue(&pool.kick);
	if (chunk) {
		chunk->next = NULL;
		chunk->region = region;
	}
	return chunk;
}

void mp_pool_init(void)
{
	raw_spin_lock_init(&pool.lock);
	init_irq_work(&pool.kick, pool_kick);
	INIT_WORK(&pool.refill, pool_refill);
}

bool mp_pool_fill(void)
{
	pool_refill(NULL);
	return READ_ONCE(pool.nr_reserve);
}

void mp_pool_drain(void)
{
	struct mp_chunk *chunks;

	irq_work_sync(&pool.kick);
	cancel_work_sync(&pool.refill);
	raw_spin_lock(&pool.lock);
	chunks = pool.reserve;
	pool.reserve = NULL;
	pool.nr_reserve = 0;
	raw_spin_unlock(&pool.lock);
	chunks_free(chunks);
	WRITE_ONCE(pool.full, false);
}

/* --- sums */

static void sum_times(struct mp_sum *sum, u64 first_ns, u64 last_ns)
{
	if (first_ns && (!sum->first_ns || first_ns < sum->first_ns))
		sum->first_ns = first_ns;
	if (last_ns > sum->last_ns)
		sum->last_ns = last_ns;
}

static void sum_cell(struct mp_sum *sum, const struct mp_cell *cell)
{
	sum->kind[WHAT_KIND(cell->what)] += cell->count;
	sum->latency[WHAT_KIND(cell->what)][WHAT_BUCKET(cell->what)] += cell->count;
	if (cell->what & WHAT_MAJOR)
		sum->major += cell->count;
	else
		sum->minor += cell->count;
	if (cell->what & WHAT_FOREIGN)
		sum->foreign += cell->count;
	sum_times(sum, cell->first_ns, cell->last_ns);
}

void mp_sum_add(struct mp_sum *sum, const struct mp_sum *more)
{
	int kind, bucket;

	for (kind = 0; kind < MP_KIND_NR; kind++) {
		sum->kind[kind] += more->kind[kind];
		for (bucket = 0; bucket < MP_BUCKETS; bucket++)
			sum->latency[kind][bucket] += more->latency[kind][bucket];
	}
	sum->minor += more->minor;
	sum->major += more->major;
	sum->foreign += more->foreign;
	sum_times(sum, more->first_ns, more->last_ns);
}

/* --- the table; counts->lock is held where not said otherwise */

void mp_counts_init(struct mp_counts *counts)
{
	raw_spin_lock_init(&counts->lock);
	counts->regions = RB_ROOT;
}

/* The first chunk of the lowest region that is not below @region, or NULL. */
static struct mp_chunk *region_ceil(struct mp_counts *counts, unsigned long region)
{
	struct rb_node *node = counts->regions.rb_node;
	struct mp_chunk *best = NULL;

	while (node) {
		struct mp_chunk *chunk = rb_entry(node, struct mp_chunk, node);

		if (chunk->region < region) {
			node = node->rb_right;
		} else {
			best = chunk;
			node = node->rb_left;
		}
	}
	return best;
}

static void region_insert(struct mp_counts *counts, struct mp_chunk *new)
{
	struct rb_node **link = &counts->regions.rb_node, *parent = NULL;

	while (*link) {
		struct mp_chunk *chunk = rb_entry(*link, struct mp_chunk, node);

		parent = *link;
		link = new->region < chunk->region ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&new->node, parent, link);
	rb_insert_color(&new->node, &counts->regions);
}

/* Takes a region out and hands its chunks, in front of @list, to the caller. */
static struct mp_chunk *region_remove(struct mp_counts *counts, struct mp_chunk *first,
				      struct mp_chunk *list)
{
	struct mp_chunk *tail = first;

	rb_erase(&first->node, &counts->regions);
	if (counts->last == first)
		counts->last = NULL;
	for (counts->nr_chunks--; tail->next; tail = tail->next)
		counts->nr_chunks--;
	tail->next = list;
	return first;
}

static struct mp_chunk *region_of(struct mp_counts *counts, unsigned long region)
{
	struct mp_chunk *first = counts->last;

	if (first && first->region == region)
		return first;
	first = region_ceil(counts, region);
	if (!first || first->region != region) {
		first = pool_take(region);
		if (!first)
			return NULL;
		region_insert(counts, first);
		counts->nr_chunks++;
	}
	counts->last = first;
	return first;
}

/* The cell for @what in the chain of @first, an empty one if there is none yet, or NULL. */
static struct mp_cell *cell_of(struct mp_counts *counts, struct mp_chunk *first, u32 what)
{
	unsigned int group = WHAT_PAGE(what) % GROUPS, i;
	struct mp_cell *empty = NULL;
	struct mp_chunk *chunk;

	for (chunk = first; chunk; chunk = chunk->next) {
		for (i = 0; i < GROUP; i++) {
			struct mp_cell *cell = &chunk->cells[group][i];

			if (cell->what == what && cell->count != U32_MAX)
				return cell;
			if (!cell->what && !empty)
				empty = cell;
		}
	}
	if (empty)
		return empty;
	chunk = pool_take(first->region);
	if (!chunk)
		return NULL;
	chunk->next = first->next;
	first->next = chunk;
	counts->nr_chunks++;
	return &chunk->cells[group][0];
}

static void counts_put(struct mp_counts *counts, unsigned long addr, const struct mp_cell *more)
{
	struct mp_chunk *first = region_of(counts, addr >> REGION_SHIFT);
	struct mp_cell *cell = first ? cell_of(counts, first, more->what) : NULL;

	if (!cell) {
		sum_cell(&counts->unplaced, more);
		atomic_long_add(more->count, &unplaced);
		return;
	}
	if (!cell->what || more->first_ns < cell->first_ns)
		cell->first_ns = more->first_ns;
	if (more->last_ns > cell->last_ns)
		cell->last_ns = more->last_ns;
	cell->what = more->what;
	cell->count += more->count;
}

static u32 page_of(unsigned long addr)
{
	return addr >> PAGE_SHIFT & 511;
}

void mp_counts_add(struct mp_counts *counts, const struct mp_fault *fault)
{
	unsigned int bucket = fls64(fault->took_ns >> MP_BUCKET_SHIFT);
	struct mp_cell one = {
		.what = WHAT_USED | page_of(fault->addr) | fault->kind << 9 |
			min_t(u32, bucket, MP_BUCKETS - 1) << 12 | (fault->major ? WHAT_MAJOR : 0) |
			(fault->foreign ? WHAT_FOREIGN : 0),
		.count = 1,
		.first_ns = fault->now_ns,
		.last_ns = fault->now_ns,
	};

	raw_spin_lock(&counts->lock);
	counts_put(counts, fault->addr, &one);
	raw_spin_unlock(&counts->lock);
}

/* --- ranges: the lock is let go every BATCH chunks, the next region is then looked up anew */

/* Whether the page of @cell in @region lies in [start, end) */
static bool cell_within(unsigned long region, const struct mp_cell *cell, unsigned long start,
			unsigned long end)
{
	unsigned long addr = region << REGION_SHIFT | WHAT_PAGE(cell->what) << PAGE_SHIFT;

	return cell->what && addr >= start && addr < end;
}

/* Adds the region's cells in the range to @sum; returns the number of chunks looked at. */
static int region_sum(struct mp_chunk *first, unsigned long start, unsigned long end,
		      struct mp_sum *sum)
{
	struct mp_chunk *chunk;
	int i, nr = 0;

	for (chunk = first; chunk; chunk = chunk->next, nr++) {
		for (i = 0; i < GROUPS * GROUP; i++) {
			const struct mp_cell *cell = &chunk->cells[0][0] + i;

			if (cell_within(first->region, cell, start, end))
				sum_cell(sum, cell);
		}
	}
	return nr;
}

void mp_counts_sum(struct mp_counts *counts, unsigned long start, unsigned long end,
		   struct mp_sum *sum)
{
	unsigned long region = start >> REGION_SHIFT;
	struct mp_chunk *first;

	if (start >= end)
		return;
	do {
		int budget = BATCH;

		raw_spin_lock(&counts->lock);
		while ((first = region_ceil(counts, region)) && budget > 0) {
			if (first->region > (end - 1) >> REGION_SHIFT) {
				first = NULL;
				break;
			}
			budget -= region_sum(first, start, end, sum);
			region = first->region + 1;
		}
		raw_spin_unlock(&counts->lock);
		cond_resched();
	} while (first);
}

/* Empties the region's cells in the range into `gone`; returns whether any cell is left. */
static bool region_cut(struct mp_counts *counts, struct mp_chunk *first, unsigned long start,
		       unsigned long end)
{
	struct mp_chunk *chunk;
	bool left = false;
	int i;

	for (chunk = first; chunk; chunk = chunk->next) {
		for (i = 0; i < GROUPS * GROUP; i++) {
			struct mp_cell *cell = &chunk->cells[0][0] + i;

			if (cell_within(first->region, cell, start, end)) {
				sum_cell(&counts->gone, cell);
				memset(cell, 0, sizeof(*cell));
			}
			left |= !!cell->what;
		}
	}
	return left;
}

/* Empties cells in [@start, @end) into `gone`, and frees what is empty of the regions named. */
static void regions_cut(struct mp_counts *counts, unsigned long region, unsigned long last,
			unsigned long start, unsigned long end, bool sleep)
{
	struct mp_chunk *first, *freed;

	do {
		int budget = BATCH / 4;

		freed = NULL;
		raw_spin_lock(&counts->lock);
		while ((first = region_ceil(counts, region)) && budget-- > 0) {
			if (first->region > last) {
				first = NULL;
				break;
			}
			region = first->region + 1;
			if (!region_cut(counts, first, start, end))
				freed = region_remove(counts, first, freed);
		}
		raw_spin_unlock(&counts->lock);
		chunks_free(freed);
		if (sleep)
			cond_resched();
	} while (first);
}

void mp_counts_gone(struct mp_counts *counts, unsigned long start, unsigned long end, bool sleep)
{
	if (start < end)
		regions_cut(counts, start >> REGION_SHIFT, (end - 1) >> REGION_SHIFT, start, end,
			    sleep);
}

/* Takes up to @max cells of the lowest region in the range out of it; 0: there are none left. */
static int cells_take(struct mp_counts *counts, unsigned long *start, unsigned long end,
		      struct mp_cell *cells, int max, unsigned long *region)
{
	struct mp_chunk *first, *chunk;
	int i, nr = 0;

	while ((first = region_ceil(counts, *start >> REGION_SHIFT)) &&
	       first->region <= (end - 1) >> REGION_SHIFT) {
		*region = first->region;
		for (chunk = first; chunk; chunk = chunk->next) {
			for (i = 0; i < GROUPS * GROUP; i++) {
				struct mp_cell *cell = &chunk->cells[0][0] + i;

				if (!cell_within(*region, cell, *start, end))
					continue;
				cells[nr] = *cell;
				memset(cell, 0, sizeof(*cell));
				if (++nr == max)
					return nr;
			}
		}
		if (nr)
			return nr;
		*start = (first->region + 1) << REGION_SHIFT;
	}
	return 0;
}

#define MOVED_AT_ONCE 128

void mp_counts_move(struct mp_counts *counts, unsigned long from, unsigned long len,
		    unsigned long to)
{
	struct mp_cell *cells = kmalloc_array(MOVED_AT_ONCE, sizeof(*cells), GFP_KERNEL);
	unsigned long pos = from, region = 0;
	int i, nr;

	if (!cells) {
		mp_counts_gone(counts, from, from + len, true);
		return;
	}
	do {
		raw_spin_lock(&counts->lock);
		nr = cells_take(counts, &pos, from + len, cells, MOVED_AT_ONCE, &region);
		for (i = 0; i < nr; i++) {
			unsigned long addr =
				(region << REGION_SHIFT | WHAT_PAGE(cells[i].what) << PAGE_SHIFT) -
				from + to;

			cells[i].what = (cells[i].what & ~511U) | page_of(addr);
			counts_put(counts, addr, &cells[i]);
		}
		raw_spin_unlock(&counts->lock);
		cond_resched();
	} while (nr);
	kfree(cells);
	regions_cut(counts, from >> REGION_SHIFT, (from + len - 1) >> REGION_SHIFT, 0, 0, true);
}

void mp_counts_reset(struct mp_counts *counts)
{
	struct mp_chunk *first, *next;
	struct rb_root regions;

	raw_spin_lock(&counts->lock);
	regions = counts->regions;
	counts->regions = RB_ROOT;
	counts->last = NULL;
	counts->nr_chunks = 0;
	memset(&counts->gone, 0, sizeof(counts->gone));
	memset(&counts->unplaced, 0, sizeof(counts->unplaced));
	raw_spin_unlock(&counts->lock);
	rbtree_postorder_for_each_entry_safe(first, next, &regions, node) {
		chunks_free(first);
		cond_resched();
	}
}
