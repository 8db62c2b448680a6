// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the kernel's verifier makes of our programs, as this kernel loads them in each row of the fault
 * stage. A line each:
 *
 *	ROW PROGRAM VERIFIED LENGTH
 *
 * VERIFIED: instructions the verifier went through (0: this kernel does not tell, before 5.16), LENGTH:
 * instructions after its rewriting. A row that this kernel has not is left out.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>

#include "collect/kernel.h"
#include "mallocpath.skel.h"

#define BPF_INSN_BYTES 8

static int print_program(const char *row, const struct bpf_program *prog)
{
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);
	int fd = bpf_program__fd(prog);

	if (fd < 0)
		return 0; /* not for this row, or not for this kernel */
	if (bpf_obj_get_info_by_fd(fd, &info, &len)) {
		perror(bpf_program__name(prog));
		return 1;
	}
	printf("%s %s %u %u\n", row, bpf_program__name(prog), info.verified_insns,
	       info.xlated_prog_len / BPF_INSN_BYTES);
	return 0;
}

static int print_row(enum mp_row row)
{
	struct mp_err err = { .exit = 0 };
	struct bpf_program *prog;
	struct mp_kernel k;
	int bad = 0;

	if (mp_kernel_open(&k, 1 << 20, false, row, &err)) {
		fprintf(stderr, "%s: %s\n", mp_row_name(row), err.text);
		return 1;
	}
	bpf_object__for_each_program(prog, k.skel->obj)
		bad |= print_program(mp_row_name(row), prog);
	mp_kernel_close(&k);
	return bad;
}

int main(void)
{
	int bad = 0;

	libbpf_set_print(NULL);
	for (enum mp_row row = MP_ROW_FENTRY; row <= MP_ROW_TRACEPOINT; row++)
		if (row == MP_ROW_TRACEPOINT || mp_row_possible(row))
			bad |= print_row(row);
	return bad;
}
