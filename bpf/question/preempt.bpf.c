// SPDX-License-Identifier: GPL-2.0
/*
 * Whether a task can lose the CPU in the middle of a program of a system call's tracepoint. Of its own
 * object: a kernel that does not list its variables (CONFIG_KALLSYMS_ALL) refuses it.
 */
#include "../ktypes.bpf.h"
#include "../shared.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct mp_preempt);
} answer SEC(".maps");

/* A variable of its own since 6.15; before, none of these programs could be preempted. */
extern const int __preempt_count __ksym __weak;

#define PREEMPT_MASK 0xff /* include/linux/preempt.h; the top bit is not a count */

/* In the loader's own getppid(). */
SEC("tp/syscalls/sys_enter_getppid")
int mp_ask_preempt(void *ctx)
{
	u32 zero = 0;
	struct mp_preempt *a = bpf_map_lookup_elem(&answer, &zero);
	const int *count;

	if (!a || a->tgid != bpf_get_current_pid_tgid() >> 32 || !&__preempt_count)
		return 0;
	count = bpf_this_cpu_ptr(&__preempt_count);
	a->possible = !(*count & PREEMPT_MASK);
	return 0;
}
