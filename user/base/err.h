/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One error, said once: what failed, why, and what to do. Library rooms fill it in and return
 * -errno; only the command layer prints it.
 */
#ifndef MP_BASE_ERR_H
#define MP_BASE_ERR_H

enum mp_exit { /* exit statuses, DESIGN section 4 */
	       MP_EXIT_OK = 0,
	       MP_EXIT_FAILED = 1,
	       MP_EXIT_USAGE = 2,
	       MP_EXIT_LACKS = 3, /* the kernel or the privilege lacks something essential */
	       MP_EXIT_LOST = 4,  /* done, but events were lost (--strict) */
};

struct mp_err {
	int exit; /* enum mp_exit the command should end with */
	char text[600];
};

/* Fills @err (may be NULL) and returns -@error, so that callers write: return mp_fail(...). */
int mp_fail(struct mp_err *err, int exit, int error, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
