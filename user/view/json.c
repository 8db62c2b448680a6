// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The report for programs: docs/report.schema.json. Streamed, so that the arrays of pages and
 * blocks may be as long as they like; their elements stand on lines of their own, for grep and
 * diff.
 */
#include "view/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "view/frames.h"
#include "view/units.h"
#include "view/views.h"

static const char *pick(const char *const *words, size_t nr, size_t i)
{
	return i < nr ? words[i] : NULL;
}
#define PICK(words, i) pick(words, sizeof(words) / sizeof((words)[0]), i)

static void host(struct mp_json *j, const struct mp_host *h)
{
	static const char *const rows[] = {
		[MP_ROW_FENTRY] = "fentry", [MP_ROW_KPROBE] = "kprobe", [MP_ROW_TRACEPOINT] = "tracepoint"
	};
	static const char *const sources[] = {
		[MP_PS_WALK] = "walk", [MP_PS_ALLOC] = "alloc", [MP_PS_PAGEMAP] = "pagemap"
	};
	static const char *const sets[] = {
		[MP_PROBES_ALL] = "all", [MP_PROBES_SLOW] = "slow", [MP_PROBES_NONE] = "none"
	};

	mp_json_open(j, "host", "{");
	mp_json_text(j, "kernel", h->release);
	mp_json_known(j, "page_size", h->page_size);
	mp_json_word(j, "fault_source", PICK(rows, h->fault_row));
	mp_json_word(j, "page_source", PICK(sources, h->page_source));
	mp_json_word(j, "alloc_probes", PICK(sets, h->alloc_probes));
	mp_json_bool(j, "module", h->module);
	mp_json_close(j, "}");
}

static void probe(struct mp_json *j, const struct mp_probe *p)
{
	static const char *const kinds[] = {
		[MP_PROBE_EMULATED] = "emulated", [MP_PROBE_STEPPED] = "stepped"
	};

	mp_json_open(j, NULL, "{");
	mp_json_text(j, "symbol", p->symbol);
	mp_json_number(j, "offset", p->offset);
	mp_json_number(j, "into", p->into);
	mp_json_word(j, "kind", PICK(kinds, p->kind));
	mp_json_word(j, "fn", mp_fn_name(p->fn));
	mp_json_number(j, "hits", p->hits);
	mp_json_close(j, "}");
}

static void allocator(struct mp_json *j, const struct mp_allocator *a)
{
	char id[2 * sizeof(a->build_id) + 1] = "";
	size_t i;

	for (i = 0; i < a->build_id_len && i < sizeof(a->build_id); i++)
		snprintf(id + 2 * i, 3, "%02x", a->build_id[i]);
	mp_json_open(j, NULL, "{");
	mp_json_text(j, "object", a->object);
	mp_json_text(j, "build_id", id);
	mp_json_word(j, "kind", mp_allocator_name(a->kind));
	mp_json_text(j, "version", a->version);
	mp_json_open(j, "probes", "[");
	for (i = 0; i < a->nr_probes; i++)
		probe(j, &a->probes[i]);
	mp_json_close(j, "]");
	mp_json_close(j, "}");
}

static void books(struct mp_json *j, const struct mp_books *b)
{
	mp_json_open(j, "books", "{");
	mp_json_signed(j, "rss_bytes", b->rss);
	mp_json_signed(j, "block_bytes", b->block);
	mp_json_signed(j, "retained_bytes", b->retained);
	mp_json_signed(j, "metadata_bytes", b->metadata);
	mp_json_signed(j, "before_attach_bytes", b->before_attach);
	mp_json_signed(j, "other_anon_bytes", b->other_anon);
	mp_json_signed(j, "stack_bytes", b->stack);
	mp_json_signed(j, "file_bytes", b->file);
	mp_json_signed(j, "shmem_bytes", b->shmem);
	mp_json_signed(j, "tool_bytes", b->tool);
	mp_json_signed(j, "unexplained_bytes", b->unexplained);
	mp_json_signed(j, "zero_bytes", b->zero);
	mp_json_signed(j, "hugetlb_bytes", b->hugetlb);
	mp_json_signed(j, "pss_bytes", b->pss);
	mp_json_signed(j, "pss_anon_bytes", b->pss_anon);
	mp_json_real(j, "coverage", b->coverage);
	mp_json_real(j, "site_coverage", b->site_coverage);
	mp_json_close(j, "}");
}

