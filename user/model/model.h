/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model: events in, truth out. Pure: no I/O, no clock, no globals; the same events always give
 * the same report. One thread uses a model at a time.
 *
 * Feed checked events (trace/decode.h) with mp_model__apply() in stream order, then build a report.
 */
#ifndef MP_MODEL_H
#define MP_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

#include "model/past.h"

#include "../bpf/event.h"

struct mp_model;

/* NULL and errno ENOMEM on failure. */
struct mp_model *mp_model__new(void);
/* Frees everything; @m may be NULL. Reports made from it stay valid. */
void mp_model__free(struct mp_model *m);

/*
 * Applies one event whose bytes were checked by mp_decode(). Returns 0, or -ENOMEM. An event that
 * contradicts what is known is counted (mp_loss), never refused.
 */
int mp_model__apply(struct mp_model *m, const struct mp_ev *ev);

/* The places in code that were seen, one by one from @i 0 on; NULL: there are no more. */
const struct mp_place *mp_model__place(const struct mp_model *m, size_t i);

/*
 * A ceiling in bytes on what the model takes from the heap (reports aside); 0: none. Where an event
 * would need more, apply says -ENOMEM; the model can still be reported and freed.
 */
void mp_model__limit(struct mp_model *m, size_t bytes);

/* Pages of anonymous memory that stand now, in all processes; where they are the most is the peak. */
uint64_t mp_model__pages(const struct mp_model *m);
/* A report from here on is of the peak, of every process that has not ended. */
void mp_model__at_peak(struct mp_model *m);
/*
 * Keeps the past of pages: the last @max things (not 0) that happened to any. Before the first event. 0 or
 * -ENOMEM.
 */
#define MP_HISTORY_MAX (1U << 20) /* 48 MiB, and up to 32 MiB to find them */
int mp_model__keep_history(struct mp_model *m, size_t max);

/* For the bench: live blocks now and the heap bytes the block store uses for them. */
uint64_t mp_model__live_blocks(const struct mp_model *m);
uint64_t mp_model__block_bytes(const struct mp_model *m);

/* ---- the report: plain data, owned by the report ------------------------------------------- */

#define MP_UNKNOWN INT64_MIN /* "not known" in every signed field below; JSON null, table "-" */

enum mp_kind { /* fault kinds, DESIGN section 2 */
	       MP_KIND_ANON,
	       MP_KIND_THP,
	       MP_KIND_MTHP,
	       MP_KIND_ZERO,
	       MP_KIND_COW,
	       MP_KIND_SWAPIN,
	       MP_KIND_FILE,
	       MP_KIND_SHMEM,
	       MP_KIND_NR,
	       MP_KIND_NONE = 255, /* the page came without a fault that was seen */
};
enum mp_by { MP_BY_USER, MP_BY_KERNEL, MP_BY_GUP, MP_BY_NR, MP_BY_NONE = 255 };
enum mp_state {
	MP_STATE_PRESENT,
	MP_STATE_ZERO,
	MP_STATE_SWAPPED,
	MP_STATE_SHARED_COW,
	MP_STATE_GONE
};

/* The words of the contract ("anon", "user", "present", "tcache", ...); never NULL. */
const char *mp_kind_name(int kind);
const char *mp_by_name(int by);
const char *mp_state_name(int state);
const char *mp_tier_name(int tier);
const char *mp_sure_name(int sure);     /* "unknown", "snapshot", "certain" */
const char *mp_source_name(int source); /* enum mp_source: fault populate seeded reconciled */
const char *mp_at_name(int at);
const char *mp_allocator_name(int kind);
const char *mp_fn_name(int fn);
const char *mp_vma_kind_name(int kind);
const char *mp_op_name(int op);
const char *mp_why_name(int why);
const char *mp_stack_end_name(int end); /* "whole", "deep", ...; GOES_ON: "caller_only" */

#define MP_ORDERS   10 /* 0..9 */
#define MP_NODES    16 /* nodes above are counted in the last */
#define MP_TOUCHERS 8

enum mp_place_what {
	MP_PLACE_RETURN, /* where a call returns to */
	MP_PLACE_EXACT,  /* the instruction itself: a touch, what a signal interrupted */
	MP_PLACE_SYSCALL, /* in the kernel: @offset is the number of the system call, no more is known */
};

/* Where in which object an address lies, as the VMAs said when it was first seen. */
struct mp_place {
	uint64_t addr;      /* in process @tgid */
	uint64_t offset;    /* in the object file; the address itself if @object is "" */
	const char *object; /* path, "[vdso]", or "" */
	uint64_t ino;
	uint32_t dev_major, dev_minor;
	uint32_t tgid; /* the first process it was seen in */
	uint8_t what;  /* enum mp_place_what */
};

