/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Layouts of map values, known to the BPF programs and to the loader, to nobody else. */
#ifndef MALLOCPATH_SHARED_H
#define MALLOCPATH_SHARED_H

#ifndef __bpf__
#include <linux/types.h>
#endif

struct mp_settings {
	__u64 page_offset;  /* base of the direct map */
	__u64 vmemmap;      /* address of PFN 0's struct page; 0: not known */
	__u64 zero_pfn;     /* of the 4 KiB zero page */
	__u64 max_pfn;      /* bits in the map "owned" */
	__u64 committed;    /* address of the kernel's vm_committed_as; 0: not known */
	__u32 page_struct;  /* sizeof(struct page) */
	__u32 levels;       /* 4 or 5 */
	__u32 follow;       /* children are traced too */
	__u32 nr_cpus;      /* possible CPUs */
	__u32 head_is_mask; /* struct page's compound_info is a mask (7.2) */
	__u32 node_shift;   /* in page->flags */
	__u32 node_mask;
	__u32 zone_shift;
	__u32 zone_mask;
	__u32 refill_told; /* mm_page_alloc_zone_locked has percpu_refill (6.1) */
	__u32 gup_seen;    /* faults by get_user_pages are seen: no walk of populated ranges */
	__u32 exit_early;  /* sched_process_exit fires while the address space stands (6.16) */
	/* helpers this kernel has (5.10 has none of them) */
	__u32 has_cookie, has_user_regs, has_loop;
	__u32 thread_size; /* of the kernel stack; used without has_user_regs */
	__u32 preemptible; /* programs of system calls can lose the CPU to others of the same (7.x) */
	__u32 never;       /* 0, which only the verifier may know */
};

/* The map "owned": a byte a physical page, 512 pages in one value. */
#define MP_OWNED_SHIFT 9
struct mp_owned {
	__u8 page[1 << MP_OWNED_SHIFT];
};

#define MP_PROC_EXITING 1 /* its pages are being torn down: nobody wants to hear of each */
#define MP_PROC_VFORK   2 /* a vfork child that still runs in its parent's address space */

/* Where a process's glibc keeps its heap (collect/glibc.h). Offsets in bytes. */
struct mp_glibc_at {
	__u64 main_arena; /* 0: not known, no tier is told */
	__u64 mp;
	__u64 heap_mask; /* other arenas' heaps are aligned to this plus one */
	__s64 tcache_tp, thread_arena_tp;
	__u16 head; /* in an arena: of its fastbins, or its top if it has none */
	__u16 top;
	__u16 bins;
	__u16 entries;                       /* in a thread cache, whose counts come first */
	__u16 sizes;                         /* small sizes it has */
	__u16 larges;                        /* lists of large sizes after those, 0: none (2.42) */
	__u8 fastbins, mangled, counts_down; /* yes or no */
	__u8 pad;
	__u32 sure; /* functions (1 << enum mp_fn) that take what the thread cache has, for certain */
	__u16 mmap_threshold, trim_threshold; /* in mp_ */
};

struct mp_proc_val {
	__u32 owner; /* tgid that events carry */
	__u32 flags;
	__u64 mm;     /* its struct mm_struct, 0: not seen yet */
	__u32 layout; /* index in the map "layouts", 0: stacks are not unwound */
	__u32 pad;
	struct mp_glibc_at glibc;
};

/* bpf/unwind.bpf.h */
#define MP_UNWIND_OBJECTS    4096      /* objects with a table, of all traced processes */
#define MP_UNWIND_LAYOUTS    4096      /* address spaces with executable mappings of their own */
#define MP_UNWIND_TEXT_STEPS 13        /* halvings: up to 8191 executable mappings in one */
#define MP_STACKS            (1 << 17) /* pieces of stacks that the kernel side knows at a time */
#define MP_STACK_IDS         (1 << 14) /* ids that are ready for new ones */
#define MP_STACK_IDS_GIVEN   1024      /* at most, by one run of mp_give_ids */
#define MP_STACK_FRAMES      128
#define MP_UNWIND_MAP_FLAGS  (0x400 | 0x1000) /* BPF_F_MMAPABLE | BPF_F_INNER_MAP */