/* Every kind is told: a 0 here is known. */
static void faults(struct mp_json *j, const uint64_t n[MP_KIND_NR])
{
	int i;

	mp_json_open(j, "faults", "{");
	for (i = 0; i < MP_KIND_NR; i++)
		mp_json_number(j, mp_kind_name(i), n[i]);
	mp_json_close(j, "}");
}

static void vma(struct mp_json *j, const struct mp_vma *v)
{
	char perms[5] = "---p";

	perms[0] = v->perms & 1 ? 'r' : '-';
	perms[1] = v->perms & 2 ? 'w' : '-';
	perms[2] = v->perms & 4 ? 'x' : '-';
	perms[3] = v->perms & 8 ? 's' : 'p';
	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_address(j, "start", v->start);
	mp_json_address(j, "end", v->end);
	mp_json_word(j, "perms", perms);
	mp_json_string(j, "name", v->name);
	mp_json_word(j, "kind", mp_vma_kind_name(v->kind));
	mp_json_number(j, "present_pages", v->present_pages);
	faults(j, v->faults);
	mp_json_known(j, "site", v->site);
	mp_json_growers(j, v);
	mp_json_close(j, "}");
}

static void page(struct mp_json *j, const struct mp_page *p)
{
	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_address(j, "addr", p->addr);
	mp_json_known(j, "pfn", p->pfn);
	mp_json_number(j, "order", p->order);
	mp_json_word(j, "kind", p->kind == MP_KIND_NONE ? NULL : mp_kind_name(p->kind));
	mp_json_word(j, "by", p->by == MP_BY_NONE ? NULL : mp_by_name(p->by));
	mp_json_bool(j, "major", p->major);
	mp_json_signed(j, "node", p->node_known ? p->node : MP_UNKNOWN);
	mp_json_signed(j, "zone", p->node_known ? p->zone : MP_UNKNOWN);
	mp_json_word(j, "state", mp_state_name(p->state));
	mp_json_word(j, "source", p->source ? mp_source_name(p->source) : NULL);
	if (p->blocks)
		mp_json_address(j, "block", p->block);
	else
		mp_json_word(j, "block", NULL);
	mp_json_number(j, "blocks", p->blocks);
	mp_json_known(j, "site", p->site);
	mp_json_known(j, "toucher", p->toucher);
	mp_json_number(j, "t_ns", p->t_ns);
	mp_json_signed(j, "fault_ns", p->fault_ns);
	mp_json_signed(j, "alloc_ns", p->alloc_ns);
	mp_json_signed(j, "page_ns", p->page_ns);
	mp_json_signed(j, "gfp", p->alloc_ns == MP_UNKNOWN ? MP_UNKNOWN : p->gfp);
	mp_json_past(j, p);
	mp_json_close(j, "}");
}

static void block(struct mp_json *j, const struct mp_block *b)
{
	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_address(j, "addr", b->addr);
	if (b->seeded)
		mp_json_word(j, "requested", NULL);
	else
		mp_json_number(j, "requested", b->requested);
	mp_json_signed(j, "usable", b->usable);
	mp_json_known(j, "site", b->site);
	mp_json_word(j, "tier", mp_tier_name(b->tier));
	mp_json_word(j, "tier_sure", mp_sure_name(b->sure));
	mp_json_known(j, "tid", b->tid);
	mp_json_known(j, "t_ns", b->seeded ? 0 : b->t_ns);
	mp_json_number(j, "resident_bytes", b->resident_bytes);
	mp_json_close(j, "}");
}

static void raise_of(struct mp_json *j, const struct mp_raise *e)
{
	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_number(j, "t_ns", e->t_ns);
	mp_json_known(j, "tid", e->tid);
	mp_json_known(j, "site", e->site);
	mp_json_address(j, "addr", e->addr);
	mp_json_number(j, "mmap_before_bytes", e->mmap_before);
	mp_json_number(j, "mmap_after_bytes", e->mmap_after);
	mp_json_number(j, "trim_before_bytes", e->trim_before);
	mp_json_number(j, "trim_after_bytes", e->trim_after);
	mp_json_close(j, "}");
}

