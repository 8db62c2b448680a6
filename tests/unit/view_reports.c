// SPDX-License-Identifier: GPL-2.0-or-later
#include "view_reports.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024 * 1024ULL)

/*
 * "lazy": one process. Site 1 has 100 MiB of which a tenth was touched, site 2 64 blocks of 1 KiB
 * all touched, site 3 maps memory itself, site 4 only touches. 24 KiB of blocks have no site.
 */
static const struct mp_place lazy_places[] = {
	{ .addr = 0x401234,
	  .offset = 0x1234,
	  .object = "/usr/local/bin/lazy",
	  .ino = 11,
	  .tgid = 4242 },
	{ .addr = 0x7f0000001000,
	  .offset = 0x1000,
	  .object = "/usr/lib/evil\033[31m\nname.so",
	  .ino = 12,
	  .tgid = 4242 },
	{ .addr = 0x7f1234567890, .offset = 0x7f1234567890, .object = "" },
	{ .addr = 0x401300,
	  .offset = 0x1300,
	  .object = "/usr/local/bin/lazy",
	  .ino = 11,
	  .tgid = 4242,
	  .what = MP_PLACE_EXACT },
	{ .addr = 0x401400,
	  .offset = 0x1400,
	  .object = "/usr/local/bin/lazy",
	  .ino = 11,
	  .tgid = 4242 },
	{ .offset = 0, .object = "", .what = MP_PLACE_SYSCALL },
};

/* Sites 1, 2 and 4 were called from main; site 5 is read(2), called there too. */
static const struct mp_stack_frame lazy_frames[] = {
	{ &lazy_places[0], &lazy_frames[4] },
	{ &lazy_places[1], &lazy_frames[4] },
	{ &lazy_places[2], NULL },
	{ &lazy_places[3], &lazy_frames[4] },
	{ &lazy_places[4], NULL },
	{ &lazy_places[5], &lazy_frames[3] },
};

static struct mp_site lazy_sites[] = {
	{
		.id = 1,
		.fn = MP_FN_MALLOC,
		.frame = &lazy_frames[0],
		.end = MP_STACK_WHOLE,
		.calls = 3,
		.frees = 1,
		.failed = 1,
		.requested_bytes = 101 * MIB,
		.live_blocks = 1,
		.live_bytes = 100 * MIB,
		.resident_bytes = 10 * MIB,
		.charged_bytes = 10 * MIB + 4096,
		.untouched_bytes = 90 * MIB,
		.faults = { [MP_KIND_ANON] = 2550, [MP_KIND_ZERO] = 10 },
		.faults_by = { [MP_BY_USER] = 2550, [MP_BY_KERNEL] = 10 },
		.fault_ns = 2560000,
		.alloc_ns = 1024000,
		.timed_faults = 2560,
		.stages = { .pcp = 2400,
			    .refill = 100,
			    .buddy = 50,
			    .staged = 2550,
			    .slow = 3,
			    .pathed = 2540,
			    .page_ns = 762000,
			    .whole_ns = 2540000,
			    .page_timed = 2540 },
		.orders = { [0] = 2560 },
		.nodes = { [0] = 2560 },
		.tiers = { [MP_TIER_MMAP] = 1, [MP_TIER_UNKNOWN] = 2 },
		.touchers = { { 4, 2500 }, { 5, 60 } },
	},
	{
		.id = 2,
		.fn = MP_FN_CALLOC,
		.frame = &lazy_frames[1],
		.end = MP_STACK_NO_RULE,
		.calls = 64,
		.requested_bytes = 64 * 1024,
		.live_blocks = 64,
		.live_bytes = 64 * 1024,
		.resident_bytes = 64 * 1024,
		.charged_bytes = 64 * 1024,
		.faults = { [MP_KIND_ANON] = 17 },
		.faults_by = { [MP_BY_USER] = 17 },
		.orders = { [0] = 17 },
		.nodes = { [0] = 17 },
		.tiers = { [MP_TIER_UNKNOWN] = 64 },
		.touchers = { { 4, 17 } },
	},
	{
		.id = 3,
		.mapping = true,
		.fn = MP_FN_MMAP,
		.frame = &lazy_frames[2],
		.end = MP_STACK_GOES_ON,
		.calls = 1,
		.requested_bytes = 4 * MIB,
		.live_bytes = 4 * MIB,
		.resident_bytes = 2 * MIB,
		.charged_bytes = 2 * MIB,
		.untouched_bytes = 2 * MIB,
		.faults = { [MP_KIND_THP] = 1 },
		.faults_by = { [MP_BY_GUP] = 1 },
		.fault_ns = 60000,
		.timed_faults = 1,
		.orders = { [9] = 512 },
		.nodes = { [1] = 512 },
		.touchers = { { 4, 512 } },
	},
	{
		.id = 4,
		.frame = &lazy_frames[3],
		.end = MP_STACK_WHOLE,
	},
	{
		.id = 5,
		.frame = &lazy_frames[5],
		.end = MP_STACK_WHOLE,
	},
};

