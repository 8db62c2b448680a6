// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collect/calibrate.h"
#include "collect/closer.h"
#include "collect/tracefs.h"
#include "mallocpath.skel.h"

/* The memory system calls, by the names of their tracepoints. */
static const char *const syscalls[] = { "brk",     "mmap",     "munmap", "mremap",
					"madvise", "mprotect", "mlock",  "mlock2",
					"munlock", "mlockall", "shmat",  "shmdt" };
#define NR_SYSCALLS (sizeof(syscalls) / sizeof(syscalls[0]))

static int keep_link(struct mp_kernel *k, struct bpf_link *link)
{
	struct bpf_link **links;

	if (!link)
		return -errno;
	links = realloc(k->links, (k->nr_links + 1) * sizeof(*links));
	if (!links) {
		bpf_link__destroy(link);
		return -ENOMEM;
	}
	k->links = links;
	k->links[k->nr_links++] = link;
	return 0;
}

static int attach_event(struct mp_kernel *k, struct bpf_program *prog, uint32_t type,
			uint64_t config, int cpu)
{
	struct perf_event_attr attr = {
		.type = type,
		.size = sizeof(attr),
		.config = config,
		.sample_period = 1,
	};
	struct bpf_link *link;
	int fd, err;

	fd = syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	link = bpf_program__attach_perf_event(prog, fd);
	err = keep_link(k, link);
	if (err)
		close(fd);
	return err;
}

/* Software events are per CPU; a CPU that is offline now is skipped. */
static int attach_faults(struct mp_kernel *k, struct mp_err *err)
{
	for (uint32_t cpu = 0; cpu < k->set.nr_cpus; cpu++) {
		int rc = attach_event(k, k->skel->progs.mp_fault_min, PERF_TYPE_SOFTWARE,
				      PERF_COUNT_SW_PAGE_FAULTS_MIN, cpu);

		if (rc == -ENODEV)
			continue;
		if (!rc)
			rc = attach_event(k, k->skel->progs.mp_fault_maj, PERF_TYPE_SOFTWARE,
					  PERF_COUNT_SW_PAGE_FAULTS_MAJ, cpu);
		if (rc)
			return mp_fail(err, MP_EXIT_LACKS, -rc,
				       "the page fault events of CPU %u cannot be opened: %s; "
				       "CAP_PERFMON is needed (see kernel.perf_event_paranoid)",
				       cpu, strerror(-rc));
	}
	return 0;
}

static struct bpf_program *sys_exit_program(const struct mp_kernel *k)
{
	return k->set.has_loop ? k->skel->progs.mp_sys_exit : k->skel->progs.mp_sys_exit_old;
}

static int attach_syscall(struct mp_kernel *k, const char *name, struct mp_err *err)
{
	int64_t enter = mp_tracefs_id("syscalls", "sys_enter_", name);
	int64_t leave = mp_tracefs_id("syscalls", "sys_exit_", name);
	int rc = enter < 0 ? (int)enter : leave < 0 ? (int)leave : 0;

	if (!rc)
		rc = attach_event(k, k->skel->progs.mp_sys_enter, PERF_TYPE_TRACEPOINT, enter, 0);
	if (!rc)
		rc = attach_event(k, sys_exit_program(k), PERF_TYPE_TRACEPOINT, leave, 0);
	if (rc)
		return mp_fail(
			err, MP_EXIT_LACKS, -rc,
			"the tracepoints of the system call %s cannot be used: %s; the kernel "
			"needs CONFIG_FTRACE_SYSCALLS=y",
			name, strerror(-rc));
	return 0;
}

static int attach_raw(struct mp_kernel *k, struct bpf_program *const *progs, size_t nr,
		      struct mp_err *err)
{
	for (size_t i = 0; i < nr; i++) {
		int rc = keep_link(k, bpf_program__attach(progs[i]));

		if (rc)
			return mp_fail(err, MP_EXIT_LACKS, -rc,
				       "the raw tracepoint of %s cannot be attached: %s; "
				       "CAP_PERFMON is needed",
				       bpf_program__name(progs[i]), strerror(-rc));
	}
	return 0;
}

static int attach_common(struct mp_kernel *k, struct mp_err *err)
{
	struct bpf_program *progs[] = {
		k->skel->progs.mp_newtask,     k->skel->progs.mp_exec,
		k->skel->progs.mp_exit,        k->skel->progs.mp_reaped,
		k->skel->progs.mp_zone_locked, k->skel->progs.mp_page_alloc,
		k->skel->progs.mp_page_free,   k->skel->progs.mp_page_free_2,
	};
	int rc = 0;

	for (size_t i = 0; !rc && i < NR_SYSCALLS; i++)
		rc = attach_syscall(k, syscalls[i], err);
	return rc ? rc : attach_raw(k, progs, sizeof(progs) / sizeof(progs[0]), err);
}

