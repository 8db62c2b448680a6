// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "trace_events.h"
#include "trace_util.h"

char dir[] = "/tmp/mallocpath-trace-XXXXXX";
char path[64];

int see(void *ctx, const struct mp_ev *ev)
{
	struct seen *s = ctx;

	assert_int_equal((uintptr_t)ev % 8, 0);
	s->nr++;
	s->sum += ev->ts_ns;
	s->bytes += ev->size;
	return s->nr == s->stop_at ? 77 : 0;
}

void write_at(int nr, int level)
{
	struct mp_err err = { 0 };
	struct mp_writer *w = mp_writer__open(path, level, 5, 6, &err);
	union test_event ev;
	int i;

	assert_non_null(w);
	for (i = 0; i < nr; i++) {
		test_event(&ev, test_event_type(i % test_event_nr()));
		ev.h.ts_ns = i;
		assert_int_equal(mp_writer__put(w, &ev.h), 0);
	}
	assert_int_equal(mp_writer__close(w, &err), 0);
}

void write_events(int nr)
{
	write_at(nr, MP_LEVEL_DEFAULT);
}

void write_version_1(int nr)
{
	struct mp_file_header h = { .magic = MP_FILE_MAGIC,
				    .version = 1,
				    .byte_order = 0x01020304 };
	FILE *f = fopen(path, "w");
	union test_event ev;

	assert_non_null(f);
	assert_int_equal(fwrite(&h, sizeof(h), 1, f), 1);
	for (int i = 0; i < nr; i++) {
		test_event(&ev, test_event_type(i % test_event_nr()));
		ev.h.ts_ns = i;
		assert_int_equal(fwrite(&ev, ev.h.size, 1, f), 1);
	}
	fclose(f);
}

void write_bytes(const void *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

void read_whole(struct whole *w)
{
	FILE *f = fopen(path, "r");
	long at;

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	w->len = ftell(f);
	rewind(f);
	w->bytes = malloc(w->len);
	assert_non_null(w->bytes);
	assert_int_equal(fread(w->bytes, 1, w->len, f), w->len);
	fclose(f);
	for (w->nr = 0, at = HEADER; at < w->len; w->nr++) {
		assert_true(w->nr < 63 && at + FRAME <= w->len);
		memcpy(&w->frames[w->nr], w->bytes + at, FRAME);
		w->offsets[w->nr] = at;
		at += FRAME + w->frames[w->nr].stored;
	}
	assert_int_equal(at, w->len);
	w->offsets[w->nr] = at;
}

int events_before(const struct whole *w, long at)
{
	int events = 0;

	for (int i = 0; i < w->nr && w->offsets[i + 1] <= at; i++)
		events += w->frames[i].events;
	return events;
}

int read_all(struct seen *s, int *truncated, struct mp_err *err)
{
	memset(err, 0, sizeof(*err));
	*truncated = -1;
	return mp_file_read(path, see, s, truncated, err);
}

void refused(int error, const char *words)
{
	struct seen s = { 0 };
	struct mp_err err;
	int truncated;

	assert_int_equal(read_all(&s, &truncated, &err), -error);
	assert_int_equal(err.exit, MP_EXIT_FAILED);
	if (!strstr(err.text, words) || !strstr(err.text, path))
		fail_msg("the message \"%s\" lacks \"%s\" or the path", err.text, words);
	assert_null(strchr(err.text, '\n'));
}

int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chmod(dir, 0755))
		return -1;
	snprintf(path, sizeof(path), "%s/trace.mpt", dir);
	return 0;
}

int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}
