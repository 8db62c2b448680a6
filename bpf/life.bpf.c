// SPDX-License-Identifier: GPL-2.0
/* Processes: born (fork, vfork), given a new image (exec), ended. Raw tracepoints of sched and task. */
#include "maps.bpf.h"

char LICENSE[] SEC("license") = "GPL";

#define CLONE_VM     0x00000100
#define CLONE_THREAD 0x00010000

#define CLONE_INTO_CGROUP 0x200000000ULL

/* Only its addresses matter: see percpu_offset(). */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, u64);
} anchor SEC(".maps");

static __always_inline void send_fork(u32 parent, u32 child)
{
	struct mp_ev_fork *ev = mp_reserve(sizeof(*ev));

	if (!ev)
		return;
	mp_head(&ev->h, MP_EV_FORK, sizeof(*ev), parent);
	ev->child = child;
	ev->followed = mp_set.follow;
	mp_send(ev);
}

static __always_inline void born(struct mp_proc_val *p, struct task_struct *task, u64 flags,
				 u32 tgid)
{
	struct mp_proc_val child = {};
	u64 mm;

	child.layout = p->layout; /* a copy of the same, or the same */
	child.glibc = p->glibc;
	child.mm = (u64)BPF_CORE_READ(task, mm);
	if (flags & CLONE_VM) {
		child.owner = p->owner;
		child.flags = MP_PROC_VFORK;
		bpf_map_update_elem(&procs, &tgid, &child, BPF_ANY);
		return;
	}
	send_fork(p->owner, tgid);
	if (!mp_set.follow)
		return;
	child.owner = tgid;
	mm = child.mm;
	bpf_map_update_elem(&procs, &tgid, &child, BPF_ANY);
	bpf_map_update_elem(&spaces, &mm, &tgid, BPF_ANY);
}

/*
 * Programs on tracepoints can be preempted since 7.0, and are then skipped for others on that CPU. So
 * there are two for each birth and exec; the first leaves word in the thread's scratch that it ran.
 */
static __always_inline int newtask(struct bpf_raw_tracepoint_args *ctx, bool second)
{
	struct task_struct *task = (void *)ctx->args[0];
	struct mp_proc_val *p = mp_current();
	u64 flags = ctx->args[1];
	struct mp_thread *t;
	bool done;
	u32 tgid;

	if (flags & CLONE_INTO_CGROUP)
		mp_hit(MP_HIT_CGROUP);
	if (!p || (flags & CLONE_THREAD))
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	t = mp_thread_make();
	done = second && t && t->born == tgid;
	if (t)
		t->born = second ? 0 : tgid;
	if (!done)
		born(p, task, flags, tgid);
	return 0;
}

SEC("raw_tp/task_newtask")
int mp_newtask(struct bpf_raw_tracepoint_args *ctx)
{
	return newtask(ctx, false);
}

SEC("raw_tp/task_newtask")
int mp_newtask_2(struct bpf_raw_tracepoint_args *ctx)
{
	return newtask(ctx, true);
}

/* Attached where the processes of a cgroup are traced: its list is to be looked at again. */
SEC("raw_tp/cgroup_attach_task")
int mp_regrouped(struct bpf_raw_tracepoint_args *ctx)
{
	mp_hit(MP_HIT_CGROUP);
	return 0;
}

static __always_inline int exec(bool second)
{
	struct mp_proc_val *p = mp_known();
	struct mp_ev_exec *ev;
	u32 tgid = mp_tgid();
	struct mp_thread *t;
	bool done;

	if (!p)
		return 0;
	t = mp_thread_make();
	done = second && t && t->execed;
	if (t)
		t->execed = !second;
	if (done)
		return 0;
	if (p->flags & MP_PROC_VFORK) {
		if (!mp_set.follow) {
			bpf_map_delete_elem(&procs, &tgid);
			return 0;
		}
		p->owner = tgid;
		p->flags = 0;
		p->mm = 0;
	}
	mp_learn_space(p);
	p->layout = 0; /* of the image that is gone */
	p->glibc.main_arena = 0;
	bpf_map_delete_elem(&texts, &tgid);
	ev = mp_reserve(sizeof(*ev));
	if (!ev)
		return 0;
	mp_head(&ev->h, MP_EV_EXEC, sizeof(*ev), tgid);
	bpf_get_current_comm(ev->comm, sizeof(ev->comm));
	mp_send_now(ev); /* its stacks have no tables yet */
	return 0;
}

SEC("raw_tp/sched_process_exec")
int mp_exec(struct bpf_raw_tracepoint_args *ctx)
{
	return exec(false);
}

SEC("raw_tp/sched_process_exec")
int mp_exec_2(struct bpf_raw_tracepoint_args *ctx)
{
	return exec(true);
}

/* A pointer's value as a plain number, which the verifier would not let us compute with. */
static __always_inline u64 number(void *pointer)
{
	u64 n = 0;

	bpf_probe_read_kernel(&n, 8, &pointer);
	return n;
}