static int keep_row_link(void *ctx, struct bpf_link *link)
{
	return keep_link(ctx, link);
}

static int attach_ends(struct mp_kernel *k, struct mp_err *err)
{
	int64_t id = mp_tracefs_id("syscalls", "sys_enter_", "exit_group");
	int rc =
		id < 0 ? (int)id
		       : attach_event(k, k->skel->progs.mp_exit_group, PERF_TYPE_TRACEPOINT, id, 0);

	if (rc)
		return mp_fail(err, MP_EXIT_LACKS, -rc,
			       "the tracepoint of exit_group cannot be used: %s", strerror(-rc));
	return attach_raw(k, &k->skel->progs.mp_signal, 1, err);
}

static int attach_row(struct mp_kernel *k, struct mp_err *err)
{
	struct bpf_program *starts[] = { k->skel->progs.mp_fault_user,
					 k->skel->progs.mp_fault_kernel };
	int rc;

	if (k->rows.row != MP_ROW_TRACEPOINT)
		return mp_rows_attach(&k->rows, k->skel->obj, keep_row_link, k, err);
	rc = attach_faults(k, err);
	if (!rc)
		rc = attach_raw(k, starts, 2, err);
	return rc || !k->rows.exit_hook ? rc : attach_ends(k, err);
}

static void choose_uprobes(struct mp_kernel *k)
{
	int multi = mp_btf_enum("BPF_TRACE_UPROBE_MULTI");
	struct bpf_program *progs[] = { k->skel->progs.mp_alloc_ent, k->skel->progs.mp_alloc_ret,
					k->skel->progs.mp_free_ent, k->skel->progs.mp_map_ent };

	k->multi = multi > 0;
	for (size_t i = 0; k->multi && i < sizeof(progs) / sizeof(progs[0]); i++)
		bpf_program__set_expected_attach_type(progs[i], multi);
}

static int load(struct mp_kernel *k, uint32_t ring_bytes, enum mp_row row, struct mp_err *err)
{
	int rc;

	k->skel = mallocpath_bpf__open();
	if (!k->skel)
		return mp_fail(err, MP_EXIT_FAILED, errno, "the BPF programs cannot be opened: %s",
			       strerror(errno));
	rc = mp_rows_prepare(&k->rows, row, k->set.exit_early, k->skel->obj, err);
	if (rc)
		return rc;
	k->set.gup_seen = row != MP_ROW_TRACEPOINT;
	memcpy((void *)&k->skel->rodata->mp_set, &k->set, sizeof(k->set));
	bpf_map__set_max_entries(k->skel->maps.ring, ring_bytes);
	bpf_map__set_max_entries(k->skel->maps.owned, (k->set.max_pfn >> MP_OWNED_SHIFT) + 2);
	if (k->set.has_cookie)
		bpf_map__set_max_entries(k->skel->maps.spots, 1);
	choose_uprobes(k);
	bpf_program__set_autoload(k->skel->progs.mp_sys_exit, k->set.has_loop);
	bpf_program__set_autoload(k->skel->progs.mp_sys_exit_old, !k->set.has_loop);
	rc = mallocpath_bpf__load(k->skel);
	if (rc)
		return mp_fail(
			err, MP_EXIT_LACKS, -rc,
			"the kernel refused the BPF programs of the %s row: %s; run with -vv "
			"for the verifier's reason",
			mp_row_name(row), strerror(-rc));
	return 0;
}

static int share_owned(struct mp_kernel *k, struct mp_err *err)
{
	void *mem;

	k->owned_bytes = (bpf_map__max_entries(k->skel->maps.owned) * sizeof(struct mp_owned) +
			  MP_PAGE_SIZE - 1) &
			 MP_PAGE_MASK;
	mem = mmap(NULL, k->owned_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		   bpf_map__fd(k->skel->maps.owned), 0);
	if (mem == MAP_FAILED)
		return mp_fail(err, MP_EXIT_FAILED, errno,
			       "the map of owned pages cannot be shared with the kernel: %s",
			       strerror(errno));
	k->owned = mem;
	return 0;
}

static void own(struct mp_kernel *k, uint64_t pfn)
{
	if (pfn && pfn < k->set.max_pfn)
		k->owned[pfn] = 1;
}

