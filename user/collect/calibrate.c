// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/calibrate.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../bpf/event.h"
#include "collect/pagemap.h"
#include "collect/system.h"
#include "question/calibrate.skel.h"
#include "question/preempt.skel.h"

#define GIB (1ULL << 30)

/* arch/x86/include/asm/page_64_types.h, without KASAN; used where bpf_task_pt_regs is not to be had */
#define THREAD_SIZE (4 * 4096)

/* Without KASLR; arch/x86/include/asm/page_64_types.h, __PAGE_OFFSET_BASE_L4 and _L5. */
#define PAGE_OFFSET_L4 0xffff888000000000ULL
#define PAGE_OFFSET_L5 0xff11000000000000ULL

static uint64_t max_pfn(void)
{
	unsigned long long spanned = 0, start, max = 0;
	char line[256];
	FILE *f = fopen("/proc/zoneinfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, " spanned %llu", &spanned);
		if (sscanf(line, " start_pfn: %llu", &start) == 1 && spanned &&
		    start + spanned > max)
			max = start + spanned;
	}
	fclose(f);
	return max;
}

static const struct btf_type *find_type(const struct btf *btf, const char *name, uint32_t kind)
{
	int id = btf__find_by_name_kind(btf, name, kind);

	return id < 0 ? NULL : btf__type_by_id(btf, id);
}

static bool has_member(const struct btf *btf, const struct btf_type *t, const char *name, int deep)
{
	const struct btf_member *m = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++, m++) {
		const struct btf_type *inner = btf__type_by_id(btf, m->type);

		if (!strcmp(btf__name_by_offset(btf, m->name_off), name))
			return true;
		if (!m->name_off && deep && btf_is_composite(inner) &&
		    has_member(btf, inner, name, deep - 1))
			return true;
	}
	return false;
}

static int enum_value(const struct btf *btf, const char *name)
{
	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		if (!btf_is_enum(t))
			continue;
		for (int i = 0; i < btf_vlen(t); i++)
			if (!strcmp(btf__name_by_offset(btf, btf_enum(t)[i].name_off), name))
				return btf_enum(t)[i].val;
	}
	return -ENOENT;
}

int mp_btf_enum(const char *name)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int value;

	if (!btf)
		return -ENOENT;
	value = enum_value(btf, name);
	btf__free(btf);
	return value;
}

/* Parameters of a tracepoint, from the type its BPF programs are checked against; 0: not known. */
static unsigned int tracepoint_args(const struct btf *btf, const char *name)
{
	const struct btf_type *t = find_type(btf, name, BTF_KIND_TYPEDEF);

	t = t ? btf__type_by_id(btf, t->type) : NULL;
	t = t && btf_is_ptr(t) ? btf__type_by_id(btf, t->type) : NULL;
	return t && btf_is_func_proto(t) ? btf_vlen(t) - 1 : 0; /* the first is private */
}

static unsigned int bits_for(unsigned int n)
{
	unsigned int bits = 0;

	while (1U << bits < n)
		bits++;
	return bits;
}

/*
 * page->flags holds, from the top: node, zone (include/linux/page-flags-layout.h; SECTIONS_WIDTH is
 * 0 with VMEMMAP). MAX_NUMNODES is no symbol, but struct zonelist has
 * MAX_NUMNODES * MAX_NR_ZONES + 1 entries.
 */
static void page_flags_layout(const struct btf *btf, struct mp_settings *set)
{
	const struct btf_type *list = find_type(btf, "zonelist", BTF_KIND_STRUCT);
	const struct btf_type *array = NULL;
	int zones = enum_value(btf, "__MAX_NR_ZONES");
	unsigned int nodes, node_bits, zone_bits;

	set->node_mask = 0; /* unknown, or one node: everything is on node 0 */
	if (list && btf_vlen(list))
		array = btf__type_by_id(btf, btf_members(list)[0].type);
	if (zones <= 0 || !array || !btf_is_array(array))
		return;
	nodes = (btf_array(array)->nelems - 1) / (unsigned int)zones;
	node_bits = bits_for(nodes);
	zone_bits = bits_for((unsigned int)zones);
	set->node_shift = node_bits ? 64 - node_bits : 0;
	set->node_mask = (1U << node_bits) - 1;
	set->zone_shift = 64 - node_bits - zone_bits;
	set->zone_mask = (1U << zone_bits) - 1;
}

