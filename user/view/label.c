// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/label.h"

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
