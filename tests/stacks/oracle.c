// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The other witness of tests/stacks: takes the copies of stacks that a build with MP_COPY_STACKS makes
 * (bpf/copy.bpf.h) and unwinds each by libdw, from the objects' own .eh_frame. It shares no code with
 * what it checks.
 *
 * usage: oracle OUT       until SIGTERM; a line a stack: "ID TGID BEYOND PC PC ...", innermost first, or
 *                         "ID TGID BEYOND PC ... ! why it ends", each PC as dwfl tells it; BEYOND: 1
 *                         if it asked for what lies outside of the copy. A newline on stdout
 *                         when it is ready, and to each SIGUSR1 when it has unwound all there is.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FRAMES    200
#define PROCESSES 256

struct copy { /* struct mp_stack_copy */
	uint32_t id, tgid, bytes, exact;
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
	uint64_t rip, cs, eflags, rsp, ss;
	struct {
		uint64_t slot, was;
	} replaced[8];
	unsigned char stack[16 * 4096];
};

struct process {
	pid_t pid;
	Dwfl *dwfl;
	const struct copy *copy; /* that is being unwound */
	uint64_t pcs[FRAMES];
	int nr, beyond;
};

static struct process processes[PROCESSES];
static FILE *out;
static volatile sig_atomic_t over, asked;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		asked = 1;
	else
		over = 1;
}

static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	struct process *p = arg;

	(void)dwfl;
	if (*thread_arg)
		return 0;
	*thread_arg = p;
	return p->pid;
}

static bool read_word(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *word, void *arg)
{
	struct process *p = arg;
	const struct copy *c = p->copy;

	(void)dwfl;
	if (addr < c->rsp || addr - c->rsp > c->bytes || c->bytes - (addr - c->rsp) < 8) {
		p->beyond = 1;
		return false;
	}
	memcpy(word, c->stack + (addr - c->rsp), 8);
	for (int i = 0; i < 8; i++)
		if (c->replaced[i].slot == addr)
			*word = c->replaced[i].was;
	return true;
}

/* In the order of the psABI's DWARF numbers; a return address stands for the call before it. */
static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	const struct copy *c = ((struct process *)arg)->copy;
	Dwarf_Word regs[17] = { c->rax,
				c->rdx,
				c->rcx,
				c->rbx,
				c->rsi,
				c->rdi,
				c->rbp,
				c->rsp,
				c->r8,
				c->r9,
				c->r10,
				c->r11,
				c->r12,
				c->r13,
				c->r14,
				c->r15,
				c->exact ? c->rip : c->rip - 1 };

	return dwfl_thread_state_registers(thread, 0, 17, regs);
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.memory_read = read_word,
	.set_initial_registers = set_registers,
};

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
};

static int on_frame(Dwfl_Frame *frame, void *arg)
{
	struct process *p = arg;
	Dwarf_Addr pc;
	bool activation;

	if (!dwfl_frame_pc(frame, &pc, &activation) || p->nr == FRAMES)
		return DWARF_CB_ABORT;
	if (!p->nr && !p->copy->exact)
		pc++;
	p->pcs[p->nr++] = pc;
	return DWARF_CB_OK;
}

static void report(struct process *p)
{
	dwfl_report_begin_add(p->dwfl);
	dwfl_linux_proc_report(p->dwfl, p->pid);
	dwfl_report_end(p->dwfl, NULL, NULL);
}

static struct process *process_of(pid_t pid)
{
	struct process *p = processes;

	while (p < processes + PROCESSES - 1 && p->pid && p->pid != pid)
		p++;
	if (p->pid == pid)
		return p;
	p->pid = pid;
	p->dwfl = dwfl_begin(&callbacks);
	report(p);
	dwfl_attach_state(p->dwfl, NULL, pid, &thread_callbacks, p);
	return p;
}

/* 0: to the outermost frame. An object that came since the last look is looked for once. */
static int unwind(struct process *p)
{
	int rc;

	p->nr = p->beyond = 0;
	rc = dwfl_getthread_frames(p->dwfl, p->pid, on_frame, p);
	if (rc && p->nr && !dwfl_addrmodule(p->dwfl, p->pcs[p->nr - 1])) {
		report(p);
		p->nr = p->beyond = 0;
		rc = dwfl_getthread_frames(p->dwfl, p->pid, on_frame, p);
	}
	return rc;
}

static int on_copy(void *ctx, void *data, size_t size)
{
	const struct copy *c = data;
	struct process *p = process_of(c->tgid);
	int rc;

	(void)ctx;
	if (size < sizeof(*c))
		return 0;
	p->copy = c;
	rc = unwind(p);
	fprintf(out, "%u %u %d", c->id, c->tgid, p->beyond);
	for (int i = 0; i < p->nr; i++)
		fprintf(out, " %lx", p->pcs[i]);
	fprintf(out, rc ? " ! %s\n" : "\n", dwfl_errmsg(-1));
	return 0;
}

/* The ring of the newest build that runs, in place of @old. */
static struct ring_buffer *open_ring(struct ring_buffer *old)
{
	static uint32_t opened;
	struct bpf_map_info info;
	uint32_t id = 0, size, found = 0;

	while (!bpf_map_get_next_id(id, &id)) {
		int fd = bpf_map_get_fd_by_id(id);

		size = sizeof(info);
		memset(&info, 0, sizeof(info));
		if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) &&
		    !strcmp(info.name, "copies"))
			found = id;
		if (fd >= 0)
			close(fd);
	}
	if (!found || found == opened)
		return old;
	opened = found;
	if (old)
		ring_buffer__free(old);
	return ring_buffer__new(bpf_map_get_fd_by_id(found), on_copy, NULL, NULL);
}

static void answer(struct ring_buffer *ring)
{
	asked = 0;
	if (ring)
		ring_buffer__consume(ring);
	if (write(STDOUT_FILENO, "\n", 1) != 1)
		over = 1;
}

int main(int argc, char **argv)
{
	struct ring_buffer *ring = NULL;
	bool some = false;

	out = argc == 2 ? fopen(argv[1], "w") : NULL;
	if (!out)
		return 2;
	signal(SIGTERM, on_signal);
	signal(SIGUSR1, on_signal);
	answer(NULL);
	/* the tool loads its programs more than once, until one set of them suits the kernel */
	while (!over) {
		if (!some)
			ring = open_ring(ring);
		if (ring && ring_buffer__poll(ring, 20) > 0)
			some = true;
		else if (!ring)
			usleep(5000);
		if (asked)
			answer(ring);
	}
	if (ring)
		ring_buffer__consume(ring);
	return fclose(out) || !ring ? 1 : 0;
}