static int read_btf(struct mp_settings *set, struct mp_err *err)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *page;

	if (!btf)
		return mp_fail(
			err, MP_EXIT_LACKS, ENOENT,
			"this kernel has no type information (/sys/kernel/btf/vmlinux): boot one "
			"built with CONFIG_DEBUG_INFO_BTF=y");
	page = find_type(btf, "page", BTF_KIND_STRUCT);
	if (!page) {
		btf__free(btf);
		return mp_fail(
			err, MP_EXIT_LACKS, ENOENT,
			"the kernel's type information has no struct page: it is damaged; boot "
			"another kernel");
	}
	set->page_struct = page->size;
	set->head_is_mask = has_member(btf, page, "compound_info", 3);
	set->refill_told = tracepoint_args(btf, "btf_trace_mm_page_alloc_zone_locked") >= 4;
	set->has_cookie = enum_value(btf, "BPF_FUNC_get_attach_cookie") > 0;
	set->has_user_regs = enum_value(btf, "BPF_FUNC_task_pt_regs") > 0;
	set->has_loop = enum_value(btf, "BPF_FUNC_loop") > 0;
	set->thread_size = THREAD_SIZE;
	/* the change that moved it to before exit_mm() also gave it a second argument */
	set->exit_early = tracepoint_args(btf, "btf_trace_sched_process_exit") >= 2;
	page_flags_layout(btf, set);
	btf__free(btf);
	return 0;
}

/* ---- questions to the kernel --------------------------------------------------------------- */

static int ask(struct calibrate_bpf *skel, struct mp_question *q)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	uint32_t zero = 0;
	int fd = bpf_map__fd(skel->maps.question), err;

	bpf_map_update_elem(fd, &zero, q, BPF_ANY);
	err = bpf_prog_test_run_opts(bpf_program__fd(skel->progs.mp_ask_walk), &opts);
	if (!err)
		err = bpf_map_lookup_elem(fd, &zero, q);
	return err;
}

static bool walk_is_right(struct calibrate_bpf *skel, struct mp_question *q, uint64_t base,
			  uint64_t pfn)
{
	q->page_offset = base;
	return !ask(skel, q) && q->pfn == pfn;
}

/* The page tables lie in the direct map, whose base is 1 GiB aligned (KASLR moves it by PUDs). */
static int try_page_offset(struct calibrate_bpf *skel, struct mp_settings *set, const char *page)
{
	struct mp_question q = { .addr = (uint64_t)page };
	uint64_t pfn = 0, top;
	int err = mp_pagemap_self(page, &pfn);

	if (err)
		return err;
	for (uint32_t levels = 4; levels <= 5; levels++) {
		q.levels = levels;
		set->levels = levels;
		set->page_offset = levels == 4 ? PAGE_OFFSET_L4 : PAGE_OFFSET_L5;
		if (walk_is_right(skel, &q, set->page_offset, pfn))
			return 0;
		top = q.pgd & ~(GIB - 1);
		for (uint64_t down = 0; down <= set->max_pfn * MP_PAGE_SIZE; down += GIB) {
			set->page_offset = top - down;
			if (walk_is_right(skel, &q, set->page_offset, pfn))
				return 0;
		}
	}
	return -ENOENT;
}

#define LOOKS 5

/* A kernel that balances nodes takes the page's entry away, or moves the page, now and then. */
static int find_page_offset(struct calibrate_bpf *skel, struct mp_settings *set,
			    volatile char *page)
{
	int err = -ENOENT;

	for (int i = 0; i < LOOKS && err; i++) {
		page[0] = 1;
		err = try_page_offset(skel, set, (const char *)page);
	}
	return err;
}

#define TRIES 8

