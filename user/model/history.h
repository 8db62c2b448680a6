/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The past of pages: what happened to each address, in a ring of all that happened to any. Each entry
 * names the one before it of the same page. What the ring has no room for any more is lost, oldest first,
 * and counted.
 *
 * The ledger tells what becomes of a page; why is known from the event under way (struct mp_cause). The
 * frames of a page can be freed before the system call is told that gave it back: then the entry is put
 * right when it is.
 */
#ifndef MP_MODEL_HISTORY_H
#define MP_MODEL_HISTORY_H

#include "model/map.h"
#include "model/mem.h"
#include "model/past.h"

#include "../bpf/event.h"

struct mp_model;
struct mp_page_rec;
struct mp_pages;
struct mp_process;

/* Why pages come and go while an event is applied. */
struct mp_cause {
	uint64_t t_ns;
	uint8_t what;      /* enum mp_past_what of a departure, or FORK */
	uint8_t fn;        /* enum mp_fn */
	bool replaces;     /* a fault that found a page there */
	uint32_t site;     /* who */
	uint32_t owner;    /* whose memory came, by what was touched of it */
	uint64_t touched;  /* number of the page that was; 0: none */
	uint64_t from, to; /* numbers of the first pages that mremap moves, */
	uint64_t nr;       /* and how many */
};

/* Who made a thread's last memory system call, and where its last free() returns to. */
struct mp_asker {
	uint32_t tgid, tid, site;
	uint8_t fn;
	uint64_t caller;
};
#define MP_ASKERS 64

struct mp_past_rec {
	uint64_t t_ns;
	uint64_t pfn : 52, order : 4, what : 5, by : 3; /* by: 7 none */
	uint64_t place;                                 /* space and page: place_of() */
	uint64_t other : 52, kind : 4, fn : 8;          /* number of a page; kind: 15 none */
	uint32_t site, owner;
	uint32_t prev; /* entries ago, of the same page; 0: this is the first */
	uint32_t pad;
};
_Static_assert(sizeof(struct mp_past_rec) == 48, "bytes an entry");

struct mp_history {
	struct mp_mem *mem;
	struct mp_past_rec *recs; /* the ring: entry number n is recs[n % cap] once it is full */
	size_t room, cap;
	uint64_t n;           /* entries ever */
	uint64_t lost;        /* of those, or that there was no memory for */
	struct mp_map newest; /* by place: number of the last entry, + 1 */
	struct mp_map gone;   /* pages that went, by owner, who and how */
	uint64_t gone_folded; /* of them: ways beyond MP_GONE_MAX */
	struct mp_cause cause;
	struct mp_asker askers[MP_ASKERS];
};
/* Of owner, who and how: what is beyond is counted as nobody's. */
#define MP_GONE_MAX       65536
#define MP_GONE_SITES_MAX (1U << 28)

void mp_history__init(struct mp_history *h, struct mp_mem *mem, size_t max);
void mp_history__fini(struct mp_history *h);

/* ---- history.c: the ledger tells --------------------------------------------------------------- */

/* @rec is about to be put where @old is (NULL: nothing); @shifted: by the kernel on its own. */
void mp_history__put(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		     const struct mp_page_rec *old, const struct mp_page_rec *rec, bool shifted);
/* @old is about to go. */
void mp_history__gone(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		      const struct mp_page_rec *old);
/* The folio of @rec has been split; it is still where it was. */
void mp_history__split(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		       const struct mp_page_rec *rec);
/* The kernel may take the page. */
void mp_history__lazy(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		      const struct mp_page_rec *rec);
/* What went of the page at @since_ns or later, nobody knew why, went for the cause under way. */
void mp_history__explain(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
			 uint64_t since_ns);
/* What came at @since_ns or later, as the last that happened, and was nobody's, came for the caller. */
void mp_history__claim(struct mp_history *h, const struct mp_pages *ps, uint64_t vpn,
		       uint64_t since_ns);
/* As explain, of every page of an address space. */
void mp_history__explain_all(struct mp_history *h, const struct mp_pages *ps, uint64_t since_ns);

/* Entry number @n, + 1, and what came before it: for the report. 0: it is none, or lost. */
uint64_t mp_history__last(const struct mp_history *h, uint32_t space, uint64_t vpn);
const struct mp_past_rec *mp_history__at(const struct mp_history *h, uint64_t n_1);
/* As mp_history__last of the entry before, or 0; *@cut: there was one, and it is lost. */
uint64_t mp_history__before(const struct mp_history *h, uint64_t n_1, bool *cut);
/* Numbers of the pages of @space that have a past, ascending. NULL with errno on failure. */
uint64_t *mp_history__pages(const struct mp_history *h, uint32_t space, size_t *nr);

/* ---- causes.c: the events tell why; nothing is done where no history is kept -------------------- */

/* An event begins. */
void mp_cause_begin(struct mp_model *m, const struct mp_ev *ev);
/* It is done, and was of @p. */
void mp_cause_end(struct mp_model *m, struct mp_process *p, const struct mp_ev *ev);
void mp_cause_fault(struct mp_model *m, const struct mp_ev_fault *ev, uint32_t owner);
void mp_cause_pages(struct mp_model *m, const struct mp_ev_pages *ev);
/* 0 or -ENOMEM */
int mp_cause_range(struct mp_model *m, struct mp_process *p, const struct mp_ev_range *ev);
void mp_cause_fork(struct mp_model *m);
void mp_cause_exec(struct mp_model *m, struct mp_process *p);

#endif
