/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ledger: anonymous and zero pages of every address space, 48 bytes a page in leaves of 64, and
 * the way back from a PFN. A page that went leaves its time behind for a while, so that a reading
 * of the page table made before cannot bring it back.
 */
#ifndef MP_MODEL_PAGES_H
#define MP_MODEL_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "model/map.h"
#include "model/mem.h"
#include "model/model.h"
#include "model/pfns.h"

enum mp_page_flag {
	MP_PAGE_TIMED = 1,     /* fault_ns holds */
	MP_PAGE_ALLOCATED = 2, /* alloc_ns and gfp hold */
	MP_PAGE_NODE = 4,      /* node and zone hold */
	MP_PAGE_SEEN = 8,      /* the kernel module's walk under way has found it */
	MP_PAGE_MAJOR = 16,    /* it had to be read from a device first */
};

struct mp_page_rec {
	uint64_t pfn;  /* 0: not known */
	uint64_t t_ns; /* when it came */
	uint32_t fault_ns, alloc_ns, gfp;
	uint32_t page_ns; /* 0: not known */
	uint32_t toucher; /* site */
	uint16_t node;
	uint8_t zone : 4, order : 4;
	uint8_t kind, by, source, state;
	uint8_t flags; /* enum mp_page_flag */
	uint32_t moved; /* when the kernel last changed it, in MP_MOVED_UNIT_NS after t_ns; 0: never */
};
#define MP_MOVED_UNIT_NS (1U << 20)
_Static_assert(sizeof(struct mp_page_rec) == 48, "bytes a page");

struct mp_history;
struct mp_ledger;

/* The pages of one address space. */
struct mp_pages {
	struct mp_ledger *ledger;
	uint32_t space;
	bool closed; /* the address space is gone: its PFNs say nothing any more */
	struct mp_map regions;
	uint64_t n;         /* pages held */
	uint64_t nr_rss;    /* of these in Rss */
	uint64_t dead;      /* regions without one */
	uint64_t tidy_ns;   /* no tidying before this */
	uint64_t shared_ns; /* pages that came before are shared with a process not followed */
	uint64_t forked_ns, unshared_ns; /* last time pages became shared, and ceased to be */
};

struct mp_ledger {
	struct mp_mem *mem;
	struct mp_pfns pfns;
	struct mp_pages **spaces;   /* by mp_ref.space */
	struct mp_history *history; /* is told what becomes of pages; NULL: none is kept */
	uint64_t zero_pfn;          /* the 4 KiB zero page; 0: not known */
	uint64_t now_ns;            /* of the event under way */
	uint64_t mapped;            /* pages of all spaces that stand */
	size_t nr, cap;
};

void mp_ledger__init(struct mp_ledger *l, struct mp_mem *mem);
void mp_ledger__fini(struct mp_ledger *l);
/* Every page mapped to [@pfn, @pfn + @nr) goes. */
void mp_ledger__free_pfns(struct mp_ledger *l, uint64_t pfn, uint64_t nr, uint64_t now_ns,
			  bool *found);

/* 0 or -ENOMEM. @ps must stay where it is until fini. */
int mp_pages__init(struct mp_pages *ps, struct mp_ledger *l);
void mp_pages__fini(struct mp_pages *ps);

/* The page, or NULL. Holds until the next call that changes pages. */
struct mp_page_rec *mp_pages__get(const struct mp_pages *ps, uint64_t vpn);
/* When the page came or went last; 0: never heard of it. */
uint64_t mp_pages__changed_ns(const struct mp_pages *ps, uint64_t vpn);
/* Puts or replaces a page. 0 or -ENOMEM. */
int mp_pages__set(struct mp_pages *ps, uint64_t vpn, const struct mp_page_rec *rec);
/* The same for a page that the kernel moves, which goes on being shared if it was. */
int mp_pages__shift(struct mp_pages *ps, uint64_t vpn, const struct mp_page_rec *rec);
void mp_pages__drop(struct mp_pages *ps, uint64_t vpn, uint64_t now_ns);
/*
 * The mapped pages of [vpn, vpn + nr) that a call entered at @since_ns takes, before they are dropped:
 * those that came earlier, and those that have gone since; @recent: those that have come or gone since.
 * @fn gets them as sets of 64 from a page number that is a multiple of that; non-zero stops. 0, -ENOMEM
 * or what @fn gave.
 */
int mp_pages__going(const struct mp_pages *ps, uint64_t vpn, uint64_t nr, uint64_t since_ns,
		    bool recent, int (*fn)(void *ctx, uint64_t vpn, uint64_t set), void *ctx);
/* Drops what came before @before_ns in [vpn, vpn + nr). */
void mp_pages__drop_older(struct mp_pages *ps, uint64_t vpn, uint64_t nr, uint64_t before_ns,
			  uint64_t now_ns);
/* The same of what the kernel did not change since either; how many. */
uint64_t mp_pages__drop_unchanged(struct mp_pages *ps, uint64_t vpn, uint64_t nr,
				  uint64_t before_ns, uint64_t now_ns);
/* Moves what came before @before_ns in [vpn, vpn + nr) to @to, history and all. 0 or -ENOMEM. */
int mp_pages__move(struct mp_pages *ps, uint64_t vpn, uint64_t nr, uint64_t to, uint64_t before_ns,
		   uint64_t now_ns);
/*
 * The huge zero page around @vpn, if there is one, is mapped by single entries from now on: each is
 * the zero page (mm/huge_memory.c, __split_huge_zero_page_pmd).
 */
void mp_pages__split_zero(struct mp_pages *ps, uint64_t vpn);
/* The same where [vpn, vpn + nr) begins or ends inside one: a VMA or a zap ends there. */
void mp_pages__split_ends(struct mp_pages *ps, uint64_t vpn, uint64_t nr);
/* fork: every present page becomes shared_cow. */
void mp_pages__share(struct mp_pages *ps);
/* shared_cow pages that nobody else is known to map are present again. */
void mp_pages__unshare(struct mp_pages *ps);
/* Copies all of @from to the empty @to. 0 or -ENOMEM. */
int mp_pages__copy(struct mp_pages *to, const struct mp_pages *from);
/* The address space is about to go, the pages are kept for reports: their PFNs are let go. */
void mp_pages__close(struct mp_pages *ps);
/* Forgets all pages (exec). */
void mp_pages__clear(struct mp_pages *ps);

struct mp_pages_iter {
	const struct mp_pages *ps;
	uint64_t *keys;
	size_t nr_keys, key;
	unsigned int i;
};
/* Every page by ascending address. 0 or -ENOMEM; then, and only then, to be ended by fini. */
int mp_pages_iter__init(struct mp_pages_iter *it, const struct mp_pages *ps);
const struct mp_page_rec *mp_pages_iter__next(struct mp_pages_iter *it, uint64_t *vpn);
void mp_pages_iter__fini(struct mp_pages_iter *it);

/* For tests: counts hold, and PFN index and pages agree both ways. */
bool mp_ledger__sound(const struct mp_ledger *l);

#endif
