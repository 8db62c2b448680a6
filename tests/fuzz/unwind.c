// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Any bytes compiled into an unwind table. By the first of them the rest is a whole object, the
 * .eh_frame of one with section headers, or what PT_GNU_EH_FRAME leads to in one without.
 */
#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collect/unwind_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT   0x1000 /* where the wrapper's parts lie, in the file and in memory */
#define HDR    0x4000
#define FRAMES 0x4010
#define NAMES  "\0.eh_frame\0.shstrtab"

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_table(const struct mp_unwind_table *t)
{
	const uint64_t *rows = t->entries + t->n_index, span = t->end - t->base;
	uint32_t first = 0, end = 0;

	must(t->end > t->base && span <= UINT32_MAX && t->n_rows);
	must((uint64_t)t->n_index + t->n_rows <= MP_UNWIND_ENTRIES_MAX);
	must(t->n_index == (span + MP_UNWIND_BUCKET - 1) / MP_UNWIND_BUCKET);
	must(!mp_unwind_at(rows[0]) && mp_unwind_at(rows[t->n_rows - 1]) < span);
	for (uint32_t i = 0; i < t->n_rows; i++) {
		must(!i || mp_unwind_at(rows[i - 1]) < mp_unwind_at(rows[i]));
		must(mp_unwind_kind(mp_unwind_rule(rows[i])) < MP_UNWIND_KINDS);
		must(mp_unwind_table__find(t, t->base + mp_unwind_at(rows[i])) ==
		     mp_unwind_rule(rows[i]));
	}
	for (uint32_t i = 0; i < t->n_index; i++) {
		while (first + 1 < t->n_rows &&
		       mp_unwind_at(rows[first + 1]) <= (uint64_t)i * MP_UNWIND_BUCKET)
			first++;
		while (end < t->n_rows &&
		       mp_unwind_at(rows[end]) < (uint64_t)(i + 1) * MP_UNWIND_BUCKET)
			end++;
		must(t->entries[i] == MP_UNWIND_INDEX(first, end) && first < end);
	}
}

static void compile(char *image, size_t size)
{
	Elf *elf = elf_memory(image, size);
	struct mp_unwind_table t;
	struct mp_err err;

	if (!mp_unwind_table__build(elf, &t, &err))
		check_table(&t);
	else
		must(!t.entries);
	mp_unwind_table__clear(&t);
	elf_end(elf);
}

static void put_headers(char *image, const uint8_t *frames, size_t size, bool sections)
{
	uint32_t to_frames = FRAMES - (HDR + 4);
	uint64_t strings = FRAMES + size, table = (strings + sizeof(NAMES) + 7) & -8ULL;
	Elf64_Ehdr eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			  .e_type = ET_DYN,
			  .e_machine = EM_X86_64,
			  .e_version = EV_CURRENT,
			  .e_ehsize = sizeof(eh),
			  .e_phoff = sizeof(eh),
			  .e_phentsize = sizeof(Elf64_Phdr),
			  .e_phnum = 3,
			  .e_shoff = sections ? table : 0,
			  .e_shentsize = sizeof(Elf64_Shdr),
			  .e_shnum = sections ? 3 : 0,
			  .e_shstrndx = sections ? 2 : 0 };
	Elf64_Phdr ph[] = { { PT_LOAD, PF_R | PF_X, TEXT, TEXT, 0, HDR - TEXT, HDR - TEXT, 1 },
			    { PT_LOAD, PF_R, HDR, HDR, 0, strings - HDR, strings - HDR, 1 },
			    { PT_GNU_EH_FRAME, PF_R, HDR, HDR, 0, 8, 8, 1 } };
	Elf64_Shdr sh[] = { { 0 },
			    { 1, SHT_PROGBITS, SHF_ALLOC, FRAMES, FRAMES, size, 0, 0, 8, 0 },
			    { 11, SHT_STRTAB, 0, 0, strings, sizeof(NAMES), 0, 0, 1, 0 } };

	memcpy(image, &eh, sizeof(eh));
	memcpy(image + sizeof(eh), ph, sizeof(ph));
	memcpy(image + HDR, "\1\x1b\xff\xff", 4); /* a pc-relative sdata4, no search table */
	memcpy(image + HDR + 4, &to_frames, sizeof(to_frames));
	memcpy(image + FRAMES, frames, size);
	memcpy(image + strings, NAMES, sizeof(NAMES));
	memcpy(image + table, sh, sizeof(sh));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t shape = size ? data[0] % 3 : 0;
	size_t whole = size + FRAMES + 1024;
	char *image;

	elf_version(EV_CURRENT);
	if (!size)
		return 0;
	data++;
	size--;
	if (!shape)
		whole = size;
	image = calloc(whole + !whole, 1);
	if (!image)
		abort();
	if (shape)
		put_headers(image, data, size, shape == 1);
	else
		memcpy(image, data, size);
	compile(image, whole);
	free(image);
	return 0;
}
