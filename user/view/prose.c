// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/prose.h"

#include <stdarg.h>
#include <string.h>

#include "view/label.h"

static void put_word(struct mp_prose *p, const char *word, size_t len)
{
	char copy[256];
	size_t columns;

	if (len >= sizeof(copy))
		len = sizeof(copy) - 1;
	memcpy(copy, word, len);
	copy[len] = '\0';
	columns = mp_label_columns(copy);
	if (p->column && p->column + 1 + columns > p->width) {
		fputc('\n', p->out);
		p->column = 0;
	}
	fprintf(p->out, "%s%s", p->column ? " " : "", copy);
	p->column += columns + !!p->column;
}

void mp_prose_say(struct mp_prose *p, const char *fmt, ...)
{
	char text[2048];
	const char *s = text;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	while (*s) {
		size_t len = strcspn(s, " ");

		if (len)
			put_word(p, s, len);
		s += len + (s[len] == ' ');
	}
}

void mp_prose_end(struct mp_prose *p)
{
	if (p->column)
		fputc('\n', p->out);
	p->column = 0;
}

void mp_prose_line(struct mp_prose *p, const char *fmt, ...)
{
	va_list ap;

	mp_prose_end(p);
	va_start(ap, fmt);
	vfprintf(p->out, fmt, ap);
	va_end(ap);
	fputc('\n', p->out);
}