/* Pages given to us while TRIES pages are touched; one base explains them all. */
static int find_vmemmap(struct calibrate_bpf *skel, struct mp_settings *set)
{
	struct mp_question q = { .tgid = getpid() };
	int fd = bpf_map__fd(skel->maps.question);
	uint64_t pfn[TRIES], base;
	uint32_t zero = 0, hits;
	struct bpf_link *link;
	char *mem;

	mem = mmap(NULL, TRIES * MP_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	if (mem == MAP_FAILED)
		return -errno;
	madvise(mem, TRIES * MP_PAGE_SIZE, MADV_NOHUGEPAGE);
	link = bpf_program__attach(skel->progs.mp_ask_page);
	bpf_map_update_elem(fd, &zero, &q, BPF_ANY);
	for (int i = 0; i < TRIES; i++)
		mem[i * MP_PAGE_SIZE] = 1;
	bpf_map_lookup_elem(fd, &zero, &q);
	bpf_link__destroy(link);
	for (int i = 0; i < TRIES; i++)
		if (mp_pagemap_self(mem + i * MP_PAGE_SIZE, &pfn[i]))
			pfn[i] = 0;
	munmap(mem, TRIES * MP_PAGE_SIZE);
	for (uint64_t i = 0; i < q.nr_pages && i < MP_QUESTION_PAGES; i++) {
		base = q.page[i] - pfn[0] * set->page_struct;
		hits = 0;
		for (int j = 0; j < TRIES; j++)
			for (uint64_t k = 0; k < q.nr_pages && k < MP_QUESTION_PAGES; k++)
				hits += pfn[j] && q.page[k] == base + pfn[j] * set->page_struct;
		if (hits >= TRIES) {
			set->vmemmap = base;
			return 0;
		}
	}
	return -ENOENT;
}

/* Where it cannot be asked the answer is no: what is skipped then is counted. */
static uint32_t find_preemption(void)
{
	struct preempt_bpf *skel = preempt_bpf__open_and_load();
	struct mp_preempt p = { .tgid = getpid() };
	struct bpf_link *link;
	uint32_t zero = 0;

	if (!skel)
		return 0;
	link = bpf_program__attach(skel->progs.mp_ask_preempt);
	bpf_map_update_elem(bpf_map__fd(skel->maps.answer), &zero, &p, BPF_ANY);
	getppid();
	bpf_map_lookup_elem(bpf_map__fd(skel->maps.answer), &zero, &p);
	bpf_link__destroy(link);
	preempt_bpf__destroy(skel);
	return p.possible;
}

static int find_zero_page(struct mp_settings *set)
{
	volatile char *mem =
		mmap(NULL, MP_PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err;

	if (mem == MAP_FAILED)
		return -errno;
	(void)*mem;
	err = mp_pagemap_self((const void *)mem, (uint64_t *)&set->zero_pfn);
	munmap((void *)mem, MP_PAGE_SIZE);
	return err;
}

static int find_all(struct calibrate_bpf *skel, struct mp_settings *set, volatile char *page,
		    struct mp_err *err)
{
	int rc = find_page_offset(skel, set, page);

	if (rc)
		return mp_fail(
			err, MP_EXIT_LACKS, -rc,
			"a page-table walk of this process's own page does not agree with its "
			"pagemap (%s): this kernel's memory layout is not known",
			strerror(-rc));
	rc = find_vmemmap(skel, set);
	if (rc)
		return mp_fail(err, MP_EXIT_LACKS, -rc,
			       "the kernel's array of struct page was not found: the tracepoint "
			       "kmem:mm_page_alloc did not tell of this process's own pages");
	rc = find_zero_page(set);
	if (rc)
		return mp_fail(err, MP_EXIT_LACKS, -rc, "the zero page's PFN cannot be read: %s",
			       strerror(-rc));
	return 0;
}

int mp_calibrate(struct mp_settings *set, struct mp_err *err)
{
	static char page[2 * MP_PAGE_SIZE] __attribute__((aligned(4096)));
	struct calibrate_bpf *skel;
	int rc;

	page[0] = page[MP_PAGE_SIZE] = 1;
	set->nr_cpus = libbpf_num_possible_cpus();
	set->committed = mp_system_symbol("vm_committed_as"); /* 0 without CONFIG_KALLSYMS_ALL */
	set->max_pfn = max_pfn();
	if (!set->max_pfn)
		return mp_fail(err, MP_EXIT_LACKS, ENOENT,
			       "/proc/zoneinfo cannot be read: is /proc mounted whole?");
	rc = read_btf(set, err);
	if (rc)
		return rc;
	skel = calibrate_bpf__open_and_load();
	if (!skel)
		return mp_fail(err, MP_EXIT_LACKS, errno,
			       "the kernel refused a BPF program (%s): CAP_BPF and CAP_PERFMON are "
			       "needed, and kernel.lockdown must not be \"confidentiality\"",
			       strerror(errno));
	rc = find_all(skel, set, page, err);
	set->preemptible = find_preemption();
	calibrate_bpf__destroy(skel);
	return rc;
}
