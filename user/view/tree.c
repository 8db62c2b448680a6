// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One site's path, stage by stage: the call, the growth of the heap or the mapping, the VMA, the
 * first touch, the page allocator, the pages. Each stage tells the numbers of this site.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "view/frames.h"
#include "view/order.h"
#include "view/path.h"
#include "view/units.h"
#include "view/views.h"

struct tree {
	const struct mp_report *r;
	const struct mp_site *site;
	struct mp_symbols *sym;
	const struct mp_view_opts *opts;
	FILE *out;
	struct mp_path path;
	bool last; /* the stage being drawn is the last one */
};

static void stage(struct tree *t, const char *name)
{
	const char *branch = t->opts->utf8 ? (t->last ? "└─ " : "├─ ") : (t->last ? "`- " : "|- ");

	fprintf(t->out, "%s\n", t->opts->utf8 ? "│" : "|");
	fprintf(t->out, "%s%s%s%s\n", branch, t->opts->color ? "\033[1m" : "", name,
		t->opts->color ? "\033[0m" : "");
}

static void line(const struct tree *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(const struct tree *t, const char *fmt, ...)
{
	const char *rail = t->last ? " " : t->opts->utf8 ? "│" : "|";
	va_list ap;

	fprintf(t->out, "%s     ", rail);
	va_start(ap, fmt);
	vfprintf(t->out, fmt, ap);
	va_end(ap);
	fputc('\n', t->out);
}

static struct mp_text size(const struct tree *t, uint64_t n)
{
	return mp_units_bytes(mp_units_signed(n), t->opts->bytes);
}

static struct mp_text duration(uint64_t n)
{
	return mp_units_ns(mp_units_signed(n), false);
}

/* Appends "@what @n" to the list in @buf if there are any. */
static void list(char *buf, size_t room, const char *what, uint64_t n)
{
	size_t used = strlen(buf);

	if (n)
		snprintf(buf + used, room - used, "%s%s %" PRIu64, used ? ", " : "", what, n);
}

static const char *call_name(const struct tree *t)
{
	if (t->site->fn)
		return mp_fn_name(t->site->fn);
	return t->site->mapping ? "mmap" : "malloc";
}

static void draw_call(struct tree *t)
{
	const struct mp_site *s = t->site;
	char tiers[400] = "";
	int i;

	stage(t, s->mapping ? "user space: the program maps memory itself"
			    : "user space: the allocator");
	line(t, "%s: %" PRIu64 " call%s for %s in all, %" PRIu64 " freed, %" PRIu64 " failed",
	     call_name(t), s->calls, s->calls == 1 ? "" : "s", size(t, s->requested_bytes).s,
	     s->frees, s->failed);
	if (!s->mapping)
		line(t, "live now: %s in %" PRIu64 " block%s", size(t, s->live_bytes).s,
		     s->live_blocks, s->live_blocks == 1 ? "" : "s");
	for (i = MP_TIER_UNKNOWN + 1; i < MP_TIER_NR; i++)
		list(tiers, sizeof(tiers), mp_tier_name(i), s->tiers[i]);
	if (*tiers)
		line(t, "served by: %s", tiers);
}

/* The kernel's function behind it, where that is hooked itself. */
static const char *hook_name(const struct mp_vma *v)
{
	if (!v->hooked)
		return "";
	return v->op == MP_OP_BRK ? " (do_brk_flags)" : " (mmap_region)";
}

static struct mp_label label_of(const struct tree *t, uint32_t id)
{
	struct mp_label label = { "unknown" };
	struct mp_frames f;

	if (id == 0 || id > t->r->nr_sites)
		return label;
	mp_frames_shown(&f, &t->r->sites[id - 1], t->sym, t->opts);
	return mp_frames_label(&f, 0);
}

/* The C library: that it touched or entered the kernel is not what is asked for. */
static bool in_libc(const struct mp_place *place)
{
	const char *slash = strrchr(place->object, '/'), *name = slash ? slash + 1 : place->object;

	return !strncmp(name, "libc.", 5) || !strncmp(name, "libc-", 5);
}

/* Where the touch was, and if that is in the kernel or in libc, who called it. */
static struct mp_label toucher_of(const struct tree *t, uint32_t id)
{
	struct mp_label label = { "unknown" }, outer;
	struct mp_frames f;

	if (id == 0 || id > t->r->nr_sites)
		return label;
	mp_frames_begin(&f, &t->r->sites[id - 1], t->sym);
	label = mp_frames_label(&f, 0);
	if (f.frame->place->what == MP_PLACE_SYSCALL)
		mp_frames_next(&f, t->sym);
	while (f.frame && in_libc(f.frame->place))
		mp_frames_next(&f, t->sym);
	if (!f.frame || !f.index)
		return label;
	outer = mp_frames_label(&f, 0);
	strncat(label.s, ", from ", sizeof(label.s) - strlen(label.s) - 1);
	strncat(label.s, outer.s, sizeof(label.s) - strlen(label.s) - 1);
	return label;
}

/* From the frame that is shown out to main and what called it. */
static void draw_stack(struct tree *t)
{
	const char *end = mp_frames_end(t->site->end);
	struct mp_frames f;

	mp_frames_shown(&f, t->site, t->sym, t->opts);
	stage(t, "call stack: who asked, innermost first");
	for (; f.frame; mp_frames_next(&f, t->sym))
		line(t, "%s%s", mp_frames_label(&f, 0).s,
		     mp_frames_name(&f)->inlined ? ", inlined in" : "");
	if (end)
		line(t, "(%s)", end);
}

/* Which call reserved the addresses. */
static void draw_growth(struct tree *t)
{
	const struct mp_vma *v;
	struct mp_label by;
	size_t i;

	stage(t, "system call: addresses are reserved, no memory yet");
	for (i = 0; i < t->path.nr_vmas; i++) {
		v = t->path.vmas[i].vma;
		if (!v->op) {
			line(t, "0x%" PRIx64 ": was there before tracing began", v->start);
			continue;
		}
		by = label_of(t, v->site);
		line(t, "0x%" PRIx64 ": %s%s%s%s, called by %s, %s after tracing began", v->start,
		     mp_op_name(v->op), hook_name(v), v->growth ? " inside " : "",
		     v->growth ? mp_fn_name(v->growth) : "", by.s,
		     duration(v->t_ns > t->r->first_ns ? v->t_ns - t->r->first_ns : 0).s);
	}
	if (!t->path.nr_vmas)
		line(t, "none of its memory is live");
}

static void draw_vmas(struct tree *t)
{
	const struct mp_vma *v;
	char name[300];
	size_t i;

	stage(t, "VMA: the kernel's note of the range");
	for (i = 0; i < t->path.nr_vmas; i++) {
		v = t->path.vmas[i].vma;
		mp_label_safe(name, sizeof(name), *v->name ? v->name : "[anonymous]");
		line(t, "0x%" PRIx64 "-0x%" PRIx64 " %c%c%c%c %s %s (pid %" PRIu32 ")", v->start,
		     v->end, v->perms & 1 ? 'r' : '-', v->perms & 2 ? 'w' : '-',
		     v->perms & 4 ? 'x' : '-', v->perms & 8 ? 's' : 'p',
		     size(t, v->end - v->start).s, name, t->path.vmas[i].pid);
		line(t, "    %s of this site in it, %" PRIu64 " pages present in all",
		     size(t, t->path.vmas[i].bytes).s, v->present_pages);
	}
	if (t->path.more_vmas)
		line(t, "and %zu more", t->path.more_vmas);
}

static void draw_touch(struct tree *t)
{
	const struct mp_site *s = t->site;
	char kinds[300] = "", by[100] = "";
	struct mp_label toucher;
	int i;

	stage(t, "page fault: the first touch of each page");
	for (i = 0; i < MP_KIND_NR; i++)
		list(kinds, sizeof(kinds), mp_kind_name(i), s->faults[i]);
	for (i = 0; i < MP_BY_NR; i++)
		list(by, sizeof(by), mp_by_name(i), s->faults_by[i]);
	line(t, "%" PRIu64 " faults%s%s%s%s", mp_order_faults(s->faults), *kinds ? ": " : "", kinds,
	     *by ? "; taken by: " : "", by);
	for (i = 0; i < MP_TOUCHERS && s->touchers[i].pages; i++) {
		toucher = toucher_of(t, s->touchers[i].site);
		line(t, "%" PRIu64 " pages first touched at %s", s->touchers[i].pages, toucher.s);
	}
}

static void draw_stages(struct tree *t, const struct mp_stages *n)
{
	if (n->staged)
		line(t,
		     "of %" PRIu64 " allocations: %" PRIu64 " from the per-CPU list, %" PRIu64
		     " after refilling it, %" PRIu64 " straight from the buddy lists",
		     n->staged, n->pcp, n->refill, n->buddy);
	if (n->pathed)
		line(t, "of %" PRIu64 " allocations: %" PRIu64 " by the slow path", n->pathed,
		     n->slow);
}

/* What stood between a touch and its page, where memory was short. */
static void draw_waits(struct tree *t, const struct mp_waits *w)
{
	char text[300];

	if (mp_waits_say(text, sizeof(text), w, false))
		line(t, "memory was short: %s", text);
}

/* The first touch where the page allocator itself is hooked. */
static void draw_split(struct tree *t, const struct mp_stages *n)
{
	uint64_t rest = n->whole_ns > n->page_ns ? n->whole_ns - n->page_ns : 0;

	if (n->page_timed)
		line(t,
		     "a first touch that was given a page took %s on average: page allocator %s, "
		     "rest %s",
		     duration(n->whole_ns / n->page_timed).s,
		     duration(n->page_ns / n->page_timed).s, duration(rest / n->page_timed).s);
}

static void draw_allocator(struct tree *t)
{
	const struct mp_site *s = t->site;
	char text[300] = "", name[24];
	double share;
	int i;

	stage(t, "page allocator: where the pages come from");
	for (i = 0; i < MP_ORDERS; i++) {
		snprintf(name, sizeof(name), "order %d:", i);
		list(text, sizeof(text), name, s->orders[i]);
	}
	for (i = 0; i < MP_NODES; i++) {
		snprintf(name, sizeof(name), "node %d:", i);
		list(text, sizeof(text), name, s->nodes[i]);
	}
	for (i = 0; i < MP_PATH_ZONES; i++) {
		snprintf(name, sizeof(name), "zone %d:", i);
		list(text, sizeof(text), name, t->path.zones[i]);
	}
	line(t, "%s", *text ? text : "no page present");
	draw_stages(t, &s->stages);
	draw_waits(t, &s->waits);
	if (!s->timed_faults) {
		line(t, "no fault was timed");
		return;
	}
	share = s->fault_ns ? (double)s->alloc_ns / s->fault_ns : 0;
	line(t, "a fault took %s on average%s%s%s", duration(s->fault_ns / s->timed_faults).s,
	     s->alloc_ns ? ", " : "", s->alloc_ns ? mp_units_percent(share).s : "",
	     s->alloc_ns ? " of it until the page left the allocator" : "");
	draw_split(t, &s->stages);
}

static void draw_example(const struct tree *t, const struct mp_page *p)
{
	char pfn[32] = "PFN unknown", taken[64] = "";

	if (p->pfn)
		snprintf(pfn, sizeof(pfn), "PFN 0x%" PRIx64, p->pfn);
	if (p->kind != MP_KIND_NONE)
		snprintf(taken, sizeof(taken), ", %s fault", mp_kind_name(p->kind));
	line(t, "0x%" PRIx64 " %s %s, order %u%s%s%s", p->addr, t->opts->utf8 ? "→" : "->", pfn,
	     p->order, taken, p->fault_ns == MP_UNKNOWN ? "" : " of ",
	     p->fault_ns == MP_UNKNOWN ? "" : mp_units_ns(p->fault_ns, false).s);
}

static void draw_pages(struct tree *t)
{
	const struct mp_site *s = t->site;
	char states[200] = "";
	size_t i;

	t->last = true;
	stage(t, "physical memory: the pages now");
	for (i = 0; i <= MP_STATE_GONE; i++)
		list(states, sizeof(states), mp_state_name(i), t->path.states[i]);
	line(t, "pages: %s", *states ? states : "none");
	for (i = 0; i < t->path.nr_examples; i++)
		draw_example(t, t->path.examples[i]);
	if (s->live_bytes)
		line(t, "%s live, %s resident: %s untouched", size(t, s->live_bytes).s,
		     size(t, s->resident_bytes).s,
		     mp_units_percent((double)s->untouched_bytes / s->live_bytes).s);
	else
		line(t, "nothing of it is live");
}

static int choose(const struct mp_report *r, const struct mp_view_opts *opts,
		  const struct mp_site **site)
{
	const struct mp_site **sites;
	size_t nr;

	if (opts->site) {
		*site = opts->site <= r->nr_sites ? &r->sites[opts->site - 1] : NULL;
		return *site ? 0 : -ENOENT;
	}
	sites = mp_order_sites(r, opts->sort, &nr);
	if (!sites)
		return -ENOMEM;
	*site = sites[0];
	free(sites);
	return 0;
}

static void draw(struct tree *t)
{
	struct mp_label name;
	struct mp_frames f;

	mp_frames_shown(&f, t->site, t->sym, t->opts);
	name = mp_frames_label(&f, MP_LABEL_PATHS);
	fprintf(t->out, "%s at %s (site %" PRIu32 ")\n", call_name(t), name.s, t->site->id);
	draw_stack(t);
	draw_call(t);
	draw_growth(t);
	draw_vmas(t);
	draw_touch(t);
	draw_allocator(t);
	draw_pages(t);
}

int mp_view_tree(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out)
{
	struct tree t = { .r = r, .sym = sym, .opts = opts, .out = out };
	int err;

	err = choose(r, opts, &t.site);
	if (err)
		return err;
	if (t.site) {
		err = mp_path_find(r, t.site, &t.path);
		if (err)
			return err;
		draw(&t);
	} else {
		fputs("no allocation was seen while tracing\n", out);
	}
	fputc('\n', out);
	mp_text_audit(r, opts, out);
	mp_text_loss(&r->loss, opts, out);
	return mp_view_finish(out);
}
