// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/rows.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../bpf/shared.h"
#include "collect/tracefs.h"

#define NAMES 4
#define PROGS 6

/*
 * The names a function has had, newest first:
 * __alloc_pages_nodemask (5.10), __alloc_pages (6.1), __alloc_pages_noprof (6.12) and
 * __alloc_frozen_pages_noprof (7.2, where user faults pass __alloc_pages_noprof by). Where
 * do_anonymous_page is inlined (5.10, 6.1) the new rmap of its page stands in for it.
 */
static const struct {
	const char *wanted;
	const char *names[NAMES];
	const char *fentry[PROGS], *kprobe[PROGS];
	uint32_t hit;
} table[MP_HOOKS] = {
	{ "handle_mm_fault",
	  { "handle_mm_fault" },
	  { "mp_hmf_ent", "mp_hmf_ret", "mp_hmf_ent_2", "mp_hmf_ret_2", "mp_hmf_ent_3" },
	  { "mp_hmf_kent", "mp_hmf_kret" },
	  MP_HIT_HANDLE_MM_FAULT },
	{ "do_anonymous_page",
	  { "do_anonymous_page", "folio_add_new_anon_rmap", "page_add_new_anon_rmap" },
	  { "mp_anon_ret" },
	  { "mp_anon_kent" },
	  MP_HIT_ANONYMOUS },
	{ "__alloc_pages",
	  { "__alloc_frozen_pages_noprof", "__alloc_pages_noprof", "__alloc_pages",
	    "__alloc_pages_nodemask" },
	  { "mp_pages_ent", "mp_pages_ret" },
	  { "mp_pages_kent", "mp_pages_kret" },
	  MP_HIT_ALLOC_PAGES },
	{ "do_brk_flags", { "do_brk_flags" }, { "mp_brk_ent" }, { "mp_brk_kent" }, MP_HIT_BRK },
	{ "mmap_region", { "mmap_region" }, { "mp_mmap_ent" }, { "mp_mmap_kent" }, MP_HIT_MMAP },
	{ "get_page_from_freelist",
	  { "get_page_from_freelist" },
	  { "mp_freelist_ent" },
	  { "mp_freelist_k" },
	  MP_HIT_FREELIST },
	{ "try_to_compact_pages",
	  { "try_to_compact_pages" },
	  { "mp_compact_ent", "mp_compact_ret" },
	  { "mp_compact_kent", "mp_compact_kret" },
	  MP_HIT_NONE },
	{ "try_to_unmap_one",
	  { "try_to_unmap_one" },
	  { "mp_unmap_ret" },
	  { "mp_unmap_kent", "mp_unmap_kret" },
	  MP_HIT_NONE },
	{ "remove_migration_pte",
	  { "remove_migration_pte" },
	  { "mp_moved_ret" },
	  { "mp_moved_kent", "mp_moved_kret" },
	  MP_HIT_NONE },
	{ "pmdp_collapse_flush",
	  { "pmdp_collapse_flush" },
	  { "mp_huge_kent", "mp_collapsed" },
	  { "mp_huge_kent", "mp_collapsed" },
	  MP_HIT_NONE },
};

const char *mp_row_name(enum mp_row row)
{
	static const char *const names[] = { "auto", "fentry", "kprobe", "tracepoint" };

	return names[row];
}

/* kprobes need no types, but a function that is known to BTF is also one that is not inlined. */
static const char *find_function(const struct btf *btf, const char *const names[NAMES])
{
	for (int i = 0; i < NAMES && names[i]; i++)
		if (btf__find_by_name_kind(btf, names[i], BTF_KIND_FUNC) > 0)
			return names[i];
	return NULL;
}

/*
 * A program of fexit that is preempted is skipped for whoever reclaims next on that CPU; one of a kretprobe
 * is not, but there are only as many at a time as CPUs, and twice as many where the kernel preempts.
 */
static bool by_kprobe(const struct mp_rows *r, int i)
{
	return r->row != MP_ROW_FENTRY ||
	       (r->preempts && (i == MP_HOOK_UNMAP || i == MP_HOOK_MIGRATED));
}

static const char *const *programs(const struct mp_rows *r, int i)
{
	return by_kprobe(r, i) ? table[i].kprobe : table[i].fentry;
}

static int switch_on(const struct mp_rows *r, int i, struct bpf_object *obj)
{
	const char *const *names = programs(r, i);
	int rc = 0;

	for (int j = 0; !rc && j < PROGS && names[j]; j++) {
		struct bpf_program *p = bpf_object__find_program_by_name(obj, names[j]);

		if (!p)
			return -ENOENT;
		bpf_program__set_autoload(p, true);
		if (bpf_program__type(p) == BPF_PROG_TYPE_TRACING)
			rc = bpf_program__set_attach_target(p, 0, r->hook[i].function);
	}
	return rc;
}

/* The end of a process, while its address space stands, where the tracepoint comes after it. */
static void switch_on_exit(struct mp_rows *r, struct bpf_object *obj)
{
	static const char *const names[][2] = { { "mp_exit_ent", NULL },
						{ "mp_exit_kent", NULL },
						{ "mp_exit_group", "mp_signal" } };
	const char *const *n = names[r->row - MP_ROW_FENTRY];

	r->exit_hook = true;
	for (int i = 0; i < 2 && n[i]; i++)
		bpf_program__set_autoload(bpf_object__find_program_by_name(obj, n[i]), true);
}