struct mp_executable { /* an executable mapping */
	__u64 start, end;
	__u64 base;   /* what the table's addresses count from */
	__u32 object; /* index in the map "tables", 0: none, frame pointers are followed */
	__u32 nr_index;
	__u32 covered; /* bytes from @base that the table knows */
	__u32 pad;
};

struct mp_stack_key {
	__u32 prev;
	__u8 nr, end;
	__u8 pad[2];
	__u64 pc[7]; /* MP_STACK_CHUNK of event.h */
};

#define MP_TEXTS 8
struct mp_texts {
	struct {
		__u64 start, end;
	} range[MP_TEXTS];
};

/* The cookie of an allocator probe; @place: where in its page the probed instruction is. */
#define MP_COOKIE(fn, provider, index, glibc, place)                                          \
	((__u64)(fn) | (__u64)(provider) << 8 | (__u64)(index) << 16 | (__u64)(glibc) << 32 | \
	 (__u64)(place) << 33)
#define MP_COOKIE_FN(c)       ((__u8)(c))
#define MP_COOKIE_PROVIDER(c) ((__u8)((c) >> 8))
#define MP_COOKIE_INDEX(c)    ((__u16)((c) >> 16))
#define MP_COOKIE_GLIBC(c)    ((c) >> 32 & 1)
#define MP_COOKIE_PLACE(c)    ((c) >> 33 & 0xfff)

/* Where probes have no cookies: by the address of the probed instruction. */
struct mp_spot_key {
	__u64 addr;
	__u32 tgid;
	__u32 pad;
};

#define MP_PROBES_LIMIT        512 /* probe indexes */
#define MP_HIT_RETURN          512
#define MP_HIT_FAULT           513
#define MP_HIT_HANDLE_MM_FAULT 515 /* the five hooks, or what stands in for them in this row */
#define MP_HIT_ANONYMOUS       516
#define MP_HIT_ALLOC_PAGES     517
#define MP_HIT_BRK             518
#define MP_HIT_MMAP            519
#define MP_HIT_FREELIST        520
#define MP_HIT_VICTIM          521  /* of the out-of-memory killer, whoever's */
#define MP_HIT_CGROUP          528  /* moves of processes to other cgroups, and births elsewhere */
#define MP_HIT_NONE            1023 /* a probe whose hits nobody wants to know */
#define MP_HITS_MAX            1024 /* a power of two */

#define MP_COUNT_DROPS 16 /* MP_DROP_MAX of event.h */
struct mp_counts {
	__u64 drops[MP_COUNT_DROPS]; /* by enum mp_drop */
	__u64 hits[MP_HITS_MAX];     /* by probe index, then MP_HIT_* */
};

struct mp_frame { /* one allocator call under way */
	__u64 sp; /* of the entry: the return address is there */
	__u64 caller;
	__u64 requested;
	__u64 arg; /* realloc: old block; posix_memalign: where the result goes */
	__u64 cookie;
	__u32 tails; /* allocator functions it jumped to, whose returns come before its own */
	__u32 stack;
};

/* What the arena and the thread cache held when an allocator call was entered. */
#define MP_SNAP_WORDS 16 /* a power of two; the fastbins, top, last remainder, unsorted list */
#define MP_SNAP_READ  14
struct mp_snap {
	__u64 need;  /* bytes of the chunk that is asked for, 0: no tier will be told */
	__u64 hit;   /* the block that the thread cache has for it */
	__u64 arena; /* the thread's, if @words are of it; else 0 */
	__u64 words[MP_SNAP_WORDS];
	__u64 own; /* last chunk of its small bin; read for calls that wipe what free chunks hold */
	__u16 count; /* of the thread cache */
	__u16 grew;  /* 1 << enum mp_op, of system calls inside */
	__u32 pad;
};

struct mp_reserving { /* mmap() of what may become a heap of another arena than the main one */
	__u64 heap;   /* 0: none */
	__u64 caller;
	__u32 stack, in_fn;
};

struct mp_freeing { /* free() of a block with a mapping of its own */
	__u64 addr, caller;
	__u64 mmap_threshold, trim_threshold; /* before */
	__u32 stack, pad;
};

