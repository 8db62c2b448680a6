// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the kernel itself does for a stack: a BPF program on one instruction of one process that follows
 * the frame pointers and keeps the stack (bpf_get_stackid), or does nothing at all.
 *
 * usage: walker none|stack PID OBJECT OFFSET      until end of input; says "ready", at the end how many
 *                                                 hits it had and how many frames the stacks
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAMES     127 /* the kernel's own limit (kernel.perf_event_max_stack) */
#define USER_STACK 256 /* BPF_F_USER_STACK */

static int keep_stacks(void)
{
	return bpf_map_create(BPF_MAP_TYPE_STACK_TRACE, "walker", 4, 8 * FRAMES, 4096, NULL);
}

static int count_hits(void)
{
	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "walker_hits", 4, 8, 1, NULL);
}

/* hits[0]++, then the stack if there is a map for it */
static int load(int hits, int stacks)
{
	const struct bpf_insn insns[] = {
		{ BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0 },
		{ BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_VALUE, 0, hits },
		{ 0, 0, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 1 },
		{ BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 0, BPF_ADD },
		{ BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0 },
		{ BPF_LD | BPF_DW | BPF_IMM, 2, BPF_PSEUDO_MAP_FD, 0, stacks },
		{ 0, 0, 0, 0, 0 },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, USER_STACK },
		{ BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_stackid },
		{ BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0 },
		{ BPF_JMP | BPF_EXIT, 0, 0, 0, 0 },
	};
	struct bpf_insn program[12];
	size_t nr = 0;

	for (size_t i = 0; i < 12; i++)
		if (stacks >= 0 || i < 5 || i > 9)
			program[nr++] = insns[i];
	return bpf_prog_load(BPF_PROG_TYPE_KPROBE, "walker", "GPL", program, nr, NULL);
}

static int uprobe_type(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -1;

	if (f && fscanf(f, "%d", &type) != 1)
		type = -1;
	if (f)
		fclose(f);
	return type;
}

static int attach(int prog, pid_t pid, const char *object, uint64_t offset)
{
	struct perf_event_attr attr = { .size = sizeof(attr), .type = uprobe_type() };
	int fd;

	attr.config1 = (uintptr_t)object;
	attr.config2 = offset;
	fd = syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) ||
	    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		return -errno;
	return fd;
}

static void tell(int hits, int stacks)
{
	uint64_t n = 0, frames[FRAMES];
	uint32_t key = 0, id;

	bpf_map_lookup_elem(hits, &key, &n);
	printf("hits %lu\n", n);
	for (int rc = stacks < 0 ? -1 : bpf_map_get_next_key(stacks, NULL, &id); !rc;
	     rc = bpf_map_get_next_key(stacks, &id, &id)) {
		memset(frames, 0, sizeof(frames));
		bpf_map_lookup_elem(stacks, &id, frames);
		for (n = 0; n < FRAMES && frames[n];)
			n++;
		printf("frames %lu\n", n);
	}
}

int main(int argc, char **argv)
{
	int hits = count_hits(), stacks = -1, prog;

	if (argc != 5 || hits < 0)
		return 2;
	if (!strcmp(argv[1], "stack"))
		stacks = keep_stacks();
	prog = load(hits, stacks);
	if (prog < 0 || attach(prog, atoi(argv[2]), argv[3], strtoull(argv[4], NULL, 0)) < 0) {
		perror("walker");
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	tell(hits, stacks);
	return 0;
}
