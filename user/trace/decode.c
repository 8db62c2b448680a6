// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The one place where lengths inside an event are checked: whoever gets an event from here may
 * read every field, array entry and string of it. What a field means is the model's business;
 * values a traced program can choose (addresses, sizes, system call arguments) are not judged.
 */
#include "trace/trace.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define ORDER_MAX  18           /* 1 GiB, the largest folio x86 has */
#define CONTIG_MAX (1U << 27)   /* pages one entry may stand for: 512 GiB */
#define ADDR_END   (1ULL << 57) /* user addresses end below, five levels of page tables included */

static const uint16_t sizes[] = {
	[MP_EV_GAP] = sizeof(struct mp_ev_gap),
	[MP_EV_ALLOC] = sizeof(struct mp_ev_alloc),
	[MP_EV_FREE] = sizeof(struct mp_ev_free),
	[MP_EV_REALLOC] = sizeof(struct mp_ev_free),
	[MP_EV_REALLOC_DONE] = sizeof(struct mp_ev_realloc_done),
	[MP_EV_FAULT] = sizeof(struct mp_ev_fault),
	[MP_EV_PAGES] = sizeof(struct mp_ev_pages),
	[MP_EV_PAGE_FREE] = sizeof(struct mp_ev_page_free),
	[MP_EV_RANGE] = sizeof(struct mp_ev_range),
	[MP_EV_FORK] = sizeof(struct mp_ev_fork),
	[MP_EV_EXEC] = sizeof(struct mp_ev_exec),
	[MP_EV_EXIT] = sizeof(struct mp_ev_exit),
	[MP_EV_STACK] = sizeof(struct mp_ev_stack),
	[MP_EV_HOST] = sizeof(struct mp_ev_host),
	[MP_EV_PROC] = sizeof(struct mp_ev_proc),
	[MP_EV_MAPS] = sizeof(struct mp_ev_maps),
	[MP_EV_MAP] = sizeof(struct mp_ev_map),
	[MP_EV_ALLOCATOR] = sizeof(struct mp_ev_allocator),
	[MP_EV_PROBE] = sizeof(struct mp_ev_probe),
	[MP_EV_INSTANT] = sizeof(struct mp_ev_instant),
	[MP_EV_LOSS] = sizeof(struct mp_ev_loss),
	[MP_EV_COST] = sizeof(struct mp_ev_cost),
	[MP_EV_WITNESS] = sizeof(struct mp_ev_witness),
	[MP_EV_WITNESS_PAGES] = sizeof(struct mp_ev_pages),
	[MP_EV_HEAP] = sizeof(struct mp_ev_heap),
	[MP_EV_THRESHOLD] = sizeof(struct mp_ev_threshold),
	[MP_EV_NEW_HEAP] = sizeof(struct mp_ev_new_heap),
	[MP_EV_STALL] = sizeof(struct mp_ev_stall),
	[MP_EV_OOM] = sizeof(struct mp_ev_exit),
	[MP_EV_IMAGE_END] = sizeof(struct mp_ev_exit),
	[MP_EV_CGROUP] = sizeof(struct mp_ev_cgroup),
	[MP_EV_REFUSAL] = sizeof(struct mp_ev_refusal),
	[MP_EV_SYSTEM] = sizeof(struct mp_ev_system),
	[MP_EV_PSS] = sizeof(struct mp_ev_pss),
	[MP_EV_XRAY] = sizeof(struct mp_ev_xray),
	[MP_EV_ARENA] = sizeof(struct mp_ev_arena),
	[MP_EV_PART] = sizeof(struct mp_ev_part),
	[MP_EV_PART_PAGES] = sizeof(struct mp_ev_part_pages),
	[MP_EV_CHUNKS] = sizeof(struct mp_ev_chunks),
	[MP_EV_OBJECT] = sizeof(struct mp_ev_object),
	[MP_EV_NAMES] = sizeof(struct mp_ev_names),
};

