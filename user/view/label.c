// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/label.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

size_t mp_utf8_len(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned char low = 0x80, high = 0xbf;
	size_t len, i;

	if (u[0] == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || u[0] > 0xf4)
		return 0;
	len = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	/* overlong forms, surrogates and what lies above U+10FFFF show in the second byte */
	if (u[0] == 0xe0)
		low = 0xa0;
	else if (u[0] == 0xed)
		high = 0x9f;
	else if (u[0] == 0xf0)
		low = 0x90;
	else if (u[0] == 0xf4)
		high = 0x8f;
	if (u[1] < low || u[1] > high)
		return 0;
	for (i = 2; i < len; i++)
		if (u[i] < 0x80 || u[i] > 0xbf)
			return 0;
	return len;
}

/* C0, DEL, C1, line separators and the characters of the bidirectional algorithm */
static bool controls(const char *s, size_t len)
{
	const unsigned char *u = (const unsigned char *)s;

	if (len == 1)
		return u[0] < 0x20 || u[0] == 0x7f;
	if (len == 2)
		return (u[0] == 0xc2 && u[1] < 0xa0) || (u[0] == 0xd8 && u[1] == 0x9c);
	if (len == 3 && u[0] == 0xe2)
		return (u[1] == 0x80 && (u[2] >= 0xa8 || u[2] == 0x8e || u[2] == 0x8f) &&
			u[2] <= 0xae) ||
		       (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9);
	return false;
}

char *mp_label_safe(char *to, size_t size, const char *from)
{
	size_t used = 0, len, width;
	const char *piece;
	char escaped[8];

	while (*from) {
		piece = from;
		width = len = mp_utf8_len(from);
		if (!len || controls(from, len)) {
			/* one byte at a time: what is left of the sequence is invalid by itself */
			width = snprintf(escaped, sizeof(escaped), "\\x%02x", (unsigned char)*from);
			piece = escaped;
			len = 1;
		}
		if (used + width >= size)
			break;
		memcpy(to + used, piece, width);
		used += width;
		from += len;
	}
	to[used] = '\0';
	return to;
}

size_t mp_label_columns(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

void mp_label_clip(char *s, size_t columns)
{
	size_t n = 0;

	if (columns < 2 || mp_label_columns(s) <= columns)
		return;
	for (; *s; s++) {
		if ((*s & 0xc0) != 0x80 && n++ == columns - 2)
			break;
	}
	strcpy(s, "..");
}

static const char *last_part(const char *path, unsigned int flags)
{
	const char *slash = flags & MP_LABEL_PATHS ? NULL : strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

size_t mp_label_frames(const struct mp_place *place, struct mp_symbols *sym, unsigned int flags,
		       struct mp_symbol *out, size_t max)
{
	const struct mp_code code = {
		.tgid = place->tgid,
		.path = place->object,
		.ino = place->ino,
		.dev_major = place->dev_major,
		.dev_minor = place->dev_minor,
		.offset = place->offset,
		.addr = place->addr,
		.is_return = !(flags & MP_LABEL_TOUCH),
	};

	return mp_symbols__frames(sym, &code, out, max);
}

void mp_label_lookup(const struct mp_place *place, struct mp_symbols *sym, unsigned int flags,
		     struct mp_symbol *symbol)
{
	memset(symbol, 0, sizeof(*symbol));
	mp_label_frames(place, sym, flags, symbol, 1);
}

unsigned int mp_label_site_flags(const struct mp_site *site)
{
	return site->calls || site->failed || site->mapping ? 0 : MP_LABEL_TOUCH;
}

struct mp_label mp_label_site(const struct mp_report *r, uint32_t site, struct mp_symbols *sym,
			      unsigned int flags)
{
	char object[400], function[400], file[400], plus[24];
	const struct mp_place *place;
	struct mp_label label = { "unknown" };
	struct mp_symbol symbol;

	if (site == 0 || site > r->nr_sites)
		return label;
	place = &r->sites[site - 1].place;
	mp_label_lookup(place, sym, flags, &symbol);
	mp_label_safe(object, sizeof(object), last_part(place->object, flags));
	mp_label_safe(function, sizeof(function), symbol.function ? symbol.function : "");
	mp_label_safe(file, sizeof(file), symbol.file ? last_part(symbol.file, flags) : "");
	/* an inlined one has no start of its own */
	plus[0] = '\0';
	if (!symbol.inlined)
		snprintf(plus, sizeof(plus), "+0x%" PRIx64, symbol.into);
	if (*function && *file && symbol.line)
		snprintf(label.s, sizeof(label.s), "%s%s %s:%d", function, plus, file, symbol.line);
	else if (*function)
		snprintf(label.s, sizeof(label.s), "%s%s (%s)", function, plus,
			 *object ? object : "JIT");
	else if (*object)
		snprintf(label.s, sizeof(label.s), "%s+0x%" PRIx64, object, place->offset);
	else
		snprintf(label.s, sizeof(label.s), "0x%" PRIx64, place->addr);
	return label;
}
