// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stacks through each kind of rule (bpf/unwind.h) that compilers and linkers make seldom: a frame
 * realigned below callers that need rbp, code like a linker's PLT and like OpenSSL's assembly, a return
 * address that somebody else's uretprobe has replaced.
 */
#include <alloca.h>
#include <fcntl.h>
#include <link.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAME __attribute__((noinline, noclone))

static void *volatile kept;

/* Touches its two arguments: before it pushes, and at the 11th byte, where the push is done. */
void like_plt(char *first, char *second);
__asm__(".pushsection .text\n"
	".p2align 4\n"
	".type like_plt, @function\n"
	"like_plt:\n"
	"	.cfi_startproc\n"
	/* rsp + 8 + ((rip & 15) >= 11) * 8: binutils writes it for the lazy PLT */
	"	.cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22\n"
	"	movb $1, (%rdi)\n"
	"	nopl (%rax)\n"
	"	.byte 0x68, 0, 0, 0, 0\n" /* push $0, in its long form */
	"	movb $1, (%rsi)\n"
	"	lea 8(%rsp), %rsp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size like_plt, .-like_plt\n"
	".popsection\n");

/* Calls @what with the stack realigned; the old rsp is kept on the new one. */
void like_openssl(void (*what)(void));
__asm__(".pushsection .text\n"
	".type like_openssl, @function\n"
	"like_openssl:\n"
	"	.cfi_startproc\n"
	"	mov %rsp, %rax\n"
	"	sub $128, %rsp\n"
	"	and $-64, %rsp\n"
	"	mov %rax, 32(%rsp)\n"
	/* *(rsp + 32) + 8; rbp is saved nowhere */
	"	.cfi_escape 0x0f, 5, 0x77, 32, 0x06, 0x23, 8\n"
	"	call *%rdi\n"
	"	mov 32(%rsp), %rsp\n"
	"	.cfi_def_cfa %rsp, 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size like_openssl, .-like_openssl\n"
	".popsection\n");

/* Touches @fresh while its CFA is said to be where nothing is mapped. */
void like_nothing(char *fresh, char *nowhere);
__asm__(".pushsection .text\n"
	".type like_nothing, @function\n"
	"like_nothing:\n"
	"	.cfi_startproc\n"
	"	push %rsi\n"
	"	.cfi_escape 0x0f, 5, 0x77, 0, 0x06, 0x23, 8\n"
	"	movb $1, (%rdi)\n"
	"	pop %rsi\n"
	"	.cfi_def_cfa %rsp, 8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".size like_nothing, .-like_nothing\n"
	".popsection\n");

/* Its return address, replaced by a uretprobe on it, is the one that malloc finds. */
void *tailed(size_t n);
__asm__(".pushsection .text\n"
	".type tailed, @function\n"
	"tailed:\n"
	"	.cfi_startproc\n"
	"	nop\n"
	"	jmp malloc@PLT\n"
	"	.cfi_endproc\n"
	".size tailed, .-tailed\n"
	".popsection\n");

FRAME static void take(void)
{
	char *p = malloc(3000);

	kept = p;
	free(p);
}

/* Of variable size too: its CFA is kept nowhere but in a word below rbp. */
FRAME static int realigned(size_t n)
{
	_Alignas(64) volatile char aligned[64 * 3];
	volatile char *variable = alloca(n);

	aligned[n] = variable[0] = 1;
	take();
	return aligned[n];
}

FRAME static void realign(void)
{
	volatile int one = realigned(100);

	(void)one;
}

/* A caller that is found by rbp alone, which @what has to keep. */
FRAME static void by_rbp(void (*what)(void), size_t n)
{
	volatile char *variable = alloca(n);

	variable[0] = 1;
	what();
	variable[n - 1] = 1;
}

FRAME static void through_openssl(void)
{
	like_openssl(take);
	kept = NULL;
}

static char *fresh_pages(size_t nr)
{
	char *fresh =
		mmap(NULL, nr * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (fresh == MAP_FAILED)
		abort();
	madvise(fresh, nr * 4096, MADV_NOHUGEPAGE);
	return fresh;
}

FRAME static void touch_two(void)
{
	char *fresh = fresh_pages(2);

	like_plt(fresh, fresh + 4096);
	munmap(fresh, 2 * 4096);
}

/* Above all that is mapped: a CFA is above the stack pointer. */
#define NOWHERE ((char *)0x7ffffff00000)

FRAME static void touch_from_nowhere(void)
{
	char *fresh = fresh_pages(1);

	like_nothing(fresh, NOWHERE);
	munmap(fresh, 4096);
}

FRAME static void tail(void)
{
	kept = tailed(5000);
	free(kept);
}

static int find_base(struct dl_phdr_info *info, size_t size, void *base)
{
	(void)size;
	*(uintptr_t *)base = info->dlpi_addr;
	return 1; /* the first is the program */
}

/* The kernel's type of the events that are uprobes. */
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

/* A uretprobe that nobody listens to; of a program as linked today, offset and address are the same. */
static int probe_return(void *function)
{
	struct perf_event_attr attr = { .size = sizeof(attr), .config = 1, .disabled = 0 };
	uintptr_t base = 0;
	int type = uprobe_type();

	dl_iterate_phdr(find_base, &base);
	attr.type = type;
	attr.config1 = (uintptr_t) "/proc/self/exe";
	attr.config2 = (uintptr_t)function - base;
	return type < 0 ? -1 : syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* Holds until somebody has written, and then closed, the file of that name. */
static void wait_for(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c;

	while (fd >= 0 && read(fd, &c, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	if (probe_return((void *)tailed) < 0) {
		perror("a uretprobe of our own");
		return 1;
	}
	touch_from_nowhere();
	for (int round = 0; round < 300; round++) {
		by_rbp(take, 100);
		by_rbp(realign, 200);
		by_rbp(through_openssl, 300);
		by_rbp(touch_two, 400);
		by_rbp(tail, 500);
	}
	if (argc > 1)
		wait_for(argv[1]);
	return 0;
}