/*
 * Fields are appended to an event as the program grows: what an older one wrote is shorter, by type the
 * size given here at least. Only what was appended since the first version 1 is listed. A type with
 * an array at its end cannot grow like that, nor one that is the beginning of another (ALLOC): it
 * gets a new type instead.
 */
static const uint16_t first_sizes[] = {
	[MP_EV_FAULT] = 88, /* without page_ns and stage */
	[MP_EV_EXIT] = 64,  /* without cpu_ns */
	[MP_EV_HOST] = 112, /* without zero_pfn */
};
_Static_assert(sizeof(struct mp_ev_loss) <= sizeof(struct mp_wide),
	       "the longest that can be short");

static bool terminated(const char *s, size_t room)
{
	return memchr(s, '\0', room) != NULL;
}

static bool pages_hold(const struct mp_ev_pages *ev)
{
	uint64_t entries = (ev->h.size - sizeof(*ev)) / sizeof(ev->entries[0]);

	if (ev->order > ORDER_MAX || ev->addr & ~MP_PAGE_MASK)
		return false;
	if (ev->contig ? ev->nr > CONTIG_MAX || entries < 1 : ev->nr > entries)
		return false;
	return ev->addr <= ADDR_END && ev->nr * MP_PAGE_SIZE <= ADDR_END - ev->addr;
}

static bool map_holds(const struct mp_ev_map *ev)
{
	size_t room = ev->h.size - sizeof(*ev);

	return ev->start <= ev->end && ev->name_len < room && ev->name[ev->name_len] == '\0';
}

static bool allocator_holds(const struct mp_ev_allocator *ev)
{
	return ev->build_id_len <= sizeof(ev->build_id) &&
	       terminated(ev->version, sizeof(ev->version)) &&
	       terminated(ev->object, ev->h.size - sizeof(*ev));
}

static bool proc_holds(const struct mp_ev_proc *ev)
{
	return terminated(ev->comm, sizeof(ev->comm)) &&
	       ev->cmdline_len <= ev->h.size - sizeof(*ev);
}

static bool stack_holds(const struct mp_ev_stack *ev)
{
	return ev->id && ev->nr <= MP_STACK_CHUNK && ev->end < MP_STACK_END_MAX;
}

static bool heap_holds(const struct mp_ev_part *ev)
{
	return ev->start <= ev->end && ev->end <= ADDR_END && ev->how < MP_HEAP_END_MAX &&
	       ev->kind >= MP_HEAP_MAIN && ev->kind <= MP_HEAP_MMAPPED;
}

static bool heap_pages_hold(const struct mp_ev_part_pages *ev)
{
	return !(ev->addr & ~MP_PAGE_MASK) && ev->addr <= ADDR_END &&
	       ev->nr <= (ADDR_END - ev->addr) / MP_PAGE_SIZE && ev->state &&
	       ev->state < MP_HEAP_PAGE_MAX;
}

static bool chunks_hold(const struct mp_ev_chunks *ev)
{
	uint64_t end = ev->addr;

	if (ev->addr > ADDR_END || ev->nr > (ev->h.size - sizeof(*ev)) / sizeof(ev->entries[0]))
		return false;
	for (uint32_t i = 0; i < ev->nr; i++) {
		uint64_t state = ev->entries[i] >> MP_CHUNK_SHIFT;

		if (!state || state >= MP_CHUNK_STATES ||
		    MP_CHUNK_BYTES(ev->entries[i]) > ADDR_END - end)
			return false;
		end += MP_CHUNK_BYTES(ev->entries[i]);
	}
	return true;
}

static bool object_holds(const struct mp_ev_object *ev)
{
	return ev->build_id_len <= sizeof(ev->build_id) &&
	       terminated(ev->path, ev->h.size - sizeof(*ev));
}

/* What the frames hold is for the reader of names to check, as it does with those it asks for. */
static bool names_hold(const struct mp_ev_names *ev)
{
	return ev->nr <= MP_NAMES_FRAMES && ev->bytes <= ev->h.size - sizeof(*ev);
}

