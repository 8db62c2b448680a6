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
#include <sys/utsname.h>
#include <unistd.h>

#include "collect/calibrate.h"
#include "collect/emit.h"
#include "collect/grace.h"
#include "collect/tracefs.h"
#include "collect/waits.h"
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

/*
 * Whether the kernel takes the CPU from a task in the middle of a BPF program: with preemption "full"
 * or "lazy", which is told in brackets here. Where it is not told it is assumed of a kernel that was built
 * for it (init/version.c puts it into the version).
 */
static bool may_preempt(void)
{
	FILE *f = fopen("/sys/kernel/debug/sched/preempt", "re");
	char text[128] = "";
	struct utsname u;

	if (!f)
		return uname(&u) || strstr(u.version, "PREEMPT");
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	return !strstr(text, "(none)") && !strstr(text, "(voluntary)");
}

/* For system calls where the programs of their own tracepoints can be skipped (bpf/vma.bpf.c). */
#define NR_ANY 6
static void any_call_programs(const struct mp_kernel *k, struct bpf_program *progs[NR_ANY])
{
	progs[0] = k->skel->progs.mp_any_enter;
	progs[1] = k->skel->progs.mp_any_enter_2;
	progs[2] = k->skel->progs.mp_any_enter_3;
	progs[3] = k->skel->progs.mp_any_exit;
	progs[4] = k->skel->progs.mp_any_exit_2;
	progs[5] = k->skel->progs.mp_any_exit_3;
}

static int attach_syscalls(struct mp_kernel *k, struct mp_err *err)
{
	struct bpf_program *any[NR_ANY];
	int rc = 0;

	any_call_programs(k, any);
	if (k->set.preemptible)
		return attach_raw(k, any, NR_ANY, err);
	for (size_t i = 0; !rc && i < NR_SYSCALLS; i++)
		rc = attach_syscall(k, syscalls[i], err);
	return rc;
}

/* Without it such an end is like any other: nothing essential is missing. */
static void attach_victim(struct mp_kernel *k)
{
	k->victims = !keep_link(k, bpf_program__attach(k->skel->progs.mp_victim));
}

static int keep_row_link(void *ctx, struct bpf_link *link)
{
	return keep_link(ctx, link);
}

static int attach_common(struct mp_kernel *k, struct mp_err *err)
{
	struct bpf_program *progs[] = {
		k->skel->progs.mp_newtask,     k->skel->progs.mp_newtask_2,
		k->skel->progs.mp_exec,        k->skel->progs.mp_exec_2,
		k->skel->progs.mp_exit,        k->skel->progs.mp_exit_2,
		k->skel->progs.mp_reaped,      k->skel->progs.mp_zone_locked,
		k->skel->progs.mp_page_alloc,  k->skel->progs.mp_page_free,
		k->skel->progs.mp_page_free_2,
	};
	int rc = attach_syscalls(k, err);

	k->reclaim = mp_waits_attach(k->skel, keep_row_link, k);
	attach_victim(k);
	return rc ? rc : attach_raw(k, progs, sizeof(progs) / sizeof(progs[0]), err);
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

	if (k->rows.row == MP_ROW_KPROBE || (k->rows.row == MP_ROW_FENTRY && k->rows.preempts)) {
		rc = attach_faults(k, err);
		if (rc)
			return rc;
	}
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
	int session = mp_btf_enum("BPF_TRACE_UPROBE_SESSION");
	struct bpf_program *progs[] = { k->skel->progs.mp_alloc_ent, k->skel->progs.mp_alloc_ret,
					k->skel->progs.mp_free_ent, k->skel->progs.mp_map_ent };

	k->multi = multi > 0;
	k->session = k->multi && session > 0;
	bpf_program__set_autoload(k->skel->progs.mp_alloc_both, k->session);
	bpf_program__set_autoload(k->skel->progs.mp_alloc_ent, !k->session);
	bpf_program__set_autoload(k->skel->progs.mp_alloc_ret, !k->session);
	if (k->session)
		bpf_program__set_expected_attach_type(k->skel->progs.mp_alloc_both, session);
	for (size_t i = 0; k->multi && i < sizeof(progs) / sizeof(progs[0]); i++)
		bpf_program__set_expected_attach_type(progs[i], multi);
}