/* A frame of a call stack; stacks with the same frames outside of it share those. */
struct mp_stack_frame {
	const struct mp_place *place;
	const struct mp_stack_frame *outer; /* NULL: none is known */
};

struct mp_toucher {
	uint32_t site;
	uint64_t pages; /* present at the instant */
};

/*
 * Pages of an allocator's memory that went back to the kernel while their addresses stayed the
 * allocator's own (malloc_trim, MADV_DONTNEED, a lowered break), and page faults that brought them back.
 */
struct mp_give_back {
	uint64_t calls, bytes;                        /* of those who gave back */
	uint64_t refaults, refault_bytes, refault_ns; /* of those who wanted it again */
};

/* How the page allocator came by the pages of some faults. */
struct mp_stages {
	uint64_t pcp, refill, buddy, staged; /* @staged: of how many it is told */
	uint64_t slow, pathed;               /* the slow path ran; of how many it is told */
	/* of @page_timed faults: inside the page allocator, and in all */
	uint64_t page_ns, whole_ns, page_timed;
};

/* What faults had to wait for where memory was short. */
struct mp_waits {
	uint64_t reclaims, reclaim_ns;     /* of the machine's memory, by the faults themselves */
	uint64_t memcg_reclaims, memcg_ns; /* of a cgroup's at its limit */
	uint64_t compactions, compact_ns;
	uint64_t wakes;              /* of kswapd */
	uint64_t unmet, unmet_memcg; /* there was no memory; of those: within a cgroup's limit */
	uint8_t told;                /* enum mp_wait_told: what of this is known at all */
};
void mp_waits_add(struct mp_waits *to, const struct mp_waits *n);
void mp_waits_count(struct mp_waits *w, const struct mp_ev_stall *ev);

/*
 * One site. ids are dense, sites[i].id == i + 1; id 0 means unknown and has no entry. A site that
 * only ever touched is in the list too (calls 0).
 */
struct mp_site {
	uint32_t id;
	bool mapping; /* memory came by mmap/brk from outside any allocator */
	uint8_t fn;   /* enum mp_fn of the first call */
	uint8_t end;  /* enum mp_stack_end; MP_STACK_GOES_ON: only the innermost frame was told */
	const struct mp_stack_frame *frame; /* innermost; never NULL */
	uint64_t calls, frees, failed;
	uint64_t requested_bytes; /* sum over all calls */
	uint64_t live_blocks, live_bytes;
	uint64_t resident_bytes, charged_bytes, untouched_bytes;
	int64_t pinned; /* bytes malloc_trim(0) would give back beside, were its blocks freed */
	uint64_t faults[MP_KIND_NR], faults_by[MP_BY_NR];
	uint64_t majors;             /* faults that had to read from a device */
	uint64_t fault_ns, alloc_ns; /* of the faults that were timed */
	struct mp_stages stages;
	struct mp_waits waits;
	uint64_t timed_faults;
	uint64_t orders[MP_ORDERS]; /* present pages by the order of their folio */
	uint64_t nodes[MP_NODES];
	uint64_t tiers[MP_TIER_NR];
	struct mp_give_back given_back;
	const struct mp_departed *departed; /* of its pages, most first; with history only */
	size_t nr_departed;
	struct mp_toucher touchers[MP_TOUCHERS]; /* by pages, then id; unused: site 0 pages 0 */
};

struct mp_books { /* bytes; DESIGN section 2. MP_UNKNOWN where not known */
	int64_t rss, block, retained, metadata, before_attach, other_anon, stack, file, shmem, tool;
	int64_t unexplained, zero, hugetlb;
	int64_t pss;      /* of all memory, as the kernel has it; MP_UNKNOWN once it has ended */
	int64_t pss_anon; /* of anonymous memory, by the events: shared among traced processes */
	double coverage, site_coverage; /* NaN: not known */
};

struct mp_grower {
	uint32_t site;
	uint64_t bytes; /* of the VMA */
};
#define MP_GROWERS 8

struct mp_vma {
	uint64_t start, end;
	uint8_t perms, kind;
	const char *name; /* "" if none */
	uint64_t present_pages;
	uint64_t faults[MP_KIND_NR];
	uint32_t site;  /* that made the mapping, or grew it last; 0 unknown */
	uint8_t growth; /* enum mp_fn inside which it was made, 0: outside any allocator call */
	uint8_t op;     /* enum mp_op that made or last grew it, 0: there before attach */
	bool hooked;    /* do_brk_flags or mmap_region was seen to do it */
	uint64_t t_ns;
	struct mp_grower growers[MP_GROWERS]; /* by bytes, then id; unused: site 0 */
};

