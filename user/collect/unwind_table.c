// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/unwind_table.h"

#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

#include "collect/unwind_frames.h"

#define PAGE 4096

/*
 * A table's index grows with the addresses it spans, whatever the file's size: a file may have this
 * many times the bytes it has in executable segments, and this much besides (segments lie apart by
 * 2 MiB in programs laid out for huge pages).
 */
#define SPAN_TIMES 16
#define SPAN_APART (64ULL << 20)

struct rows {
	struct mp_unwind_table *t; /* base and end are known */
	uint64_t *row;
	size_t nr, room;
	int err;
};

/* --- what can be executed */

static bool is_program(Elf *elf, GElf_Ehdr *eh)
{
	return elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, eh) &&
	       eh->e_ident[EI_CLASS] == ELFCLASS64 && eh->e_ident[EI_DATA] == ELFDATA2LSB &&
	       eh->e_machine == EM_X86_64 && (eh->e_type == ET_EXEC || eh->e_type == ET_DYN);
}

/* True if the file has all of the segment's bytes: its last one can be read. */
static bool is_executable(Elf *elf, const GElf_Phdr *ph)
{
	uint64_t last;

	return ph->p_type == PT_LOAD && ph->p_flags & PF_X && ph->p_filesz &&
	       !__builtin_add_overflow(ph->p_offset, ph->p_filesz - 1, &last) &&
	       last <= INT64_MAX && elf_getdata_rawchunk(elf, last, 1, ELF_T_BYTE);
}

static int find_span(Elf *elf, struct mp_unwind_table *t)
{
	uint64_t bytes = 0, end;
	GElf_Phdr ph;
	size_t nr;

	t->base = UINT64_MAX;
	if (elf_getphdrnum(elf, &nr))
		return -ENOEXEC;
	for (size_t i = 0; i < nr && gelf_getphdr(elf, i, &ph); i++) {
		if (!is_executable(elf, &ph) ||
		    __builtin_add_overflow(ph.p_vaddr, ph.p_filesz, &end))
			continue;
		if (ph.p_vaddr < t->base)
			t->base = ph.p_vaddr & -(uint64_t)PAGE;
		if (end > t->end)
			t->end = end;
		if (__builtin_add_overflow(bytes, ph.p_filesz, &bytes))
			return -EFBIG;
	}
	if (!bytes)
		return -ENOEXEC;
	if (bytes > UINT32_MAX)
		bytes = UINT32_MAX;
	if (t->end - t->base > UINT32_MAX || t->end - t->base > SPAN_TIMES * bytes + SPAN_APART)
		return -EFBIG;
	return 0;
}

/* --- rows */

static void add_row(struct rows *r, uint64_t address, uint32_t rule)
{
	size_t more;
	uint64_t *p;

	if (r->err || (r->nr && mp_unwind_rule(r->row[r->nr - 1]) == rule))
		return;
	if (r->nr == r->room) {
		more = r->room ? r->room * 2 : 256;
		if (more > 2ULL * MP_UNWIND_ENTRIES_MAX) {
			r->err = -EFBIG;
			return;
		}
		p = reallocarray(r->row, more, sizeof(*p));
		if (!p) {
			r->err = -ENOMEM;
			return;
		}
		r->row = p;
		r->room = more;
	}
	r->row[r->nr++] = MP_UNWIND_ROW(rule, address - r->t->base);
}

static void add_function(struct rows *r, const struct mp_frames *f, const struct mp_frames_fde *fde,
			 uint64_t begin, uint64_t end)
{
	struct mp_cfa_run run;
	uint64_t from;
	uint32_t rule;

	mp_cfa_run_start(&run, &f->cies[fde->cie].cie, fde->begin, end, fde->program,
			 fde->program_end,
			 f->address + (uint64_t)(fde->program - (const uint8_t *)f->data->d_buf));
	while (mp_cfa_run_next(&run, &from, &rule))
		if (run.at > begin)
			add_row(r, from > begin ? from : begin, rule);
}

/*
 * A function ends where the next begins: of those that overlap the one that begins last holds, as
 * in the search by .eh_frame_hdr at run time. What no function covers is NONE.
 */
static void add_functions(struct rows *r, const struct mp_frames *f)
{
	struct mp_unwind_table *t = r->t;
	uint64_t at = t->base, begin, end;

	for (size_t i = 0; i < f->nr_fdes && !r->err; i++) {
		const struct mp_frames_fde *fde = &f->fdes[i];

		begin = fde->begin > t->base ? fde->begin : t->base;
		end = fde->end < t->end ? fde->end : t->end;
		if (i + 1 < f->nr_fdes && fde[1].begin < end)
			end = fde[1].begin;
		if (begin >= end)
			continue;
		if (at < begin)
			add_row(r, at, MP_UNWIND_RULE(MP_UNWIND_NONE, 0, 0));
		add_function(r, f, fde, begin, end);
		t->n_functions++;
		at = end;
	}
	t->end = at;
}