#define MP_FRAMES       4
#define MP_FAULT_ALLOCS 4
struct mp_page_alloc {
	__u64 pfn;
	__u64 ts_ns;
	__u32 gfp;
	__u16 node;
	__u8 zone;
	__u8 order;
	__u8 migratetype;
	__u8 stage;
	__u8 pad[2];
	__u32 page_ns;
};

/*
 * The frame that unwinding has come to. In the scratch of its thread and not on the program's stack: what
 * memory holds the verifier forgets, so that it need not follow each way through a frame to the next.
 */
struct mp_unwind {
	__u64 pc, sp, bp;
	__u32 layout, text;
	__u32 exact; /* @pc is the interrupted instruction, not the one after a call */
	__u32 pad;
};

/* What the fault under way has waited for, as in struct mp_ev_stall. */
struct mp_stall {
	__u64 reclaim_begin, memcg_begin, compact_begin; /* since when, 0: not now */
	__u64 reclaim_ns, memcg_ns, compact_ns;
	__u32 reclaims, memcg_reclaims, compactions, wakes;
	__u32 last;  /* enum mp_unmet if there is no memory now: by what was reclaimed last */
	__u32 unmet; /* is to be told; or has been: no second time */
	__u32 told, pad;
};

enum mp_in {
	MP_IN_NONE = 0,
	MP_IN_FAULT = 1,
	MP_IN_RETRY = 2,  /* until it is tried again */
	MP_IN_FAILED = 3, /* at its end, and it has brought nothing */
};

struct mp_thread {
	__u32 depth;
	__u32 in_fault;  /* enum mp_in */
	__u32 gup_ended; /* a fault of get_user_pages whose end was not seen */
	__u32 born;      /* the process it has just made, told by the first of two programs */
	__u32 execed;    /* its exec was, likewise */
	__u32 pad;
	__u64 alloc_enter_ns; /* of the page allocation under way */
	struct mp_frame frames[MP_FRAMES];
	struct mp_snap snaps[MP_FRAMES];
	struct mp_freeing freeing;
	struct mp_reserving reserving;
	__u64 tcb; /* a thread pointer that was seen to be one */

	__u64 fault_addr;
	__u64 fault_ns;
	__u64 fault_ip;
	__u64 fault_mm; /* fentry and kprobe rows: whose page table, and whose process */
	__u32 fault_owner;
	__u32 fault_flags; /* MP_FAULT_*: WRITE PROT KERNEL GUP */
	__u32 nr_allocs;
	__u32 stage;          /* enum mp_stage_bit of the allocation under way */
	__u32 freelist_calls; /* of get_page_from_freelist in it */
	__u32 alloc_depth;    /* reclaim inside an allocation allocates too */
	struct mp_stall stall;
	struct mp_page_alloc allocs[MP_FAULT_ALLOCS];

	__u64 enter_ns; /* of the memory system call under way */
	__u64 args[5];
	__u64 enter_nr;
	__s64 ret; /* of the last one that ended */
	__u64 brk; /* the last that brk told */
	__u64 old_brk;
	__u64 walk[2]; /* ranges to be read at the exit, and how many pages: 0 none */
	__u64 walk_pages[2];
	__u64 walk_caller;
	__u32 hooked; /* do_brk_flags or mmap_region ran inside it */
	__u32 map_stack;
	__u64 map_sp; /* libc's mmap wrapper: entry sp and caller */
	__u64 map_caller;
	__u64 fault_event[12]; /* struct mp_ev_fault that is being filled */
	struct mp_unwind unwind;
	__u64 pcs[MP_STACK_FRAMES]; /* of the stack that is being unwound */
	__u32 nr_pcs, pcs_end;      /* enum mp_stack_end */
	struct mp_stack_key key;    /* the chunk that is being interned; pad is always 0 */
};

/* bpf/question/calibrate.bpf.c */
#define MP_QUESTION_PAGES 64
struct mp_question {
	__u64 addr;        /* of a present page of the loader */
	__u64 page_offset; /* asked */
	__u32 levels;
	__u32 tgid; /* record the order-0 pages this process is given */
	__u64 pgd;  /* answers */
	__u64 pfn;
	__u64 nr_pages;
	__u64 page[MP_QUESTION_PAGES];
};

/* bpf/question/preempt.bpf.c */
struct mp_preempt {
	__u32 tgid; /* asked */
	__u32 possible;
};

#endif
