// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bytes of a trace file, all the way: reader, decoder, model, report, every view. What does not
 * begin like a trace gets a header, of version 1, or with an F before it of version 2, so that the
 * fuzzer's work goes into events and frames. In this build CRCs are not looked at.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trace/trace.h"
#include "view/perfetto.h"
#include "view/view.h"

/*
 * One entry may stand for 2^27 pages, each of which the model remembers: that is what such a trace
 * asks for, not an error, but more than a fuzzer's memory.
 */
#define PAGES_MAX (1 << 16)
/* A frame of a few bytes may hold a megabyte of events: that is only time. */
#define EVENTS_MAX 2000

struct run {
	struct mp_model *model;
	struct mp_symbols *symbols;
	struct mp_perfetto *timeline;
	uint64_t pages, events;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int apply(void *ctx, const struct mp_ev *ev)
{
	struct run *run = ctx;
	struct mp_ev *copy;
	int ret;

	if (++run->events > EVENTS_MAX)
		return 1;
	if (ev->type == MP_EV_PAGES) {
		run->pages += ((const struct mp_ev_pages *)ev)->nr;
		if (run->pages > PAGES_MAX)
			return 1;
	}
	if (ev->type == MP_EV_PAGE_FREE) {
		run->pages += 1 << ((const struct mp_ev_page_free *)ev)->order;
		if (run->pages > PAGES_MAX)
			return 1;
	}
	/* In a block of its own: what is read past its end is seen, as it is not in the buffer. */
	copy = malloc(ev->size);
	if (!copy)
		abort();
	memcpy(copy, ev, ev->size);
	ret = mp_symbols__hear(run->symbols, copy);
	if (!ret)
		ret = mp_perfetto__put(run->timeline, copy);
	if (!ret)
		ret = mp_model__apply(run->model, copy);
	free(copy);
	if (ret && ret != -ENOMEM)
		abort();
	return ret;
}

static void draw(const struct mp_report *r)
{
	static const struct mp_view_opts opts[] = {
		{ .top = 3 },
		{ .bytes = true,
		  .verbose = 1,
		  .sort = MP_SORT_CALLS,
		  .pages = true,
		  .blocks = true },
		{ .width = 1, .color = true, .utf8 = true, .site = 1, .sort = MP_SORT_CHARGED },
	};
	const struct mp_view *v;
	char *text;
	size_t len, i;
	FILE *out;
	int err;

	for (v = mp_views; v->name; v++) {
		for (i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
			out = open_memstream(&text, &len);
			if (!out)
				abort();
			err = v->print(r, NULL, &opts[i], out);
			if (err && err != -ENOENT)
				abort();
			fclose(out);
			free(text);
		}
	}
}

static void write_all(int fd, const void *bytes, size_t len)
{
	if (write(fd, bytes, len) != (ssize_t)len)
		abort();
}

static void make_file(int fd, const uint8_t *data, size_t size)
{
	struct mp_file_header header = { .magic = MP_FILE_MAGIC,
					 .version = 1,
					 .byte_order = 0x01020304 };

	if (ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	if (size && *data == 'F') {
		header.version = 2;
		data++;
		size--;
	}
	if (size < 8 || memcmp(data, MP_FILE_MAGIC, 8))
		write_all(fd, &header, sizeof(header));
	write_all(fd, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mp_view_opts opts = { .top = 0 };
	static int fd = -1;
	static FILE *nowhere;
	struct run run = { .pages = 0 };
	struct mp_err err = { .exit = 0 };
	struct mp_report *report;
	char path[40];
	int truncated, ret;

	if (fd < 0)
		fd = memfd_create("trace", MFD_CLOEXEC);
	make_file(fd, data, size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	run.symbols = mp_symbols__new();
	run.model = mp_model__new();
	run.timeline = mp_perfetto__new(run.model, NULL, &opts, nowhere);
	if (!run.symbols || !run.timeline)
		abort();
	/* every second one keeps the past of pages, and not all of it */
	if (!run.model || (size / 8 % 2 && mp_model__keep_history(run.model, 300)))
		abort();
	ret = mp_file_read(path, apply, &run, &truncated, &err);
	if (ret < 0 && ret != -ENOMEM && !err.text[0])
		abort();
	report = mp_model__report(run.model, MP_REPORT_PAGES | MP_REPORT_BLOCKS);
	ret = report ? mp_perfetto__end(run.timeline, report) : -EIO;
	if (ret && ret != -ENOMEM)
		abort();
	mp_perfetto__free(run.timeline);
	mp_symbols__free(run.symbols);
	mp_model__free(run.model);
	draw(report);
	mp_report__free(report);
	return 0;
}
