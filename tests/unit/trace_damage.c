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

#include "trace_util.h"

static void patch(long offset, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "r+");

	assert_non_null(f);
	fseek(f, offset, SEEK_SET);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static void cut_in_the_last_event(void **state)
{
	struct mp_err err;
	int truncated, cut;
	struct stat st;

	(void)state;
	write_version_1(EVENTS);
	assert_int_equal(stat(path, &st), 0);
	/* the last event is a FREE of 40 bytes or so: cut within its header and within its body */
	for (cut = 1; cut < 32; cut++) {
		struct seen s = { 0 };

		assert_int_equal(truncate(path, st.st_size - cut), 0);
		assert_int_equal(read_all(&s, &truncated, &err), 0);
		assert_int_equal(truncated, 1);
		assert_int_equal(s.nr, EVENTS - 1);
	}
}

/* Cut anywhere, or with zeros from anywhere on, it is good up to the last whole frame. */
static void cut_anywhere(void **state)
{
	struct mp_err err;
	struct whole w;
	int truncated;

	(void)state;
	write_events(EVENTS);
	read_whole(&w);
	assert_true(w.nr >= 6); /* four of events, the index, the end */
	srand(1);
	for (int i = 0; i < 600; i++) {
		/* the edges of frames and beside them; anywhere */
		long at = i < 3 * w.nr ? w.offsets[i / 3] + i % 3 - 1
				       : HEADER + rand() % (w.len - HEADER);
		struct seen s = { 0 };

		if (at < HEADER)
			continue;
		write_bytes(w.bytes, at);
		if (i & 1)
			assert_int_equal(truncate(path, w.len + rand() % 200), 0);
		if (i & 1 && events_before(&w, at) != events_before(&w, at + FRAME))
			continue; /* zeros where there are zeros anyway: the frame is whole */
		if (read_all(&s, &truncated, &err))
			assert_true(i & 1 && strstr(err.text, "corrupt"));
		else
			assert_int_equal(truncated, 1);
		assert_int_equal(s.nr, events_before(&w, at));
	}
	free(w.bytes);
}

static void corrupt_size_names_the_offset(void **state)
{
	uint16_t size = 12;
	struct seen s = { 0 };
	struct mp_err err;
	int truncated;

	(void)state;
	write_version_1(EVENTS);
	/* GAP (40 bytes) and ALLOC (64) come first; the third event's size is at its byte 2 */
	patch(32 + 40 + 64 + 2, &size, sizeof(size));
	refused(EBADMSG, "corrupt at offset 136");
	read_all(&s, &truncated, &err);
	assert_int_equal(s.nr, 2);
	assert_int_equal(truncated, 0);
}

/* Far behind the first buffer the offset is that in the file, too. */
static void corrupt_far_behind(void **state)
{
	struct seen s = { 0 };
	char words[80];
	struct mp_err err;
	struct stat st;
	int truncated;

	(void)state;
	write_version_1(EVENTS);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size + 24), 0); /* an event of size 0 */
	snprintf(words, sizeof(words), "corrupt at offset %lld:", (long long)st.st_size);
	refused(EBADMSG, words);
	read_all(&s, &truncated, &err);
	assert_int_equal(s.nr, EVENTS);
}

/* One byte changed anywhere: what is before its frame is read, and the frame is named. */
static void corrupt_frames(void **state)
{
	char words[80];
	struct mp_err err;
	struct whole w;
	int truncated;

	(void)state;
	write_events(EVENTS);
	read_whole(&w);
	srand(2);
	for (int i = 0; i < w.nr - 1; i++) {
		for (int k = 0; k < FRAME + 50; k++) {
			long in = k < FRAME ? k : FRAME + rand() % w.frames[i].stored;
			long at = w.offsets[i] + in;
			struct seen s = { 0 };

			w.bytes[at] ^= 0x15;
			write_bytes(w.bytes, w.len);
			w.bytes[at] ^= 0x15;
			/* one that seems longer than the file may have been cut */
			if (in == 9 || in == 10) {
				if (!read_all(&s, &truncated, &err))
					assert_int_equal(truncated, 1);
			} else {
				snprintf(words, sizeof(words),
					 "corrupt at offset %ld:", w.offsets[i]);
				refused(EBADMSG, words);
				read_all(&s, &truncated, &err);
			}
			assert_int_equal(s.nr, events_before(&w, w.offsets[i]));
		}
	}
	free(w.bytes);
}

static void foreign_files(void **state)
{
	struct mp_file_header h = { .magic = MP_FILE_MAGIC,
				    .version = 1,
				    .byte_order = 0x01020304 };

	(void)state;
	write_bytes("", 0);
	refused(EBADMSG, "is not a mallocpath trace: it is empty");
	write_bytes("\177ELF\2\1\1\0 and so on and so forth, long enough", 40);
	refused(EBADMSG, "is not a mallocpath trace");
	write_bytes("MPT", 3);
	refused(EBADMSG, "is not a mallocpath trace");
	write_bytes(&h, 31);
	refused(EBADMSG, "is not a mallocpath trace: it ends within its header");
	h.version = 3;
	write_bytes(&h, sizeof(h));
	refused(EPROTONOSUPPORT, "version 3");
	h.version = 0;
	write_bytes(&h, sizeof(h));
	refused(EPROTONOSUPPORT, "version 0");
	h.version = 0x01000000;
	h.byte_order = 0x04030201;
	write_bytes(&h, sizeof(h));
	refused(EPROTONOSUPPORT, "other byte order");
	h.byte_order = 0;
	write_bytes(&h, sizeof(h));
	refused(EBADMSG, "header is corrupt");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_in_the_last_event),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(corrupt_size_names_the_offset),
		cmocka_unit_test(corrupt_far_behind),
		cmocka_unit_test(corrupt_frames),
		cmocka_unit_test(foreign_files),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
