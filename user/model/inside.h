/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The model from inside: its state, and how the files of this room call each other. */
#ifndef MP_MODEL_INSIDE_H
#define MP_MODEL_INSIDE_H

#include "model/history.h"
#include "model/process.h"
#include "model/stacks.h"
#include "model/strings.h"

#define MP_PLACE_CACHE 4096 /* entries, a power of two: about the hot callers of a large program */
#define MP_LAST_FAULTS 64
#define MP_STRAY_FREES 256

struct mp_place_cached {
	uint64_t maps; /* mp_process.maps; never 0 */
	uint64_t addr;
	uint32_t place;
	uint32_t site; /* of the stack of which only this is known; 0: not asked for */
	uint8_t what;  /* enum mp_place_what */
};

/* A fault whose folio's other pages follow in a MP_EV_PAGES of the same thread. */
struct mp_last_fault {
	uint32_t tgid, tid;
	struct mp_page_rec rec; /* order 0: nothing is awaited */
};

/* Pages that were freed while nobody was known to map them. */
struct mp_stray_free {
	uint64_t pfn, nr, ts_ns;
};

struct mp_model {
	struct mp_mem mem, block_mem;
	struct mp_strings strings;
	struct mp_sites sites;
	struct mp_ledger ledger;
	struct mp_history *history; /* NULL: none is kept */

	struct mp_process **procs; /* in order of appearance; none ever leaves */
	size_t nr_procs, cap_procs;
	struct mp_map by_tgid;   /* the latest of that number */
	struct mp_map parents;   /* of children not followed, by the child's number */
	struct mp_process *last; /* a cache */
	uint64_t generation;

	struct mp_place_cached *place_cache;
	struct mp_stacks stacks;
	struct mp_map resolved;  /* what a stack is in a process, as it maps its code now */
	uint64_t stacks_unknown; /* told wrongly, or named and never told */
	struct mp_last_fault last_faults[MP_LAST_FAULTS];
	struct mp_stray_free strays[MP_STRAY_FREES];
	uint64_t nr_strays; /* ever */

	struct mp_ev_host host;     /* type 0 until it came */
	struct mp_ev_system system; /* likewise */
	struct mp_ev_cost cost;
	struct mp_loss loss;
	uint64_t chain_checked; /* faults whose page was followed from the allocator to the entry */
	/* pages compared with the kernel module's walks, those that differed, and the first of them */
	uint64_t module_pages, module_mismatches;
	struct mp_mismatch mismatches[MP_MISMATCHES];
	struct {
		uint64_t calls, bytes, sure[MP_SURE_NR];
	} tiers[MP_TIER_NR];
	uint64_t first_ns, last_ns;
	bool begun;
};

/* All functions below return 0 or -ENOMEM unless told otherwise. */

/* process.c: the process a tgid means now; it is made on first sight. NULL without memory. */
struct mp_process *mp_process_of(struct mp_model *m, uint32_t tgid);
/* A new process of that number, whatever was known of an older one. NULL without memory. */
struct mp_process *mp_process_new(struct mp_model *m, uint32_t tgid);
void mp_process_free(struct mp_model *m, struct mp_process *p);
void mp_process_clear_allocators(struct mp_model *m, struct mp_process *p);
/* Code may lie elsewhere from now on. */
void mp_process_remap(struct mp_model *m, struct mp_process *p);

/* callers.c. @what: enum mp_place_what. An @addr of 0 is site 0. */
/* The key and place of @addr if it lies in a file that is known; else they stay as they are. */
bool mp_place_in(const struct mp_process *p, uint64_t addr, struct mp_place_key *key,
		 struct mp_place *place);
/* The site of a stack of which only @addr is known. */
int mp_site_at(struct mp_model *m, struct mp_process *p, uint64_t addr, uint8_t what,
	       uint32_t *site);
/* The site of @stack as the process maps its code now; where there is none, that of @addr. */
int mp_process_site(struct mp_model *m, struct mp_process *p, uint32_t stack, uint64_t addr,
		    uint8_t what, uint32_t *site);
/*
 * The site of the allocator call to return to @caller that @stack is inside of: the same as that of
 * the call's own event.
 */
int mp_site_of_caller(struct mp_model *m, struct mp_process *p, uint32_t stack, uint64_t caller,
		      uint32_t *site);