static int load(struct mp_kernel *k, uint32_t ring_bytes, enum mp_row row, struct mp_err *err)
{
	struct bpf_program *any[NR_ANY];
	int rc;

	k->skel = mallocpath_bpf__open();
	if (!k->skel)
		return mp_fail(err, MP_EXIT_FAILED, errno, "the BPF programs cannot be opened: %s",
			       strerror(errno));
	rc = mp_rows_prepare(&k->rows, row, k->set.exit_early, may_preempt(), k->skel->obj, err);
	if (rc)
		return rc;
	if (k->want_images)
		mp_rows_want_images(&k->rows, k->skel->obj);
	k->set.gup_seen = row != MP_ROW_TRACEPOINT;
	memcpy((void *)&k->skel->rodata->mp_set, &k->set, sizeof(k->set));
	bpf_map__set_max_entries(k->skel->maps.ring, ring_bytes);
	bpf_map__set_max_entries(k->skel->maps.owned, (k->set.max_pfn >> MP_OWNED_SHIFT) + 2);
	bpf_map__set_max_entries(k->skel->maps.counts, k->set.nr_cpus);
	if (k->set.has_cookie)
		bpf_map__set_max_entries(k->skel->maps.spots, 1);
	choose_uprobes(k);
	any_call_programs(k, any);
	for (size_t i = 0; i < NR_ANY; i++)
		bpf_program__set_autoload(any[i], k->set.preemptible);
	bpf_program__set_autoload(k->skel->progs.mp_sys_enter, !k->set.preemptible);
	bpf_program__set_autoload(k->skel->progs.mp_sys_exit,
				  k->set.has_loop && !k->set.preemptible);
	bpf_program__set_autoload(k->skel->progs.mp_sys_exit_old, !k->set.has_loop);
	bpf_program__set_autoload(k->skel->progs.mp_walk_more, !k->set.has_loop);
	rc = mallocpath_bpf__load(k->skel);
	if (rc)
		return mp_fail(
			err, MP_EXIT_LACKS, -rc,
			"the kernel refused the BPF programs of the %s row: %s; run with -vv "
			"for the verifier's reason",
			mp_row_name(row), strerror(-rc));
	return 0;
}

/* Without loops a program calls itself. */
static int share_walker(struct mp_kernel *k, struct mp_err *err)
{
	int fd = bpf_program__fd(k->skel->progs.mp_walk_more);
	uint32_t key = 0;

	if (k->set.has_loop ||
	    !bpf_map_update_elem(bpf_map__fd(k->skel->maps.walkers), &key, &fd, BPF_ANY))
		return 0;
	return mp_fail(err, MP_EXIT_FAILED, errno,
		       "the walk of page tables cannot be continued: %s", strerror(errno));
}

/* The values of an array map as memory of ours. NULL with @err. */
static void *share(const struct bpf_map *map, size_t value_size, int prot, size_t *bytes,
		   struct mp_err *err)
{
	void *mem;

	*bytes = (bpf_map__max_entries(map) * value_size + MP_PAGE_SIZE - 1) & MP_PAGE_MASK;
	mem = mmap(NULL, *bytes, prot, MAP_SHARED, bpf_map__fd(map), 0);
	if (mem != MAP_FAILED)
		return mem;
	mp_fail(err, MP_EXIT_FAILED, errno, "the map \"%s\" cannot be shared with the kernel: %s",
		bpf_map__name(map), strerror(errno));
	return NULL;
}

static int share_maps(struct mp_kernel *k, struct mp_err *err)
{
	k->owned = share(k->skel->maps.owned, sizeof(struct mp_owned), PROT_READ | PROT_WRITE,
			 &k->owned_bytes, err);
	if (!k->owned)
		return -ENOMEM;
	k->counts =
		share(k->skel->maps.counts, sizeof(*k->counts), PROT_READ, &k->counts_bytes, err);
	return k->counts ? 0 : -ENOMEM;
}

_Static_assert(MP_COUNT_DROPS == MP_DROP_MAX, "a count for each reason");

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
		mp_grace__close(k->grace, k->links[i], -1);
	k->nr_links = 0;
}

static void unload(struct mp_kernel *k)
{
	mp_kernel_detach(k);
	if (k->owned)
		munmap(k->owned, k->owned_bytes);
	k->owned = NULL;
	if (k->counts)
		munmap((void *)k->counts, k->counts_bytes);
	k->counts = NULL;
	mallocpath_bpf__destroy(k->skel);
	k->skel = NULL;
}

static int try_row(struct mp_kernel *k, uint32_t ring_bytes, enum mp_row row, struct mp_err *err)
{
	int rc = load(k, ring_bytes, row, err);

	if (!rc)
		rc = share_maps(k, err);
	if (!rc)
		rc = share_walker(k, err);
	if (!rc)
		rc = attach_common(k, err);
	if (!rc)
		rc = attach_row(k, err);
	if (!rc) /* without these it is told of the last image alone */
		mp_rows_attach_images(&k->rows, k->skel->obj, keep_row_link, k);
	if (rc)
		unload(k);
	return rc;
}

int mp_kernel_open(struct mp_kernel *k, uint32_t ring_bytes, unsigned int flags, enum mp_row row,
		   struct mp_err *err)
{
	enum mp_row first = row ? row : MP_ROW_FENTRY, last = row ? row : MP_ROW_TRACEPOINT;
	int rc;