int mp_rows_prepare(struct mp_rows *r, enum mp_row row, bool exit_early, bool preempts,
		    struct bpf_object *obj, struct mp_err *err)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int rc = 0;

	memset(r, 0, sizeof(*r));
	r->row = row;
	r->preempts = preempts;
	if (!exit_early)
		switch_on_exit(r, obj);
	for (int i = 0; i < MP_HOOKS; i++) {
		r->hook[i].wanted = table[i].wanted;
		r->hook[i].hit = table[i].hit;
		r->hook[i].function = btf ? find_function(btf, table[i].names) : NULL;
		if (row == MP_ROW_TRACEPOINT || !r->hook[i].function)
			continue;
		rc = switch_on(r, i, obj);
		if (rc)
			break;
	}
	btf__free(btf);
	if (row != MP_ROW_TRACEPOINT && (rc || !r->hook[0].function))
		return mp_fail(err, MP_EXIT_LACKS, ENOENT,
			       "handle_mm_fault cannot be hooked by %s on this kernel",
			       mp_row_name(row));
	return 0;
}

static const char *image_program(const struct mp_rows *r)
{
	static const char *const names[] = { "mp_image_ent", "mp_image_kent", "mp_image_tp" };

	return names[r->row - MP_ROW_FENTRY];
}

void mp_rows_want_images(struct mp_rows *r, struct bpf_object *obj)
{
	if (r->row == MP_ROW_TRACEPOINT)
		r->images = mp_tracefs_id("sched", "", "sched_prepare_exec") > 0;
	else
		r->images = libbpf_find_vmlinux_btf_id("exec_mm_release", BPF_TRACE_FENTRY) > 0;
	if (r->images)
		bpf_program__set_autoload(bpf_object__find_program_by_name(obj, image_program(r)),
					  true);
}

int mp_rows_attach_images(struct mp_rows *r, struct bpf_object *obj,
			  int (*keep)(void *ctx, struct bpf_link *link), void *ctx)
{
	const struct bpf_program *p = bpf_object__find_program_by_name(obj, image_program(r));

	return r->images ? keep(ctx, bpf_program__attach(p)) : 0;
}

/* Does the kernel let handle_mm_fault be hooked by a program that does nothing? */
static bool fentry_possible(void)
{
	const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int id = libbpf_find_vmlinux_btf_id("handle_mm_fault", BPF_TRACE_FENTRY), prog, link;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY,
		    .attach_btf_id = id);

	if (id <= 0)
		return false;
	prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "mp_nothing", "GPL", nothing, 2, &opts);
	if (prog < 0)
		return false;
	link = bpf_raw_tracepoint_open(NULL, prog);
	if (link >= 0)
		close(link);
	close(prog);
	return link >= 0;
}

static bool kprobe_possible(void)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.kprobe_func = (uintptr_t) "handle_mm_fault",
	};
	FILE *f = fopen("/sys/bus/event_source/devices/kprobe/type", "re");
	int fd = -1;

	if (f && fscanf(f, "%u", &attr.type) == 1)
		fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (f)
		fclose(f);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool mp_row_possible(enum mp_row row)
{
	return row == MP_ROW_FENTRY   ? fentry_possible()
	       : row == MP_ROW_KPROBE ? kprobe_possible()
				      : true;
}

static struct bpf_link *attach(const struct mp_rows *r, int i, struct bpf_program *p)
{
	bool at_return;

	if (bpf_program__type(p) != BPF_PROG_TYPE_KPROBE)
		return bpf_program__attach(p);
	at_return = !strncmp(bpf_program__section_name(p), "?kretprobe", 10) ||
		    !strncmp(bpf_program__section_name(p), "kretprobe", 9);
	return bpf_program__attach_kprobe(p, at_return, r->hook[i].function);
}

int mp_rows_attach(struct mp_rows *r, struct bpf_object *obj,
		   int (*keep)(void *ctx, struct bpf_link *link), void *ctx, struct mp_err *err)
{
	for (int i = 0; i < MP_HOOKS && r->row != MP_ROW_TRACEPOINT; i++) {
		const char *const *names = programs(r, i);
		int rc = r->hook[i].function ? 0 : -ENOENT;

		for (int j = 0; !rc && j < PROGS && names[j]; j++)
			rc = keep(ctx,
				  attach(r, i, bpf_object__find_program_by_name(obj, names[j])));
		r->hook[i].attached = !rc;
		if (rc && i == 0)
			return mp_fail(err, MP_EXIT_LACKS, -rc,
				       "handle_mm_fault cannot be hooked by %s: %s",
				       mp_row_name(r->row), strerror(-rc));
	}
	if (r->exit_hook && r->row == MP_ROW_FENTRY)
		return keep(ctx, bpf_program__attach(
					 bpf_object__find_program_by_name(obj, "mp_exit_ent")));
	if (r->exit_hook && r->row == MP_ROW_KPROBE)
		return keep(ctx, bpf_program__attach(
					 bpf_object__find_program_by_name(obj, "mp_exit_kent")));
	return 0;
}