struct mp_page {
	uint64_t addr, pfn; /* pfn 0: not known */
	uint64_t t_ns;
	uint64_t block; /* address of the lowest live block on it, 0: none */
	uint32_t blocks;
	uint32_t site, toucher;
	int64_t fault_ns, alloc_ns, page_ns; /* MP_UNKNOWN: not measured */
	uint32_t gfp;
	uint16_t node;
	uint8_t zone, order, kind, by, state, source;
	bool node_known;
	bool major;    /* the fault that brought it had to read from a device */
	bool past_cut; /* there was more, which is lost */
	uint32_t nr_past;
	const struct mp_past *past; /* oldest first; with history only */
};

struct mp_block {
	uint64_t addr, requested;
	int64_t usable; /* MP_UNKNOWN */
	uint64_t t_ns, resident_bytes;
	uint32_t site, tid;
	uint8_t tier, sure; /* enum mp_sure */
	bool seeded;        /* from before the attach: @requested and @t_ns say nothing */
};

struct mp_probe {
	const char *symbol;
	uint64_t offset, hits;
	uint32_t into;
	uint8_t kind, fn;
};

struct mp_allocator {
	const char *object, *version;
	uint8_t build_id[32];
	uint32_t build_id_len;
	int kind;
	struct mp_probe *probes;
	size_t nr_probes;
};

/* A free() that moved glibc's thresholds; bytes. */
struct mp_raise {
	uint64_t t_ns, addr; /* of the block that was freed */
	uint64_t mmap_before, mmap_after, trim_before, trim_after;
	uint32_t site; /* of the free() */
	uint32_t tid;
};

/* A heap that glibc made for other threads than the first. */
struct mp_new_heap {
	uint64_t t_ns, heap, arena;
	uint32_t site; /* of the call that made it */
	uint32_t tid;
	bool first; /* with a new arena; else one more for an arena whose heap was full */
};

struct mp_heap_facts {
	bool told;           /* the process has a glibc, and it was looked at */
	uint64_t main_arena; /* 0: it is not understood, and no tier is told */
	const char *why;     /* then: which check failed */
	bool fixed;          /* the program has set a threshold, so free() moves none */
	int64_t mmap_threshold, trim_threshold; /* the last known; MP_UNKNOWN */
	uint64_t raised;                        /* by free(), since tracing began */
	struct mp_raise *raises;                /* the first of them */
	size_t nr_raises;
	int64_t arenas;                   /* the main one included; MP_UNKNOWN */
	uint64_t arenas_made, heaps_made; /* since tracing began; each arena with a heap */
	struct mp_new_heap *heaps;        /* the first of them */
	size_t nr_heaps;
};

/* The memory cgroup with the least limit above a process, as last read. MP_UNKNOWN: not known. */
struct mp_limit {
	const char *path;
	uint32_t version;    /* of cgroups; 0: there is no limit, or none is known */
	int64_t limit_bytes; /* all of it: */
	int64_t usage_bytes, peak_bytes;
	int64_t limit_hits, ooms, oom_kills; /* since the cgroup was made */
};

enum mp_why { /* memory was refused */
	      MP_WHY_UNKNOWN,
	      MP_WHY_OVERCOMMIT,
	      MP_WHY_RLIMIT_AS,
	      MP_WHY_RLIMIT_DATA,
	      MP_WHY_RLIMIT_MEMLOCK,
	      MP_WHY_MAX_MAP_COUNT,
	      MP_WHY_ADDRESS_SPACE, /* no range of addresses is free where, or as long as, it was asked for */
	      MP_WHY_NOT_MAPPED, /* not all of the range is */
	      MP_WHY_SIZE,       /* of a block: larger than any object can be */
	      MP_WHY_CALL,       /* for no want of memory: the errno says what is wrong with it */
	      MP_WHY_NR
};

/* Calls that failed alike. */
struct mp_refusal {
	uint64_t count, bytes; /* @bytes: what they asked for, all together */
	int64_t limit; /* that the last one met: bytes, or mappings; MP_UNKNOWN: no number, or not known */
	int error; /* errno; 0: not known */
	uint32_t site;
	uint8_t op;  /* enum mp_op; 0: the allocator's function @fn returned nothing */
	uint8_t fn;  /* enum mp_fn: else the one it was made in, 0: outside any */
	uint8_t why; /* enum mp_why; of a function: that of the last refusal inside the call */
};

struct mp_xray_facts { /* X-rays of the heap that are among the events */
	bool seeded;   /* one told the blocks from before the attach, */
	uint64_t seeded_blocks, seeded_bytes;
	uint64_t seeded_live, seeded_resident; /* blocks of those, and their bytes in Rss */
	uint64_t seeded_wrong; /* were not live: malloc gave out their place without a free() */
	bool compared;         /* and a later one was compared with the blocks known by events: */
	uint64_t both, xray_only, trace_only;
	bool partial;            /* the last one was */
	uint64_t trim_bytes;     /* what malloc_trim(0) would give back */
	uint64_t pinned_unknown; /* as mp_site.pinned, of all blocks without a site */
};

