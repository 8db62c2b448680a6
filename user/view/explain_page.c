// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/explain_page.h"

#include <inttypes.h>

#define COMPANY 8 /* blocks on the same page that are listed */

static void say_maker(struct mp_explain *e, const struct mp_vma *v)
{
	if (!v->op) {
		mp_prose_say(&e->prose, "It was there before %s.",
			     e->still ? "it was looked at" : "the trace began");
		return;
	}
	mp_prose_say(&e->prose, "%s() made it or grew it last%s, %s after the trace began%s%s%s,",
		     mp_op_name(v->op),
		     !v->hooked           ? ""
		     : v->op == MP_OP_BRK ? " (do_brk_flags())"
					  : " (mmap_region())",
		     mp_explain_since(e, v->t_ns).s, v->growth ? " inside " : "",
		     v->growth ? mp_fn_name(v->growth) : "", v->growth ? "()" : "");
	mp_prose_say(&e->prose, "called by %s.", mp_explain_label(e, v->site).s);
	mp_prose_say(&e->prose, "That reserved addresses, and no memory yet.");
}

void mp_explain_vma(struct mp_explain *e, const struct mp_vma *v)
{
	char name[300];

	mp_prose_line(&e->prose, "%s", "");
	mp_prose_say(&e->prose, "Mapping:");
	if (!v) {
		mp_prose_say(&e->prose, "none has this address any more.");
		mp_prose_end(&e->prose);
		return;
	}
	mp_label_safe(name, sizeof(name), *v->name ? v->name : "anonymous memory");
	mp_prose_say(&e->prose,
		     "0x%" PRIx64 "-0x%" PRIx64 " %c%c%c%c %s, %s, of which %" PRIu64 " %s there.",
		     v->start, v->end, v->perms & 1 ? 'r' : '-', v->perms & 2 ? 'w' : '-',
		     v->perms & 4 ? 'x' : '-', v->perms & 8 ? 's' : 'p', name,
		     mp_units_bytes(mp_units_signed(v->end - v->start), e->opts->bytes).s,
		     v->present_pages, v->present_pages == 1 ? "page is" : "pages are");
	mp_prose_say(&e->prose, "It is a vm_area_struct, which the kernel %s keeps in %s.",
		     e->r->host.release, e->words.tree);
	say_maker(e, v);
	mp_prose_end(&e->prose);
}

/* ---- how the page came ----------------------------------------------------------------------- */

static const struct mp_page *page_at(const struct mp_proc *p, uint64_t addr)
{
	size_t low = 0, high = p->nr_pages;

	addr &= ~(MP_PAGE_SIZE - 1ULL);
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->pages[mid].addr < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->nr_pages && p->pages[low].addr == addr ? &p->pages[low] : NULL;
}

/* The way through mm/memory.c and mm/huge_memory.c. */
static const char *way(int kind)
{
	switch (kind) {
	case MP_KIND_ANON:
		return "do_anonymous_page() took a page of zeros for it";
	case MP_KIND_THP:
		return "do_huge_pmd_anonymous_page() took 2 MiB at once, mapped by one entry";
	case MP_KIND_MTHP:
		return "do_anonymous_page() took several pages at once (alloc_anon_folio())";
	case MP_KIND_ZERO:
		return "it was only read, so the one page of zeros that all share was mapped";
	case MP_KIND_COW:
		return "do_wp_page() copied what was shared, as this process wants to write";
	case MP_KIND_SWAPIN:
		return "do_swap_page() brought it back from swap";
	case MP_KIND_FILE:
	case MP_KIND_SHMEM:
		return "do_fault() took it from the page cache";
	}
	return "what it did is not known";
}

static void say_touch(struct mp_explain *e, const struct mp_page *pg)
{
	const char *by = pg->by == MP_BY_GUP      ? "the kernel for itself (get_user_pages())"
			 : pg->by == MP_BY_KERNEL ? "the kernel, copying,"
						  : "the program";

	mp_prose_say(&e->prose,
		     "It came %s after the trace began, when %s touched it%s%s: a page fault,",
		     mp_explain_since(e, pg->t_ns).s, by, pg->toucher ? " at " : "",
		     pg->toucher ? mp_explain_label(e, pg->toucher).s : "");
	mp_prose_say(&e->prose, "in which handle_mm_fault() found no page, and %s.", way(pg->kind));
	if (pg->fault_ns != MP_UNKNOWN)
		mp_prose_say(&e->prose, "That took %s%s",
			     mp_units_ns(pg->fault_ns, e->opts->bytes).s,
			     pg->page_ns > 0 ? "," : ".");
	if (pg->fault_ns != MP_UNKNOWN && pg->page_ns > 0)
		mp_prose_say(&e->prose, "of which the page allocator (%s()) took %s.",
			     e->words.alloc_pages, mp_units_ns(pg->page_ns, e->opts->bytes).s);
}

static void say_arrival(struct mp_explain *e, const struct mp_page *pg)
{
	switch (pg->source) {
	case MP_SRC_FAULT:
		say_touch(e, pg);
		return;
	case MP_SRC_POPULATE:
		mp_prose_say(
			&e->prose,
			"A system call that fills memory at once (MAP_POPULATE, mlock, madvise) "
			"brought it, %s after the trace began.",
			mp_explain_since(e, pg->t_ns).s);
		return;
	case MP_SRC_MOVED:
		mp_prose_say(&e->prose, "The kernel put it here on its own, when it joined small "
					"pages into a large one (khugepaged) or moved them.");
		return;
	case MP_SRC_RECONCILED:
		mp_prose_say(&e->prose, "No event told of it: it was found when pagemap was read.");
		return;
	case MP_SRC_TOOL:
		mp_prose_say(&e->prose,
			     "It is a copy of a page of code, made for a probe of ours.");
		return;
	}
	mp_prose_say(&e->prose, "It was there before %s: who touched it first is not known.",
		     e->still ? "it was looked at" : "the trace began");
}

