// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbol/demangle.h"

#ifdef HAVE_LIBIBERTY

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MANGLED 8192
#define MAX_PLAIN   16384

struct plain {
	jmp_buf too_long;
	size_t len;
	char text[MAX_PLAIN];
};

/*
 * A name of some hundred bytes can stand for gigabytes (each substitution doubles it), and the
 * demangler's callback cannot refuse: so it is left by a jump. That is sound because this form of
 * the demangler keeps all its state on the stack.
 */
static void take(const char *text, size_t len, void *ctx)
{
	struct plain *p = ctx;

	if (len >= sizeof(p->text) - p->len)
		longjmp(p->too_long, 1);
	memcpy(p->text + p->len, text, len);
	p->len += len;
}

static int demangle(const char *name, struct plain *p)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;

	if (setjmp(p->too_long))
		return 0;
	if (rust_demangle_callback(name, options, take, p))
		return 1;
	p->len = 0;
	return name[0] == '_' && name[1] == 'Z' &&
	       cplus_demangle_v3_callback(name, options, take, p);
}

char *mp_demangle(const char *name)
{
	struct plain *p;
	char *out = NULL;

	if (name[0] != '_' || (name[1] != 'Z' && name[1] != 'R') ||
	    strnlen(name, MAX_MANGLED) == MAX_MANGLED)
		return NULL;
	p = malloc(sizeof(*p));
	if (!p)
		return NULL;
	p->len = 0;
	if (demangle(name, p))
		out = strndup(p->text, p->len);
	free(p);
	return out;
}

#else

#include <stddef.h>

char *mp_demangle(const char *name)
{
	(void)name;
	return NULL;
}

#endif