/* The event is all there and as long as its struct: do its lengths and strings fit in it? */
static bool body_holds(const struct mp_ev *ev)
{
	switch (ev->type) {
	case MP_EV_PAGES:
	case MP_EV_WITNESS_PAGES:
		return pages_hold((const struct mp_ev_pages *)ev);
	case MP_EV_FAULT:
		return ((const struct mp_ev_fault *)ev)->order <= ORDER_MAX;
	case MP_EV_PAGE_FREE:
		return ((const struct mp_ev_page_free *)ev)->order <= ORDER_MAX;
	case MP_EV_GAP:
		return ((const struct mp_ev_gap *)ev)->reason < MP_DROP_MAX;
	case MP_EV_STACK:
		return stack_holds((const struct mp_ev_stack *)ev);
	case MP_EV_EXEC:
		return terminated(((const struct mp_ev_exec *)ev)->comm,
				  sizeof(((const struct mp_ev_exec *)ev)->comm));
	case MP_EV_HOST:
		return terminated(((const struct mp_ev_host *)ev)->release,
				  sizeof(((const struct mp_ev_host *)ev)->release));
	case MP_EV_PROC:
		return proc_holds((const struct mp_ev_proc *)ev);
	case MP_EV_MAP:
		return map_holds((const struct mp_ev_map *)ev);
	case MP_EV_ALLOCATOR:
		return allocator_holds((const struct mp_ev_allocator *)ev);
	case MP_EV_HEAP:
		return terminated(((const struct mp_ev_heap *)ev)->why,
				  ev->size - sizeof(struct mp_ev_heap));
	case MP_EV_CGROUP:
		return terminated(((const struct mp_ev_cgroup *)ev)->path,
				  ev->size - sizeof(struct mp_ev_cgroup));
	case MP_EV_PART:
		return heap_holds((const struct mp_ev_part *)ev);
	case MP_EV_PART_PAGES:
		return heap_pages_hold((const struct mp_ev_part_pages *)ev);
	case MP_EV_CHUNKS:
		return chunks_hold((const struct mp_ev_chunks *)ev);
	case MP_EV_OBJECT:
		return object_holds((const struct mp_ev_object *)ev);
	case MP_EV_NAMES:
		return names_hold((const struct mp_ev_names *)ev);
	case MP_EV_PROBE:
		return terminated(((const struct mp_ev_probe *)ev)->symbol,
				  sizeof(((const struct mp_ev_probe *)ev)->symbol));
	}
	return true;
}

int64_t mp_decode(const void *buf, size_t len)
{
	const struct mp_ev *ev = buf;

	if (len < sizeof(*ev))
		return 0;
	if (ev->size < sizeof(*ev) || ev->size % 8)
		return -EBADMSG;
	if (ev->type < sizeof(sizes) / sizeof(sizes[0]) && ev->size < sizes[ev->type])
		return -EBADMSG;
	if (ev->size > len)
		return 0;
	return body_holds(ev) ? ev->size : -EBADMSG;
}

int64_t mp_decode_old(const void *buf, size_t len, struct mp_wide *wide, const struct mp_ev **whole)
{
	const struct mp_ev *ev = buf;
	uint16_t size;

	*whole = ev;
	/* most are of these types, of which nothing else is to be checked */
	if (len >= sizeof(*ev) && ev->type >= MP_EV_ALLOC && ev->type <= MP_EV_REALLOC_DONE &&
	    ev->size == sizes[ev->type] && ev->size <= len)
		return ev->size;
	if (len < sizeof(*ev) || ev->type >= sizeof(first_sizes) / sizeof(first_sizes[0]) ||
	    !first_sizes[ev->type] || ev->size >= sizes[ev->type])
		return mp_decode(buf, len);
	size = ev->size;
	if (size < first_sizes[ev->type] || size % 8)
		return -EBADMSG;
	if (size > len)
		return 0;
	memset(wide, 0, sizeof(*wide));
	memcpy(wide, ev, size);
	*whole = (const struct mp_ev *)wide;
	((struct mp_ev *)wide)->size = sizes[ev->type];
	return mp_decode(wide, sizeof(*wide)) > 0 ? size : -EBADMSG;
}
