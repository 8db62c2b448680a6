// SPDX-License-Identifier: GPL-2.0-or-later
/* Runs of our programs that the kernel skipped. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "collect/kernel.h"
#include "mallocpath.skel.h"

static uint64_t skipped(const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (bpf_program__fd(prog) < 0 || bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &len))
		return 0;
	return info.recursion_misses;
}

uint64_t mp_kernel_skipped(const struct mp_kernel *k)
{
	const struct bpf_program *needed[] = {
		k->skel->progs.mp_alloc_ent,    k->skel->progs.mp_alloc_ret,
		k->skel->progs.mp_alloc_both,   k->skel->progs.mp_free_ent,
		k->skel->progs.mp_map_ent,      k->skel->progs.mp_fault_user,
		k->skel->progs.mp_fault_kernel,
	};
	const struct bpf_program *pairs[][2] = {
		{ k->skel->progs.mp_newtask, k->skel->progs.mp_newtask_2 },
		{ k->skel->progs.mp_exec, k->skel->progs.mp_exec_2 },
		{ k->skel->progs.mp_exit, k->skel->progs.mp_exit_2 },
	};
	uint64_t ends = skipped(k->skel->progs.mp_fault_min) + skipped(k->skel->progs.mp_fault_maj);
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		sum += skipped(needed[i]);
	/* where functions are hooked a fault without one of its ends is told as MP_DROP_FAULT_* */
	if (k->rows.row == MP_ROW_TRACEPOINT)
		sum += ends;
	if (k->rows.row == MP_ROW_KPROBE) {
		uint64_t starts = skipped(k->skel->progs.mp_hmf_kent);

		sum += starts < ends ? starts : ends;
	}
	if (!k->set.preemptible) /* else MP_DROP_SYSCALL */
		sum += skipped(k->skel->progs.mp_sys_enter) + skipped(k->skel->progs.mp_sys_exit) +
		       skipped(k->skel->progs.mp_sys_exit_old);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		uint64_t first = skipped(pairs[i][0]), second = skipped(pairs[i][1]);

		sum += first < second ? first : second; /* lost if both are: at most so many */
	}
	return sum;
}
