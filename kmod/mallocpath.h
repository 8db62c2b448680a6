/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel module: what page faults did to the address spaces of chosen processes, and what is
 * mapped there now. It needs nobody and tells everything as text below debugfs (docs/MODULE.md).
 *
 *   main.c       parameters, the order of coming and going
 *   track.c      which processes are watched; fork, exec, exit
 *   space.c      their address spaces; munmap, mremap
 *   fault.c      the probe on handle_mm_fault
 *   counts.c     faults kept by address, in memory of a bounded size
 *   residency.c  the walk over page tables
 *   debugfs.c    files;  rows.c  the lines of PID/vmas, PID/latency and PID/pages
 *
 * Locks, outermost first: mp_space.attach_lock > mmap_lock > page table locks;
 * registry_lock, mp_space.flight_lock, mp_counts.lock > that of the pool. These four are raw and
 * taken by probes, in process context with preemption off: never sleep or touch user memory there.
 */
#ifndef MP_KMOD_H
#define MP_KMOD_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>
#include <linux/workqueue.h>

#define MP_VERSION "1"

/* --- main.c: parameters */

extern bool mp_track_children;
extern unsigned long mp_memory_limit; /* bytes */
extern int mp_max_active;

/* --- counts.c */

enum mp_kind {
	MP_KIND_ANON,
	MP_KIND_THP,
	MP_KIND_MTHP,
	MP_KIND_ZERO,
	MP_KIND_COW,
	MP_KIND_SWAPIN,
	MP_KIND_FILE,
	MP_KIND_SHMEM,
	MP_KIND_NR,
};
extern const char *const mp_kind_names[MP_KIND_NR];

/* A latency of [2^(i + 7), 2^(i + 8)) ns falls in bucket i; the first and last are open. */
#define MP_BUCKETS      24
#define MP_BUCKET_SHIFT 8

/* One fault, as it is counted. */
struct mp_fault {
	unsigned long addr;
	enum mp_kind kind;
	bool major;   /* by the rule of getrusage(2), mm_account_fault() */
	bool foreign; /* taken by another process on behalf of this one */
	u64 now_ns;   /* CLOCK_MONOTONIC, at its end */
	u64 took_ns;
};

/* Faults of a range, added up. */
struct mp_sum {
	u64 kind[MP_KIND_NR];
	u64 minor, major, foreign; /* the third are among the first two */
	u64 first_ns, last_ns;     /* 0: none */
	u64 latency[MP_KIND_NR][MP_BUCKETS];
};

struct mp_chunk;

/* The faults of one address space by address. Zeroed and initialised by mp_counts_init(). */
struct mp_counts {
	raw_spinlock_t lock;
	struct rb_root regions; /* of struct mp_chunk: the first of each region */
	struct mp_chunk *last;  /* the region of the last fault, or NULL */
	struct mp_sum gone;     /* what was counted in ranges unmapped since */
	struct mp_sum unplaced; /* faults for whose address there was no room */
	u64 nr_chunks;
};

void mp_pool_init(void);
bool mp_pool_fill(void);  /* may sleep; whether there is anything in reserve */
void mp_pool_drain(void); /* may sleep; nobody counts any more */
bool mp_memory_charge(size_t bytes);
void mp_memory_uncharge(size_t bytes);
size_t mp_memory_used(void);
bool mp_memory_full(void);
unsigned long mp_faults_unplaced(void);

void mp_counts_init(struct mp_counts *counts);
void mp_counts_add(struct mp_counts *counts, const struct mp_fault *fault); /* in the probe */
void mp_counts_sum(struct mp_counts *counts, unsigned long start, unsigned long end,
		   struct mp_sum *sum);
void mp_counts_gone(struct mp_counts *counts, unsigned long start, unsigned long end, bool sleep);
void mp_counts_move(struct mp_counts *counts, unsigned long from, unsigned long len,
		    unsigned long to);
void mp_counts_reset(struct mp_counts *counts); /* may sleep: frees everything */
void mp_sum_add(struct mp_sum *sum, const struct mp_sum *more);

/* --- space.c */

/* A fault that was put off with the lock dropped, to be tried again by the same thread. */
struct mp_retry {
	struct task_struct *task; /* only compared */
	unsigned long page;
	u64 start_ns;
};
#define MP_RETRIES 16

/* One address space that is watched. Found by its mm under RCU. */
struct mp_space {
	struct kref ref;
	struct rcu_head rcu;
	struct hlist_node by_mm; /* registry_lock, RCU */
	struct mm_struct *mm;    /* mm_count is held: the pointer stays its own */
	struct pid *pid;         /* of the thread group it belongs to; held */
	struct mp_counts counts;
	struct mp_space *before; /* the space this program was in before exec; folded in and put */

	struct mmu_notifier notifier;
	struct mutex attach_lock;
	bool attached, dead; /* attach_lock */
	struct callback_head task_work;
	struct work_struct attach_work;
	struct completion attach_done;

	raw_spinlock_t flight_lock; /* retries */
	struct mp_retry retries[MP_RETRIES];
	unsigned int nr_retries, next_retry;

	struct list_head dead_list;
};