static struct mp_vma lazy_vmas[] = {
	{ .start = 0x400000,
	  .end = 0x402000,
	  .perms = 5,
	  .kind = MP_VMA_FILE,
	  .name = "/usr/local/bin/lazy" },
	{ .start = 0x1000000,
	  .end = 0x1021000,
	  .perms = 3,
	  .kind = MP_VMA_HEAP,
	  .name = "[heap]",
	  .present_pages = 24,
	  .faults = { [MP_KIND_ANON] = 24 },
	  .site = 2,
	  .growth = MP_FN_CALLOC,
	  .op = MP_OP_BRK,
	  .hooked = true,
	  .t_ns = 1500000 },
	{ .start = 0x7f0010000000,
	  .end = 0x7f0010400000,
	  .perms = 3,
	  .kind = MP_VMA_ANON,
	  .name = "",
	  .present_pages = 512,
	  .faults = { [MP_KIND_THP] = 1 },
	  .site = 3,
	  .op = MP_OP_MMAP,
	  .t_ns = 3000000 },
	{ .start = 0x7f0020000000,
	  .end = 0x7f0026401000,
	  .perms = 3,
	  .kind = MP_VMA_ANON,
	  .name = "",
	  .present_pages = 2560,
	  .faults = { [MP_KIND_ANON] = 2550, [MP_KIND_ZERO] = 10 },
	  .site = 1,
	  .growth = MP_FN_MALLOC,
	  .op = MP_OP_MMAP,
	  .t_ns = 2000000 },
};

static struct mp_page lazy_pages[] = {
	{ .addr = 0x1000000,
	  .pfn = 0x1111,
	  .t_ns = 1600000,
	  .block = 0x10002a0,
	  .blocks = 4,
	  .site = 2,
	  .toucher = 4,
	  .fault_ns = 900,
	  .alloc_ns = 300,
	  .page_ns = 250,
	  .gfp = 0x140dca,
	  .zone = 2,
	  .kind = MP_KIND_ANON,
	  .by = MP_BY_USER,
	  .state = MP_STATE_PRESENT,
	  .source = MP_SRC_FAULT,
	  .node_known = true },
	{ .addr = 0x7f0020000000,
	  .pfn = 0x2345,
	  .t_ns = 2100000,
	  .block = 0x7f0020000010,
	  .blocks = 1,
	  .site = 1,
	  .toucher = 4,
	  .fault_ns = 1000,
	  .alloc_ns = 400,
	  .page_ns = MP_UNKNOWN,
	  .gfp = 0x140dca,
	  .zone = 2,
	  .kind = MP_KIND_ANON,
	  .by = MP_BY_USER,
	  .state = MP_STATE_PRESENT,
	  .source = MP_SRC_FAULT,
	  .node_known = true },
	{ .addr = 0x7f0020001000,
	  .t_ns = 2200000,
	  .block = 0x7f0020000010,
	  .blocks = 1,
	  .site = 1,
	  .fault_ns = MP_UNKNOWN,
	  .alloc_ns = MP_UNKNOWN,
	  .page_ns = MP_UNKNOWN,
	  .kind = MP_KIND_NONE,
	  .by = MP_BY_NONE,
	  .state = MP_STATE_PRESENT,
	  .source = MP_SRC_SEEDED },
	{ .addr = 0x7f0020002000,
	  .pfn = 0x99,
	  .t_ns = 2300000,
	  .block = 0x7f0020000010,
	  .blocks = 1,
	  .site = 1,
	  .toucher = 4,
	  .fault_ns = 500,
	  .alloc_ns = MP_UNKNOWN,
	  .page_ns = MP_UNKNOWN,
	  .kind = MP_KIND_ZERO,
	  .by = MP_BY_KERNEL,
	  .state = MP_STATE_ZERO,
	  .source = MP_SRC_FAULT },
};

