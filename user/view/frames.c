// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/frames.h"

#include <inttypes.h>
#include <string.h>

#include "symbol/skip.h"
#include "view/syscall.h"

struct mp_code mp_place_code(const struct mp_place *place)
{
	return (struct mp_code){
		.tgid = place->tgid,
		.path = place->object,
		.ino = place->ino,
		.dev_major = place->dev_major,
		.dev_minor = place->dev_minor,
		.offset = place->offset,
		.addr = place->addr,
		.is_return = place->what == MP_PLACE_RETURN,
	};
}

/* The names at a place; the first is always there, if only to say that nothing is known. */
static void look_up(struct mp_frames *f, struct mp_symbols *sym)
{
	const struct mp_place *place = f->frame->place;
	const struct mp_code code = mp_place_code(place);

	f->inlined = 0;
	memset(&f->names[0], 0, sizeof(f->names[0]));
	f->nr = place->what == MP_PLACE_SYSCALL
			? 0
			: mp_symbols__frames(sym, &code, f->names, MP_INLINED_MAX);
	if (!f->nr)
		f->nr = 1;
}

void mp_frames_begin(struct mp_frames *f, const struct mp_site *site, struct mp_symbols *sym)
{
	f->frame = site->frame;
	f->index = 0;
	look_up(f, sym);
}

void mp_frames_next(struct mp_frames *f, struct mp_symbols *sym)
{
	f->index++;
	if (++f->inlined < f->nr)
		return;
	f->frame = f->frame->outer;
	if (f->frame)
		look_up(f, sym);
}

static const char *last_part(const char *path, unsigned int flags)
{
	const char *slash = flags & MP_LABEL_PATHS ? NULL : strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static struct mp_label name_of(const struct mp_place *place, const struct mp_symbol *symbol,
			       unsigned int flags)
{
	char object[400], function[400], file[400], plus[24];
	struct mp_label label;

	mp_label_safe(object, sizeof(object), last_part(place->object, flags));
	mp_label_safe(function, sizeof(function), symbol->function ? symbol->function : "");
	mp_label_safe(file, sizeof(file), symbol->file ? last_part(symbol->file, flags) : "");
	/* an inlined one has no start of its own */
	plus[0] = '\0';
	if (!symbol->inlined)
		snprintf(plus, sizeof(plus), "+0x%" PRIx64, symbol->into);
	if (*function && *file && symbol->line)
		snprintf(label.s, sizeof(label.s), "%s%s %s:%d", function, plus, file,
			 symbol->line);
	else if (*function)
		snprintf(label.s, sizeof(label.s), "%s%s (%s)", function, plus,
			 *object ? object : "JIT");
	else if (*object)
		snprintf(label.s, sizeof(label.s), "%s+0x%" PRIx64, object, place->offset);
	else
		snprintf(label.s, sizeof(label.s), "0x%" PRIx64, place->addr);
	return label;
}

struct mp_label mp_frames_label(const struct mp_frames *f, unsigned int flags)
{
	const struct mp_place *place = f->frame->place;
	struct mp_label label;

	if (place->what != MP_PLACE_SYSCALL)
		return name_of(place, mp_frames_name(f), flags);
	mp_syscall_name(place->offset, label.s, sizeof(label.s));
	return label;
}

/* A pattern may also name a place of a stripped object: "libfoo.so+0x1234". */
static bool skipped(const struct mp_frames *f, const struct mp_view_opts *opts)
{
	if (mp_frames_name(f)->function)
		return mp_skip_matches(opts->skip, opts->nr_skip, mp_frames_name(f)->function);
	return opts->nr_skip && mp_skip_matches(opts->skip, opts->nr_skip, mp_frames_label(f, 0).s);
}

/*
 * An object without symbols of its own still has those that it exports: of a run of its frames the
 * innermost that has a name tells more than an offset.
 */
void mp_frames_shown(struct mp_frames *f, const struct mp_site *site, struct mp_symbols *sym,
		     const struct mp_view_opts *opts)
{
	const char *object = NULL;
	size_t index = 0;

	mp_frames_begin(f, site, sym);
	for (; f->frame; mp_frames_next(f, sym)) {
		if (object && strcmp(object, f->frame->place->object))
			break;
		if (skipped(f, opts))
			continue;
		if (mp_frames_name(f)->function || f->frame->place->what == MP_PLACE_SYSCALL)
			return;
		if (object)
			continue;
		object = f->frame->place->object;
		index = f->index;
	}
	mp_frames_begin(f, site, sym);
	while (f->index < index)
		mp_frames_next(f, sym);
}

const char *mp_frames_end(int end)
{
	switch (end) {
	case MP_STACK_GOES_ON:
		return "only the caller was told";
	case MP_STACK_WHOLE:
		return NULL;
	case MP_STACK_DEEP:
		return "there are more frames than are followed";
	case MP_STACK_READ:
		return "the stack could not be read";
	case MP_STACK_NO_LAYOUT:
		return "nothing was known of the process yet";
	case MP_STACK_NO_TEXT:
		return "not in code known to be mapped";
	case MP_STACK_NO_TABLE:
		return "the object's unwind table was not there";
	case MP_STACK_NO_RULE:
		return "in code without unwind information";
	case MP_STACK_UNSUPPORTED:
		return "in code with unwind information of a form not followed";
	}
	return "the next frame would not lie above";
}
