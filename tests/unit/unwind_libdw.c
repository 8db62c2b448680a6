// SPDX-License-Identifier: GPL-2.0-or-later
#include "unwind_libdw.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/unwind.h"

/* A bijection of 64-bit numbers (the last rounds of murmur3). */
uint64_t unwind_memory(uint64_t address)
{
	address ^= address >> 33;
	address *= 0xff51afd7ed558ccdULL;
	address ^= address >> 33;
	address *= 0xc4ceb9fe1a85ec53ULL;
	return address ^ address >> 33;
}

/* The address that holds @value. */
static uint64_t address_with(uint64_t value)
{
	value ^= value >> 33;
	value *= 0x9cb4b2f8129337dbULL;
	value ^= value >> 33;
	value *= 0x4f74430c22a54005ULL;
	return value ^ value >> 33;
}

void unwind_registers(uint64_t seed, uint64_t pc, uint64_t regs[UNWIND_REGS])
{
	for (int i = 0; i < UNWIND_REGS; i++)
		regs[i] = unwind_memory(seed * 100 + i + 1) & ~7ULL;
	regs[UNWIND_RIP] = pc;
}

/* --- libdw */

struct machine {
	const uint64_t *regs;
	uint64_t cfa, stack[32];
	unsigned int depth;
	bool broken, is_value;
};

static void push(struct machine *m, uint64_t value)
{
	if (m->depth == 32)
		m->broken = true;
	else
		m->stack[m->depth++] = value;
}

static uint64_t pop(struct machine *m)
{
	if (m->depth)
		return m->stack[--m->depth];
	m->broken = true;
	return 0;
}

static uint64_t reg(struct machine *m, uint64_t nr)
{
	m->broken |= nr >= UNWIND_REGS;
	return nr < UNWIND_REGS ? m->regs[nr] : 0;
}

static void binary(struct machine *m, int atom)
{
	uint64_t b = pop(m), a = pop(m);

	switch (atom) {
	case DW_OP_and:
		return push(m, a & b);
	case DW_OP_plus:
		return push(m, a + b);
	case DW_OP_minus:
		return push(m, a - b);
	case DW_OP_mul:
		return push(m, a * b);
	case DW_OP_ge:
		return push(m, (int64_t)a >= (int64_t)b);
	case DW_OP_shl:
		return push(m, b < 64 ? a << b : 0);
	default:
		m->broken = true;
	}
}

static void operation(struct machine *m, const Dwarf_Op *op)
{
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31)
		return push(m, reg(m, op->atom - DW_OP_breg0) + op->number);
	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
		return push(m, op->atom - DW_OP_lit0);
	switch (op->atom) {
	case DW_OP_bregx:
		return push(m, reg(m, op->number) + op->number2);
	case DW_OP_regx:
		m->is_value = true;
		return push(m, reg(m, op->number));
	case DW_OP_call_frame_cfa:
		return push(m, m->cfa);
	case DW_OP_plus_uconst:
		return push(m, pop(m) + op->number);
	case DW_OP_deref:
		return push(m, unwind_memory(pop(m)));
	case DW_OP_stack_value:
		m->is_value = true;
		return;
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_const2u:
	case DW_OP_const2s:
	case DW_OP_const4u:
	case DW_OP_const4s:
	case DW_OP_const8u:
	case DW_OP_const8s:
	case DW_OP_constu:
	case DW_OP_consts:
		return push(m, op->number);
	default:
		return binary(m, op->atom);
	}
}

static bool evaluate(struct machine *m, const Dwarf_Op *ops, size_t nr, uint64_t *value)
{
	m->depth = 0;
	m->is_value = m->broken = false;
	for (size_t i = 0; i < nr && !m->broken; i++)
		operation(m, &ops[i]);
	*value = pop(m);
	return !m->broken;
}

/* What the caller has in register @nr; false: lost, or not understood (*@broken). */
static bool caller_has(struct machine *m, Dwarf_Frame *frame, int nr, uint64_t *value, bool *broken)
{
	Dwarf_Op mem[3], *ops;
	size_t nr_ops;

	if (dwarf_frame_register(frame, nr, mem, &ops, &nr_ops)) {
		*broken = true;
		return false;
	}
	if (!nr_ops) { /* the same value, or undefined: told apart by the pointer */
		*value = m->regs[nr];
		return !ops;
	}
	if (!evaluate(m, ops, nr_ops, value)) {
		*broken = true;
		return false;
	}
	if (!m->is_value)
		*value = unwind_memory(*value);
	return true;
}

static void step_frame(struct unwind_step *s, struct machine *m, Dwarf_Frame *frame)
{
	bool broken = false, known;
	Dwarf_Op *ops;
	size_t nr;

	if (dwarf_frame_info(frame, NULL, NULL, &s->signal) < 0 ||
	    dwarf_frame_cfa(frame, &ops, &nr) || !nr || !evaluate(m, ops, nr, &m->cfa))
		broken = true;
	s->cfa = m->cfa;
	known = caller_has(m, frame, UNWIND_RIP, &s->rip, &broken);
	if (!known && !broken)
		s->answer = UNWIND_OUTERMOST;
	s->rbp_known = caller_has(m, frame, UNWIND_RBP, &s->rbp, &broken);
	if (s->answer == UNWIND_OUTERMOST)
		return;
	if (!caller_has(m, frame, UNWIND_RSP, &s->rsp, &broken))
		broken = true;
	s->answer = broken ? UNWIND_BROKEN : UNWIND_CALLER;
}

