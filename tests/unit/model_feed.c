// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_feed.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "model/inside.h"
#include "trace/trace.h"

struct mp_model *feed_model;
uint64_t feed_ns;

static struct mp_report *report;

void feed_begin(void)
{
	feed_model = mp_model__new();
	assert_non_null(feed_model);
	feed_ns = 1000000;
}

void feed_check(void)
{
	const char *wrong = mp_model_check(feed_model);

	if (wrong)
		fail_msg("%s", wrong);
}

void feed_end(void)
{
	feed_check();
	mp_report__free(report);
	report = NULL;
	mp_model__free(feed_model);
	feed_model = NULL;
}

void feed(void *event, int type, size_t size, uint32_t pid, uint32_t tid)
{
	struct mp_ev *ev = event;

	feed_ns += 1000;
	*ev = (struct mp_ev){
		.type = type, .size = size, .ts_ns = feed_ns, .tgid = pid, .tid = tid
	};
	/* what the decoder would refuse is no test of the model */
	assert_int_equal(mp_decode(ev, size), size);
	assert_int_equal(mp_model__apply(feed_model, ev), 0);
}

void feed_proc(uint32_t pid, const char *comm, int launched)
{
	struct {
		struct mp_ev_proc ev;
		char cmdline[16];
	} e = { .ev.launched = launched, .ev.cmdline_len = 10 };

	memcpy(e.ev.comm, comm, strlen(comm));
	memcpy(e.cmdline, "prog\0-x\0y", 10);
	feed(&e, MP_EV_PROC, sizeof(e), pid, 0);
}

void feed_allocator(uint32_t pid, int index, int kind)
{
	struct {
		struct mp_ev_allocator ev;
		char object[16];
	} e = { .ev = { .index = index, .kind = kind, .version = "2.36" },
		.object = "/lib/libc.so" };

	feed(&e, MP_EV_ALLOCATOR, sizeof(e), pid, 0);
}

void feed_alloc(uint32_t pid, uint64_t addr, uint64_t size, uint64_t caller)
{
	struct mp_ev_alloc ev = {
		.addr = addr, .requested = size, .caller = caller, .fn = MP_FN_MALLOC
	};

	feed(&ev, MP_EV_ALLOC, sizeof(ev), pid, pid);
}

void feed_alloc_chunk(uint32_t pid, uint64_t addr, uint64_t size, uint64_t chunk, int provider)
{
	struct mp_ev_alloc ev = { .addr = addr,
				  .requested = size,
				  .chunk = chunk,
				  .provider = provider,
				  .fn = MP_FN_MALLOC };

	feed(&ev, MP_EV_ALLOC, sizeof(ev), pid, pid);
}

void feed_free(uint32_t pid, uint64_t addr)
{
	struct mp_ev_free ev = { .addr = addr, .fn = MP_FN_FREE };

	feed(&ev, MP_EV_FREE, sizeof(ev), pid, pid);
}

void feed_realloc(uint32_t pid, uint32_t tid, uint64_t old)
{
	struct mp_ev_free ev = { .addr = old, .fn = MP_FN_REALLOC };

	feed(&ev, MP_EV_REALLOC, sizeof(ev), pid, tid);
}

void feed_realloc_done(uint32_t pid, uint32_t tid, uint64_t old, uint64_t addr, uint64_t size,
		       uint64_t caller)
{
	struct mp_ev_realloc_done ev = {
		.a = { .addr = addr, .requested = size, .caller = caller, .fn = MP_FN_REALLOC },
		.old = old,
	};

	feed(&ev, MP_EV_REALLOC_DONE, sizeof(ev), pid, tid);
}

void feed_fault_like(uint32_t pid, uint64_t addr, uint64_t pfn, uint32_t flags,
		     struct mp_ev_fault ev)
{
	ev.addr = addr;
	ev.pfn = pfn;
	ev.flags = flags;
	if (!(flags & MP_FAULT_KERNEL))
		ev.syscall = -1;
	feed(&ev, MP_EV_FAULT, sizeof(ev), pid, pid);
}

void feed_fault(uint32_t pid, uint64_t addr, uint64_t pfn, uint32_t flags)
{
	feed_fault_like(pid, addr, pfn, flags,
			(struct mp_ev_fault){ .ip = 0x777000, .syscall = -1 });
}

void feed_pages(uint32_t pid, int source, uint64_t addr, uint64_t begin, uint64_t entry,
		uint32_t nr)
{
	struct {
		struct mp_ev_pages ev;
		uint64_t entry;
	} e = { .ev = { .addr = addr, .nr = nr, .source = source, .contig = 1 }, .entry = entry };

	e.ev.begin_ns = begin ? begin : feed_ns + 1000;
	feed(&e, MP_EV_PAGES, sizeof(e), pid, pid);
}

void feed_page_free(uint64_t pfn, uint32_t order)
{
	struct mp_ev_page_free ev = { .pfn = pfn, .order = order };

	feed(&ev, MP_EV_PAGE_FREE, sizeof(ev), 0, 0);
}