void mp_kernel_own(struct mp_kernel *k, const struct mp_ev_pages *ev)
{
	for (uint32_t i = 0; i < ev->nr; i++) {
		uint64_t e = ev->entries[ev->contig ? 0 : i];

		if (!(e & MP_PAGE_ANON))
			continue;
		own(k, (e & MP_PAGE_PFN) + (ev->contig ? i : 0));
	}
}

void mp_kernel_detach(struct mp_kernel *k)
{
	for (size_t i = 0; i < k->nr_links; i++)
		mp_closer__close(k->closer, k->links[i], -1);
	k->nr_links = 0;
}

static void unload(struct mp_kernel *k)
{
	mp_kernel_detach(k);
	if (k->owned)
		munmap(k->owned, k->owned_bytes);
	k->owned = NULL;
	mallocpath_bpf__destroy(k->skel);
	k->skel = NULL;
}

static int try_row(struct mp_kernel *k, uint32_t ring_bytes, enum mp_row row, struct mp_err *err)
{
	int rc = load(k, ring_bytes, row, err);

	if (!rc)
		rc = share_owned(k, err);
	if (!rc)
		rc = attach_common(k, err);
	if (!rc)
		rc = attach_row(k, err);
	if (rc)
		unload(k);
	return rc;
}

int mp_kernel_open(struct mp_kernel *k, uint32_t ring_bytes, bool follow, enum mp_row row,
		   struct mp_err *err)
{
	enum mp_row first = row ? row : MP_ROW_FENTRY, last = row ? row : MP_ROW_TRACEPOINT;
	int rc;

	memset(k, 0, sizeof(*k));
	k->closer = mp_closer__new();
	rc = mp_calibrate(&k->set, err);
	k->set.follow = follow;
	if (!rc) {
		rc = -ENOENT;
		for (enum mp_row r = first; rc && r <= last; r++)
			rc = try_row(k, ring_bytes, r, err);
	}
	if (rc)
		mp_kernel_close(k);
	return rc;
}

/* Links end before their programs' maps go; the closer is waited for. */
void mp_kernel_close(struct mp_kernel *k)
{
	unload(k);
	mp_closer__free(k->closer);
	free(k->links);
	memset(k, 0, sizeof(*k));
}

int mp_kernel_trace(struct mp_kernel *k, pid_t tgid)
{
	struct mp_proc_val val = { .owner = tgid };
	uint32_t key = tgid;

	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.procs), &key, &val, BPF_ANY);
}

int mp_kernel_spot(struct mp_kernel *k, pid_t tgid, uint64_t addr, uint64_t cookie)
{
	struct mp_spot_key key = { .addr = addr, .tgid = tgid };

	if (k->set.has_cookie)
		return 0;
	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.spots), &key, &cookie, BPF_ANY);
}

void mp_kernel_forget(struct mp_kernel *k, pid_t tgid)
{
	uint32_t key = tgid;

	bpf_map_delete_elem(bpf_map__fd(k->skel->maps.procs), &key);
	bpf_map_delete_elem(bpf_map__fd(k->skel->maps.texts), &key);
}

int mp_kernel_texts(struct mp_kernel *k, pid_t tgid, const struct mp_texts *texts)
{
	uint32_t key = tgid;

	return bpf_map_update_elem(bpf_map__fd(k->skel->maps.texts), &key, texts, BPF_ANY);
}

static uint64_t sum_percpu(struct mp_kernel *k, struct bpf_map *map, uint32_t key)
{
	uint64_t *values = calloc(k->set.nr_cpus, sizeof(*values)), sum = 0;

	if (values && !bpf_map_lookup_elem(bpf_map__fd(map), &key, values))
		for (uint32_t i = 0; i < k->set.nr_cpus; i++)
			sum += values[i];
	free(values);
	return sum;
}

uint64_t mp_kernel_hits(struct mp_kernel *k, uint32_t which)
{
	return sum_percpu(k, k->skel->maps.hits, which);
}

/*
 * Whether a run that the kernel skipped is a loss. Of those not named here there either are two, and
 * what one misses the other one gets (bpf/page.bpf.c, bpf/hooks.bpf.c), or they add a detail that is
 * then told as not known; and what an interrupt allocates is no page of a fault.
 */
