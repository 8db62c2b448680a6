// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/explain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/explain_page.h"
#include "view/frames.h"
#include "view/units.h"
#include "view/views.h"

int mp_subject_parse(const char *text, struct mp_subject *subject)
{
	char *end;

	subject->is_pfn = !strncmp(text, "pfn:", 4);
	if (subject->is_pfn)
		text += 4;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	subject->number = strtoull(text, &end, 0);
	return *end || errno ? -EINVAL : 0;
}

struct mp_label mp_explain_label(const struct mp_explain *e, uint32_t id)
{
	struct mp_label label = { "a place that is not known" };
	struct mp_frames f;

	if (!id || id > e->r->nr_sites)
		return label;
	mp_frames_shown(&f, &e->r->sites[id - 1], e->sym, e->opts);
	return mp_frames_label(&f, 0);
}

struct mp_text mp_explain_since(const struct mp_explain *e, uint64_t t_ns)
{
	return mp_units_ns(mp_units_signed(t_ns > e->r->first_ns ? t_ns - e->r->first_ns : 0),
			   false);
}

/* ---- the block ------------------------------------------------------------------------------- */

static const struct mp_block *block_at(const struct mp_proc *p, uint64_t addr)
{
	size_t low = 0, high = p->nr_blocks;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (p->blocks[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	return addr - p->blocks[low - 1].addr < p->blocks[low - 1].requested ||
			       addr == p->blocks[low - 1].addr
		       ? &p->blocks[low - 1]
		       : NULL;
}

/* Why this part of glibc served it, with the functions of its malloc/malloc.c and malloc/arena.c. */
static const char *tier_sentence(int tier)
{
	static const char *const sentences[MP_TIER_NR] = {
		[MP_TIER_TCACHE] =
			"It came from the thread's own cache (tcache_get): a block of this size that had "
			"been freed before. No lock was taken, no arena looked at.",
		[MP_TIER_FASTBIN] =
			"It came from a fastbin of the arena (_int_malloc): small chunks that were freed "
			"and not joined with their neighbours.",
		[MP_TIER_UNSORTED] =
			"It came from the unsorted list (_int_malloc): a chunk that was freed lately, or "
			"the rest of one that was cut.",
		[MP_TIER_SMALL] =
			"It came from a small bin (_int_malloc): a list of freed chunks of one size, or a "
			"piece of such a chunk.",
		[MP_TIER_LARGE] =
			"It came from a large bin (_int_malloc): the best fitting of the freed chunks, or "
			"a piece of it.",
		[MP_TIER_BINS] = "It came from the arena's lists of freed chunks (_int_malloc).",
		[MP_TIER_TOP] =
			"It was cut off the top chunk (_int_malloc, use_top): no freed chunk "
			"fitted, and the top had room.",
		[MP_TIER_BRK] =
			"No freed chunk fitted and the top chunk was too small, so sysmalloc() moved "
			"the break with brk() first.",
		[MP_TIER_HEAP] =
			"No freed chunk fitted and the top chunk was too small, so sysmalloc() grew the "
			"heap of a thread's arena first (grow_heap, new_heap).",
		[MP_TIER_MMAP] =
			"It was so large that sysmalloc() gave it a mapping of its own with "
			"mmap(): free() gives it back with munmap() at once.",
		[MP_TIER_INPLACE] = "realloc() found room where it was.",
		[MP_TIER_OTHER] = "Another allocator than glibc's served it.",
	};

	return tier < MP_TIER_NR && sentences[tier]
		       ? sentences[tier]
		       : "Which part of the allocator served it is not "
			 "known.";
}

static void say_tier(struct mp_explain *e, const struct mp_block *b)
{
	mp_prose_say(&e->prose, "%s", tier_sentence(b->tier));
	if (b->sure == MP_SURE_SNAPSHOT)
		mp_prose_say(&e->prose, "(That is how the arena looked; another thread may have "
					"changed it meanwhile.)");
}

#define FRAMES 16 /* of a stack that are shown */

static void show_stack(struct mp_explain *e, uint32_t id)
{
	struct mp_frames f;
	const char *end;
	size_t n = 0;

	if (!id || id > e->r->nr_sites)
		return;
	mp_frames_shown(&f, &e->r->sites[id - 1], e->sym, e->opts);
	for (; f.frame && (n++ < FRAMES || e->opts->verbose); mp_frames_next(&f, e->sym))
		mp_prose_line(&e->prose, "    %s%s", mp_frames_label(&f, 0).s,
			      mp_frames_name(&f)->inlined ? ", inlined in" : "");
	if (f.frame)
		mp_prose_line(&e->prose, "    and more (-v shows them)");
	end = mp_frames_end(e->r->sites[id - 1].end);
	if (end)
		mp_prose_line(&e->prose, "    (%s)", end);
}

static void say_origin(struct mp_explain *e, const struct mp_block *b)
{
	const struct mp_site *site =
		b->site && b->site <= e->r->nr_sites ? &e->r->sites[b->site - 1] : NULL;

	if (b->seeded) {
		mp_prose_say(&e->prose,
			     "%s: the heap tells its place and size, and not who asked for it, "
			     "when, or for how much.",
			     e->still ? "Nothing was traced" : "It is older than the trace");
		return;
	}
	mp_prose_say(&e->prose,
		     "Thread %" PRIu32 " asked for it by %s(), %s after the trace began.", b->tid,
		     site && site->fn ? mp_fn_name(site->fn) : "malloc",
		     mp_explain_since(e, b->t_ns).s);
	say_tier(e, b);
	mp_prose_say(&e->prose, "The call was made in");
	show_stack(e, b->site);
}

static void say_block(struct mp_explain *e, uint64_t addr)
{
	const struct mp_block *b = block_at(e->p, addr);

	mp_prose_line(&e->prose, "%s", "");
	mp_prose_say(&e->prose, "Block:");
	if (!b) {
		mp_prose_say(&e->prose, "no live block has this address.");
		mp_prose_end(&e->prose);
		return;
	}
	mp_prose_say(&e->prose, "byte %" PRIu64 " of the block at 0x%" PRIx64 " of", addr - b->addr,
		     b->addr);
	if (b->seeded)
		mp_prose_say(&e->prose, "%s usable bytes.", mp_units_count(b->usable).s);
	else if (b->usable == MP_UNKNOWN)
		mp_prose_say(&e->prose, "%" PRIu64 " bytes.", b->requested);
	else
		mp_prose_say(&e->prose, "%" PRIu64 " bytes (%" PRId64 " can be used).",
			     b->requested, b->usable);
	if (b->resident_bytes < b->requested)
		mp_prose_say(&e->prose, "%" PRIu64 " of them are in memory.", b->resident_bytes);
	say_origin(e, b);
	mp_prose_end(&e->prose);
}

/* ---- which address --------------------------------------------------------------------------- */

static const struct mp_vma *vma_at(const struct mp_proc *p, uint64_t addr)
{
	for (size_t i = 0; i < p->nr_vmas; i++)
		if (addr >= p->vmas[i].start && addr < p->vmas[i].end)
			return &p->vmas[i];
	return NULL;
}

static void explain_address(struct mp_explain *e, uint64_t addr)
{
	char comm[80];

	mp_label_safe(comm, sizeof(comm), e->p->comm);
	mp_prose_line(&e->prose, "0x%" PRIx64 " in process %" PRIu32 " (%s), as of %s%s", addr,
		      e->p->pid, comm, mp_at_name(e->p->at), e->still ? ", untraced" : "");
	say_block(e, addr);
	mp_explain_vma(e, vma_at(e->p, addr));
	mp_explain_page(e, addr);
}

static void explain_pfn(struct mp_explain *e, uint64_t pfn, size_t *found)
{
	const struct mp_page *page;

	for (size_t i = 0; i < e->p->nr_pages; i++) {
		page = &e->p->pages[i];
		if (page->pfn != pfn || page->state == MP_STATE_SWAPPED ||
		    page->state == MP_STATE_GONE)
			continue;
		if ((*found)++)
			mp_prose_line(&e->prose, "%s", "");
		explain_address(e, page->block > page->addr ? page->block : page->addr);
	}
}

int mp_view_explain(const struct mp_report *r, struct mp_symbols *sym,
		    const struct mp_view_opts *opts, const struct mp_subject *subject, bool still,
		    FILE *out)
{
	struct mp_explain e = { .r = r,
				.sym = sym,
				.opts = opts,
				.still = still,
				.words = mp_kernel_words(r->host.release),
				.prose = { .out = out, .width = 100 } };
	size_t found = 0;

	if (opts->width && opts->width < 100)
		e.prose.width = opts->width < 40 ? 40 : opts->width;
	for (size_t i = 0; i < r->nr_procs; i++) {
		e.p = &r->procs[i];
		if (subject->is_pfn) {
			explain_pfn(&e, subject->number, &found);
		} else if (vma_at(e.p, subject->number) || block_at(e.p, subject->number) ||
			   mp_explain_knows(&e, subject->number)) {
			if (found++)
				mp_prose_line(&e.prose, "%s", "");
			explain_address(&e, subject->number);
		}
	}
	if (!found)
		return -ENOENT;
	if (still)
		mp_explain_missing(&e);
	return mp_view_finish(out);
}