/* The same if @stack is inside of such a call, else 0. Nothing is counted. */
int mp_site_inside(struct mp_model *m, struct mp_process *p, uint32_t stack, uint64_t caller,
		   uint32_t *site);
/* The site of the system call that touched memory, called from the stack of @ev. */
int mp_site_of_syscall(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev,
		       uint32_t *site);

/* heap.c */
int mp_on_alloc(struct mp_model *m, struct mp_process *p, const struct mp_ev_alloc *ev);
int mp_on_free(struct mp_model *m, struct mp_process *p, const struct mp_ev_free *ev);
int mp_on_realloc(struct mp_model *m, struct mp_process *p, const struct mp_ev_free *ev);
int mp_on_realloc_done(struct mp_model *m, struct mp_process *p,
		       const struct mp_ev_realloc_done *ev);
/* MP_TIERED() of a block. @stayed: realloc did not move it. */
uint8_t mp_tiered(const struct mp_process *p, const struct mp_ev_alloc *ev, bool stayed);
/* The live counts of sites lose (exec) or gain (fork) every block of @p. */
int mp_heap_uncount(struct mp_model *m, struct mp_process *p);
int mp_heap_count(struct mp_model *m, struct mp_process *p);

/* limits.c */
int mp_on_oom(struct mp_model *m, struct mp_process *p, const struct mp_ev_exit *ev);
int mp_on_cgroup(struct mp_model *m, struct mp_process *p, const struct mp_ev_cgroup *ev);

struct mp_refusal_why {
	uint8_t why;   /* enum mp_why */
	int64_t limit; /* as in struct mp_refusal */
};
/* why.c */
struct mp_refusal_why mp_why_refused(const struct mp_model *m, const struct mp_process *p,
				     const struct mp_ev_refusal *ev);

/* refusals.c */
int mp_on_refusal(struct mp_model *m, struct mp_process *p, const struct mp_ev_refusal *ev);
/* The allocator call has returned with a block, or without one to the caller @site. */
void mp_refusals_returned(struct mp_process *p, const struct mp_ev_alloc *ev);
int mp_refusals_failed(struct mp_model *m, struct mp_process *p, const struct mp_ev_alloc *ev,
		       uint32_t site);
void mp_refusals_clear(struct mp_model *m, struct mp_process *p);

/* thresholds.c */
int mp_on_heap(struct mp_model *m, struct mp_process *p, const struct mp_ev_heap *ev);
int mp_on_new_heap(struct mp_model *m, struct mp_process *p, const struct mp_ev_new_heap *ev);
int mp_on_threshold(struct mp_model *m, struct mp_process *p, const struct mp_ev_threshold *ev);
void mp_glibc_clear(struct mp_model *m, struct mp_process *p);
void mp_glibc_inherit(struct mp_model *m, struct mp_process *child,
		      const struct mp_process *parent);

/* seed.c */
int mp_on_xray(struct mp_model *m, struct mp_process *p, const struct mp_ev_xray *ev);
int mp_on_part(struct mp_model *m, struct mp_process *p, const struct mp_ev_part *ev);
/* MP_EV_ARENA and MP_EV_PART_PAGES */
int mp_on_xray_part(struct mp_model *m, struct mp_process *p, const struct mp_ev *ev);
int mp_on_chunks(struct mp_model *m, struct mp_process *p, const struct mp_ev_chunks *ev);
/* A block from before the attach, of which nothing else is known. */
bool mp_is_seed(const struct mp_blk *blk);
/* A free() of what is not known. 0 or -ENOMEM. */
int mp_seed_note_free(struct mp_model *m, struct mp_process *p, uint64_t addr);
void mp_seed_clear(struct mp_model *m, struct mp_process *p);
/* Does what the last X-ray told belong to this instant? */
bool mp_seed_compared(const struct mp_process *p);
/* Bytes of the page that are malloc's own; *@at is 0 first, and pages are asked for in order. */
uint32_t mp_seed_own(const struct mp_process *p, size_t *at, uint64_t vpn);

/* faults.c */
int mp_on_fault(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev);
struct mp_fault_look {
	uint32_t owner, toucher; /* sites */
	enum mp_kind kind;
	enum mp_by by;
};
/* What a fault in @vma (NULL: in none that is known) is, as things stand before it. */
int mp_fault_look(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev,
		  const struct mp_vma_rec *vma, struct mp_fault_look *look);
