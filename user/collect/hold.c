// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/hold.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <unistd.h>

#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>

#define OUR_SIGNAL    SIGURG
#define PHDRS_MAX     64
#define DYNS_MAX      128
#define CHAIN_MAX     4096 /* symbols looked at in one hash chain */
#define PAGE_BYTES    4096ULL
#define OUR_BIT       (1ULL << (OUR_SIGNAL - 1))
#define KERNEL_SIGSET 8 /* bytes of the kernel's sigset_t, as PTRACE_GETSIGMASK wants them */

static int use_breakpoints = 1;

int mp_hold_use_breakpoints(int use)
{
	int was = use_breakpoints;

	use_breakpoints = use;
	return was;
}

/* ---- the linker's symbols, as mapped -------------------------------------------------------- */

/* What an image in another process says of its symbols; addresses are those of that process. */
struct image {
	pid_t pid;
	uint64_t bias;
	uint64_t symtab, strtab, hash, gnu_hash;
};

/* Reading does not copy a page. false: not all of it is there. */
static bool peek(pid_t pid, uint64_t addr, void *to, size_t len)
{
	struct iovec local = { to, len }, remote = { (void *)(uintptr_t)addr, len };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

static void note_dynamic(struct image *image, const Elf64_Dyn *dyn)
{
	/* not yet relocated: file addresses */
	uint64_t addr = image->bias + dyn->d_un.d_ptr;

	switch (dyn->d_tag) {
	case DT_SYMTAB:
		image->symtab = addr;
		break;
	case DT_STRTAB:
		image->strtab = addr;
		break;
	case DT_HASH:
		image->hash = addr;
		break;
	case DT_GNU_HASH:
		image->gnu_hash = addr;
		break;
	}
}

/* @base: where the ELF header is mapped. */
static bool open_image(pid_t pid, uint64_t base, struct image *image)
{
	uint64_t dynamic = 0;
	bool have_load = false;
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	Elf64_Dyn dyn;

	*image = (struct image){ .pid = pid };
	if (!base || !peek(pid, base, &eh, sizeof(eh)) || memcmp(eh.e_ident, ELFMAG, SELFMAG) ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phentsize != sizeof(ph) ||
	    eh.e_phnum > PHDRS_MAX)
		return false;
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		if (!peek(pid, base + eh.e_phoff + i * sizeof(ph), &ph, sizeof(ph)))
			return false;
		if (ph.p_type == PT_LOAD && !have_load) {
			image->bias = base - (ph.p_vaddr & ~(PAGE_BYTES - 1));
			have_load = true;
		}
		if (ph.p_type == PT_DYNAMIC)
			dynamic = ph.p_vaddr;
	}
	if (!have_load || !dynamic)
		return false;
	for (unsigned int i = 0; i < DYNS_MAX; i++) {
		if (!peek(pid, image->bias + dynamic + i * sizeof(dyn), &dyn, sizeof(dyn)))
			return false;
		if (dyn.d_tag == DT_NULL)
			break;
		note_dynamic(image, &dyn);
	}
	return image->symtab && image->strtab;
}

/* Whether symbol @index is @name and defined here; then *@addr is where. */
static bool symbol_is(const struct image *image, uint32_t index, const char *name, uint64_t *addr)
{
	char text[32];
	size_t len = strlen(name) + 1;
	Elf64_Sym sym;

	if (len > sizeof(text) ||
	    !peek(image->pid, image->symtab + (uint64_t)index * sizeof(sym), &sym, sizeof(sym)) ||
	    !peek(image->pid, image->strtab + sym.st_name, text, len) || memcmp(text, name, len) ||
	    sym.st_shndx == SHN_UNDEF)
		return false;
	*addr = image->bias + sym.st_value;
	return true;
}

/* The GNU hash section: header, bloom filter (passed over), buckets, chains. */
static bool find_gnu(const struct image *image, const char *name, uint64_t *addr)
{
	struct {
		uint32_t nbuckets, symoffset, bloom_words, bloom_shift;
	} head;
	uint64_t buckets, chains;
	uint32_t hash = 5381, index, entry;

	for (const char *p = name; *p; p++)
		hash = hash * 33 + (unsigned char)*p;
	if (!peek(image->pid, image->gnu_hash, &head, sizeof(head)) || !head.nbuckets)
		return false;
	buckets = image->gnu_hash + sizeof(head) + head.bloom_words * 8ULL;
	chains = buckets + head.nbuckets * 4ULL;
	if (!peek(image->pid, buckets + hash % head.nbuckets * 4ULL, &index, 4) ||
	    index < head.symoffset)
		return false;
	for (int i = 0; i < CHAIN_MAX; i++, index++) {
		if (!peek(image->pid, chains + (index - head.symoffset) * 4ULL, &entry, 4))
			return false;
		if ((entry | 1) == (hash | 1) && symbol_is(image, index, name, addr))
			return true;
		if (entry & 1)
			return false;
	}
	return false;
}

/* The older hash section: nbucket, nchain, buckets, chains. */
static bool find_sysv(const struct image *image, const char *name, uint64_t *addr)
{
	uint32_t head[2], hash = 0, index;

	for (const char *p = name; *p; p++) {
		hash = (hash << 4) + (unsigned char)*p;
		hash ^= hash >> 24 & 0xf0;
		hash &= 0x0fffffff;
	}
	if (!peek(image->pid, image->hash, head, sizeof(head)) || !head[0] ||
	    !peek(image->pid, image->hash + 8 + hash % head[0] * 4ULL, &index, 4))
		return false;
	for (int i = 0; i < CHAIN_MAX && index && index < head[1]; i++) {
		if (symbol_is(image, index, name, addr))
			return true;
		if (!peek(image->pid, image->hash + 8 + (head[0] + (uint64_t)index) * 4, &index, 4))
			return false;
	}
	return false;
}

