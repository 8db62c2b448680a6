/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An object's .eh_frame compiled into what the BPF programs search: the array that bpf/unwind.h
 * describes. Addresses are the ELF file's own (p_vaddr), before any load bias.
 */
#ifndef MP_COLLECT_UNWIND_TABLE_H
#define MP_COLLECT_UNWIND_TABLE_H

#include <libelf.h>
#include <stdint.h>

#include "../bpf/unwind.h"
#include "base/err.h"

/* Entries a table has at most: 128 MiB. The largest programs have a quarter of it. */
#define MP_UNWIND_ENTRIES_MAX (1U << 24)

struct mp_unwind_table {
	/*
	 * [base, end): from the page of the lowest executable segment to the end of the last
	 * function; elsewhere the answer is MP_UNWIND_NONE.
	 */
	uint64_t base, end;
	uint32_t n_index, n_rows;
	uint64_t *entries; /* n_index + n_rows, in one piece, to be stored as they are */
	uint64_t bytes[MP_UNWIND_KINDS]; /* of [base, end), by enum mp_unwind_kind */
	uint32_t n_functions;            /* .eh_frame entries that rows come from */
	uint32_t n_unreadable;           /* and those left out, because they make no sense */
};

/*
 * Compiles @elf: a file opened with ELF_C_READ (never _MMAP: a file cut short would raise SIGBUS),
 * or an image as the vdso is mapped, by elf_memory(). Takes time and memory in proportion to
 * .eh_frame. On success @out is to be cleared; on failure it is as cleared.
 * -ENOEXEC: no x86-64 program or library; -ENODATA: no .eh_frame, or nothing in it that is
 * executable; -EFBIG: beyond MP_UNWIND_ENTRIES_MAX or 4 GiB of addresses; -ENOMEM.
 */
int mp_unwind_table__build(Elf *elf, struct mp_unwind_table *out, struct mp_err *err);
/* Frees what @t holds; harmless if it is zeroed. */
void mp_unwind_table__clear(struct mp_unwind_table *t);
/*
 * The rule (bpf/unwind.h) at ELF address @pc, found as the BPF programs find it. For a return
 * address, ask for the byte before it.
 */
uint32_t mp_unwind_table__find(const struct mp_unwind_table *t, uint64_t pc);

#endif
