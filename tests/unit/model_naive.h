/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The model once more, slow and obvious, for small worlds: a few processes of one 2 MiB window of
 * addresses, a table entry a page, a list of blocks, one byte at a time. It shares no code with the
 * model, and is what the model is held against on random events.
 */
#ifndef MODEL_NAIVE_H
#define MODEL_NAIVE_H

#include "model/model.h"

#define NAIVE_BASE    0x7f1200000000ULL
#define NAIVE_PAGES   512 /* the window */
#define NAIVE_PROCS   4   /* processes 1..NAIVE_PROCS */
#define NAIVE_CALLERS 12  /* code addresses NAIVE_CODE + 16 * i; 0 is nobody */
#define NAIVE_CODE    0x400000ULL

#define NAIVE_ZERO_PFN 7

struct naive;

/* @keep: entries of pages' past for which there is room; 0: none are kept. */
struct naive *naive_new(size_t keep);
void naive_free(struct naive *n);
void naive_apply(struct naive *n, const struct mp_ev *ev);
/*
 * Compares with a report made with pages and blocks. NULL, or what differs, in a buffer that stays
 * until the next call.
 */
const char *naive_compare(struct naive *n, const struct mp_report *r);

/* For the generator: the start of some live block (by @pick), the PFN of some page; 0 if none. */
uint64_t naive_some_block(const struct naive *n, uint32_t pid, uint64_t pick);
uint64_t naive_some_pfn(const struct naive *n, uint32_t pid, uint64_t pick);

#endif
