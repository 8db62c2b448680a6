/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the naive model keeps, for its comparison with a report. */
#ifndef MODEL_NAIVE_INSIDE_H
#define MODEL_NAIVE_INSIDE_H

#include <stdbool.h>

#include "model_naive.h"

#define BLOCKS 640
#define TIDS   8
#define RANGES 64 /* system calls remembered: as many as the model promises */

struct block {
	bool live, transit;
	uint64_t start, size, t_ns;
	uint32_t caller, tid; /* caller: an index, 0 nobody */
};

struct page {
	bool there;
	int state, kind, by, source, order;
	uint64_t pfn, t_ns;
	uint32_t toucher;
	uint64_t changed_ns, moved_ns; /* @moved_ns: by the kernel, 0 never */
};

/* The mapping a page of addresses lies in; equal ids are one mapping. */
struct map {
	uint32_t id; /* 0: none known */
	uint32_t caller;
	bool growth, heap, anon, stack;
};

struct proc {
	bool exists, exited, whole;
	struct block blocks[BLOCKS];
	struct page pages[NAIVE_PAGES];
	struct map maps[NAIVE_PAGES];
	struct {
		bool known, open;
		uint64_t old;
	} transit[TIDS];
	struct {
		uint64_t start, end, ts_ns;
	} ranges[RANGES];
	size_t nr_ranges;
	uint64_t shared_ns, forked_ns, unshared_ns, exit_ns;
	int64_t exit_pss;
};

/* Something that happened to a page; all are kept, those that the model may have lost too. */
struct past {
	uint32_t pid, who, owner;                   /* who, owner: callers */
	bool touched;                               /* @who touched, it did not call */
	int page, what, kind, by, order, fn, other; /* @other: a page, -1 none */
	uint64_t t_ns, pfn;
	size_t before; /* number of the one before of the same page; 0: none */
};

/* Why pages come and go while an event is applied. */
struct why {
	int what, fn, touched; /* @touched: a page, -1 none */
	bool replaces;
	uint32_t who, owner;
	int from, to, nr; /* pages that mremap moves */
	uint64_t now;
};

struct caller {
	uint64_t calls, frees, failed, requested;
	uint64_t faults[MP_KIND_NR], by[MP_BY_NR];
};

struct naive {
	struct proc procs[NAIVE_PROCS];
	struct caller callers[NAIVE_CALLERS];
	struct {
		uint32_t pid, tid;
		bool awaited;
		struct page page;
	} last_fault[TIDS * NAIVE_PROCS];
	struct {
		uint64_t pfn, nr, ts_ns;
	} strays[256];
	size_t nr_strays;
	uint32_t next_map;
	uint64_t lost, unmatched, moved, now_ns;
	size_t keep; /* entries of pages' past that the model has room for; 0: none are kept */
	struct past *past; /* number n is past[n - 1] */
	size_t nr_past, room_past;
	size_t newest[NAIVE_PROCS][NAIVE_PAGES]; /* number of each page's last entry */
	uint64_t acted_ns[NAIVE_PROCS];
	/* by thread: who made its last system call; who called free() last, and which function of it */
	uint32_t asked[NAIVE_PROCS][TIDS], freed_by[NAIVE_PROCS][TIDS];
	int freed_fn[NAIVE_PROCS][TIDS];
	struct why why;
	char text[400];
};

/* The index of a caller's address; 0: nobody. */
uint32_t naive_caller(uint64_t addr);
/* Its pages' bytes divided by how often each is mapped; MP_UNKNOWN if one is shared with a stranger. */
int64_t naive_pss(const struct naive *n, const struct proc *p);
/* Does the page count for the PFN index: mapped, and its PFN known? */
bool naive_indexed(const struct page *g);

/* model_naive_past.c: what becomes of a page; @g is what it is or was. Nothing if none is kept. */
void naive_past_came(struct naive *n, const struct page *g, const struct page *now);
void naive_past_changed(struct naive *n, const struct page *g, const struct page *now);
void naive_past_went(struct naive *n, const struct page *g);
/* What is known of why, from an event; @owner: whose memory was touched. */
void naive_past_begin(struct naive *n, const struct mp_ev *ev);
void naive_past_end(struct naive *n, const struct mp_ev *ev);
void naive_past_fault(struct naive *n, const struct mp_ev_fault *ev, uint32_t owner);
void naive_past_pages(struct naive *n, const struct mp_ev_pages *ev);
void naive_past_range(struct naive *n, struct proc *p, const struct mp_ev_range *ev);
void naive_past_exec(struct naive *n, struct proc *p);
/* May the model still have that entry? */
bool naive_past_kept(const struct naive *n, size_t number);

/* The live block that starts there; NULL if none. */
struct block *naive_block_at(struct proc *p, uint64_t start);
void naive_on_alloc(struct naive *n, struct proc *p, const struct mp_ev_alloc *ev);
void naive_on_free(struct naive *n, struct proc *p, const struct mp_ev_free *ev);
void naive_on_realloc(struct naive *n, struct proc *p, const struct mp_ev_free *ev);
void naive_on_realloc_done(struct naive *n, struct proc *p, const struct mp_ev_realloc_done *ev);

/* model_naive_sharing.c: a page of frame @pfn has gone; one that is left alone with it is its own. */
void naive_unshare(struct naive *n, uint64_t pfn);
void naive_learn_sharing(const struct proc *p, struct page *g, const struct mp_ev_pages *ev,
			 uint64_t e);

#endif