/* Under rcu_read_lock() or the registry's lock; NULL if @mm is not watched. */
struct mp_space *mp_space_find(struct mm_struct *mm);
/* A space of @mm for the thread group @pid, in no table yet. NULL: no memory. */
struct mp_space *mp_space_new(struct mm_struct *mm, struct pid *pid, gfp_t gfp);
void mp_space_put(struct mp_space *space);  /* may sleep if it is the last one */
void mp_space_hash(struct mp_space *space); /* these two under the registry's lock */
void mp_space_unhash(struct mp_space *space);
int mp_space_listen(struct mp_space *space); /* may sleep */
void mp_space_unlisten(struct mp_space *space);
/* Has @task, which is in fork or exec, wait for that before it is in user space again. */
void mp_space_listen_soon(struct mp_space *space, struct task_struct *task);
unsigned long mp_moves_missed(void); /* mremaps whose counts did not move */
int mp_space_init(void);
void mp_space_stop(void); /* no new mremap is seen */
void mp_space_exit(void); /* waits until nobody is in its code */

/* --- track.c */

/* One process that is watched: a thread group and its directory. */
struct mp_target {
	struct kref ref;
	struct hlist_node by_pid;     /* registry_lock, RCU */
	struct list_head list;        /* registry_lock, RCU */
	struct pid *pid;              /* held */
	pid_t nr;                     /* in the initial namespace: the directory's name */
	struct mp_space __rcu *space; /* NULL: it lives in its parent's until it execs (vfork) */
	struct dentry *dir; /* NULL: not there yet. Only the registry's worker touches it */
	u64 since_ns;       /* CLOCK_MONOTONIC */
	bool dead;          /* registry_lock */
	struct list_head work_list;
	struct rcu_head rcu;
};

int mp_track_init(void);
void mp_track_exit(void); /* untracks everything */
int mp_track_pid(pid_t nr);
int mp_untrack_pid(pid_t nr);
unsigned int mp_nr_targets(void);
extern atomic_long_t mp_children_lost; /* forks and execs that could not be followed: no memory */
extern struct list_head mp_targets;    /* RCU */
struct mp_space *mp_target_space(struct mp_target *target); /* a reference, or NULL */
void mp_target_put(struct mp_target *target);

/* --- fault.c */

int mp_fault_init(void);
void mp_fault_exit(void);
int mp_watch_begin(void); /* may sleep: the first one arms the probe; counted */
void mp_watch_hold(void); /* may not sleep: once more, while someone else still holds it */
void mp_watch_end(void);  /* may sleep: the last one disarms it */
u64 mp_faults_seen(void);
unsigned long mp_faults_missed(void);

/* --- residency.c */

enum mp_page_flag {
	MP_PAGE_ANON = 1 << 0,
	MP_PAGE_SHMEM = 1 << 1, /* neither: a page of a file */
	MP_PAGE_ZERO = 1 << 2,  /* the zero page or the huge zero page */
	MP_PAGE_HUGE = 1 << 3,  /* mapped by one entry of a higher level */
	MP_PAGE_HUGETLB = 1 << 4,
	MP_PAGE_SWAP = 1 << 5,   /* not present: swapped out */
	MP_PAGE_MOVING = 1 << 6, /* being migrated at this moment */
	MP_PAGE_WRITE = 1 << 7,
	MP_PAGE_DIRTY = 1 << 8,
	MP_PAGE_YOUNG = 1 << 9,
};

/* What one entry maps, cut to the range asked for. */
struct mp_mapped {
	unsigned long addr;
	unsigned long pfn; /* of the page at @addr; 0 if swapped */
	unsigned int nr;   /* pages */
	unsigned int order;
	unsigned int flags; /* enum mp_page_flag */
	int nid;            /* -1: none */
};
typedef void (*mp_visit_t)(void *ctx, const struct mp_mapped *mapped);

/*
 * Visits what [@start, @end) of @vma maps, at most about @budget page tables of it, and returns the
 * address from where to go on (@end when done). Under mmap_lock; @visit is called under a spinlock.
 */
unsigned long mp_walk(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		      int budget, mp_visit_t visit, void *ctx);

/* What maps @addr, without locks: for who holds off unmapping by being in a fault. */
bool mp_peek(struct mm_struct *mm, bool anonymous, unsigned long addr, struct mp_mapped *mapped);

bool mp_vma_is_shmem(struct vm_area_struct *vma);

/* Added up, in pages of 4096 bytes. */
struct mp_residency {
	u64 present, anon, thp, mthp, swap, zero, huge_zero, hugetlb;
	u64 node[]; /* nr_node_ids of them, of present pages */
};
void mp_residency_visit(void *ctx, const struct mp_mapped *mapped);

/* --- rows.c, debugfs.c */

struct seq_operations;
extern const struct seq_operations mp_vmas_seq, mp_latency_seq, mp_pages_seq;
struct mp_rows;
struct mp_rows *mp_rows_new(struct mp_target *target, bool may_see_pfns); /* takes a reference */
void mp_rows_free(struct mp_rows *rows);

int mp_debugfs_init(void);
void mp_debugfs_stop(void); /* no more writes to `track`; waits for one in flight */
void mp_debugfs_exit(void);
struct dentry *mp_debugfs_add(struct mp_target *target); /* its directory, or NULL */
void mp_debugfs_remove(struct dentry *dir);

#endif
