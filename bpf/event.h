/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire format: one header for BPF, user code, trace files and tests.
 *
 * One event type flows through the whole house: struct mp_ev, then a body chosen by @type. The ring
 * buffer, a trace file and a unit test hold the same bytes. Unknown types are skipped by @size, and
 * an event may be longer than the struct known here (fields are only ever appended).
 *
 * Rules: fixed-width integers only, explicit padding (always zeroed), multiples of 8 bytes, numbers
 * are never re-used. Ranges are half open, addresses are user virtual addresses, times are
 * CLOCK_MONOTONIC in ns. Native byte order (a file's header says which).
 */
#ifndef MALLOCPATH_EVENT_H
#define MALLOCPATH_EVENT_H

#ifndef __bpf__
#include <linux/types.h>
#endif

#define MP_PAGE_SHIFT 12
#define MP_PAGE_SIZE  4096ULL
#define MP_PAGE_MASK  (~(MP_PAGE_SIZE - 1))

enum mp_ev_type {
	/* from the kernel side, in the order things happened */
	MP_EV_GAP = 1,          /* events were lost right before this one */
	MP_EV_ALLOC = 2,        /* an allocation function returned */
	MP_EV_FREE = 3,         /* a block is about to be given back (function entry) */
	MP_EV_REALLOC = 4,      /* realloc entered: the old block is in transit */
	MP_EV_REALLOC_DONE = 5, /* realloc returned: moved, resized, restored or freed */
	MP_EV_FAULT = 6,        /* a page fault was handled */
	MP_EV_PAGES = 7,        /* what the page table holds over a range */
	MP_EV_PAGE_FREE = 8,    /* pages of a traced process went back to the buddy allocator */
	MP_EV_RANGE = 9,        /* a memory system call returned */
	MP_EV_FORK = 10,        /* a new process (not a thread) exists */
	MP_EV_EXEC = 11,        /* the process has a new image: everything before is gone */
	MP_EV_EXIT = 12,        /* the last thread is exiting, the address space still stands */
	MP_EV_STACK = 13,     /* part of a call stack, told before the first event that names it */
	MP_EV_THRESHOLD = 14, /* a free() has moved glibc's thresholds */
	MP_EV_OOM = 15,       /* chosen to be killed for want of memory; its pages still stand */
	MP_EV_NEW_HEAP = 16,  /* glibc has made a heap for a thread: a new arena, or more for one */
	MP_EV_STALL = 17,     /* a fault had to wait for memory, or there was none for it */
	MP_EV_REFUSAL = 20,   /* a memory system call failed: refusal.h */
	MP_EV_IMAGE_END = 24, /* an exec is about to let the address space go; it still stands */

	/* read by the user side, woven into the stream by time */
	MP_EV_HOST = 32,      /* facts about the machine and the chosen hooks; first event */
	MP_EV_PROC = 33,      /* a process begins to be traced (also after EXEC) */
	MP_EV_MAPS = 34,      /* the next @nr MP_EV_MAP events replace what is known of the VMAs */
	MP_EV_MAP = 35,       /* one VMA as /proc/PID/smaps has it */
	MP_EV_ALLOCATOR = 36, /* an object that provides malloc for the process */
	MP_EV_PROBE = 37,     /* one probe in an allocator, with its hits so far */
	MP_EV_INSTANT = 38,   /* everything known up to here is a report's instant */
	MP_EV_LOSS = 39,      /* counters of what was lost */
	MP_EV_COST = 40,      /* what tracing cost */
	MP_EV_WITNESS = 41,   /* the kernel module's page walk begins, or is done */
	MP_EV_WITNESS_PAGES = 42, /* part of it: struct mp_ev_pages */
	MP_EV_HEAP = 43,          /* how much of a process's glibc heap is understood */
	MP_EV_CGROUP = 44,        /* the memory cgroup whose limit the process meets first */
	MP_EV_PSS = 46,           /* Pss, of the same reading of smaps_rollup as MP_EV_MAPS's Rss */
	MP_EV_SYSTEM = 47,        /* what the machine refuses memory by: refusal.h */

	/* the heap as it stands, read by the X-ray: heap.h */
	MP_EV_XRAY = 48,       /* an X-ray begins, or is done */
	MP_EV_ARENA = 49,      /* an arena of glibc's malloc */
	MP_EV_PART = 50,       /* a contiguous part of it begins, or is done */
	MP_EV_PART_PAGES = 51, /* some of that part's pages */
	MP_EV_CHUNKS = 52,     /* some of its chunks */

	/* what addresses are called: names.h */
	MP_EV_OBJECT = 64, /* the build of a file that is executed */
	MP_EV_NAMES = 65,  /* the functions at a place in one */
};

/* Every event begins with this. @tgid is the owner of the address space the event is about. */
struct mp_ev {
	__u16 type; /* enum mp_ev_type */
	__u16 size; /* bytes of the whole event, header included, multiple of 8 */
	__u32 cpu;
	__u64 ts_ns; /* CLOCK_MONOTONIC */
	__u32 tgid;
	__u32 tid; /* thread that did it; 0 for events read by the user side */
};
_Static_assert(sizeof(struct mp_ev) == 24, "wire format");

/* Allocation functions by the shape of their arguments; also names the function in reports. */
enum mp_fn {
	MP_FN_NONE = 0,
	MP_FN_MALLOC = 1,
	MP_FN_CALLOC = 2,
	MP_FN_REALLOC = 3,
	MP_FN_REALLOCARRAY = 4,
	MP_FN_MEMALIGN = 5,
	MP_FN_ALIGNED_ALLOC = 6,
	MP_FN_POSIX_MEMALIGN = 7,
	MP_FN_VALLOC = 8,
	MP_FN_PVALLOC = 9,
	MP_FN_NEW = 10, /* operator new and new[], every variant; size is the first argument */
	MP_FN_FREE = 11,
	MP_FN_DELETE = 12, /* operator delete and delete[], every variant */
	MP_FN_MMAP = 13,   /* mmap, mmap64, mremap, sbrk wrappers: only to learn the caller */
	MP_FN_MAX
};

/* What served a block. */
enum mp_tier {
	MP_TIER_UNKNOWN = 0,
	MP_TIER_TCACHE = 1, /* the thread's cache */
	MP_TIER_FASTBIN = 2,
	MP_TIER_UNSORTED = 3, /* straight from the list of what was freed, whole or a part */
	MP_TIER_SMALL = 4,    /* a list of one small size, or a part of such a chunk */
	MP_TIER_LARGE = 5,    /* a list of large sizes */
	MP_TIER_TOP = 6,      /* cut off the top chunk */
	MP_TIER_BRK = 7,      /* the same, and the call has moved the break */
	MP_TIER_HEAP = 8,     /* the same, and the call has grown a heap that is not the break's */
	MP_TIER_MMAP = 9,     /* a mapping of its own */
	MP_TIER_INPLACE = 10, /* realloc: it stayed where it was */
	MP_TIER_OTHER = 11,   /* not glibc */
	MP_TIER_BINS = 12,    /* unsorted, small or large, which is not known */
	MP_TIER_NR = 13
};

/* How a tier is known. */
enum mp_sure {
	MP_SURE_NOT = 0,
	/* by what the arena held at entry or return: other threads change it */
	MP_SURE_SNAPSHOT = 1,
	/* by what only the thread itself can change */
	MP_SURE_CERTAIN = 2,
	MP_SURE_NR = 3
};
#define MP_TIERED(tier, sure) ((__u8)((tier) | (sure) << 4))
#define MP_TIER_OF(tiered)    ((tiered)&15)
#define MP_SURE_OF(tiered)    ((tiered) >> 4)

/*
 * MP_EV_ALLOC. @addr 0: the allocation failed. @chunk is the word before the block: glibc's chunk
 * size and flags (malloc.c, mchunk_size); 0 when unread. Usable bytes follow from it for glibc only.
 */
struct mp_ev_alloc {
	struct mp_ev h;
	__u64 addr;
	__u64 requested;
	__u64 chunk;
	__u64 caller;   /* return address of the outermost allocator call */
	__u32 stack;    /* id of the full stack, 0: only @caller is known */
	__u16 provider; /* index of MP_EV_ALLOCATOR */
	__u8 fn;        /* enum mp_fn */
	__u8 tiered;    /* MP_TIERED(enum mp_tier, enum mp_sure) */
};
_Static_assert(sizeof(struct mp_ev_alloc) == 64, "wire format");

/* MP_EV_FREE, MP_EV_REALLOC (entry: @addr is the old block, never 0) */
struct mp_ev_free {
	struct mp_ev h;
	__u64 addr;
	__u64 caller; /* return address */
	__u32 stack;
	__u16 provider;
	__u8 fn;
	__u8 pad;
};
_Static_assert(sizeof(struct mp_ev_free) == 48, "wire format");

/*
 * MP_EV_REALLOC_DONE: closes the MP_EV_REALLOC of the same thread with the same @old.
 * @a.addr != 0: the block now is [a.addr, a.addr + a.requested). @a.addr == 0 and requested == 0: it
 * was freed. @a.addr == 0 and requested != 0: it failed, the old block stands as before.
 * realloc(NULL, n) is sent as MP_EV_ALLOC with fn REALLOC.
 */
struct mp_ev_realloc_done {
	struct mp_ev_alloc a;
	__u64 old;
};
_Static_assert(sizeof(struct mp_ev_realloc_done) == 72, "wire format");

/* Why a stack ends where it does. Only MP_STACK_WHOLE is a whole one. */
enum mp_stack_end {
	MP_STACK_GOES_ON = 0,     /* in the chunk @prev */
	MP_STACK_WHOLE = 1,       /* the outermost frame: _start, clone */
	MP_STACK_DEEP = 2,        /* more frames than are followed */
	MP_STACK_READ = 3,        /* the user's stack could not be read */
	MP_STACK_NO_LAYOUT = 4,   /* nothing is known of the process yet */
	MP_STACK_NO_TEXT = 5,     /* not in a mapping known to be executable */
	MP_STACK_NO_TABLE = 6,    /* the object's table is not there */
	MP_STACK_NO_RULE = 7,     /* the object has no unwind information for it */
	MP_STACK_UNSUPPORTED = 8, /* it has, of a form that is not followed */
	MP_STACK_NO_FRAME = 9,    /* the frame found does not lie above the one before */
	MP_STACK_END_MAX
};

/*
 * MP_EV_STACK: @nr addresses, outermost first, of the stacks that event fields "stack" name by the id
 * of their innermost chunk; @prev is the chunk with the frames outside of these, 0: these are the
 * outermost, and @end holds. The same chunk may be told twice, under two ids.
 */
#define MP_STACK_CHUNK 7
#define MP_STACK_EXACT (1ULL << 63) /* an interrupted instruction, not the one after a call */
struct mp_ev_stack {
	struct mp_ev h;
	__u32 id;
	__u32 prev;
	__u8 nr;
	__u8 end; /* enum mp_stack_end */
	__u8 pad[6];
	__u64 pc[MP_STACK_CHUNK]; /* beyond @nr: 0 */
};
_Static_assert(sizeof(struct mp_ev_stack) == 96, "wire format");

enum mp_fault_flag {
	MP_FAULT_WRITE = 1 << 0,
	MP_FAULT_PROT = 1 << 1, /* an entry was present before: COW or write after zero page */
	MP_FAULT_MAJOR = 1 << 2,
	MP_FAULT_KERNEL = 1 << 3, /* taken while the kernel copied to or from user memory */
	MP_FAULT_GUP = 1 << 4,    /* taken by get_user_pages (populate, mlock, ptrace) */
	MP_FAULT_WALKED = 1 << 5, /* the page table was read: pfn and the three flags below hold */
	MP_FAULT_PRESENT = 1 << 6,
	MP_FAULT_ANON = 1 << 7, /* the page is anonymous memory (page->mapping says so) */
	MP_FAULT_ZERO = 1 << 8, /* zero page or huge zero page */
	MP_FAULT_PMD = 1 << 9,  /* mapped by one PMD entry: order 9, @pfn is that of @addr's page */
	MP_FAULT_IN_ALLOC = 1 << 10, /* the thread was inside an allocator call (@in_fn, @caller) */
	MP_FAULT_TIMED = 1 << 11,    /* fault_ns is measured */
	MP_FAULT_ALLOC =
		1 << 12, /* a page allocation of this fault had this PFN: alloc_ns, gfp hold */
	MP_FAULT_KIND_KNOWN = 1 << 13, /* ANON is known (else the model decides by VMA) */
	MP_FAULT_SHARED_PFN = 1 << 14, /* the entry is a file or shmem page */
	MP_FAULT_SWAPIN = 1 << 15,     /* the entry before was that of a swapped page */
	/*
	 * A page that this fault allocated is anonymous memory at its end. With ALLOC it is the one
	 * that the entry maps; without, the chain from page allocator to page table is broken.
	 */
	MP_FAULT_CHAIN = 1 << 17,
};

/* How the page allocator came by a page. */
enum mp_stage_bit {
	MP_STAGE_PCP = 1,    /* from this CPU's list */
	MP_STAGE_REFILL = 2, /* that list was empty and was refilled from the buddy lists */
	MP_STAGE_BUDDY = 4,  /* straight from the buddy lists */
	/* neither: not known. The slow path wakes kswapd, may compact and reclaim */
	MP_STAGE_SLOW = 8,  /* get_page_from_freelist failed at first: the slow path ran */
	MP_STAGE_FAST = 16, /* it gave the page at once */
};

/* MP_EV_FAULT. One per handled fault. For 0 < order < 9 a MP_EV_PAGES with the whole folio follows. */
struct mp_ev_fault {
	struct mp_ev h;
	__u64 addr; /* faulting address, not rounded */
	__u64 ip;   /* user instruction, or that of the system call if KERNEL */
	__u64 pfn;
	__u64 caller;   /* IN_ALLOC: return address of the outermost allocator call */
	__u32 fault_ns; /* from the exception to the entry being set, saturating */
	__u32 alloc_ns; /* from the exception to the page leaving the page allocator */
	__u32 flags;    /* enum mp_fault_flag */
	__u32 gfp;
	__u32 stack;
	__u16 node;
	__u8 zone;
	__u8 order;    /* of the folio */
	__s16 syscall; /* KERNEL: number of the system call, else -1 */
	__u8 in_fn;    /* enum mp_fn */
	__u8 migratetype;
	__u32 page_ns; /* spent inside the page allocator for this page; 0: not measured */
	__u8 stage;    /* enum mp_stage_bit; 0: nothing is known */
	__u8 pad[7];
};
_Static_assert(sizeof(struct mp_ev_fault) == 96, "wire format");

enum mp_source {
	MP_SRC_FAULT = 1,
	MP_SRC_POPULATE = 2,   /* range walk at a system call's exit */
	MP_SRC_SEEDED = 3,     /* present when tracing began */
	MP_SRC_RECONCILED = 4, /* known only because pagemap was read back */
	MP_SRC_CHECK = 5,      /* pagemap read back for comparison: absent entries are told too */
	MP_SRC_TOOL = 6,       /* a text page copied because a probe sits in it */
	MP_SRC_WITNESS = 7,    /* walked by the kernel module, only in MP_EV_WITNESS_PAGES */
	/* read again after the kernel had swapped, moved or joined pages: an entry of 0 tells nothing */
	MP_SRC_MOVED = 8,
};

/* One entry of MP_EV_PAGES: PFN in the low 52 bits (swap: the swap offset), flags above. 0: none. */
#define MP_PAGE_PFN          ((1ULL << 52) - 1)
#define MP_PAGE_PRESENT      (1ULL << 63)
#define MP_PAGE_ANON         (1ULL << 62)
#define MP_PAGE_ZERO         (1ULL << 61)
#define MP_PAGE_SWAP         (1ULL << 60)
#define MP_PAGE_HUGE         (1ULL << 59) /* part of a PMD mapping */
#define MP_PAGE_MOVING       (1ULL << 58) /* MOVED: it is about to get another PFN */
#define MP_PAGE_SHARED       (1ULL << 57) /* others map it too; told if the event's @shares is set */
#define MP_PAGE_ORDERED      (1ULL << 56) /* the order of its folio is in MP_PAGE_ORDER() */
#define MP_PAGE_ORDER_SHIFT  52
#define MP_PAGE_ORDER(entry) ((entry) >> MP_PAGE_ORDER_SHIFT & 15)

/*
 * MP_EV_PAGES: @nr pages from @addr. If @contig, entries[0] stands for all of them with the PFN
 * counting up (the 4 KiB zero page: it does not count up); else there are @nr entries. Entries that are
 * neither anonymous nor zero pages are sent as 0 unless they are swap.
 */
struct mp_ev_pages {
	struct mp_ev h;
	__u64 addr;
	__u64 begin_ns; /* the entries were read after this time */
	__u32 nr;
	__u8 source; /* enum mp_source */
	__u8 contig;
	__u8 order; /* of the folio if all belong to one, else 0 */
	__u8 shares;
	__u64 caller; /* populate: as in MP_EV_RANGE */
	__u64 entries[];
};
_Static_assert(sizeof(struct mp_ev_pages) == 56, "wire format");
#define MP_PAGES_MAX 64 /* entries in one event from BPF; the user side may send up to 4096 */

/* MP_EV_PAGE_FREE: 2^order pages from @pfn left a traced process and are free. */
struct mp_ev_page_free {
	struct mp_ev h;
	__u64 pfn;
	__u32 order;
	__u32 pad;
};
_Static_assert(sizeof(struct mp_ev_page_free) == 40, "wire format");

enum mp_op {
	MP_OP_BRK = 1,
	MP_OP_MMAP = 2,
	MP_OP_MUNMAP = 3,
	MP_OP_MREMAP = 4,
	MP_OP_MADVISE = 5,
	MP_OP_MPROTECT = 6,
	MP_OP_MLOCK = 7,
	MP_OP_MUNLOCK = 8,
	MP_OP_MLOCKALL = 9,
	MP_OP_SHMAT = 10,
	MP_OP_SHMDT = 11,
};

/*
 * MP_EV_RANGE: a memory system call returned. @ret is the raw result (-errno on failure).
 *
 *   op        addr         len        old          old_len   prot   flags
 *   BRK       asked break  -          break before -         -      -        ret: break after
 *   MMAP      hint         length     -            fd (s64)  prot   MAP_*    ret: address
 *   MUNMAP    start        length
 *   MREMAP    new hint     new length old address  old len   -      MREMAP_* ret: address
 *   MADVISE   start        length     -            -         advice
 *   MPROTECT  start        length     -            -         prot
 *   MLOCK...  start        length
 */
struct mp_ev_range {
	struct mp_ev h;
	__u64 enter_ns;
	__u64 addr;
	__u64 len;
	__s64 ret;
	__u64 old;
	__u64 old_len;
	__u64 caller; /* IN an allocator call: its caller; else the wrapper's caller, else the user ip */
	__u32 prot;
	__u32 flags;
	__u32 stack;
	__u8 op;     /* enum mp_op */
	__u8 in_fn;  /* enum mp_fn: not NONE or MMAP: a growth (made inside an allocator call) */
	__u8 hooked; /* do_brk_flags or mmap_region was seen inside */
	__u8 pad;
};
_Static_assert(sizeof(struct mp_ev_range) == 96, "wire format");

/* MP_EV_FORK: @h.tgid is the parent. */
struct mp_ev_fork {
	struct mp_ev h;
	__u32 child;
	__u32 followed; /* 1: events of the child follow in this stream */
};
_Static_assert(sizeof(struct mp_ev_fork) == 32, "wire format");

struct mp_ev_exec {
	struct mp_ev h;
	char comm[16];
};
_Static_assert(sizeof(struct mp_ev_exec) == 40, "wire format");

/*
 * MP_EV_EXIT; MP_EV_OOM and MP_EV_IMAGE_END without @code and @cpu_ns: the kernel's own counters at
 * that instant, in pages; @valid 0: not readable.
 */
struct mp_ev_exit {
	struct mp_ev h;
	__s64 file_pages;
	__s64 anon_pages;
	__s64 shmem_pages;
	__s64 swap_entries;
	__u32 valid;
	__s32 code;   /* as wait(2) gives it */
	__u64 cpu_ns; /* CPU time of all its threads */
};
_Static_assert(sizeof(struct mp_ev_exit) == 72, "wire format");

enum mp_drop {
	MP_DROP_RING = 0,        /* ring buffer full */
	MP_DROP_SCRATCH = 1,     /* no room in the per-thread scratch map */
	MP_DROP_NESTED = 2,      /* allocator calls nested deeper than the scratch keeps */
	MP_DROP_RETURN = 3,      /* entry seen, return never seen (longjmp, lost return probe) */
	MP_DROP_USER_READ = 4,   /* user memory could not be read in a probe */
	MP_DROP_WALK = 5,        /* the page table could not be read */
	MP_DROP_FAULT_START = 6, /* a fault's start was not seen */
	MP_DROP_STACK = 7,       /* no room for a stack */
	MP_DROP_NO_ENTRY = 8,    /* return seen without its entry (call was under way at attach) */
	MP_DROP_SYSCALL = 9,     /* a memory system call whose end was not seen */
	MP_DROP_FAULT_END = 10,  /* a fault's end was not seen */
	MP_DROP_MAX = 16
};

/* MP_EV_GAP: @count events of this stream were lost since the last event, for @reason. */
struct mp_ev_gap {
	struct mp_ev h;
	__u64 count;
	__u32 reason; /* enum mp_drop */
	__u32 pad;
};
_Static_assert(sizeof(struct mp_ev_gap) == 40, "wire format");

enum mp_row { /* which row of the fault stage is in use (DESIGN section 5) */
	      MP_ROW_FENTRY = 1,
	      MP_ROW_KPROBE = 2,
	      MP_ROW_TRACEPOINT = 3,
};
enum mp_page_source { MP_PS_WALK = 1, MP_PS_ALLOC = 2, MP_PS_PAGEMAP = 3 };
enum mp_probe_set { MP_PROBES_ALL = 1, MP_PROBES_SLOW = 2, MP_PROBES_NONE = 3 };

/* MP_EV_HOST, first in a stream. Strings are NUL terminated. */
struct mp_ev_host {
	struct mp_ev h;
	__u32 page_size;
	__u32 fault_row;    /* enum mp_row */
	__u32 page_source;  /* enum mp_page_source */
	__u32 alloc_probes; /* enum mp_probe_set */
	__u16 module;
	__u16 waits; /* enum mp_wait_told; 0 in files from before MP_EV_STALL */
	__u32 nr_cpus;
	char release[64]; /* uname -r */
	__u64 zero_pfn;   /* the 4 KiB zero page: what is left where a huge zero page is split */
};
_Static_assert(sizeof(struct mp_ev_host) == 120, "wire format");

/* MP_EV_PROC: argv joined by NUL in cmdline[0..cmdline_len) */
struct mp_ev_proc {
	struct mp_ev h;
	char comm[16];
	__u32 launched; /* 1: traced from its first instruction; 0: attached while running */
	__u32 cmdline_len;
	char cmdline[]; /* padded with NUL to a multiple of 8 */
};
_Static_assert(sizeof(struct mp_ev_proc) == 48, "wire format");

struct mp_ev_maps {
	struct mp_ev h;
	__u32 nr;
	__u32 with_rss;  /* 1: rss fields of the MAP events hold (smaps was read) */
	__u64 rss_bytes; /* smaps_rollup's Rss; ~0 when unread */
	__u64 hugetlb_bytes;
	__u64 begin_ns;
};
_Static_assert(sizeof(struct mp_ev_maps) == 56, "wire format");

enum mp_vma_kind {
	MP_VMA_ANON = 1,
	MP_VMA_HEAP = 2,  /* [heap] */
	MP_VMA_STACK = 3, /* [stack], and mappings made with MAP_STACK */
	MP_VMA_FILE = 4,
	MP_VMA_SHMEM = 5,
	MP_VMA_SPECIAL = 6, /* vdso, vvar, vsyscall, PFN maps */
	MP_VMA_HUGETLB = 7,
};

/* MP_EV_PSS: Rss with each page divided by how many mappings of it there are; ~0: not known. */
struct mp_ev_pss {
	struct mp_ev h;
	__u64 pss_bytes;
};
_Static_assert(sizeof(struct mp_ev_pss) == 32, "wire format");

struct mp_ev_map {
	struct mp_ev h;
	__u64 start;
	__u64 end;
	__u64 offset; /* in the file, bytes */
	__u64 ino;
	__u32 dev_major;
	__u32 dev_minor;
	__u64 rss_bytes;  /* ~0 when unread */
	__u64 anon_bytes; /* "Anonymous:" of smaps; ~0 when unread */
	__u64 swap_bytes; /* ~0 when unread */
	__u8 perms;       /* bit 0 read, 1 write, 2 execute, 3 shared */
	__u8 kind;        /* enum mp_vma_kind */
	__u16 name_len;
	__u32 pad;
	char name[]; /* path or [name], NUL terminated, padded to 8 */
};
_Static_assert(sizeof(struct mp_ev_map) == 96, "wire format");

enum mp_allocator_kind {
	MP_ALLOC_OTHER = 0,
	MP_ALLOC_GLIBC = 1,
	MP_ALLOC_JEMALLOC = 2,
	MP_ALLOC_TCMALLOC = 3,
	MP_ALLOC_MIMALLOC = 4,
	MP_ALLOC_MUSL = 5,
};

struct mp_ev_allocator {
	struct mp_ev h;
	__u16 index;
	__u16 kind; /* enum mp_allocator_kind */
	__u32 build_id_len;
	__u8 build_id[32];
	char version[32];
	char object[]; /* path, NUL terminated, padded to 8 */
};
_Static_assert(sizeof(struct mp_ev_allocator) == 96, "wire format");

enum mp_probe_kind {
	MP_PROBE_EMULATED = 1, /* the kernel emulates the probed instruction */
	MP_PROBE_STEPPED = 2,  /* single-stepped out of line: about ten times dearer */
};

struct mp_ev_probe {
	struct mp_ev h;
	__u16 provider;
	__u8 kind;    /* enum mp_probe_kind */
	__u8 fn;      /* enum mp_fn */
	__u32 into;   /* bytes between the symbol and the probed instruction */
	__u64 offset; /* of the probed instruction in the object file */
	__u64 hits;
	char symbol[64];
};
_Static_assert(sizeof(struct mp_ev_probe) == 112, "wire format");

/* OOM: memory had run out in its cgroup, or in the machine. EXEC: of an image that was replaced */
enum mp_at { MP_AT_NOW = 1, MP_AT_EXIT = 2, MP_AT_PEAK = 3, MP_AT_OOM = 4, MP_AT_EXEC = 5 };

/* MP_EV_INSTANT: @h.tgid or 0 for all. The model's state right after this event is what a view shows. */
struct mp_ev_instant {
	struct mp_ev h;
	__u32 at; /* enum mp_at */
	__u32 pad;
};
_Static_assert(sizeof(struct mp_ev_instant) == 32, "wire format");

/* MP_EV_LOSS: running totals of the kernel side. The model adds what it finds itself. */
struct mp_ev_loss {
	struct mp_ev h;
	__u64 dropped[MP_DROP_MAX]; /* by enum mp_drop */
	__u64 programs_skipped;     /* recursion misses of programs and links */
};
_Static_assert(sizeof(struct mp_ev_loss) == 160, "wire format");

struct mp_ev_cost {
	struct mp_ev h;
	__u64 events;
	__u64 probe_hits;    /* uprobe hits in the target, entries and returns */
	__u64 probe_ns;      /* estimate: hits times the calibrated price of one, in the target */
	__u64 target_cpu_ns; /* CPU the target used while traced, probes included */
	__u64 tool_cpu_ns;
	__u64 tool_peak_bytes;
	__u64 faults; /* fault programs run in the target */
	__u64 reserved;
};
_Static_assert(sizeof(struct mp_ev_cost) == 88, "wire format");

enum mp_witness_phase { MP_WITNESS_BEGINS = 1, MP_WITNESS_DONE = 2 };

/*
 * MP_EV_WITNESS: between BEGINS and DONE, MP_EV_WITNESS_PAGES tell by ascending address every
 * anonymous and zero page that the kernel module found mapped; what is not told is not mapped. An
 * entry 0 is a page it found in motion. Without a DONE the walk was cut short. These are compared
 * with what is known and change nothing of it.
 */
struct mp_ev_witness {
	struct mp_ev h;
	__u64 begin_ns; /* the walk began after this time */
	__u32 phase;    /* enum mp_witness_phase */
	__u32 pad;
};
_Static_assert(sizeof(struct mp_ev_witness) == 40, "wire format");

#include "retention.h"
#include "waits.h"

#include "refusal.h"

#include "heap.h"

#include "names.h"

#endif /* MALLOCPATH_EVENT_H */