static uint64_t find_symbol(const struct image *image, const char *name)
{
	uint64_t addr = 0;

	if (image->gnu_hash && find_gnu(image, name, &addr))
		return addr;
	if (image->hash && find_sysv(image, name, &addr))
		return addr;
	return 0;
}

struct start { /* what the kernel told the new program */
	uint64_t base, entry, phdr;
};

static int read_auxv(pid_t pid, struct start *start)
{
	Elf64_auxv_t aux[64];
	char path[64];
	ssize_t n;
	int fd;

	*start = (struct start){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, aux, sizeof(aux));
	close(fd);
	if (n <= 0)
		return -ESRCH;
	for (size_t i = 0; i < (size_t)n / sizeof(aux[0]) && aux[i].a_type != AT_NULL; i++) {
		if (aux[i].a_type == AT_BASE)
			start->base = aux[i].a_un.a_val;
		else if (aux[i].a_type == AT_ENTRY)
			start->entry = aux[i].a_un.a_val;
		else if (aux[i].a_type == AT_PHDR)
			start->phdr = aux[i].a_un.a_val;
	}
	return 0;
}

/* ---- the breakpoint ------------------------------------------------------------------------- */

/* The event signals the thread it watches; the interrupt that does it comes before the thread runs
 * the instruction at @addr. -1: refused. */
static int set_breakpoint(pid_t pid, uint64_t addr)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = pid };
	struct perf_event_attr attr;
	int fd;

	if (!use_breakpoints)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = PERF_TYPE_BREAKPOINT;
	attr.bp_type = HW_BREAKPOINT_X;
	attr.bp_addr = addr;
	attr.bp_len = sizeof(long); /* what the kernel wants for execution */
	attr.sample_period = 1;
	attr.disabled = 1;
	attr.exclude_kernel = 1;
	attr.exclude_hv = 1;
	fd = (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -1;
	if (fcntl(fd, F_SETOWN_EX, &owner) || fcntl(fd, F_SETSIG, OUR_SIGNAL) ||
	    fcntl(fd, F_SETFL, O_ASYNC) || ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* A blocked signal would stay pending instead of stopping the process. */
static void unblock(struct mp_hold *hold, pid_t pid)
{
	uint64_t mask;

	if (ptrace(PTRACE_GETSIGMASK, pid, KERNEL_SIGSET, &hold->mask) || !(hold->mask & OUR_BIT))
		return;
	mask = hold->mask & ~OUR_BIT;
	hold->mask_changed = !ptrace(PTRACE_SETSIGMASK, pid, KERNEL_SIGSET, &mask);
}

int mp_hold_begin(struct mp_hold *hold, pid_t pid)
{
	struct image linker;
	struct start start;
	uint64_t state = 0;
	int ret;

	*hold = (struct mp_hold){ .linker_fd = -1, .entry_fd = -1 };
	ret = read_auxv(pid, &start);
	if (ret)
		return ret;
	/* no AT_BASE: a static program, or the linker called by name as the program itself */
	if (open_image(pid, start.base ? start.base : start.phdr & ~(PAGE_BYTES - 1), &linker)) {
		state = find_symbol(&linker, "_dl_debug_state");
		hold->r_debug = find_symbol(&linker, "_r_debug");
	}
	if (state)
		hold->linker_fd = set_breakpoint(pid, state);
	if (start.base && start.entry)
		hold->entry_fd = set_breakpoint(pid, start.entry);
	hold->entry = start.entry;
	if (hold->linker_fd >= 0 || hold->entry_fd >= 0) {
		unblock(hold, pid);
		return 0;
	}
	hold->by_syscall = true;
	return hold->r_debug ? 0 : 1; /* nobody to wait for: a static program */
}

bool mp_hold_is_ours(const struct mp_hold *hold, pid_t pid, int sig)
{
	siginfo_t info;

	if (sig != OUR_SIGNAL || ptrace(PTRACE_GETSIGINFO, pid, 0, &info) ||
	    info.si_code != POLL_IN)
		return false;
	return info.si_fd == hold->linker_fd || info.si_fd == hold->entry_fd;
}

/* r_state is 0 (RT_CONSISTENT) before the linker begins too, so it must have been seen adding. */
bool mp_hold_reached(struct mp_hold *hold, pid_t pid)
{
	uint64_t ip;
	int state;

	errno = 0;
	ip = (uint64_t)ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rip), 0);
	if (!errno && ip == hold->entry && hold->entry_fd >= 0)
		return true;
	if (!hold->r_debug)
		return !hold->by_syscall; /* musl: called once, when all is ready */
	if (!peek(pid, hold->r_debug + offsetof(struct r_debug, r_state), &state, sizeof(state)))
		return false;
	if (state == RT_ADD)
		hold->seen_add = true;
	return state == RT_CONSISTENT && hold->seen_add;
}

void mp_hold_end(struct mp_hold *hold, pid_t pid)
{
	close_fd(&hold->linker_fd);
	close_fd(&hold->entry_fd);
	if (hold->mask_changed)
		ptrace(PTRACE_SETSIGMASK, pid, KERNEL_SIGSET, &hold->mask);
	hold->mask_changed = false;
}