/* A step of a process's memory over time; steps without an event of it are left out. */
struct mp_moment {
	uint64_t t_ns; /* of the first event in it */
	uint64_t live_bytes,
		resident_bytes; /* at its end: of blocks; of pages known by events, in Rss */
	uint64_t live_peak, resident_peak; /* the most there was in it */
	int64_t rss_bytes;                 /* as read from /proc; MP_UNKNOWN: it was not read */
	/* addresses asked of the kernel for memory to write to (brk, mmap, mremap, mprotect) */
	uint64_t growths, grown_bytes, largest_bytes;
	uint32_t site; /* of the largest */
};

struct mp_proc {
	uint32_t pid;
	const char *comm;
	const char **cmdline;
	size_t nr_cmdline;
	int at; /* enum mp_at */
	bool launched, exited;
	uint64_t t_ns; /* of the instant */
	struct mp_books books;
	struct mp_heap_facts glibc;
	struct mp_limit limit;
	struct mp_give_back given_back;
	struct mp_waits waits;    /* of all its faults, whoever owns the memory */
	const uint64_t *departed; /* bytes of pages, by how they went; NULL: no history is kept */
	struct mp_xray_facts xray;
	struct mp_refusal *refusals; /* by when the first of each was */
	size_t nr_refusals;
	struct mp_allocator *allocators;
	size_t nr_allocators;
	struct mp_vma *vmas; /* by address */
	size_t nr_vmas;
	struct mp_page *pages; /* by address; NULL unless asked for */
	size_t nr_pages;
	struct mp_block *blocks; /* by address; NULL unless asked for */
	size_t nr_blocks;
	uint64_t live_blocks, present_pages;
	struct mp_moment *moments; /* by time */
	size_t nr_moments;
	uint64_t moment_ns; /* how long a step is */
};

struct mp_loss {
	uint64_t events_dropped, gaps, returns_missed, frees_lost, frees_unmatched;
	uint64_t stacks_truncated, stacks_lost, programs_skipped, moved_unseen_pages;
	/* MP_UNKNOWN unless the kernel module was asked about every process that has not ended */
	int64_t module_mismatch_pages;
	/* faults that mapped another page than they were given; MP_UNKNOWN: none was checked */
	int64_t chain_mismatches;
	uint64_t dropped[MP_DROP_MAX];
	uint64_t history_lost; /* things that happened to pages, for which there was no room */
	/* events by why their stack ends; MP_STACK_GOES_ON: no stack was told, only a caller */
	uint64_t stack_ends[MP_STACK_END_MAX];
};

/* A page on which the kernel module's walk and the ledger differed. */
struct mp_mismatch {
	uint32_t pid;
	uint64_t addr;
	uint64_t ledger_pfn,
		module_pfn; /* 0: not present (swapped, gone), or the PFN is not known */
};
#define MP_MISMATCHES 64 /* that are kept; all are counted */

struct mp_cost { /* MP_UNKNOWN where not measured */
	int64_t events, probe_hits, target_cpu_ns, probe_ns, tool_cpu_ns, tool_peak_bytes, faults;
};

struct mp_host {
	const char *release;
	uint32_t page_size, fault_row, page_source, alloc_probes;
	bool module;
};

struct mp_report {
	struct mp_host host;
	struct mp_proc *procs;
	size_t nr_procs;
	struct mp_site *sites;
	size_t nr_sites;
	struct {
		uint64_t calls, bytes;
		uint64_t sure[MP_SURE_NR]; /* of the calls */
	} tiers[MP_TIER_NR];
	struct mp_loss loss;
	uint64_t chain_checked; /* faults whose page was followed from the allocator to the entry */
	/* pages compared with the kernel module's walks so far; MP_UNKNOWN as in @loss */
	int64_t module_pages;
	struct mp_mismatch *mismatches; /* the first of loss.module_mismatch_pages */
	size_t nr_mismatches;
	struct mp_cost cost;
	bool history; /* the past of pages was kept */
	const struct mp_departed
		*departed; /* of pages whose owner is not known, as mp_site.departed */
	size_t nr_departed;
	uint64_t first_ns, last_ns; /* times of the first and last event */
};

/* With history, PAGES are those too that are gone. */
enum mp_report_flag { MP_REPORT_PAGES = 1, MP_REPORT_BLOCKS = 2 };

/*
 * The state after the last event applied; an exited process is shown as of its exit. The caller
 * frees it. NULL and errno on failure.
 */
struct mp_report *mp_model__report(struct mp_model *m, unsigned int flags);
void mp_report__free(struct mp_report *r);

#endif