struct unwind_step unwind_by_libdw(Dwarf_CFI *cfi, const uint64_t regs[UNWIND_REGS])
{
	struct unwind_step s = { .answer = UNWIND_BROKEN };
	struct machine m = { .regs = regs };
	static int no_match;
	Dwarf_Frame *frame;

	if (dwarf_cfi_addrframe(cfi, regs[UNWIND_RIP], &frame)) {
		int error = dwarf_errno();

		/* libdw's numbers are its own: the one whose text says so */
		if (!no_match && !strcmp(dwarf_errmsg(error), "no matching address range"))
			no_match = error;
		if (no_match && error == no_match)
			s.answer = UNWIND_NO_FUNCTION;
		return s;
	}
	step_frame(&s, &m, frame);
	free(frame);
	return s;
}

/* --- a rule */

struct unwind_step unwind_by_rule(uint32_t rule, const uint64_t regs[UNWIND_REGS])
{
	struct unwind_step s = { .answer = UNWIND_CALLER, .rbp_known = true };
	uint64_t rsp = regs[UNWIND_RSP], rbp = regs[UNWIND_RBP];

	switch (mp_unwind_kind(rule)) {
	case MP_UNWIND_NONE:
		s.answer = UNWIND_NO_FUNCTION;
		return s;
	case MP_UNWIND_END:
		s.answer = UNWIND_OUTERMOST;
		return s;
	case MP_UNWIND_RSP:
		s.cfa = rsp + mp_unwind_offset(rule);
		break;
	case MP_UNWIND_RBP:
		s.cfa = rbp + mp_unwind_offset(rule);
		break;
	case MP_UNWIND_DEREF:
		s.cfa = unwind_memory(rbp + mp_unwind_offset(rule));
		break;
	case MP_UNWIND_SAVED:
		s.cfa = unwind_memory(rsp + mp_unwind_offset(rule)) + 8;
		break;
	case MP_UNWIND_PLT:
		s.cfa = rsp + 8 + 8 * ((regs[UNWIND_RIP] & 15) >= mp_unwind_words(rule));
		break;
	case MP_UNWIND_SIGNAL:
		s.signal = true;
		s.rip = unwind_memory(rsp + MP_UNWIND_SIGNAL_RIP);
		s.rbp = unwind_memory(rsp + MP_UNWIND_SIGNAL_RBP);
		s.rsp = s.cfa = unwind_memory(rsp + MP_UNWIND_SIGNAL_RSP);
		return s;
	default:
		s.answer = UNWIND_BROKEN;
		return s;
	}
	s.rip = unwind_memory(s.cfa - 8);
	s.rsp = s.cfa;
	s.rbp = rbp;
	if (mp_unwind_rbp(rule))
		s.rbp = unwind_memory((mp_unwind_kind(rule) == MP_UNWIND_DEREF ? rbp : s.cfa) +
				      mp_unwind_rbp_offset(rule));
	return s;
}

static bool same_step(const struct unwind_step *s, uint32_t rule, const uint64_t *regs)
{
	struct unwind_step r = unwind_by_rule(rule, regs);

	return s->cfa == r.cfa && s->rip == r.rip && s->rbp == r.rbp && s->rsp == r.rsp;
}

/* Any rbp field that goes with kind @kind and an offset of @bytes; @least words at least. */
static bool rule_with(const struct unwind_step *s, const uint64_t *regs, enum mp_unwind_kind kind,
		      int64_t bytes, int64_t least)
{
	int64_t words = bytes / 8 - least;

	if (bytes % 8 || words < 0 || words > MP_UNWIND_WORDS_MAX)
		return false;
	for (uint32_t rbp = 0; rbp <= MP_UNWIND_RBP_MAX; rbp++)
		if (same_step(s, MP_UNWIND_RULE(kind, words, rbp), regs))
			return true;
	return false;
}

bool unwind_has_rule(const struct unwind_step *s, const uint64_t regs[UNWIND_REGS])
{
	uint64_t rsp = regs[UNWIND_RSP], rbp = regs[UNWIND_RBP];

	if (s->answer == UNWIND_OUTERMOST)
		return true;
	if (s->answer != UNWIND_CALLER || !s->rbp_known)
		return false;
	if (s->signal)
		return same_step(s, MP_UNWIND_RULE(MP_UNWIND_SIGNAL, 0, 0), regs);
	return rule_with(s, regs, MP_UNWIND_RSP, s->cfa - rsp, 0) ||
	       rule_with(s, regs, MP_UNWIND_RBP, s->cfa - rbp, 0) ||
	       rule_with(s, regs, MP_UNWIND_DEREF, address_with(s->cfa) - rbp,
			 -MP_UNWIND_WORDS_BIAS) ||
	       rule_with(s, regs, MP_UNWIND_SAVED, address_with(s->cfa - 8) - rsp,
			 -MP_UNWIND_WORDS_BIAS);
}