/*
 * What to add to a per-CPU pointer to reach @cpu's copy. The kernel's table of these offsets has no
 * symbol where KALLSYMS_ALL is off, but a per-CPU map shows both sides of the sum: its per-CPU
 * pointer (in struct bpf_array) and the address of one CPU's copy.
 */
static __always_inline u64 percpu_offset(u64 base, u32 cpu)
{
	u32 zero = 0;
	void *here = bpf_map_lookup_percpu_elem(&anchor, &zero, cpu);

	return here ? number(here) - base : 0;
}

static __always_inline u64 percpu_base(void)
{
	u64 base = 0, at = number(&anchor) + bpf_core_field_offset(struct bpf_array, pptrs);

	bpf_probe_read_kernel(&base, 8, (void *)at);
	return base;
}

static __always_inline s64 sum_counter(struct percpu_counter *c, u64 base)
{
	u64 counters = (u64)BPF_CORE_READ(c, counters);
	s64 sum = BPF_CORE_READ(c, count);

	for (u32 cpu = 0; cpu < 1024; cpu++) {
		s32 n = 0;

		if (cpu >= mp_set.nr_cpus)
			break;
		bpf_probe_read_kernel(&n, 4, (void *)(counters + percpu_offset(base, cpu)));
		sum += n;
	}
	return sum;
}

/* The order of the counters: enum in include/linux/mm_types_task.h: file, anon, swap, shmem. */
static __always_inline void read_rss(struct mm_struct *mm, struct mp_ev_exit *ev)
{
	u64 base = percpu_base();

	ev->file_pages = sum_counter(&mm->rss_stat[0], base);
	ev->anon_pages = sum_counter(&mm->rss_stat[1], base);
	ev->swap_entries = sum_counter(&mm->rss_stat[2], base);
	ev->shmem_pages = sum_counter(&mm->rss_stat[3], base);
	ev->valid = 1;
}

/* Up to 6.1 one counter each; what a task still holds back was added before (exit_mm, sync_mm_rss). */
static __always_inline void read_old_rss(struct mm_struct___old *mm, struct mp_ev_exit *ev)
{
	if (!bpf_core_field_exists(mm->rss_stat.count))
		return;
	ev->file_pages = BPF_CORE_READ(mm, rss_stat.count[0].counter);
	ev->anon_pages = BPF_CORE_READ(mm, rss_stat.count[1].counter);
	ev->swap_entries = BPF_CORE_READ(mm, rss_stat.count[2].counter);
	ev->shmem_pages = BPF_CORE_READ(mm, rss_stat.count[3].counter);
	ev->valid = 1;
}

static __always_inline void begin_exit(struct mp_ev_exit *ev, u16 type, struct mm_struct *mm,
				       u32 tgid)
{
	mp_head(&ev->h, type, sizeof(*ev), tgid);
	ev->file_pages = ev->anon_pages = ev->shmem_pages = ev->swap_entries = 0;
	ev->valid = 0;
	ev->code = 0;
	ev->cpu_ns = 0;
	if (mm && bpf_core_field_exists(mm->rss_stat[0].counters))
		read_rss(mm, ev);
	else if (mm)
		read_old_rss((void *)mm, ev);
}

static __always_inline void send_exit(struct task_struct *task, u32 tgid)
{
	struct mp_ev_exit *ev = mp_reserve(sizeof(*ev));

	if (!ev)
		return;
	begin_exit(ev, MP_EV_EXIT, BPF_CORE_READ(task, mm), tgid);
	ev->code = BPF_CORE_READ(task, exit_code);
	ev->cpu_ns = BPF_CORE_READ(task, signal, sum_sched_runtime) +
		     BPF_CORE_READ(task, se.sum_exec_runtime);
	mp_send(ev);
}

