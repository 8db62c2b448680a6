/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the call frame instructions of one function (DWARF 5 section 6.4, as .eh_frame has them)
 * and gives the rule of each stretch of it. Only the CFA, rbp, rsp and the return address are
 * followed. The bytes are hostile: every read is bounded, a program that makes no sense ends in
 * MP_UNWIND_UNSUPPORTED from where it stopped making sense.
 */
#ifndef MP_COLLECT_UNWIND_CFA_H
#define MP_COLLECT_UNWIND_CFA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes being read; after a read beyond the end @bad is set and every read gives 0. */
struct mp_cursor {
	const uint8_t *p, *end;
	bool bad;
};
uint64_t mp_cursor_fixed(struct mp_cursor *c, unsigned int bytes); /* little-endian */
uint64_t mp_cursor_uleb(struct mp_cursor *c);
int64_t mp_cursor_sleb(struct mp_cursor *c);
/*
 * A pointer in DW_EH_PE_* @encoding; @address is the ELF address of the next byte, @hdr that of
 * .eh_frame_hdr (for DW_EH_PE_datarel). Encodings that need memory or another base are bad.
 */
uint64_t mp_cursor_pointer(struct mp_cursor *c, uint8_t encoding, uint64_t address, uint64_t hdr);

enum mp_cfa_how {
	MP_CFA_UNSET,
	MP_CFA_REGISTER,  /* register + offset */
	MP_CFA_DEREF_RBP, /* *(rbp + offset) */
	MP_CFA_SAVED_RSP, /* *(rsp + offset) + 8 */
	MP_CFA_PLT,       /* offset: the least (pc & 15) with a second word on the stack */
	MP_CFA_OTHER,
};

enum mp_cfa_where {
	MP_CFA_SAME, /* the caller's value is still in the register */
	MP_CFA_AT_CFA,
	MP_CFA_IS_CFA, /* it is CFA + offset, nothing was saved */
	MP_CFA_AT_RBP,
	MP_CFA_AT_RSP,
	MP_CFA_UNDEFINED,
	MP_CFA_ELSEWHERE,
};

struct mp_cfa_saved {
	enum mp_cfa_where where;
	int64_t offset; /* bytes */
};

struct mp_cfa_state {
	enum mp_cfa_how how;
	uint64_t reg; /* DWARF number */
	int64_t offset;
	struct mp_cfa_saved rbp, rsp, rip;
};

/* What functions share: a common information entry, its instructions already run. */
struct mp_cfa_cie {
	uint64_t code_align;
	int64_t data_align;
	uint8_t encoding; /* DW_EH_PE_* of addresses */
	bool augmented;   /* functions have augmentation data ('z') */
	bool signal;      /* signal frame ('S') */
	bool usable;
	struct mp_cfa_state initial;
};

/* Runs the instructions in [p, end) into cie->initial; clears cie->usable if they are broken. */
void mp_cfa_cie_run(struct mp_cfa_cie *cie, const uint8_t *p, const uint8_t *end);

#define MP_CFA_STATES 16 /* remembered at most; compilers nest one, hand-written code two */

struct mp_cfa_run {
	const struct mp_cfa_cie *cie;
	struct mp_cursor code;
	uint64_t code_address; /* ELF address of code.p minus code.p, for DW_CFA_set_loc */
	uint64_t at, end; /* ELF addresses: what is not yet told, and where the function ends */
	struct mp_cfa_state state;
	unsigned int nr_states;
	struct mp_cfa_state states[MP_CFA_STATES];
};

/* A function at [begin, end) with instructions [p, p_end), the first of them at ELF address @at_p. */
void mp_cfa_run_start(struct mp_cfa_run *run, const struct mp_cfa_cie *cie, uint64_t begin,
		      uint64_t end, const uint8_t *p, const uint8_t *p_end, uint64_t at_p);
/* The next stretch: @rule holds from @from on. False at the function's end. */
bool mp_cfa_run_next(struct mp_cfa_run *run, uint64_t *from, uint32_t *rule);

#endif
