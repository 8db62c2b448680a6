// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

int mp_fail(struct mp_err *err, int exit, int error, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		err->exit = exit;
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return -error;
}
