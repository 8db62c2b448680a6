/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One step up the stack, in numbers: as libdw's expressions compute it and as a rule of bpf/unwind.h
 * says, from the same registers and from a memory in which every address holds another value.
 */
#ifndef UNWIND_LIBDW_H
#define UNWIND_LIBDW_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

#define UNWIND_REGS 17 /* DWARF numbers; 16 is rip */
#define UNWIND_RBP  6
#define UNWIND_RSP  7
#define UNWIND_RIP  16

enum unwind_answer {
	UNWIND_NO_FUNCTION, /* no entry covers the address */
	UNWIND_BROKEN,      /* there is an entry, libdw does not understand it */
	UNWIND_OUTERMOST,
	UNWIND_CALLER,
};

struct unwind_step {
	enum unwind_answer answer;
	uint64_t cfa, rip, rbp, rsp; /* of CALLER */
	bool rbp_known, signal;
};

void unwind_registers(uint64_t seed, uint64_t pc, uint64_t regs[UNWIND_REGS]);
uint64_t unwind_memory(uint64_t address);

struct unwind_step unwind_by_libdw(Dwarf_CFI *cfi, const uint64_t regs[UNWIND_REGS]);
/* NONE and UNSUPPORTED: answer NO_FUNCTION and BROKEN. */
struct unwind_step unwind_by_rule(uint32_t rule, const uint64_t regs[UNWIND_REGS]);
/* True if any rule at all could say this step. */
bool unwind_has_rule(const struct unwind_step *s, const uint64_t regs[UNWIND_REGS]);

#endif