static void glibc(struct mp_json *j, const struct mp_heap_facts *g)
{
	size_t i;

	if (!g->told) {
		mp_json_word(j, "glibc", NULL);
		return;
	}
	mp_json_open(j, "glibc", "{");
	if (g->main_arena)
		mp_json_address(j, "main_arena", g->main_arena);
	else
		mp_json_word(j, "main_arena", NULL);
	mp_json_text(j, "failed_check", g->why);
	mp_json_bool(j, "thresholds_fixed", g->fixed);
	mp_json_signed(j, "mmap_threshold_bytes", g->mmap_threshold);
	mp_json_signed(j, "trim_threshold_bytes", g->trim_threshold);
	mp_json_number(j, "thresholds_raised", g->raised);
	mp_json_open(j, "raises", "[");
	for (i = 0; i < g->nr_raises; i++)
		raise_of(j, &g->raises[i]);
	mp_json_close(j, "]");
	mp_json_arenas(j, g);
	mp_json_close(j, "}");
}

/* Only where there was one. */
static void xray(struct mp_json *j, const struct mp_xray_facts *x)
{
	if (!x->seeded && !x->compared)
		return;
	mp_json_open(j, "xray", "{");
	mp_json_number(j, "seeded_blocks", x->seeded_blocks);
	mp_json_number(j, "seeded_bytes", x->seeded_bytes);
	mp_json_number(j, "seeded_wrong", x->seeded_wrong);
	mp_json_number(j, "seeded_live_blocks", x->seeded_live);
	mp_json_number(j, "seeded_resident_bytes", x->seeded_resident);
	mp_json_signed(j, "blocks_both", x->compared ? mp_units_signed(x->both) : MP_UNKNOWN);
	mp_json_signed(j, "blocks_xray_only",
		       x->compared ? mp_units_signed(x->xray_only) : MP_UNKNOWN);
	mp_json_signed(j, "blocks_trace_only",
		       x->compared ? mp_units_signed(x->trace_only) : MP_UNKNOWN);
	mp_json_bool(j, "partial", x->partial);
	mp_json_signed(j, "trim_bytes", x->compared ? mp_units_signed(x->trim_bytes) : MP_UNKNOWN);
	mp_json_signed(j, "pinned_unknown_bytes",
		       x->compared ? mp_units_signed(x->pinned_unknown) : MP_UNKNOWN);
	mp_json_close(j, "}");
}

static void process(struct mp_json *j, const struct mp_view_opts *opts, const struct mp_proc *p)
{
	size_t i;

	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_number(j, "pid", p->pid);
	mp_json_text(j, "comm", p->comm);
	mp_json_open(j, "cmdline", "[");
	for (i = 0; i < p->nr_cmdline; i++)
		mp_json_string(j, NULL, p->cmdline[i]);
	mp_json_close(j, "]");
	mp_json_word(j, "at", mp_at_name(p->at));
	mp_json_number(j, "t_ns", p->t_ns);
	mp_json_bool(j, "launched", p->launched);
	mp_json_bool(j, "exited", p->exited);
	mp_json_number(j, "live_blocks", p->live_blocks);
	mp_json_number(j, "present_pages", p->present_pages);
	mp_json_open(j, "allocators", "[");
	for (i = 0; i < p->nr_allocators; i++)
		allocator(j, &p->allocators[i]);
	mp_json_close(j, "]");
	books(j, &p->books);
	mp_json_limit(j, &p->limit);
	mp_json_given_back(j, &p->given_back);
	mp_json_open(j, "waits", "{");
	mp_json_waits(j, &p->waits);
	mp_json_close(j, "}");
	mp_json_refusals(j, p);
	mp_json_ways(j, p->departed);
	glibc(j, &p->glibc);
	xray(j, &p->xray);
	mp_json_open(j, "vmas", "[");
	for (i = 0; i < p->nr_vmas; i++)
		vma(j, &p->vmas[i]);
	mp_json_close(j, "]");
	if (opts->pages) {
		mp_json_open(j, "pages", "[");
		for (i = 0; i < p->nr_pages; i++)
			page(j, &p->pages[i]);
		mp_json_close(j, "]");
	}
	if (opts->blocks) {
		mp_json_open(j, "blocks", "[");
		for (i = 0; i < p->nr_blocks; i++)
			block(j, &p->blocks[i]);
		mp_json_close(j, "]");
	}
	mp_json_close(j, "}");
}

