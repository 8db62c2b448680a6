// SPDX-License-Identifier: GPL-2.0-or-later
/* PID/pages of the kernel module, a line a page, as events that the model compares with its ledger. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect/module.h"

#define HUGE_PAGES 512U
#define HUGE_BYTES (HUGE_PAGES * MP_PAGE_SIZE)
#define TEXT_BYTES 65536U
#define FIELDS_MAX 16
#define NOT_OURS   UINT64_MAX /* a file's page, shared memory, hugetlb: not in the ledger */

struct walker {
	pid_t pid;
	const uint64_t *tool;
	size_t nr_tool;
	mp_emit_fn emit;
	void *ctx;

	int addr_at, pfn_at, flags_at; /* columns; -1 before the header */
	uint64_t next_addr;            /* the next line's, at least */
	/*
	 * The module walks a page table ahead of what it shows: a line can be as old as the read
	 * before the one that brought the first line of its table.
	 */
	uint64_t read_ns, before_ns, table_ns;
	struct mp_ev_pages
		*ev; /* pages of one 2 MiB range, next to each other; ev->nr are gathered */
	char text[TEXT_BYTES];
};

static int tell_phase(struct walker *w, uint32_t phase, uint64_t begin_ns)
{
	struct mp_ev_witness ev = { .h = { .type = MP_EV_WITNESS,
					   .size = sizeof(ev),
					   .ts_ns = mp_mono_ns(),
					   .tgid = (uint32_t)w->pid },
				    .begin_ns = begin_ns,
				    .phase = phase };

	return w->emit(w->ctx, &ev.h);
}

/* ---- pages to events ------------------------------------------------------------------------ */

static int send(struct walker *w, struct mp_ev_pages *ev, size_t nr_entries)
{
	ev->h.size = (uint16_t)(sizeof(*ev) + nr_entries * sizeof(ev->entries[0]));
	ev->h.ts_ns = mp_mono_ns();
	ev->h.tgid = (uint32_t)w->pid;
	return w->emit(w->ctx, &ev->h);
}

static bool counts_up(const struct mp_ev_pages *ev)
{
	uint64_t first = ev->entries[0];
	uint64_t step = first & MP_PAGE_ANON || first & MP_PAGE_HUGE;

	for (uint32_t i = 1; i < ev->nr; i++)
		if (ev->entries[i] != first + i * step)
			return false;
	return true;
}

static int flush(struct walker *w)
{
	struct mp_ev_pages *ev = w->ev;
	int rc = 0;

	if (ev->nr) {
		ev->h.type = MP_EV_WITNESS_PAGES;
		ev->source = MP_SRC_WITNESS;
		ev->contig = counts_up(ev);
		rc = send(w, ev, ev->contig ? 1 : ev->nr);
	}
	ev->nr = 0;
	return rc;
}

