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

#include "trace/pack.h"
#include "trace/trace.h"
#include "trace_events.h"
#include "trace_util.h"

static void comes_back_whole(void **state)
{
	static const int levels[] = { 0, 1, 9 };
	long long sizes[3];
	struct mp_err err;
	struct stat st;
	int truncated;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct seen s = { 0 };

		write_at(EVENTS, levels[i]);
		assert_int_equal(read_all(&s, &truncated, &err), 0);
		assert_int_equal(truncated, 0);
		assert_int_equal(s.nr, EVENTS);
		assert_int_equal(s.sum, (uint64_t)EVENTS * (EVENTS - 1) / 2);
		assert_int_equal(stat(path, &st), 0);
		sizes[i] = st.st_size;
		if (!i)
			assert_true(st.st_size > s.bytes);
		else
			assert_true(st.st_size < s.bytes / 8);
	}
	assert_true(sizes[2] <= sizes[1]);
}

static void older_files(void **state)
{
	struct seen s = { 0 };
	struct mp_err err;
	int truncated;

	(void)state;
	write_version_1(EVENTS);
	assert_int_equal(read_all(&s, &truncated, &err), 0);
	assert_int_equal(truncated, 0);
	assert_int_equal(s.nr, EVENTS);
	assert_int_equal(s.sum, (uint64_t)EVENTS * (EVENTS - 1) / 2);
}

/* Every byte of every event, whatever is in them and wherever frames end. */
static void packing_loses_nothing(void **state)
{
	enum { MOST = 1 << 16, TURNS = 300 };
	static uint8_t in[MOST], packed[MP_PACK_ROOM(MOST) + MP_UNPACK_SLACK], out[MOST];
	union test_event ev;

	(void)state;
	srand(7);
	for (int turn = 0; turn < TURNS; turn++) {
		size_t len = 0, want = rand() % MOST, n;

		for (;;) {
			test_event(&ev, test_event_type(rand() % test_event_nr()));
			ev.h.size += rand() % 40 ? 0 : 8 * (rand() % 4);
			for (int i = 0; i < rand() % 30; i++)
				((uint8_t *)&ev)[4 + rand() % (ev.h.size - 4)] = rand();
			if (len + ev.h.size > want)
				break;
			memcpy(in + len, &ev, ev.h.size);
			len += ev.h.size;
		}
		n = mp_pack(in, len, packed);
		assert_true(n <= MP_PACK_ROOM(len));
		assert_int_equal(mp_unpack(packed, n, out, len), len);
		assert_memory_equal(in, out, len);
		if (!len)
			continue;
		assert_int_equal(mp_unpack(packed, n, out, len - 1), -EBADMSG);
		assert_true(mp_unpack(packed, n - 1, out, len) < (int64_t)len);
	}
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
	w = mp_writer__open(path, MP_LEVEL_DEFAULT, 0, 0, &err);
	assert_non_null(w);
	for (i = 0; i < 50; i++)
		assert_int_equal(mp_writer__put(w, ev), 0);
	assert_int_equal(mp_writer__close(w, &err), 0);
	assert_int_equal(read_all(&s, &truncated, &err), 0);
	assert_int_equal(s.nr, 50);
	assert_int_equal(truncated, 0);
	free(ev);
}

/* A file without events, byte by byte as docs/FORMAT.md has it (little-endian machines). */
static void header_bytes(void **state)
{
	static const unsigned char expected[112] = {
		'M',
		'P',
		'T',
		'R',
		'A',
		'C',
		'E',
		'\n',
		2,
		0,
		0,
		0,
		4,
		3,
		2,
		1,
		5,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		6,
		0,
		0,
		0,
		0,
		0,
		0,
		0,
		/* the last frame: magic, kind 3, 32 bytes three times, no events, no times, the CRC */
		'M',
		'P',
		'F',
		'\n',
		3,
		0,
		0,
		0,
		32,
		0,
		0,
		0,
		32,
		0,
		0,
		0,
		32,
		0,
		0,
		0,
		[76] = 0x58,
		0x06,
		0x11,
		0x67,
		/* the index would begin here; it has no entries */
		[80] = 32,
	};
	unsigned char bytes[120];
	FILE *f;

	(void)state;
	write_events(0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(bytes, 1, sizeof(bytes), f), 112);
	assert_memory_equal(bytes, expected, 112);
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

static void cannot_create(void **state)
{
	struct mp_err err = { 0 };

	(void)state;
	assert_null(mp_writer__open("/nonexistent/file", 1, 0, 0, &err));
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(err.text, "cannot create /nonexistent/file: No such file"));
	assert_null(mp_writer__open("/", 1, 0, 0, &err));
	assert_int_equal(errno, EISDIR);
}

/* Writes until the disk is full; returns what close said. */
static int fill_disk(const char *file, int *put, struct mp_err *err)
{
	struct mp_writer *w = mp_writer__open(file, 0, 0, 0, err);
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
	struct mp_writer *w = mp_writer__open("/dev/full", 1, 0, 0, &err);
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
	/* whole frames, not one of which is compressed here */
	assert_true(st.st_size > (1 << 20) - (300 << 10) && st.st_size <= 1 << 20);
	assert_int_equal(mp_file_read(file, see, &s, &truncated, &err), 0);
	assert_int_equal(truncated, 1);
	assert_int_equal(s.nr % (256 * 1024 / 64), 0);
	assert_int_equal(st.st_size, HEADER + s.nr / (256 * 1024 / 64) * (FRAME + 256 * 1024));
	assert_int_equal(umount(mounted), 0);
	rmdir(mounted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back_whole),      cmocka_unit_test(older_files),
		cmocka_unit_test(packing_loses_nothing), cmocka_unit_test(longest_events),
		cmocka_unit_test(header_bytes),          cmocka_unit_test(is_private),
		cmocka_unit_test(callback_stops),        cmocka_unit_test(unreadable),
		cmocka_unit_test(full_device),           cmocka_unit_test(full_device_at_close),
		cmocka_unit_test(full_file_system),      cmocka_unit_test(cannot_create),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
