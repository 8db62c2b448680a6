// SPDX-License-Identifier: GPL-2.0-or-later
/* mallocpath doctor: what this kernel and this process allow, and what each gap costs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <bpf/libbpf.h>
#include <sys/utsname.h>

#include "cli/run.h"

static void print_kernel(struct mp_kernel *k)
{
	struct utsname u;

	uname(&u);
	printf("kernel %s; faults by the %s row\n\n", u.release, mp_row_name(k->rows.row));
	for (const struct mp_stage *st = mp_kernel_stages(k); st->stage; st++) {
		printf("%-20s %s\n", st->stage, st->hook);
		if (st->gap[0])
			printf("%-20s   not seen: %s\n", "", st->gap);
	}
	printf("\nwalk calibrated: direct map at 0x%llx, %u-level tables, struct page array at "
	       "0x%llx, zero page PFN %llu\n",
	       (unsigned long long)k->set.page_offset, k->set.levels,
	       (unsigned long long)k->set.vmemmap, (unsigned long long)k->set.zero_pfn);
}

static const char *function_of(uint8_t fn)
{
	return fn == MP_FN_MMAP ? "mapping" : mp_fn_name(fn);
}

static int show(void *ctx, const struct mp_ev *ev)
{
	bool *ended = ctx;

	if (ev->type == MP_EV_ALLOCATOR) {
		const struct mp_ev_allocator *a = (const void *)ev;

		printf("allocator: %s (%s %s)\n", a->object, mp_allocator_name(a->kind),
		       a->version);
	} else if (ev->type == MP_EV_PROBE) {
		const struct mp_ev_probe *p = (const void *)ev;

		printf("  %-24s %-14s %s+0x%x  %-9s %12llu hits\n", p->symbol, function_of(p->fn),
		       "entry", p->into, p->kind == MP_PROBE_EMULATED ? "emulated" : "stepped",
		       (unsigned long long)p->hits);
	} else if (ev->type == MP_EV_EXIT) {
		*ended = true;
	}
	return 0;
}

static int without_target(const struct mp_options *o, struct mp_err *err)
{
	struct mp_kernel k;
	int rc = mp_kernel_open(&k, 1 << 20, false, o->row, err);

	if (rc)
		return rc;
	print_kernel(&k);
	mp_kernel_close(&k);
	printf("\nnothing essential is missing; try: mallocpath -p PID\n");
	return 0;
}

static int with_target(struct mp_options *o, struct mp_err *err)
{
	static const struct mp_run_ops ops = { .sink = show };
	bool ended = false;
	int status = -1, rc;

	if (o->seconds <= 0)
		o->seconds = 1;
	rc = mp_run(o, &ops, &ended, &status, err);
	if (!rc && ended)
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