static struct mp_block lazy_blocks[] = {
	{ .addr = 0x10002a0,
	  .requested = 1024,
	  .usable = 1032,
	  .t_ns = 1550000,
	  .resident_bytes = 1024,
	  .site = 2,
	  .tid = 4242,
	  .tier = MP_TIER_UNKNOWN },
	{ .addr = 0x7f0020000010,
	  .requested = 100 * MIB,
	  .usable = MP_UNKNOWN,
	  .t_ns = 2000100,
	  .resident_bytes = 10 * MIB,
	  .site = 1,
	  .tid = 4243,
	  .tier = MP_TIER_MMAP,
	  .sure = MP_SURE_CERTAIN },
};

static struct mp_probe lazy_probes[] = {
	{ .symbol = "malloc",
	  .offset = 0x9a0c4,
	  .hits = 67,
	  .into = 4,
	  .kind = MP_PROBE_EMULATED,
	  .fn = MP_FN_MALLOC },
};

static struct mp_allocator lazy_allocators[] = {
	{ .object = "/lib/x86_64-linux-gnu/libc.so.6",
	  .version = "2.36",
	  .build_id = { 0xab, 0xcd, 0x01 },
	  .build_id_len = 3,
	  .kind = MP_ALLOC_GLIBC,
	  .probes = lazy_probes,
	  .nr_probes = 1 },
};

static const char *lazy_cmdline[] = { "/usr/local/bin/lazy", "--mode\t\xff", "\xc3\xa9t\xc3\xa9" };

static struct mp_proc lazy_procs[] = {
	{
		.pid = 4242,
		.comm = "lazy",
		.cmdline = lazy_cmdline,
		.nr_cmdline = 3,
		.at = MP_AT_NOW,
		.launched = true,
		.t_ns = 9000000,
		/* 10 MiB + 64 KiB + 24 KiB of blocks; the parts add up to rss */
		.books = { .rss = 14852096,
			   .block = 10575872,
			   .retained = 12288,
			   .metadata = MP_UNKNOWN,
			   .before_attach = 8192,
			   .other_anon = 2101248,
			   .stack = 16384,
			   .file = 2125824,
			   .shmem = 0,
			   .tool = 4096,
			   .unexplained = 8192,
			   .zero = 40960,
			   .pss = 13803520,
			   .pss_anon = 12730368,
			   .hugetlb = 0,
			   .coverage = 0.9994,
			   .site_coverage = 0.9817 },
		.allocators = lazy_allocators,
		.nr_allocators = 1,
		.vmas = lazy_vmas,
		.nr_vmas = 4,
		.pages = lazy_pages,
		.nr_pages = 4,
		.blocks = lazy_blocks,
		.nr_blocks = 2,
		.live_blocks = 67,
		.present_pages = 3096,
	},
};

static const struct mp_report lazy = {
	.host = { .release = "6.18.5",
		  .page_size = 4096,
		  .fault_row = MP_ROW_TRACEPOINT,
		  .page_source = MP_PS_WALK,
		  .alloc_probes = MP_PROBES_ALL },
	.procs = lazy_procs,
	.nr_procs = 1,
	.sites = lazy_sites,
	.nr_sites = 5,
	.tiers = { [MP_TIER_MMAP] = { 1, 100 * MIB, { [MP_SURE_CERTAIN] = 1 } },
		   [MP_TIER_UNKNOWN] = { 66, MIB + 65536, { 66 } } },
	.loss = { .module_mismatch_pages = MP_UNKNOWN },
	.chain_checked = 2540,
	.cost = { .events = 2700,
		  .probe_hits = 136,
		  .target_cpu_ns = 50000000,
		  .probe_ns = 1600000,
		  .tool_cpu_ns = 120000000,
		  .tool_peak_bytes = 12 * MIB,
		  .faults = 2578 },
	.first_ns = 1000000,
	.last_ns = 9000000,
};

/* "losses": two processes, one that exited, nothing measured, every counter of loss set. */
static struct mp_proc losses_procs[] = {
	{ .pid = 1,
	  .comm = "\033]0;x\007",
	  .at = MP_AT_EXIT,
	  .exited = true,
	  .books = { .rss = MP_UNKNOWN,
		     .pss = MP_UNKNOWN,
		     .pss_anon = 2048,
		     .block = 0,
		     .metadata = MP_UNKNOWN,
		     .unexplained = MP_UNKNOWN,
		     .coverage = NAN,
		     .site_coverage = NAN } },
	{ .pid = 2,
	  .comm = "",
	  .at = MP_AT_NOW,
	  .books = { .rss = 4096,
		     .pss = MP_UNKNOWN,
		     .pss_anon = MP_UNKNOWN,
		     .block = 8192,
		     .metadata = 0,
		     .unexplained = -4096,
		     .coverage = 2,
		     .site_coverage = 1 } },
};

