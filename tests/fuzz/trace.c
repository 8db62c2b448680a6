// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bytes of a trace file as far as the model, and no view: many more of them in the same time than
 * decode.c has. What does not begin like a trace gets a header of version 2, so that the fuzzer's work
 * goes into frames. In this build CRCs are not looked at.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model/model.h"
#include "symbol/symbol.h"
#include "trace/trace.h"

/* See decode.c; a frame of a few bytes may hold a megabyte of events: that is only time. */
#define PAGES_MAX  (1 << 16)
#define EVENTS_MAX 5000

struct run {
	struct mp_model *model;
	struct mp_symbols *symbols;
	uint64_t pages, events;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int apply(void *ctx, const struct mp_ev *ev)
{
	struct run *run = ctx;
	struct mp_ev *copy;
	int ret;

	if (ev->type == MP_EV_PAGES)
		run->pages += ((const struct mp_ev_pages *)ev)->nr;
	if (ev->type == MP_EV_PAGE_FREE)
		run->pages += 1 << ((const struct mp_ev_page_free *)ev)->order;
	if (run->pages > PAGES_MAX || ++run->events > EVENTS_MAX)
		return 1;
	/* In a block of its own: what is read past its end is seen, as it is not in the buffer. */
	copy = malloc(ev->size);
	if (!copy)
		abort();
	memcpy(copy, ev, ev->size);
	if (ev->type >= MP_EV_OBJECT && !run->symbols)
		run->symbols = mp_symbols__new();
	ret = ev->type >= MP_EV_OBJECT ? mp_symbols__hear(run->symbols, copy) : 0;
	if (!ret)
		ret = mp_model__apply(run->model, copy);
	free(copy);
	if (ret && ret != -ENOMEM)
		abort();
	return ret;
}

static void write_all(int fd, const void *bytes, size_t len)
{
	if (write(fd, bytes, len) != (ssize_t)len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct mp_file_header header = { .magic = MP_FILE_MAGIC,
					       .version = 2,
					       .byte_order = 0x01020304 };
	struct run run = { .events = 0 };
	struct mp_err err = { .exit = 0 };
	static int fd = -1;
	char path[40];
	int truncated, ret;

	if (fd < 0)
		fd = memfd_create("trace", MFD_CLOEXEC);
	if (ftruncate(fd, 0) || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	if (size < 8 || memcmp(data, MP_FILE_MAGIC, 8))
		write_all(fd, &header, sizeof(header));
	write_all(fd, data, size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	run.model = mp_model__new();
	if (!run.model)
		abort();
	ret = mp_file_read(path, apply, &run, &truncated, &err);
	if (ret < 0 && ret != -ENOMEM && !err.text[0])
		abort();
	mp_symbols__free(run.symbols);
	mp_model__free(run.model);
	return 0;
}