/* --- the array */

static void count_bytes(struct mp_unwind_table *t, const struct rows *r)
{
	for (size_t i = 0; i < r->nr; i++) {
		uint64_t next = i + 1 < r->nr ? mp_unwind_at(r->row[i + 1]) : t->end - t->base;

		t->bytes[mp_unwind_kind(mp_unwind_rule(r->row[i]))] +=
			next - mp_unwind_at(r->row[i]);
	}
}

static int write_entries(struct mp_unwind_table *t, const struct rows *r)
{
	uint64_t n_index = (t->end - t->base + MP_UNWIND_BUCKET - 1) >> MP_UNWIND_BUCKET_SHIFT;
	size_t first = 0, end = 0;

	if (n_index + r->nr > MP_UNWIND_ENTRIES_MAX)
		return -EFBIG;
	t->entries = calloc(n_index + r->nr, sizeof(*t->entries));
	if (!t->entries)
		return -ENOMEM;
	t->n_index = n_index;
	t->n_rows = r->nr;
	for (uint64_t i = 0; i < n_index; i++) {
		while (first + 1 < r->nr &&
		       mp_unwind_at(r->row[first + 1]) <= i << MP_UNWIND_BUCKET_SHIFT)
			first++;
		while (end < r->nr && mp_unwind_at(r->row[end]) < (i + 1) << MP_UNWIND_BUCKET_SHIFT)
			end++;
		t->entries[i] = MP_UNWIND_INDEX(first, end);
	}
	memcpy(t->entries + n_index, r->row, r->nr * sizeof(*r->row));
	return 0;
}

static int fill(struct mp_unwind_table *t, Elf *elf)
{
	struct rows r = { .t = t };
	struct mp_frames f;
	int err;

	err = mp_frames_read(&f, elf);
	if (err)
		return err;
	t->n_unreadable = f.nr_unreadable;
	add_functions(&r, &f);
	err = r.err;
	if (!err && !r.nr)
		err = -ENODATA;
	if (!err)
		err = write_entries(t, &r);
	if (!err)
		count_bytes(t, &r);
	free(r.row);
	mp_frames_clear(&f);
	return err;
}

int mp_unwind_table__build(Elf *elf, struct mp_unwind_table *out, struct mp_err *err)
{
	GElf_Ehdr eh;
	int error;

	memset(out, 0, sizeof(*out));
	error = is_program(elf, &eh) ? find_span(elf, out) : -ENOEXEC;
	if (!error)
		error = fill(out, elf);
	if (!error)
		return 0;
	mp_unwind_table__clear(out);
	switch (error) {
	case -ENOEXEC:
		return mp_fail(err, MP_EXIT_FAILED, ENOEXEC, "not an x86-64 program or library");
	case -ENODATA:
		return mp_fail(err, MP_EXIT_FAILED, ENODATA, "no unwind information (.eh_frame)");
	case -EFBIG:
		return mp_fail(err, MP_EXIT_FAILED, EFBIG, "too large for an unwind table");
	default:
		return mp_fail(err, MP_EXIT_FAILED, -error, "unwind table: %s", strerror(-error));
	}
}

void mp_unwind_table__clear(struct mp_unwind_table *t)
{
	free(t->entries);
	memset(t, 0, sizeof(*t));
}

uint32_t mp_unwind_table__find(const struct mp_unwind_table *t, uint64_t pc)
{
	const uint64_t *rows = t->entries + t->n_index;
	uint32_t at, first, nr;
	uint64_t index;

	if (pc < t->base || pc >= t->end)
		return MP_UNWIND_RULE(MP_UNWIND_NONE, 0, 0);
	at = pc - t->base;
	index = t->entries[at >> MP_UNWIND_BUCKET_SHIFT];
	first = mp_unwind_first(index);
	nr = mp_unwind_end(index) - first;
	for (unsigned int i = 0; i < MP_UNWIND_STEPS && nr > 1; i++) {
		uint32_t half = nr / 2;

		if (mp_unwind_at(rows[first + half]) <= at) {
			first += half;
			nr -= half;
		} else {
			nr = half;
		}
	}
	return mp_unwind_rule(rows[first]);
}