static bool holds_probe(const struct walker *w, uint64_t addr)
{
	size_t low = 0, high = w->nr_tool;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (w->tool[mid] < addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < w->nr_tool && w->tool[low] - addr < MP_PAGE_SIZE;
}

/* A text page that a probe of ours had copied; the ledger does not see that happen. */
static int tell_tool(struct walker *w, uint64_t addr, uint64_t entry)
{
	union {
		struct mp_ev_pages ev;
		uint64_t words[sizeof(struct mp_ev_pages) / 8 + 1];
	} one = { .ev = { .h = { .type = MP_EV_PAGES },
			  .addr = addr,
			  .begin_ns = w->table_ns,
			  .nr = 1,
			  .source = MP_SRC_TOOL,
			  .contig = 1 } };

	one.words[sizeof(struct mp_ev_pages) / 8] = entry;
	return send(w, &one.ev, 1);
}

static int add_page(struct walker *w, uint64_t addr, uint64_t entry)
{
	struct mp_ev_pages *ev = w->ev;
	int rc = 0;

	if (ev->nr && (addr != ev->addr + ev->nr * MP_PAGE_SIZE || !(addr % HUGE_BYTES)))
		rc = flush(w);
	if (!rc && entry & MP_PAGE_ANON && holds_probe(w, addr))
		rc = tell_tool(w, addr, entry);
	if (!ev->nr) {
		ev->addr = addr;
		ev->begin_ns = w->table_ns;
	}
	ev->entries[ev->nr++] = entry;
	return rc;
}

/* ---- text to pages -------------------------------------------------------------------------- */

/* Splits @line in place; how many fields, FIELDS_MAX at most. */
static int split(char *line, char *fields[FIELDS_MAX])
{
	int n = 0;

	while (line && n < FIELDS_MAX) {
		fields[n++] = line;
		line = strchr(line, ' ');
		if (line)
			*line++ = '\0';
	}
	return n;
}

static int read_header(struct walker *w, char *line)
{
	char *fields[FIELDS_MAX];
	int n = split(line, fields);

	while (n-- > 0) {
		if (!strcmp(fields[n], "addr"))
			w->addr_at = n;
		else if (!strcmp(fields[n], "pfn"))
			w->pfn_at = n;
		else if (!strcmp(fields[n], "flags"))
			w->flags_at = n;
	}
	return w->addr_at < 0 || w->pfn_at < 0 || w->flags_at < 0 ? -EBADMSG : 0;
}

/* "anon,huge,dirty": the entry, 0 for a page in motion, or NOT_OURS */
static uint64_t entry_of(char *flags, uint64_t pfn)
{
	uint64_t entry = pfn & MP_PAGE_PFN;
	bool ours = false;
	char *save, *word;

	for (word = strtok_r(flags, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (!strcmp(word, "moving"))
			return 0;
		if (!strcmp(word, "huge"))
			entry |= MP_PAGE_HUGE;
		else if (!strcmp(word, "anon"))
			entry |= MP_PAGE_PRESENT | MP_PAGE_ANON;
		else if (!strcmp(word, "zero"))
			entry |= MP_PAGE_PRESENT | MP_PAGE_ZERO;
		ours |= !strcmp(word, "anon") || !strcmp(word, "zero");
	}
	return ours ? entry : NOT_OURS;
}

static int read_line(struct walker *w, char *line)
{
	char *fields[FIELDS_MAX], *end;
	uint64_t addr, pfn, entry;
	int n;

	if (w->addr_at < 0)
		return read_header(w, line);
	n = split(line, fields);
	if (n <= w->addr_at || n <= w->pfn_at || n <= w->flags_at)
		return -EBADMSG;
	if (!strcmp(fields[w->pfn_at], "-"))
		return -EPERM;
	addr = strtoull(fields[w->addr_at], &end, 16);
	/* ascending, or it would be compared twice; the model knows the end of user addresses */
	if (*end || addr % MP_PAGE_SIZE || addr < w->next_addr || addr >> 57)
		return -EBADMSG;
	pfn = strtoull(fields[w->pfn_at], &end, 10);
	if (*end || end == fields[w->pfn_at])
		return -EBADMSG;
	if (addr / HUGE_BYTES != (w->next_addr - 1) / HUGE_BYTES)
		w->table_ns = w->before_ns;
	w->next_addr = addr + MP_PAGE_SIZE;
	entry = entry_of(fields[w->flags_at], pfn);
	return entry == NOT_OURS ? 0 : add_page(w, addr, entry);
}

/* The whole lines of @len bytes; what is left of the last one is moved to the front. */
static int read_lines(struct walker *w, size_t *len)
{
	char *line = w->text, *end;
	int rc = 0;

	while (!rc && (end = memchr(line, '\n', *len - (size_t)(line - w->text)))) {
		*end = '\0';
		rc = read_line(w, line);
		line = end + 1;
	}
	*len -= (size_t)(line - w->text);
	memmove(w->text, line, *len);
	return rc ? rc : *len == TEXT_BYTES ? -EBADMSG : 0;
}

static int read_all(struct walker *w, int fd)
{
	size_t len = 0;
	ssize_t n;
	int rc = 0;

	for (;;) {
		w->before_ns = w->read_ns;
		w->read_ns = mp_mono_ns();
		n = read(fd, w->text + len, TEXT_BYTES - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		rc = read_lines(w, &len);
		if (rc)
			return rc;
	}
	if (n < 0)
		return errno == EIO ? -ESRCH : -errno;
	return len || w->addr_at < 0 ? -EBADMSG : flush(w);
}

static int walk(struct walker *w, struct mp_err *err)
{
	uint64_t begin_ns = mp_mono_ns();
	FILE *f = mp_module_open(w->pid, "pages", err);
	int rc;

	if (!f)
		return -ESRCH;
	w->read_ns = begin_ns;
	rc = tell_phase(w, MP_WITNESS_BEGINS, begin_ns);
	if (!rc)
		rc = read_all(w, fileno(f));
	if (!rc)
		rc = tell_phase(w, MP_WITNESS_DONE, begin_ns);
	fclose(f);
	return rc;
}

static int say_why(pid_t pid, int rc, struct mp_err *err)
{
	switch (rc) {
	case -EPERM:
		return mp_fail(
			err, MP_EXIT_LACKS, EPERM,
			"the kernel module shows no physical pages: CAP_SYS_ADMIN is missing");
	case -EBADMSG:
		return mp_fail(
			err, MP_EXIT_FAILED, EBADMSG,
			"the kernel module's list of pages of process %d makes no sense: are "
			"the module and mallocpath of the same version?",
			pid);
	case -ESRCH:
		return mp_fail(err, MP_EXIT_FAILED, ESRCH,
			       "process %d ended while the kernel module walked its pages", pid);
	}
	return mp_fail(err, MP_EXIT_FAILED, -rc, "the kernel module's pages of process %d: %s", pid,
		       strerror(-rc));
}

int mp_module_walk(pid_t pid, const uint64_t *tool, size_t nr_tool, mp_emit_fn emit, void *ctx,
		   struct mp_err *err)
{
	struct walker *w = calloc(1, sizeof(*w));
	int rc = -ENOMEM, tracked;

	if (!w)
		return say_why(pid, -ENOMEM, err);
	tracked = mp_module_track(pid, err);
	if (tracked < 0) {
		free(w);
		return tracked;
	}
	w->pid = pid;
	w->tool = tool;
	w->nr_tool = nr_tool;
	w->emit = emit;
	w->ctx = ctx;
	w->addr_at = w->pfn_at = w->flags_at = -1;
	w->ev = calloc(1, sizeof(*w->ev) + HUGE_PAGES * sizeof(w->ev->entries[0]));
	if (w->ev)
		rc = walk(w, err);
	if (tracked)
		mp_module_untrack(pid);
	free(w->ev);
	free(w);
	return rc < 0 ? say_why(pid, rc, err) : rc;
}
