/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Feeds a model with events written in a line each, and looks things up in its report. */
#ifndef MODEL_FEED_H
#define MODEL_FEED_H

#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

#define PAGE MP_PAGE_SIZE

extern struct mp_model *feed_model;
/* Time of the last event; every event comes 1000 ns after the one before. */
extern uint64_t feed_ns;

void feed_begin(void);
/* Checks the model's invariants and frees it. */
void feed_end(void);
/* Fails the test if the model contradicts itself. */
void feed_check(void);

/* Applies @ev after filling in its header: @size bytes of the given type. */
void feed(void *ev, int type, size_t size, uint32_t pid, uint32_t tid);

void feed_proc(uint32_t pid, const char *comm, int launched);
void feed_allocator(uint32_t pid, int index, int kind);
void feed_alloc(uint32_t pid, uint64_t addr, uint64_t size, uint64_t caller);
void feed_alloc_chunk(uint32_t pid, uint64_t addr, uint64_t size, uint64_t chunk, int provider);
void feed_free(uint32_t pid, uint64_t addr);
void feed_realloc(uint32_t pid, uint32_t tid, uint64_t old);
void feed_realloc_done(uint32_t pid, uint32_t tid, uint64_t old, uint64_t addr, uint64_t size,
		       uint64_t caller);

/* Flags of a walked, present fault whose kind is known, to be added to. */
#define WALKED (MP_FAULT_WALKED | MP_FAULT_PRESENT | MP_FAULT_KIND_KNOWN)
/* The usual first write to anonymous memory. */
#define TOUCH (WALKED | MP_FAULT_ANON | MP_FAULT_WRITE)
void feed_fault(uint32_t pid, uint64_t addr, uint64_t pfn, uint32_t flags);
/* As @like, with addr, pfn and flags given. */
void feed_fault_like(uint32_t pid, uint64_t addr, uint64_t pfn, uint32_t flags,
		     struct mp_ev_fault like);

#define ANON(pfn) ((pfn) | MP_PAGE_PRESENT | MP_PAGE_ANON)
#define ZERO(pfn) ((pfn) | MP_PAGE_PRESENT | MP_PAGE_ZERO)
#define SWAP(off) ((off) | MP_PAGE_SWAP)
/* One page, or @nr with counting PFNs. @begin 0: now. */
void feed_pages(uint32_t pid, int source, uint64_t addr, uint64_t begin, uint64_t entry,
		uint32_t nr);
void feed_page_free(uint64_t pfn, uint32_t order);

/* A system call that was entered @took ns before its exit. */
void feed_range(uint32_t pid, struct mp_ev_range ev, uint64_t took);
void feed_mmap(uint32_t pid, uint64_t addr, uint64_t len, uint64_t caller, int in_fn);
void feed_munmap(uint32_t pid, uint64_t addr, uint64_t len);
void feed_brk(uint32_t pid, uint64_t old, uint64_t new, uint64_t caller, int in_fn);
void feed_fork(uint32_t pid, uint32_t child, int followed);
void feed_exec(uint32_t pid, const char *comm);
void feed_exit(uint32_t pid, int64_t file, int64_t anon, int64_t shmem);

struct feed_vma {
	uint64_t start, end, offset, ino, rss, anon;
	int kind, perms;
	const char *name;
};
/* A whole reading. @rss ~0: nothing about residency was read. */
void feed_maps(uint32_t pid, uint64_t rss, uint64_t begin, const struct feed_vma *vmas, size_t nr);

/* A new report with pages and blocks; it stays until the next one or feed_end(). */
const struct mp_report *feed_report(void);
/* In the last report. Those that return a pointer: NULL if there is none. */
const struct mp_proc *report_proc(uint32_t pid);
const struct mp_page *report_page(uint32_t pid, uint64_t addr);
const struct mp_block *report_block(uint32_t pid, uint64_t addr);
const struct mp_site *report_site(uint64_t addr);
const struct mp_vma *report_vma(uint32_t pid, uint64_t addr);

#endif
