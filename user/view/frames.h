/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The frames of a site with their names, and which of them a person looks for. */
#ifndef MP_VIEW_FRAMES_H
#define MP_VIEW_FRAMES_H

#include "view/label.h"
#include "view/view.h"

/* What to ask mp_symbols for. @place is no system call. */
struct mp_code mp_place_code(const struct mp_place *place);

#define MP_INLINED_MAX 64 /* functions at one place */

/* One named frame after the other, innermost first; what is inlined into a place comes before it. */
struct mp_frames {
	const struct mp_stack_frame *frame; /* NULL: there are no more */
	size_t index;                       /* of the named frame, from 0 */
	size_t inlined;                     /* which of the names at the place */
	size_t nr;                          /* names at the place, at least 1 */
	struct mp_symbol names[MP_INLINED_MAX];
};

void mp_frames_begin(struct mp_frames *f, const struct mp_site *site, struct mp_symbols *sym);
void mp_frames_next(struct mp_frames *f, struct mp_symbols *sym);
static inline const struct mp_symbol *mp_frames_name(const struct mp_frames *f)
{
	return &f->names[f->inlined];
}
/*
 * Goes on to the frame that a site is shown by: the innermost that is no allocator, operator new or
 * wrapper of one (symbol/skip.h and opts->skip), in a stripped object the innermost that has a name;
 * the very innermost if all are.
 */
void mp_frames_shown(struct mp_frames *f, const struct mp_site *site, struct mp_symbols *sym,
		     const struct mp_view_opts *opts);
/* "function+0x12 file.c:34", "function+0x12 (object)", "read(2)", "object+0x1234" or "0x7f12..." */
struct mp_label mp_frames_label(const struct mp_frames *f, unsigned int flags);

/* Why a stack has no more frames, in words; NULL: it is whole. */
const char *mp_frames_end(int end);

#endif
