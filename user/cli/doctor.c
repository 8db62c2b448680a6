// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath doctor: what this kernel and this process allow, and what each gap costs. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/libbpf.h>
#include <sys/utsname.h>

#include "cli/run.h"
#include "collect/exercise.h"
#include "collect/module.h"

/* @silent: the last hook that is set and yet did not fire. */
static void print_stages(struct mp_kernel *k, const char **silent)
{
	printf("%-20s %-22s %-10s %6s  %s\n", "stage", "kernel function", "by", "hits", "hook");
	for (const struct mp_stage *st = mp_kernel_stages(k); st->stage; st++) {
		bool counted = st->hit != MP_HIT_NONE && st->how[0] != '-';
		uint64_t hits = counted ? mp_kernel_hits(k, st->hit) : 0;
		char text[24] = "-";

		if (counted)
			snprintf(text, sizeof(text), "%" PRIu64, hits);
		if (counted && !hits)
			*silent = st->wanted;
		printf("%-20s %-22s %-10s %6s  %s\n", st->stage, st->wanted[0] ? st->wanted : "-",
		       st->how, text, st->hook);
		if (st->gap[0])
			printf("%-20s   not seen: %s\n", "", st->gap);
	}
}

static void print_kernel(struct mp_kernel *k, const char **silent)
{
	struct utsname u;

	uname(&u);
	printf("kernel %s; faults by the %s row; hits of a small malloc workload of our own\n\n",
	       u.release, mp_row_name(k->rows.row));
	print_stages(k, silent);
	printf("\nwalk calibrated: direct map at 0x%llx, %u-level tables, struct page array at "
	       "0x%llx, zero page PFN %llu\n",
	       (unsigned long long)k->set.page_offset, k->set.levels,
	       (unsigned long long)k->set.vmemmap, (unsigned long long)k->set.zero_pfn);
}

static void print_module(void)
{
	struct mp_module_status status;

	if (!mp_module_status(&status, NULL))
		printf("kernel module: loaded, version %s: reports are audited by its own page "
		       "walk\n",
		       status.version);
	else
		printf("kernel module: not loaded; it would audit reports by a page walk of its "
		       "own,\n  and count faults by mapping (mallocpath vmas): docs/MODULE.md\n");
}

static const char *function_of(uint8_t fn)
{
	return fn == MP_FN_MMAP ? "(mapping)" : mp_fn_name(fn);
}

struct shown {
	bool ended, heap;
	int provider; /* of the last probe; -1: none yet */
	char *object[UINT8_MAX + 1];
};

static void show_probe(struct shown *sh, const struct mp_ev_probe *p)
{
	const char *object = sh->object[p->provider & UINT8_MAX];

	if (sh->provider != p->provider)
		printf("\nprobes in %s\n",
		       object ? object : "libc (it only tells who asks for mappings here)");
	sh->provider = p->provider;
	printf("  %-28s %-14s at +0x%-4x %-12s %10llu hits\n", p->symbol, function_of(p->fn),
	       p->into, p->kind == MP_PROBE_EMULATED ? "emulated" : "single-step",
	       (unsigned long long)p->hits);
}

static void show_heap(const struct mp_ev_heap *h)
{
	if (!h->main_arena) {
		printf("  tiers: unknown for every block: %s\n", h->why);
		return;
	}
	printf("  tiers: main_arena found at 0x%llx without debug information, and checked\n",
	       (unsigned long long)h->main_arena);
	printf("  blocks from %llu bytes on have a mapping of their own%s\n",
	       (unsigned long long)h->mmap_threshold,
	       h->fixed ? ", as the program has set it" : "; a free() can raise that");
}

static int show(void *ctx, const struct mp_ev *ev)
{
	struct shown *sh = ctx;

	if (ev->type == MP_EV_ALLOCATOR) {
		const struct mp_ev_allocator *a = (const void *)ev;
		char **object = &sh->object[a->index & UINT8_MAX];

		printf("allocator: %s (%s%s%s)\n", a->object, mp_allocator_name(a->kind),
		       a->version[0] ? " " : "", a->version);
		free(*object);
		*object = strdup(a->object);
	} else if (ev->type == MP_EV_HEAP && !sh->heap) {
		sh->heap = true;
		show_heap((const struct mp_ev_heap *)ev);
	} else if (ev->type == MP_EV_PROBE) {
		show_probe(sh, (const struct mp_ev_probe *)ev);
	} else if (ev->type == MP_EV_EXIT) {
		sh->ended = true;
	}
	return 0;
}

static void show_stacks(void *ctx, const struct mp_unwinder_memory *m)
{
	(void)ctx;
	printf("\n");
	mp_print_stacks(stdout, "", m);
}

static int without_target(const struct mp_options *o, struct mp_err *err)
{
	struct mp_kernel k;
	int rc = mp_kernel_open(&k, 1 << 20, 0, o->row, err);
	const char *silent = NULL;

	if (rc)
		return rc;
	rc = mp_exercise(&k, err);
	if (!rc)
		print_kernel(&k, &silent);
	if (!rc)
		print_module();
	mp_kernel_close(&k);
	if (!rc && silent)
		rc = mp_fail(
			err, MP_EXIT_LACKS, ENOENT,
			"the hook for %s is set, but it did not fire in a workload that passes "
			"it: try another --fault-source",
			silent);
	if (rc)
		return rc;
	printf("\nnothing essential is missing; try: mallocpath -p PID\n");
	return 0;
}

static int with_target(struct mp_options *o, struct mp_err *err)
{
	static const struct mp_run_ops ops = { .sink = show, .stacks = show_stacks };
	struct shown sh = { .provider = -1 };
	int status = -1, rc;

	if (o->seconds <= 0)
		o->seconds = 1;
	rc = mp_run(o, &ops, &sh, &status, err);
	for (size_t i = 0; i < sizeof(sh.object) / sizeof(sh.object[0]); i++)
		free(sh.object[i]);
	if (!rc && sh.ended)
		printf("the process ended while it was looked at\n");
	return rc;
}

int mp_cmd_doctor(struct mp_options *o)
{
	struct mp_err err = { .exit = 0 };
	int rc;

	if (!o->verbose)
		libbpf_set_print(NULL);
	rc = without_target(o, &err);
	if (!rc && (o->nr_pids || o->argv)) {
		printf("\n");
		fflush(stdout);
		rc = with_target(o, &err);
	}
	return rc ? mp_complain(&err) : MP_EXIT_OK;
}