static void frame(struct mp_json *j, const struct mp_frames *f)
{
	const struct mp_symbol *symbol = mp_frames_name(f);
	const struct mp_place *place = f->frame->place;
	bool kernel = place->what == MP_PLACE_SYSCALL;

	mp_json_open(j, NULL, "{");
	mp_json_text(j, "function", kernel ? mp_frames_label(f, 0).s : symbol->function);
	mp_json_text(j, "file", symbol->file);
	mp_json_known(j, "line", symbol->line > 0 ? symbol->line : 0);
	mp_json_text(j, "object", kernel ? "[kernel]" : place->object);
	/* without an object the model keeps the address in @offset: that is told as "addr" */
	mp_json_signed(j, "offset", *place->object ? mp_units_signed(place->offset) : MP_UNKNOWN);
	mp_json_bool(j, "inlined", symbol->inlined);
	if (kernel)
		mp_json_word(j, "addr", NULL);
	else
		mp_json_address(j, "addr", place->addr);
	mp_json_close(j, "}");
}

void mp_json_frames(struct mp_json *j, struct mp_symbols *sym, const struct mp_view_opts *opts,
		    const struct mp_site *s)
{
	struct mp_frames f;
	size_t shown;

	mp_frames_shown(&f, s, sym, opts);
	shown = f.index;
	mp_json_open(j, "frames", "[");
	for (mp_frames_begin(&f, s, sym); f.frame; mp_frames_next(&f, sym))
		frame(j, &f);
	mp_json_close(j, "]");
	mp_json_number(j, "shown", shown);
	mp_json_word(j, "stack_end", s->end ? mp_stack_end_name(s->end) : NULL);
}

/* {"0":n,"9":n}: what is 0 is left out */
static void histogram(struct mp_json *j, const char *name, const uint64_t *n, int nr)
{
	char index[12];
	int i;

	mp_json_open(j, name, "{");
	for (i = 0; i < nr; i++) {
		snprintf(index, sizeof(index), "%d", i);
		if (n[i])
			mp_json_number(j, index, n[i]);
	}
	mp_json_close(j, "}");
}

/* A number told of @some faults: not known if they are none. */
static void of_some(struct mp_json *j, const char *name, uint64_t n, uint64_t some)
{
	mp_json_signed(j, name, some ? mp_units_signed(n) : MP_UNKNOWN);
}

/* What nothing told of is not known; a site without faults has none. */
static void page_alloc(struct mp_json *j, const struct mp_site *s, bool timed)
{
	const struct mp_stages *n = &s->stages;

	mp_json_open(j, "page_alloc", "{");
	of_some(j, "pcp", n->pcp, n->staged);
	of_some(j, "refill", n->refill, n->staged);
	of_some(j, "buddy", n->buddy, n->staged);
	mp_json_number(j, "staged_faults", n->staged);
	of_some(j, "slow", n->slow, n->pathed);
	mp_json_number(j, "pathed_faults", n->pathed);
	mp_json_waits(j, &s->waits);
	mp_json_signed(j, "alloc_ns", timed ? mp_units_signed(s->alloc_ns) : MP_UNKNOWN);
	/* the first touch split: whole = page + rest, of the same faults */
	of_some(j, "page_ns", n->page_ns, n->page_timed);
	of_some(j, "rest_ns", n->whole_ns > n->page_ns ? n->whole_ns - n->page_ns : 0,
		n->page_timed);
	of_some(j, "whole_ns", n->whole_ns, n->page_timed);
	mp_json_number(j, "timed_faults", n->page_timed);
	mp_json_close(j, "}");
}

static void fault_times(struct mp_json *j, const struct mp_site *s)
{
	bool timed = s->timed_faults || !(s->fault_ns || s->faults_by[MP_BY_USER] ||
					  s->faults_by[MP_BY_KERNEL] || s->faults_by[MP_BY_GUP]);

	mp_json_signed(j, "fault_ns", timed ? mp_units_signed(s->fault_ns) : MP_UNKNOWN);
	mp_json_number(j, "timed_faults", s->timed_faults);
	page_alloc(j, s, timed);
}