static bool is_missed(const struct mp_kernel *k, const struct bpf_program *prog)
{
	const struct bpf_program *needed[] = {
		k->skel->progs.mp_alloc_ent,  k->skel->progs.mp_alloc_ret,
		k->skel->progs.mp_free_ent,   k->skel->progs.mp_map_ent,
		k->skel->progs.mp_fault_user, k->skel->progs.mp_fault_kernel,
		k->skel->progs.mp_fault_min,  k->skel->progs.mp_fault_maj,
		k->skel->progs.mp_hmf_kent,   k->skel->progs.mp_hmf_kret,
		k->skel->progs.mp_sys_enter,  sys_exit_program(k),
		k->skel->progs.mp_newtask,    k->skel->progs.mp_exec,
		k->skel->progs.mp_exit,
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (prog == needed[i])
			return true;
	return false;
}

void mp_kernel_loss(struct mp_kernel *k, uint64_t dropped[MP_DROP_MAX], uint64_t *skipped)
{
	struct bpf_program *prog;

	for (uint32_t i = 0; i < MP_DROP_MAX; i++)
		dropped[i] = sum_percpu(k, k->skel->maps.drops, i);
	*skipped = 0;
	bpf_object__for_each_program(prog, k->skel->obj)
	{
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);

		if (bpf_program__fd(prog) >= 0 && is_missed(k, prog) &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
			*skipped += info.recursion_misses;
	}
}

#define SYSCALL_HOOK "tracepoints of brk, mmap, munmap, mremap, madvise, mprotect, mlock"

static const struct mp_stage stages_tracepoint[] = {
	{ "heap growth", "tracepoints sys_enter_brk, sys_exit_brk",
	  "the inside of the call: merges, refusals by reason" },
	{ "mapping", SYSCALL_HOOK,
	  "the moment under the lock: a range is gone at the call's exit" },
	{ "fault start", "raw tracepoints page_fault_user, page_fault_kernel",
	  "faults by get_user_pages (populate, mlock, ptrace) have no start" },
	{ "fault end", "software events PAGE_FAULTS_MIN and _MAJ, then a page-table walk",
	  "get_user_pages by another process (ptrace, process_vm_writev)" },
	{ "kernel-filled range", "page-table walk at the system call's exit",
	  "the fault time of these pages" },
	{ "page allocation", "raw tracepoints mm_page_alloc and _zone_locked, matched by PFN",
	  "the slow path, and the time inside the page allocator" },
	{ NULL, NULL, NULL },
};

static const struct mp_stage stages_later[] = {
	{ "page freed", "raw tracepoint mm_page_free, one byte a physical page", "" },
	{ "later life", "mm_page_free, system calls; pagemap read back at a report",
	  "migration, swap and collapse are found only by reading pagemap back" },
	{ "processes", "raw tracepoints task_newtask, sched_process_exec/exit/free", "" },
	{ NULL, NULL, NULL },
};

static size_t copy_stages(struct mp_stage *to, const struct mp_stage *from)
{
	size_t n = 0;

	while (from[n].stage) {
		to[n] = from[n];
		n++;
	}
	return n;
}

/* The five hooks under the names this kernel has for them. */
static size_t hook_stages(const struct mp_kernel *k, struct mp_stage *to)
{
	static const char *const names[MP_HOOKS] = { "fault", "anonymous page", "page allocation",
						     "heap growth", "mapping" };
	static char text[MP_HOOKS][128];

	for (int i = 0; i < MP_HOOKS; i++) {
		const struct mp_hook *h = &k->rows.hook[i];
		bool stand_in = h->function && strcmp(h->function, h->wanted);

		snprintf(text[i], sizeof(text[i]), "%s %s%s", mp_row_name(k->rows.row),
			 h->attached ? h->function : h->wanted,
			 h->attached ? "" : ": cannot be hooked here");
		to[i] = (struct mp_stage){ names[i], text[i], "" };
		if (!h->attached)
			to[i].gap = "this stage is told from the page table and the tracepoints";
		else if (i == 1 && stand_in)
			to[i].gap = "do_anonymous_page itself: it is inlined on this kernel";
	}
	return MP_HOOKS;
}

const struct mp_stage *mp_kernel_stages(const struct mp_kernel *k)
{
	static struct mp_stage all[24];
	size_t n = k->rows.row == MP_ROW_TRACEPOINT ? copy_stages(all, stages_tracepoint)
						    : hook_stages(k, all);

	if (k->rows.row != MP_ROW_TRACEPOINT)
		all[n++] = (struct mp_stage){ "system calls", SYSCALL_HOOK, "" };
	n += copy_stages(all + n, stages_later);
	all[n] = (struct mp_stage){ "allocator", "one uprobe link a function",
				    "slower to attach and to detach" };
	if (k->multi)
		all[n] = (struct mp_stage){ "allocator",
					    "uprobe.multi links, one a program and object", "" };
	all[n + 1] = (struct mp_stage){ NULL, NULL, NULL };
	return all;
}
