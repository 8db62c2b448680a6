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

#include "trace/trace.h"
#include "trace_events.h"

#define EVENTS 20000 /* more than one buffer of reader and writer */

static char dir[] = "/tmp/mallocpath-trace-XXXXXX";
static char path[64];

struct seen {
	int nr, stop_at;
	uint64_t sum; /* of the times */
	long long bytes;
};

static int see(void *ctx, const struct mp_ev *ev)
{
	struct seen *s = ctx;

	assert_int_equal((uintptr_t)ev % 8, 0);
	s->nr++;
	s->sum += ev->ts_ns;
	s->bytes += ev->size;
	return s->nr == s->stop_at ? 77 : 0;
}

static void write_events(int nr)
{
	struct mp_err err = { 0 };
	struct mp_writer *w = mp_writer__open(path, 5, 6, &err);
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

static void write_bytes(const void *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static void patch(long offset, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "r+");

	assert_non_null(f);
	fseek(f, offset, SEEK_SET);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static int read_all(struct seen *s, int *truncated, struct mp_err *err)
{
	memset(err, 0, sizeof(*err));
	*truncated = -1;
	return mp_file_read(path, see, s, truncated, err);
}

static void refused(int error, const char *words)
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

static void comes_back_whole(void **state)
{
	struct seen s = { 0 };
	struct mp_err err;
	struct stat st;
	int truncated;

	(void)state;
	write_events(EVENTS);
	assert_int_equal(read_all(&s, &truncated, &err), 0);
	assert_int_equal(truncated, 0);
	assert_int_equal(s.nr, EVENTS);
	assert_int_equal(s.sum, (uint64_t)EVENTS * (EVENTS - 1) / 2);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 32 + s.bytes);
}

/* The longest there can be, of a type nobody knows: skipped by size, wherever the buffers end. */
static void longest_events(void **state)
{
	struct mp_err err = { 0 };
	struct seen s = { 0 };
	struct mp_writer *w;
	struct mp_ev *ev;
	int i, truncated;

	(void)state;
	ev = calloc(1, 65528);
	assert_non_null(ev);
	ev->type = 999;
	ev->size = 65528;
	w = mp_writer__open(path, 0, 0, &err);
	assert_non_null(w);
	for (i = 0; i < 50; i++)
		assert_int_equal(mp_writer__put(w, ev), 0);
	assert_int_equal(mp_writer__close(w, &err), 0);
	assert_int_equal(read_all(&s, &truncated, &err), 0);
	assert_int_equal(s.nr, 50);
	assert_int_equal(truncated, 0);
	free(ev);
}

/* The header, byte by byte as docs/FORMAT.md has it (little-endian machines). */
static void header_bytes(void **state)
{
	static const unsigned char expected[32] = {
		'M', 'P', 'T', 'R', 'A', 'C', 'E', '\n', 1, 0, 0, 0, 4, 3, 2, 1,
		5,   0,   0,   0,   0,   0,   0,   0,    6, 0, 0, 0, 0, 0, 0, 0,
	};
	unsigned char bytes[40];
	FILE *f;

	(void)state;
	write_events(0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(bytes, 1, sizeof(bytes), f), 32);
	assert_memory_equal(bytes, expected, 32);
	fclose(f);
}

static void is_private(void **state)
{
	struct stat st;
	mode_t old = umask(0);

	(void)state;
	unlink(path);
	write_bytes("x", 1);
	assert_int_equal(chmod(path, 0666), 0);
	write_events(1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	unlink(path);
	write_events(1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	umask(old);
}

static void callback_stops(void **state)
{
	struct seen s = { .stop_at = 5 };
	struct mp_err err;
	int truncated;

	(void)state;
	write_events(100);
	assert_int_equal(read_all(&s, &truncated, &err), 77);
	assert_int_equal(s.nr, 5);
	assert_int_equal(truncated, 0);
}

static void cut_in_the_last_event(void **state)
{
	struct mp_err err;
	int truncated, cut;
	struct stat st;

	(void)state;
	write_events(EVENTS);
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

static void corrupt_size_names_the_offset(void **state)
{
	uint16_t size = 12;
	struct seen s = { 0 };
	struct mp_err err;
	int truncated;

	(void)state;
	write_events(EVENTS);
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
	write_events(EVENTS);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size + 24), 0); /* an event of size 0 */
	snprintf(words, sizeof(words), "corrupt at offset %lld:", (long long)st.st_size);
	refused(EBADMSG, words);
	read_all(&s, &truncated, &err);
	assert_int_equal(s.nr, EVENTS);
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
	h.version = 2;
	write_bytes(&h, sizeof(h));
	refused(EPROTONOSUPPORT, "version 2");
	h.version = 0x01000000;
	h.byte_order = 0x04030201;
	write_bytes(&h, sizeof(h));
	refused(EPROTONOSUPPORT, "other byte order");
	h.byte_order = 0;
	write_bytes(&h, sizeof(h));
	refused(EBADMSG, "header is corrupt");
}

static void unreadable(void **state)
{
	(void)state;
	unlink(path);
	refused(ENOENT, "No such file or directory");
	assert_int_equal(mkdir(path, 0700), 0);
	refused(EISDIR, "Is a directory");
	rmdir(path);
	write_events(1);
	assert_int_equal(chmod(path, 0), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	refused(EACCES, "Permission denied");
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	unlink(path);
}

/* Writes until the disk is full; returns what close said. */
static int fill_disk(const char *file, int *put, struct mp_err *err)
{
	struct mp_writer *w = mp_writer__open(file, 0, 0, err);
	union test_event ev;
	int i;

	assert_non_null(w);
	test_event(&ev, MP_EV_ALLOC);
	*put = 0;
	for (i = 0; i < 100000 && !*put; i++)
		*put = mp_writer__put(w, &ev.h);
	if (*put)
		assert_int_equal(mp_writer__put(w, &ev.h), *put); /* it sticks */
	return mp_writer__close(w, err);
}

static void full_device(void **state)
{
	struct mp_err err = { 0 };
	struct stat before, after;
	int put;

	(void)state;
	assert_int_equal(stat("/dev/full", &before), 0);
	assert_int_equal(fill_disk("/dev/full", &put, &err), -ENOSPC);
	assert_int_equal(put, -ENOSPC);
	assert_int_equal(err.exit, MP_EXIT_FAILED);
	assert_non_null(
		strstr(err.text, "cannot write /dev/full: No space left on device; 0 bytes"));
	assert_non_null(strstr(err.text, "free space or choose another -o"));
	assert_int_equal(stat("/dev/full", &after), 0);
	assert_int_equal(before.st_mode, after.st_mode); /* only files of ours become private */
}

/* Less than a buffer: only close can tell. */
static void full_device_at_close(void **state)
{
	struct mp_err err = { 0 };
	struct mp_writer *w = mp_writer__open("/dev/full", 0, 0, &err);
	union test_event ev;

	(void)state;
	test_event(&ev, MP_EV_ALLOC);
	assert_int_equal(mp_writer__put(w, &ev.h), 0);
	assert_int_equal(mp_writer__close(w, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "No space left on device"));
	assert_int_equal(mp_writer__close(NULL, &err), 0);
}

/* What reached a full disk can be read, and the message says how much that is. */
static void full_file_system(void **state)
{
	char mounted[80], file[100], words[80];
	struct seen s = { 0 };
	struct mp_err err = { 0 };
	int put, truncated;
	struct stat st;

	(void)state;
	snprintf(mounted, sizeof(mounted), "%s/small", dir);
	snprintf(file, sizeof(file), "%s/file", mounted);
	assert_int_equal(mkdir(mounted, 0700), 0);
	if (mount("tmpfs", mounted, "tmpfs", 0, "size=1m")) {
		rmdir(mounted);
		print_message("mounting a tmpfs needs root\n");
		skip();
	}
	assert_int_equal(fill_disk(file, &put, &err), -ENOSPC);
	assert_int_equal(put, -ENOSPC);
	assert_int_equal(stat(file, &st), 0);
	snprintf(words, sizeof(words), "; %lld bytes were written", (long long)st.st_size);
	assert_non_null(strstr(err.text, words));
	assert_int_equal(st.st_size, 1 << 20);
	assert_int_equal(mp_file_read(file, see, &s, &truncated, &err), 0);
	assert_int_equal(s.nr, ((1 << 20) - 32) / 64);
	assert_int_equal(truncated, ((1 << 20) - 32) % 64 != 0);
	assert_int_equal(umount(mounted), 0);
	rmdir(mounted);
}

static void cannot_create(void **state)
{
	struct mp_err err = { 0 };

	(void)state;
	assert_null(mp_writer__open("/nonexistent/file", 0, 0, &err));
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "cannot create /nonexistent/file: No such file"));
	assert_null(mp_writer__open("/", 0, 0, &err));
	assert_int_equal(errno, EISDIR);
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chmod(dir, 0755))
		return -1;
	snprintf(path, sizeof(path), "%s/trace.mpt", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back_whole),
		cmocka_unit_test(longest_events),
		cmocka_unit_test(header_bytes),
		cmocka_unit_test(is_private),
		cmocka_unit_test(callback_stops),
		cmocka_unit_test(cut_in_the_last_event),
		cmocka_unit_test(corrupt_size_names_the_offset),
		cmocka_unit_test(corrupt_far_behind),
		cmocka_unit_test(foreign_files),
		cmocka_unit_test(unreadable),
		cmocka_unit_test(full_device),
		cmocka_unit_test(full_device_at_close),
		cmocka_unit_test(full_file_system),
		cmocka_unit_test(cannot_create),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
