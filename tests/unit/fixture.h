/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Small programs compiled at test time, never sanitized, and run beside the test. */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* A fresh directory; removed with everything in it by fixture_end(), which also ends what runs. */
void fixture_begin(void);
void fixture_end(void);
/* Path of @name in it; valid for the next eight calls. */
const char *fixture_path(const char *name);
/* Writes @text to file @name in the directory. */
void fixture_write(const char *name, const char *text);
/* Runs a shell command in the directory; the test fails if it does. */
void fixture_shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The command's output, at most @size - 1 bytes. */
void fixture_output(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

struct fixture_program {
	pid_t pid;
	FILE *out; /* what it prints */
	FILE *in;  /* what it reads */
};
/* Starts "env -i @env @command" (words at blanks) and waits for its first line, "ready". */
struct fixture_program fixture_start(const char *env, const char *command);
/* Kills it. */
void fixture_stop(struct fixture_program *p);

#endif
