/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finds .eh_frame in an ELF object and lists the functions it describes. All of it is hostile. */
#ifndef MP_COLLECT_UNWIND_FRAMES_H
#define MP_COLLECT_UNWIND_FRAMES_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collect/unwind_cfa.h"

struct mp_frames_cie {
	uint64_t offset; /* in the section */
	struct mp_cfa_cie cie;
};

struct mp_frames_fde {
	uint64_t begin, end; /* ELF addresses */
	const uint8_t *program, *program_end;
	uint32_t cie;   /* index */
	uint32_t order; /* in the section */
};

struct mp_frames {
	const Elf_Data *data; /* the section's bytes; belong to the Elf */
	uint64_t address;     /* ELF address of its first byte */
	bool ends_at_zero;    /* data reaches beyond the section: an entry of length 0 ends it */
	struct mp_frames_cie *cies;
	size_t nr_cies, cies_room;
	struct mp_frames_fde *fdes; /* sorted by begin, then end, then order */
	size_t nr_fdes, fdes_room;
	uint32_t nr_unreadable;
};

/* 0, -ENODATA: there is no .eh_frame, -ENOMEM. Valid until @elf ends; to be cleared. */
int mp_frames_read(struct mp_frames *f, Elf *elf);
void mp_frames_clear(struct mp_frames *f);

#endif