static void site_pages(struct mp_json *j, const struct mp_site *s)
{
	int i;

	histogram(j, "orders", s->orders, MP_ORDERS);
	histogram(j, "nodes", s->nodes, MP_NODES);
	mp_json_open(j, "tiers", "{");
	for (i = 0; i < MP_TIER_NR; i++)
		if (s->tiers[i])
			mp_json_number(j, mp_tier_name(i), s->tiers[i]);
	mp_json_close(j, "}");
	mp_json_open(j, "touchers", "[");
	for (i = 0; i < MP_TOUCHERS && s->touchers[i].pages; i++) {
		mp_json_open(j, NULL, "{");
		mp_json_known(j, "site", s->touchers[i].site);
		mp_json_number(j, "pages", s->touchers[i].pages);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
}

static void site(struct mp_json *j, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 const struct mp_site *s)
{
	int i;

	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_number(j, "id", s->id);
	/* null: a place that only touched memory of others */
	mp_json_word(j, "kind", s->mapping ? "mmap" : s->calls || s->failed ? "malloc" : NULL);
	mp_json_word(j, "fn", s->fn ? mp_fn_name(s->fn) : NULL);
	mp_json_frames(j, sym, opts, s);
	mp_json_number(j, "calls", s->calls);
	mp_json_number(j, "frees", s->frees);
	mp_json_number(j, "failed", s->failed);
	mp_json_number(j, "requested_bytes", s->requested_bytes);
	mp_json_number(j, "live_blocks", s->live_blocks);
	mp_json_number(j, "live_bytes", s->live_bytes);
	mp_json_number(j, "resident_bytes", s->resident_bytes);
	mp_json_number(j, "charged_bytes", s->charged_bytes);
	mp_json_number(j, "untouched_bytes", s->untouched_bytes);
	mp_json_signed(j, "pinned_bytes", s->pinned);
	faults(j, s->faults);
	mp_json_open(j, "faults_by", "{");
	for (i = 0; i < MP_BY_NR; i++)
		mp_json_number(j, mp_by_name(i), s->faults_by[i]);
	mp_json_close(j, "}");
	mp_json_number(j, "major_faults", s->majors);
	fault_times(j, s);
	site_pages(j, s);
	mp_json_given_back(j, &s->given_back);
	mp_json_departed(j, s->departed, s->nr_departed);
	mp_json_close(j, "}");
}

static void loss(struct mp_json *j, const struct mp_loss *l, bool history)
{
	static const char *const reasons[] = {
		[MP_DROP_RING] = "ring",
		[MP_DROP_SCRATCH] = "scratch",
		[MP_DROP_NESTED] = "nested",
		[MP_DROP_RETURN] = "return",
		[MP_DROP_USER_READ] = "user_read",
		[MP_DROP_WALK] = "walk",
		[MP_DROP_FAULT_START] = "fault_start",
		[MP_DROP_STACK] = "stack",
		[MP_DROP_NO_ENTRY] = "no_entry",
		[MP_DROP_SYSCALL] = "syscall",
		[MP_DROP_FAULT_END] = "fault_end",
	};
	size_t i;

	mp_json_open(j, "loss", "{");
	mp_json_number(j, "events_dropped", l->events_dropped);
	mp_json_number(j, "gaps", l->gaps);
	mp_json_number(j, "returns_missed", l->returns_missed);
	mp_json_number(j, "frees_lost", l->frees_lost);
	mp_json_number(j, "frees_unmatched", l->frees_unmatched);
	mp_json_number(j, "stacks_truncated", l->stacks_truncated);
	mp_json_number(j, "stacks_lost", l->stacks_lost);
	mp_json_number(j, "programs_skipped", l->programs_skipped);
	mp_json_number(j, "moved_unseen_pages", l->moved_unseen_pages);
	mp_json_signed(j, "module_mismatch_pages", l->module_mismatch_pages);
	mp_json_signed(j, "chain_mismatches", l->chain_mismatches);
	if (history)
		mp_json_number(j, "history_lost", l->history_lost);
	mp_json_open(j, "dropped", "{");
	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		mp_json_number(j, reasons[i], l->dropped[i]);
	mp_json_close(j, "}");
	mp_json_open(j, "stack_ends", "{");
	for (i = 0; i < MP_STACK_END_MAX; i++)
		mp_json_number(j, mp_stack_end_name(i), l->stack_ends[i]);
	mp_json_close(j, "}");
	mp_json_close(j, "}");
}

/* What was compared, so that a 0 among the losses says something. */
static void checks(struct mp_json *j, const struct mp_report *r)
{
	mp_json_open(j, "checks", "{");
	mp_json_number(j, "chain_faults", r->chain_checked);
	if (r->host.module)
		mp_json_signed(j, "module_pages", r->module_pages);
	mp_json_close(j, "}");
}

/* Only with the kernel module; null: it did not walk at this instant. */
static void module_mismatches(struct mp_json *j, const struct mp_report *r)
{
	size_t i;

	if (!r->host.module)
		return;
	if (r->loss.module_mismatch_pages == MP_UNKNOWN) {
		mp_json_word(j, "module_mismatches", NULL);
		return;
	}
	mp_json_open(j, "module_mismatches", "[");
	for (i = 0; i < r->nr_mismatches; i++) {
		const struct mp_mismatch *mis = &r->mismatches[i];

		mp_json_line(j);
		mp_json_open(j, NULL, "{");
		mp_json_number(j, "pid", mis->pid);
		mp_json_address(j, "addr", mis->addr);
		mp_json_known(j, "ledger_pfn", mis->ledger_pfn);
		mp_json_known(j, "module_pfn", mis->module_pfn);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "]");
}

static void cost(struct mp_json *j, const struct mp_cost *c)
{
	mp_json_open(j, "cost", "{");
	mp_json_signed(j, "events", c->events);
	mp_json_signed(j, "probe_hits", c->probe_hits);
	mp_json_signed(j, "faults", c->faults);
	mp_json_real(j, "target_cpu_fraction", mp_cost_fraction(c));
	mp_json_signed(j, "target_cpu_ns", c->target_cpu_ns);
	mp_json_signed(j, "probe_ns", c->probe_ns);
	mp_json_real(j, "tool_cpu_seconds",
		     c->tool_cpu_ns == MP_UNKNOWN ? NAN : c->tool_cpu_ns / 1e9);
	mp_json_signed(j, "tool_peak_bytes", c->tool_peak_bytes);
	mp_json_close(j, "}");
}

static void tiers(struct mp_json *j, const struct mp_report *r)
{
	int i;

	mp_json_open(j, "tiers", "{");
	for (i = 0; i < MP_TIER_NR; i++) {
		if (!r->tiers[i].calls)
			continue;
		mp_json_open(j, mp_tier_name(i), "{");
		mp_json_number(j, "calls", r->tiers[i].calls);
		mp_json_number(j, "bytes", r->tiers[i].bytes);
		mp_json_number(j, "certain", r->tiers[i].sure[MP_SURE_CERTAIN]);
		mp_json_number(j, "snapshot", r->tiers[i].sure[MP_SURE_SNAPSHOT]);
		mp_json_close(j, "}");
	}
	mp_json_close(j, "}");
}

static void report(struct mp_json *j, struct mp_symbols *sym, const struct mp_view_opts *opts,
		   const struct mp_report *r)
{
	size_t i;

	mp_json_open(j, NULL, "{");
	mp_json_word(j, "schema", "mallocpath.report/1");
	host(j, &r->host);
	mp_json_open(j, "processes", "[");
	for (i = 0; i < r->nr_procs; i++)
		process(j, opts, &r->procs[i]);
	mp_json_close(j, "]");
	mp_json_open(j, "sites", "[");
	for (i = 0; i < r->nr_sites; i++)
		site(j, sym, opts, &r->sites[i]);
	mp_json_close(j, "]");
	mp_json_line(j);
	tiers(j, r);
	if (r->history)
		mp_json_departed(j, r->departed, r->nr_departed);
	loss(j, &r->loss, r->history);
	checks(j, r);
	module_mismatches(j, r);
	cost(j, &r->cost);
	mp_json_close(j, "}");
	mp_json_line(j);
}

int mp_view_json(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out)
{
	struct mp_json j = { .out = out };
	int err;

	err = mp_json_init(&j);
	if (err)
		return err;
	report(&j, sym, opts, r);
	mp_json_end(&j);
	err = mp_view_finish(out);
	return err ? err : j.err;
}
