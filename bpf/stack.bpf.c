// SPDX-License-Identifier: GPL-2.0
/* Run by the loader alone, before anything is attached. */
#include "unwind.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/*
 * Puts MP_STACK_IDS ids from args[0] on into the queue. One at a time by bpf(2) they are 131,072
 * system calls, some seconds where the machine is emulated.
 */
SEC("raw_tp")
int mp_fill_ids(struct bpf_raw_tracepoint_args *ctx)
{
	u32 first = ctx->args[0];

	for (u32 i = 0; i < MP_STACK_IDS; i++) {
		u32 id = first + i;

		if (bpf_map_push_elem(&stack_ids, &id, BPF_ANY))
			return 1;
	}
	return 0;
}
