// SPDX-License-Identifier: GPL-2.0
/* Run by the loader alone. */
#include "unwind.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* Puts args[1] ids, at most MP_STACK_IDS_GIVEN, from args[0] on into the queue; how many there was room for. */
SEC("raw_tp")
int mp_give_ids(struct bpf_raw_tracepoint_args *ctx)
{
	u32 first = ctx->args[0], nr = ctx->args[1];

	for (u32 i = 0; i < MP_STACK_IDS_GIVEN; i++) {
		u32 id = first + i;

		if (i >= nr || bpf_map_push_elem(&stack_ids, &id, BPF_ANY))
			return i;
	}
	return MP_STACK_IDS_GIVEN;
}