/* ---- what it is now -------------------------------------------------------------------------- */

static void say_frame(struct mp_explain *e, const struct mp_page *pg)
{
	char where[96], node[48] = "";

	if (!pg->pfn) {
		mp_prose_say(&e->prose, "which page frame it is is not known.");
		return;
	}
	snprintf(where, sizeof(where),
		 "page frame 0x%" PRIx64 ", that is physical address 0x%" PRIx64, pg->pfn,
		 pg->pfn << MP_PAGE_SHIFT);
	if (pg->node_known)
		snprintf(node, sizeof(node), ", node %u, zone %u", pg->node, pg->zone);
	if (pg->order)
		mp_prose_say(&e->prose, "%s%s, in a %s of order %u (%u pages).", where, node,
			     *e->words.unit == 'p' ? "compound page" : e->words.unit, pg->order,
			     1U << pg->order);
	else
		mp_prose_say(&e->prose, "%s%s.", where, node);
}

static void say_state(struct mp_explain *e, const struct mp_page *pg)
{
	switch (pg->state) {
	case MP_STATE_ZERO:
		mp_prose_say(&e->prose, "the page of zeros, which costs this process nothing; the "
					"first write brings a page of its own.");
		return;
	case MP_STATE_SWAPPED:
		mp_prose_say(&e->prose, "swapped out: the next touch brings it back.");
		return;
	case MP_STATE_GONE:
		mp_prose_say(&e->prose, "none any more.");
		return;
	case MP_STATE_SHARED_COW:
		say_frame(e, pg);
		mp_prose_say(&e->prose,
			     "Since a fork() it is shared: who writes first gets a copy.");
		return;
	}
	say_frame(e, pg);
}

/* ---- who else is on it ----------------------------------------------------------------------- */

static bool on_page(const struct mp_block *b, uint64_t page)
{
	return b->addr < page + MP_PAGE_SIZE && b->addr + b->requested > page;
}

static void list_company(struct mp_explain *e, uint64_t page)
{
	size_t n = 0;

	for (size_t i = 0; i < e->p->nr_blocks; i++) {
		const struct mp_block *b = &e->p->blocks[i];

		if (!on_page(b, page) || n++ >= COMPANY)
			continue;
		mp_prose_line(&e->prose, "    0x%" PRIx64 ", %" PRIu64 " bytes%s%s", b->addr,
			      b->requested, b->seeded ? " (usable)" : ", of ",
			      b->seeded ? "" : mp_explain_label(e, b->site).s);
	}
	if (n > COMPANY)
		mp_prose_line(&e->prose, "    and %zu more", n - COMPANY);
}

static void say_company(struct mp_explain *e, const struct mp_page *pg)
{
	mp_prose_line(&e->prose, "%s", "");
	mp_prose_say(&e->prose, "On this page:");
	if (!pg->blocks) {
		mp_prose_say(&e->prose, "no live block: it is the allocator's own, or freed and "
					"kept (mallocpath xray tells which), or no heap at all.");
		mp_prose_end(&e->prose);
		return;
	}
	mp_prose_say(
		&e->prose, "%" PRIu32 " live block%s. %s", pg->blocks, pg->blocks == 1 ? "" : "s",
		pg->blocks == 1 ? "It alone keeps the page." : "Any one of them keeps the page.");
	list_company(e, pg->addr);
	mp_prose_end(&e->prose);
}

static void say_no_page(struct mp_explain *e)
{
	mp_prose_say(
		&e->prose,
		"none of its own. Either nobody has touched the address yet, or the page went "
		"back, or it is a file's, which are not followed. At a touch the processor finds no "
		"entry in the page table and faults; handle_mm_fault() then calls "
		"do_anonymous_page() for anonymous memory, which asks %s() for a page and enters it.",
		e->words.alloc_pages);
	mp_prose_end(&e->prose);
}

void mp_explain_page(struct mp_explain *e, uint64_t addr)
{
	const struct mp_page *pg = page_at(e->p, addr);

	mp_prose_line(&e->prose, "%s", "");
	mp_prose_say(&e->prose, "Page:");
	if (!pg) {
		say_no_page(e);
		return;
	}
	say_state(e, pg);
	if (pg->state != MP_STATE_GONE)
		say_arrival(e, pg);
	mp_prose_end(&e->prose);
	mp_explain_past(e, pg);
	if (pg->state != MP_STATE_GONE)
		say_company(e, pg);
}

bool mp_explain_knows(const struct mp_explain *e, uint64_t addr)
{
	return page_at(e->p, addr);
}

void mp_explain_missing(struct mp_explain *e)
{
	mp_prose_line(&e->prose, "%s", "");
	mp_prose_say(
		&e->prose,
		"What only a trace tells: who asked for a block and when, which part of the allocator "
		"served it, who touched the page first, what the fault did and how long it took. "
		"mallocpath record -o FILE -- CMD keeps all of it, and explain takes that FILE.");
	mp_prose_end(&e->prose);
}