static const struct mp_place losses_place = { .addr = 1, .offset = UINT64_MAX, .object = "[vdso]" };
static const struct mp_stack_frame losses_frame = { &losses_place, NULL };

static struct mp_site losses_sites[] = {
	{ .id = 1,
	  .fn = 200,
	  .frame = &losses_frame,
	  .end = MP_STACK_DEEP,
	  .calls = UINT64_MAX,
	  .requested_bytes = UINT64_MAX,
	  .resident_bytes = 8192,
	  .live_bytes = 1 },
};

#define UNMEASURED                                                                                 \
	{                                                                                          \
		MP_UNKNOWN, MP_UNKNOWN, MP_UNKNOWN, MP_UNKNOWN, MP_UNKNOWN, MP_UNKNOWN, MP_UNKNOWN \
	}

static const struct mp_report losses = {
	.host = { .release = NULL },
	.procs = losses_procs,
	.nr_procs = 2,
	.sites = losses_sites,
	.nr_sites = 1,
	.loss = { .events_dropped = 101,
		  .gaps = 102,
		  .returns_missed = 103,
		  .frees_lost = 104,
		  .frees_unmatched = 105,
		  .stacks_truncated = 106,
		  .stacks_lost = 107,
		  .programs_skipped = 108,
		  .moved_unseen_pages = 109,
		  .module_mismatch_pages = 110,
		  .chain_mismatches = 117,
		  .stack_ends = { 1, 20000, 3, 4, 5, 6, 7, 8, 9, 10 },
		  .dropped = { [MP_DROP_RING] = 101,
			       [MP_DROP_SCRATCH] = 111,
			       [MP_DROP_NESTED] = 112,
			       [MP_DROP_RETURN] = 103,
			       [MP_DROP_USER_READ] = 113,
			       [MP_DROP_WALK] = 114,
			       [MP_DROP_FAULT_START] = 115,
			       [MP_DROP_STACK] = 107,
			       [MP_DROP_NO_ENTRY] = 116,
			       [MP_DROP_SYSCALL] = 118,
			       [MP_DROP_FAULT_END] = 119 } },
	.cost = UNMEASURED,
};

static const struct mp_report empty = {
	.loss = { .module_mismatch_pages = MP_UNKNOWN, .chain_mismatches = MP_UNKNOWN },
	.cost = UNMEASURED,
};

/* "audited": the kernel module walked, and is of another mind on more pages than are kept. */
static struct mp_mismatch audited_pages[] = {
	{ 4242, 0x7f0000001000, 77, 78 },
	{ 4242, 0x7f0000002000, 0, 79 },
	{ 4243, 0x7f0000003000, 80, 0 },
};

static const struct mp_report audited = {
	.host = { .module = true },
	.loss = { .module_mismatch_pages = 5, .chain_mismatches = MP_UNKNOWN },
	.module_pages = 12345,
	.mismatches = audited_pages,
	.nr_mismatches = 3,
	.cost = UNMEASURED,
};

/* "ended": it is there, but there was nothing left to walk. */
static const struct mp_report ended = {
	.host = { .module = true },
	.loss = { .module_mismatch_pages = MP_UNKNOWN, .chain_mismatches = MP_UNKNOWN },
	.module_pages = MP_UNKNOWN,
	.cost = UNMEASURED,
};

const struct test_report test_reports[] = {
	{ "lazy", &lazy },       { "losses", &losses }, { "empty", &empty },
	{ "audited", &audited }, { "ended", &ended },   { NULL, NULL },
};

const struct mp_report *test_report(const char *name)
{
	const struct test_report *t;

	for (t = test_reports; t->name; t++)
		if (!strcmp(t->name, name))
			return t->report;
	abort();
}

char *test_view(const struct mp_report *r, const char *view, const struct mp_view_opts *opts,
		int *err)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		abort();
	*err = mp_view_find(view)->print(r, NULL, opts, out);
	fclose(out);
	return text;
}