void feed_range(uint32_t pid, struct mp_ev_range ev, uint64_t took)
{
	ev.enter_ns = feed_ns + 1000 - took;
	feed(&ev, MP_EV_RANGE, sizeof(ev), pid, pid);
}

void feed_mmap(uint32_t pid, uint64_t addr, uint64_t len, uint64_t caller, int in_fn)
{
	feed_range(pid,
		   (struct mp_ev_range){ .op = MP_OP_MMAP,
					 .ret = addr,
					 .len = len,
					 .caller = caller,
					 .in_fn = in_fn,
					 .prot = PROT_READ | PROT_WRITE,
					 .flags = MAP_PRIVATE | MAP_ANONYMOUS },
		   500);
}

void feed_munmap(uint32_t pid, uint64_t addr, uint64_t len)
{
	feed_range(pid, (struct mp_ev_range){ .op = MP_OP_MUNMAP, .addr = addr, .len = len }, 500);
}

void feed_brk(uint32_t pid, uint64_t old, uint64_t new, uint64_t caller, int in_fn)
{
	feed_range(pid,
		   (struct mp_ev_range){ .op = MP_OP_BRK,
					 .addr = new,
					 .ret = new,
					 .old = old,
					 .caller = caller,
					 .in_fn = in_fn },
		   500);
}

void feed_fork(uint32_t pid, uint32_t child, int followed)
{
	struct mp_ev_fork ev = { .child = child, .followed = followed };

	feed(&ev, MP_EV_FORK, sizeof(ev), pid, pid);
}

void feed_exec(uint32_t pid, const char *comm)
{
	struct mp_ev_exec ev = { 0 };

	memcpy(ev.comm, comm, strlen(comm));
	feed(&ev, MP_EV_EXEC, sizeof(ev), pid, pid);
}

void feed_exit(uint32_t pid, int64_t file, int64_t anon, int64_t shmem)
{
	struct mp_ev_exit ev = {
		.file_pages = file, .anon_pages = anon, .shmem_pages = shmem, .valid = 1
	};

	feed(&ev, MP_EV_EXIT, sizeof(ev), pid, pid);
}

static void feed_map(uint32_t pid, const struct feed_vma *vma)
{
	struct {
		struct mp_ev_map ev;
		char name[64];
	} e = {
		.ev = { .start = vma->start,
			.end = vma->end,
			.offset = vma->offset,
			.ino = vma->ino,
			.dev_major = vma->ino ? 8 : 0,
			.rss_bytes = vma->rss,
			.anon_bytes = vma->anon,
			.perms = vma->perms,
			.kind = vma->kind },
	};

	if (vma->name) {
		e.ev.name_len = strlen(vma->name);
		memcpy(e.name, vma->name, e.ev.name_len);
	}
	feed(&e, MP_EV_MAP, sizeof(e), pid, 0);
}

void feed_maps(uint32_t pid, uint64_t rss, uint64_t begin, const struct feed_vma *vmas, size_t nr)
{
	struct mp_ev_maps ev = {
		.nr = nr, .with_rss = rss != UINT64_MAX, .rss_bytes = rss, .begin_ns = begin
	};

	feed(&ev, MP_EV_MAPS, sizeof(ev), pid, 0);
	while (nr--)
		feed_map(pid, vmas++);
}

const struct mp_report *feed_report(void)
{
	mp_report__free(report);
	report = mp_model__report(feed_model, MP_REPORT_PAGES | MP_REPORT_BLOCKS);
	assert_non_null(report);
	return report;
}

/* The latest of that number. */
const struct mp_proc *report_proc(uint32_t pid)
{
	size_t i;

	for (i = report->nr_procs; i-- > 0;)
		if (report->procs[i].pid == pid)
			return &report->procs[i];
	return NULL;
}

const struct mp_page *report_page(uint32_t pid, uint64_t addr)
{
	const struct mp_proc *p = report_proc(pid);
	size_t i;

	for (i = 0; p && i < p->nr_pages; i++)
		if (p->pages[i].addr == (addr & MP_PAGE_MASK))
			return &p->pages[i];
	return NULL;
}

const struct mp_block *report_block(uint32_t pid, uint64_t addr)
{
	const struct mp_proc *p = report_proc(pid);
	size_t i;

	for (i = 0; p && i < p->nr_blocks; i++)
		if (p->blocks[i].addr == addr)
			return &p->blocks[i];
	return NULL;
}

const struct mp_site *report_site(uint64_t addr)
{
	size_t i;

	for (i = 0; i < report->nr_sites; i++)
		if (report->sites[i].frame->place->addr == addr)
			return &report->sites[i];
	return NULL;
}

const struct mp_vma *report_vma(uint32_t pid, uint64_t addr)
{
	const struct mp_proc *p = report_proc(pid);
	size_t i;

	for (i = 0; p && i < p->nr_vmas; i++)
		if (p->vmas[i].start <= addr && addr < p->vmas[i].end)
			return &p->vmas[i];
	return NULL;
}
