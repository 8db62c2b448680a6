/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every step of memory as a line, as it happens. */
#ifndef MP_VIEW_STEPS_H
#define MP_VIEW_STEPS_H

#include <stdio.h>

#include "model/step.h"
#include "view/view.h"

/* Bits. */
enum mp_step_kind {
	MP_STEP_MALLOC = 1, /* blocks begin */
	MP_STEP_FREE = 2,   /* blocks end */
	MP_STEP_GROW = 4,   /* brk, mmap and other memory system calls */
	MP_STEP_FAULT = 8,
	MP_STEP_PAGE = 16, /* pages that come, move or go without a fault of the process */
	MP_STEP_HEAP = 32, /* glibc's thresholds and arenas */
	MP_STEP_LIFE = 64, /* fork, exec, exit, out of memory */
	MP_STEP_ALL = 127
};

struct mp_steps_opts {
	unsigned int stages;  /* enum mp_step_kind; lost events are told in any case */
	uint64_t min_bytes;   /* of blocks, ranges and pages; life and heap have no size */
	const char *function; /* pattern (fnmatch): a function of the step's call stack; NULL: any */
};

/* "malloc,fault" into *@stages; -EINVAL if a word is not known. */
int mp_stages_parse(const char *words, unsigned int *stages);
const char *mp_stages_words(void);

struct mp_steps;
/* @m, @sym (may be NULL), @opts and @view_opts outlive it. NULL and errno. */
struct mp_steps *mp_steps__new(struct mp_model *m, struct mp_symbols *sym,
			       const struct mp_steps_opts *opts,
			       const struct mp_view_opts *view_opts, FILE *out);
void mp_steps__free(struct mp_steps *s);
/* To be told of each event before the model is. 0 or -errno: no memory, or @out is broken. */
int mp_steps__put(struct mp_steps *s, const struct mp_ev *ev);
/* Lines written so far. */
uint64_t mp_steps__shown(const struct mp_steps *s);

#endif