int mp_on_stall(struct mp_model *m, struct mp_process *p, const struct mp_ev_stall *ev);
int mp_stall_owner(struct mp_model *m, struct mp_process *p, const struct mp_ev_stall *ev,
		   uint32_t *site);
/* The fault that a folio's MP_EV_PAGES belongs to, or NULL. */
const struct mp_page_rec *mp_last_fault(struct mp_model *m, const struct mp_ev *h);

/* arrivals.c */
int mp_on_pages(struct mp_model *m, struct mp_process *p, const struct mp_ev_pages *ev);
int mp_on_page_free(struct mp_model *m, const struct mp_ev_page_free *ev);

/* What a page table entry on the wire says: enum mp_state. */
uint8_t mp_entry_state(uint64_t entry);
/* The entry of the @i-th page of a run that begins with @first. */
uint64_t mp_entry_nth(uint64_t first, uint64_t i);
/* Were pages freed after @since_ns while nobody was known to map @pfn? */
bool mp_freed_since(const struct mp_model *m, uint64_t pfn, uint64_t since_ns);
/* Is it the same page? A PFN that is not known is no contradiction. */
/* sharing.c */
void mp_sharing_learn(const struct mp_process *p, struct mp_page_rec *rec, uint64_t entry,
		      const struct mp_ev_pages *ev);
/* Bytes; MP_UNKNOWN: some are shared with a process that is not traced. */
int64_t mp_sharing_pss(const struct mp_process *p);
int mp_on_pss(struct mp_process *p, const struct mp_ev_pss *ev);

bool mp_page_agrees(const struct mp_page_rec *old, const struct mp_page_rec *now);

/* witness.c */
int mp_on_witness(struct mp_model *m, struct mp_process *p, const struct mp_ev_witness *ev);
void mp_on_witness_pages(struct mp_model *m, struct mp_process *p, const struct mp_ev_pages *ev);

/* syscalls.c */
int mp_on_range(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev);
/* What the call took the pages of, or MADV_FREE left to the kernel; empty where nothing. */
void mp_range_taken(const struct mp_ev_range *ev, struct mp_span taken[2]);
/* Repeats on the VMAs what system calls did after @since_ns. */
int mp_replay_vmas(struct mp_model *m, struct mp_process *p, uint64_t since_ns);
/* Did a system call change what [start, end) maps after @since_ns? */
bool mp_changed_since(const struct mp_process *p, uint64_t start, uint64_t end, uint64_t since_ns);

/* life.c */
int mp_on_fork(struct mp_model *m, struct mp_process *p, const struct mp_ev_fork *ev);
int mp_on_exec(struct mp_model *m, struct mp_process *p, const struct mp_ev_exec *ev);
int mp_on_exit(struct mp_model *m, struct mp_process *p, const struct mp_ev_exit *ev);
int mp_on_image_end(struct mp_model *m, struct mp_process *p, const struct mp_ev_exit *ev);

/* facts.c: what the user side read */
int mp_on_proc(struct mp_model *m, struct mp_process *p, const struct mp_ev_proc *ev);
int mp_on_maps(struct mp_model *m, struct mp_process *p, const struct mp_ev_maps *ev);
int mp_on_map(struct mp_model *m, struct mp_process *p, const struct mp_ev_map *ev);
int mp_on_allocator(struct mp_model *m, struct mp_process *p, const struct mp_ev_allocator *ev);
int mp_on_probe(struct mp_model *m, struct mp_process *p, const struct mp_ev_probe *ev);
void mp_on_instant(struct mp_model *m, const struct mp_ev_instant *ev);
int mp_on_stack(struct mp_model *m, const struct mp_ev_stack *ev);
void mp_on_gap(struct mp_model *m, const struct mp_ev_gap *ev);
void mp_on_loss(struct mp_model *m, const struct mp_ev_loss *ev);

/* timeline.c: what holds now that @ev was applied. */
int mp_note_moment(struct mp_model *m, struct mp_process *p, const struct mp_ev *ev);

/* check.c, for tests: NULL, or what does not hold. */
const char *mp_model_check(struct mp_model *m);

#endif