/* A thread ends while the address space stands; with the last one, so does the process. */
static __always_inline int thread_exit(struct task_struct *task)
{
	struct mp_proc_val *p = mp_known();
	u32 tid = (u32)bpf_get_current_pid_tgid(), tgid = mp_tgid();
	u64 mm;

	if (!p)
		return 0;
	bpf_map_delete_elem(&threads, &tid);
	if (BPF_CORE_READ(task, signal, live.counter) > 0 || (p->flags & MP_PROC_EXITING))
		return 0;
	if (p->flags & MP_PROC_VFORK) {
		bpf_map_delete_elem(&procs, &tgid);
		return 0;
	}
	p->flags |= MP_PROC_EXITING;
	mm = p->mm;
	bpf_map_delete_elem(&spaces, &mm);
	send_exit(task, p->owner);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int mp_exit(struct bpf_raw_tracepoint_args *ctx)
{
	return thread_exit((void *)ctx->args[0]);
}

SEC("raw_tp/sched_process_exit")
int mp_exit_2(struct bpf_raw_tracepoint_args *ctx)
{
	return thread_exit((void *)ctx->args[0]);
}

/* Where that tracepoint comes too late; called by exit_mm() before the address space is let go. */
SEC("?fentry/exit_mm_release")
int mp_exit_ent(u64 *ctx)
{
	return thread_exit((void *)bpf_get_current_task());
}

SEC("?kprobe/exit_mm_release")
int mp_exit_kent(struct mp_regs *r)
{
	return thread_exit((void *)bpf_get_current_task());
}

/*
 * Where neither is to be had: the thread that asks for the end. Others may still run for a moment,
 * and an end by signal is seen only when the signal is delivered.
 */
static __always_inline int process_ending(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mp_proc_val *p = mp_known();

	if (!p || p->flags)
		return 0;
	p->flags |= MP_PROC_EXITING;
	send_exit(task, p->owner);
	return 0;
}

SEC("?tp")
int mp_exit_group(void *ctx)
{
	return process_ending();
}

/* signal_deliver(sig, info, ka): the default action of these signals ends the process */
#define SIG_DFL 0
#define ENDING_SIGNALS                                                                           \
	(1UL << 1 | 1UL << 2 | 1UL << 3 | 1UL << 4 | 1UL << 6 | 1UL << 7 | 1UL << 8 | 1UL << 9 | \
	 1UL << 11 | 1UL << 13 | 1UL << 14 | 1UL << 15 | 1UL << 31)

SEC("?raw_tp/signal_deliver")
int mp_signal(struct bpf_raw_tracepoint_args *ctx)
{
	u64 sig = ctx->args[0], handler = 1;

	if (sig > 31 || !(ENDING_SIGNALS >> sig & 1))
		return 0;
	/* struct k_sigaction begins with the handler */
	bpf_probe_read_kernel(&handler, 8, (void *)ctx->args[2]);
	return handler == SIG_DFL ? process_ending() : 0;
}

/* Up to 6.1 a task holds back what it has counted lately (SPLIT_RSS_COUNTING). */
static __always_inline void add_held_back(struct task_struct___old *task, struct mp_ev_exit *ev)
{
	if (!bpf_core_field_exists(task->rss_stat.count))
		return;
	ev->file_pages += BPF_CORE_READ(task, rss_stat.count[0]);
	ev->anon_pages += BPF_CORE_READ(task, rss_stat.count[1]);
	ev->swap_entries += BPF_CORE_READ(task, rss_stat.count[2]);
	ev->shmem_pages += BPF_CORE_READ(task, rss_stat.count[3]);
}

/*
 * The out-of-memory killer has chosen a process: it has a SIGKILL, and all its pages still. Runs in
 * the task that wanted memory, which need not be of that process. Older kernels tell the thread's id,
 * mostly the process's, newer ones its task.
 */
SEC("raw_tp/mark_victim")
int mp_victim(struct bpf_raw_tracepoint_args *ctx)
{
	u64 victim = ctx->args[0];
	struct task_struct *task = victim >> 32 ? (void *)victim : NULL;
	u32 tgid = task ? BPF_CORE_READ(task, tgid) : victim;
	struct mp_proc_val *p = bpf_map_lookup_elem(&procs, &tgid);
	struct mp_ev_exit *ev;

	mp_hit(MP_HIT_VICTIM);
	if (!p || p->flags)
		return 0;
	ev = mp_reserve(sizeof(*ev));
	if (!ev)
		return 0;
	begin_exit(ev, MP_EV_OOM, task ? BPF_CORE_READ(task, mm) : (void *)p->mm, p->owner);
	if (!task && mp_tgid() == tgid)
		task = (void *)bpf_get_current_task();
	if (task && ev->valid)
		add_held_back((void *)task, ev);
	mp_send_now(ev);
	return 0;
}

/*
 * An exec lets the old address space go; the other threads have ended by then. sched_process_exec
 * comes when its pages are gone. Called by exec_mmap(); a vfork child leaves its parent's.
 */
static __always_inline int image_ending(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct mp_proc_val *p = mp_known();
	struct mp_ev_exit *ev;

	if (!p || p->flags)
		return 0;
	ev = mp_reserve(sizeof(*ev));
	if (!ev)
		return 0;
	begin_exit(ev, MP_EV_IMAGE_END, BPF_CORE_READ(task, mm), p->owner);
	if (ev->valid)
		add_held_back((void *)task, ev);
	mp_send(ev);
	return 0;
}

SEC("?fentry/exec_mm_release")
int mp_image_ent(u64 *ctx)
{
	return image_ending();
}

SEC("?kprobe/exec_mm_release")
int mp_image_kent(struct mp_regs *r)
{
	return image_ending();
}

/* Where no function can be hooked. The other threads may still run for a moment. */
SEC("?raw_tp/sched_prepare_exec")
int mp_image_tp(struct bpf_raw_tracepoint_args *ctx)
{
	return image_ending();
}

/* The leader is reaped: its id may be used again. */
SEC("raw_tp/sched_process_free")
int mp_reaped(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *task = (void *)ctx->args[0];
	u32 pid = BPF_CORE_READ(task, pid), tgid = BPF_CORE_READ(task, tgid);

	if (pid != tgid || !bpf_map_lookup_elem(&procs, &tgid))
		return 0;
	bpf_map_delete_elem(&procs, &tgid);
	bpf_map_delete_elem(&texts, &tgid);
	return 0;
}