	memset(k, 0, sizeof(*k));
	k->grace = mp_grace__new();
	rc = mp_calibrate(&k->set, err);
	k->set.follow = flags & MP_KERNEL_FOLLOW;
	k->want_images = flags & MP_KERNEL_IMAGES;
	k->set.preemptible &= may_preempt();
	if (!rc) {
		rc = -ENOENT;
		for (enum mp_row r = first; rc && r <= last; r++)
			if (row || mp_row_possible(r))
				rc = try_row(k, ring_bytes, r, err);
	}
	if (rc)
		mp_kernel_close(k);
	return rc;
}

/* Links end before their programs' maps go; the grace is waited for. */
void mp_kernel_close(struct mp_kernel *k)
{
	unload(k);
	mp_grace__free(k->grace);
	free(k->links);
	memset(k, 0, sizeof(*k));
}

void mp_kernel_host(const struct mp_kernel *k, struct mp_ev_host *ev)
{
	struct utsname u;

	*ev = (struct mp_ev_host){
		.h = { .type = MP_EV_HOST, .size = sizeof(*ev), .ts_ns = mp_mono_ns() },
		.page_size = MP_PAGE_SIZE,
		.fault_row = k->rows.row,
		.page_source = MP_PS_WALK,
		.waits = mp_waits_told(k),
		.nr_cpus = k->set.nr_cpus,
		.zero_pfn = k->set.zero_pfn,
	};
	uname(&u);
	snprintf(ev->release, sizeof(ev->release), "%.63s", u.release);
}

int mp_kernel_trace(struct mp_kernel *k, pid_t tgid, uint32_t layout)
{
	int fd = bpf_map__fd(k->skel->maps.procs);
	struct mp_proc_val val = {};
	uint32_t key = tgid;

	if (!k->tracing) /* until now they ran for nobody */
		k->skipped_before = mp_kernel_skipped(k);
	k->tracing = true;
	bpf_map_lookup_elem(fd, &key, &val); /* a followed child's space is known since its birth */
	val.owner = tgid;
	val.layout = layout;
	return bpf_map_update_elem(fd, &key, &val, BPF_ANY);
}

bool mp_kernel_knows(struct mp_kernel *k, pid_t tgid)
{
	struct mp_proc_val val;
	uint32_t key = tgid;

	return !bpf_map_lookup_elem(bpf_map__fd(k->skel->maps.procs), &key, &val);
}

bool mp_kernel_watch_cgroups(struct mp_kernel *k)
{
	return !keep_link(k, bpf_program__attach(k->skel->progs.mp_regrouped));
}

int mp_kernel_glibc(struct mp_kernel *k, pid_t tgid, const struct mp_glibc_at *at)
{
	int fd = bpf_map__fd(k->skel->maps.procs);
	struct mp_proc_val val;
	uint32_t key = tgid;

	if (bpf_map_lookup_elem(fd, &key, &val))
		return -errno;
	val.glibc = *at;
	return bpf_map_update_elem(fd, &key, &val, BPF_EXIST) ? -errno : 0;
}

bool mp_kernel_has_glibc(struct mp_kernel *k, pid_t tgid)
{
	struct mp_proc_val val;
	uint32_t key = tgid;

	return !bpf_map_lookup_elem(bpf_map__fd(k->skel->maps.procs), &key, &val) &&
	       val.glibc.main_arena;
}

int mp_kernel_layout(struct mp_kernel *k, pid_t tgid, uint32_t layout)
{
	int fd = bpf_map__fd(k->skel->maps.procs);
	struct mp_proc_val val;
	uint32_t key = tgid;

	if (bpf_map_lookup_elem(fd, &key, &val))
		return -errno;
	if (val.layout == layout)
		return 0;
	val.layout = layout;
	return bpf_map_update_elem(fd, &key, &val, BPF_EXIST) ? -errno : 0;
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

uint64_t mp_kernel_hits(struct mp_kernel *k, uint32_t which)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < k->set.nr_cpus && which < MP_HITS_MAX; i++)
		sum += *(const volatile __u64 *)&k->counts[i].hits[which];
	return sum;
}

static uint64_t dropped_for(struct mp_kernel *k, enum mp_drop reason)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < k->set.nr_cpus; i++)
		sum += *(const volatile __u64 *)&k->counts[i].drops[reason];
	return sum;
}

void mp_kernel_drops(struct mp_kernel *k, uint64_t dropped[MP_DROP_MAX])
{
	for (uint32_t i = 0; i < MP_DROP_MAX; i++)
		dropped[i] = dropped_for(k, i);
}

void mp_kernel_loss(struct mp_kernel *k, struct mp_ev_loss *ev)
{
	*ev = (struct mp_ev_loss){
		.h = { .type = MP_EV_LOSS, .size = sizeof(*ev), .ts_ns = mp_mono_ns() },
		.programs_skipped = mp_kernel_skipped(k) - k->skipped_before,
	};
	mp_kernel_drops(k, (uint64_t *)ev->dropped);
}
