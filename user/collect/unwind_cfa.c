// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/unwind_cfa.h"

#include <dwarf.h>
#include <string.h>

#include "../bpf/unwind.h"

/* DWARF numbers, psABI figure 3.36 */
#define REG_RBP 6
#define REG_RSP 7
#define REG_RIP 16

/* Not in dwarf.h: obsolete forms of other compilers. */
#define CFA_MIPS_ADVANCE_LOC8 0x1d
#define CFA_GNU_OFFSET_NEG    0x2f

uint64_t mp_cursor_fixed(struct mp_cursor *c, unsigned int bytes)
{
	uint64_t value = 0;

	if (c->bad || (size_t)(c->end - c->p) < bytes) {
		c->bad = true;
		return 0;
	}
	memcpy(&value, c->p, bytes);
	c->p += bytes;
	return value;
}

/* Seven bits a byte; bits beyond 64 must only repeat the sign (@sign: all ones if negative). */
static uint64_t leb(struct mp_cursor *c, bool has_sign)
{
	uint64_t value = 0;
	unsigned int shift = 0;
	uint8_t byte;

	do {
		byte = mp_cursor_fixed(c, 1);
		if (shift < 63) {
			value |= (uint64_t)(byte & 0x7f) << shift;
		} else if (shift == 63) {
			value |= (uint64_t)byte << 63;
			if ((byte & 0x7f) > 1 && !(has_sign && (byte & 0x7f) == 0x7f))
				c->bad = true;
		} else {
			c->bad = true;
		}
		shift += 7;
	} while (!c->bad && byte & 0x80);
	if (has_sign && byte & 0x40 && shift < 64)
		value |= -1ULL << shift;
	return c->bad ? 0 : value;
}

uint64_t mp_cursor_uleb(struct mp_cursor *c)
{
	return leb(c, false);
}

int64_t mp_cursor_sleb(struct mp_cursor *c)
{
	return leb(c, true);
}

uint64_t mp_cursor_pointer(struct mp_cursor *c, uint8_t encoding, uint64_t address, uint64_t hdr)
{
	uint64_t base, value;

	switch (encoding & 0xf0) { /* what it counts from; 0x80 would be a pointer in memory */
	case DW_EH_PE_absptr:
		base = 0;
		break;
	case DW_EH_PE_pcrel:
		base = address;
		break;
	case DW_EH_PE_datarel:
		base = hdr;
		c->bad |= !hdr;
		break;
	default:
		c->bad = true;
		return 0;
	}
	switch (encoding & 0x0f) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		value = mp_cursor_fixed(c, 8);
		break;
	case DW_EH_PE_udata2:
		value = mp_cursor_fixed(c, 2);
		break;
	case DW_EH_PE_sdata2:
		value = (int16_t)mp_cursor_fixed(c, 2);
		break;
	case DW_EH_PE_udata4:
		value = mp_cursor_fixed(c, 4);
		break;
	case DW_EH_PE_sdata4:
		value = (int32_t)mp_cursor_fixed(c, 4);
		break;
	case DW_EH_PE_uleb128:
		value = mp_cursor_uleb(c);
		break;
	case DW_EH_PE_sleb128:
		value = mp_cursor_sleb(c);
		break;
	default:
		c->bad = true;
		return 0;
	}
	return c->bad ? 0 : base + value;
}

/* --- expressions: only a few shapes are known */

/* A sized block; the cursor moves beyond it. */
static struct mp_cursor block(struct mp_cursor *c)
{
	uint64_t size = mp_cursor_uleb(c);
	struct mp_cursor b = { c->p, c->p, true };

	if (c->bad || size > (size_t)(c->end - c->p)) {
		c->bad = true;
		return b;
	}
	b.end = c->p + size;
	b.bad = false;
	c->p = b.end;
	return b;
}

static void cfa_expression(struct mp_cfa_state *s, struct mp_cursor b)
{
	/* DW_OP_and, then >= with a literal, times 8, added: binutils' lazy PLT */
	static const uint8_t plt_head[] = { DW_OP_breg7,     8,        DW_OP_breg0 + REG_RIP, 0,
					    DW_OP_lit0 + 15, DW_OP_and };
	static const uint8_t plt_tail[] = { DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus };
	size_t size = b.end - b.p;
	uint8_t op;

	s->how = MP_CFA_OTHER;
	if (size == sizeof(plt_head) + 1 + sizeof(plt_tail)) {
		op = b.p[sizeof(plt_head)];
		if (!memcmp(b.p, plt_head, sizeof(plt_head)) &&
		    !memcmp(b.end - sizeof(plt_tail), plt_tail, sizeof(plt_tail)) &&
		    op >= DW_OP_lit0 && op <= DW_OP_lit0 + 15) {
			s->how = MP_CFA_PLT;
			s->offset = op - DW_OP_lit0;
			return;
		}
	}
	op = mp_cursor_fixed(&b, 1);
	s->offset = mp_cursor_sleb(&b);
	if (mp_cursor_fixed(&b, 1) != DW_OP_deref || b.bad)
		return;
	if (op == DW_OP_breg0 + REG_RBP && b.p == b.end)
		s->how = MP_CFA_DEREF_RBP;
	else if (op == DW_OP_breg0 + REG_RSP && mp_cursor_fixed(&b, 1) == DW_OP_plus_uconst &&
		 mp_cursor_uleb(&b) == 8 && !b.bad && b.p == b.end)
		s->how = MP_CFA_SAVED_RSP;
}

static struct mp_cfa_saved register_expression(struct mp_cursor b)
{
	struct mp_cfa_saved saved = { MP_CFA_ELSEWHERE, 0 };
	uint8_t op = mp_cursor_fixed(&b, 1);
	int64_t offset = mp_cursor_sleb(&b);

	if (b.bad || b.p != b.end)
		return saved;
	if (op == DW_OP_breg0 + REG_RBP)
		return (struct mp_cfa_saved){ MP_CFA_AT_RBP, offset };
	if (op == DW_OP_breg0 + REG_RSP)
		return (struct mp_cfa_saved){ MP_CFA_AT_RSP, offset };
	return saved;
}

/* --- instructions */

static struct mp_cfa_saved *saved_of(struct mp_cfa_state *s, uint64_t reg)
{
	switch (reg) {
	case REG_RBP:
		return &s->rbp;
	case REG_RSP:
		return &s->rsp;
	case REG_RIP:
		return &s->rip;
	default:
		return NULL;
	}
}

static void save(struct mp_cfa_run *run, uint64_t reg, enum mp_cfa_where where, int64_t offset)
{
	struct mp_cfa_saved *saved = saved_of(&run->state, reg);

	if (saved)
		*saved = (struct mp_cfa_saved){ where, offset };
}

static void restore(struct mp_cfa_run *run, uint64_t reg)
{
	struct mp_cfa_saved *saved = saved_of(&run->state, reg);
	struct mp_cfa_state initial = run->cie->initial;

	if (saved)
		*saved = *saved_of(&initial, reg);
}

static int64_t factored(struct mp_cfa_run *run, int64_t n)
{
	int64_t bytes = 0;

	if (__builtin_mul_overflow(n, run->cie->data_align, &bytes))
		run->code.bad = true;
	return bytes;
}

static int64_t factored_uleb(struct mp_cfa_run *run)
{
	uint64_t n = mp_cursor_uleb(&run->code);

	if (n > INT64_MAX)
		run->code.bad = true;
	return factored(run, n & INT64_MAX);
}

static void define(struct mp_cfa_run *run, uint64_t reg, int64_t offset)
{
	run->state.how = MP_CFA_REGISTER;
	run->state.reg = reg;
	run->state.offset = offset;
}

/* Changes one half of a CFA that must be a register and an offset already. */
static void redefine(struct mp_cfa_run *run, const uint64_t *reg, const int64_t *offset)
{
	if (run->state.how != MP_CFA_REGISTER)
		run->code.bad = true;
	if (reg)
		run->state.reg = *reg;
	if (offset)
		run->state.offset = *offset;
}

static void cfa_instruction(struct mp_cfa_run *run, uint8_t op)
{
	struct mp_cursor *c = &run->code;
	uint64_t reg = 0;
	int64_t offset;

	if (op == DW_CFA_def_cfa || op == DW_CFA_def_cfa_sf || op == DW_CFA_def_cfa_register)
		reg = mp_cursor_uleb(c);
	switch (op) {
	case DW_CFA_def_cfa:
		define(run, reg, mp_cursor_uleb(c));
		break;
	case DW_CFA_def_cfa_sf:
		define(run, reg, factored(run, mp_cursor_sleb(c)));
		break;
	case DW_CFA_def_cfa_register:
		redefine(run, &reg, NULL);
		break;
	case DW_CFA_def_cfa_offset:
		offset = mp_cursor_uleb(c);
		redefine(run, NULL, &offset);
		break;
	case DW_CFA_def_cfa_offset_sf:
		offset = factored(run, mp_cursor_sleb(c));
		redefine(run, NULL, &offset);
		break;
	case DW_CFA_def_cfa_expression:
		cfa_expression(&run->state, block(c));
		break;
	}
}

static void register_instruction(struct mp_cfa_run *run, uint8_t op)
{
	struct mp_cursor *c = &run->code;
	uint64_t reg = mp_cursor_uleb(c);
	int64_t offset;

	switch (op) {
	case DW_CFA_offset_extended:
		save(run, reg, MP_CFA_AT_CFA, factored_uleb(run));
		break;
	case DW_CFA_offset_extended_sf:
		save(run, reg, MP_CFA_AT_CFA, factored(run, mp_cursor_sleb(c)));
		break;
	case CFA_GNU_OFFSET_NEG:
		offset = factored_uleb(run);
		save(run, reg, MP_CFA_AT_CFA, (int64_t)(0 - (uint64_t)offset));
		break;
	case DW_CFA_val_offset:
		save(run, reg, MP_CFA_IS_CFA, factored_uleb(run));
		break;
	case DW_CFA_val_offset_sf:
		save(run, reg, MP_CFA_IS_CFA, factored(run, mp_cursor_sleb(c)));
		break;
	case DW_CFA_restore_extended:
		restore(run, reg);
		break;
	case DW_CFA_undefined:
		save(run, reg, MP_CFA_UNDEFINED, 0);
		break;
	case DW_CFA_same_value:
		save(run, reg, MP_CFA_SAME, 0);
		break;
	case DW_CFA_register:
		mp_cursor_uleb(c);
		save(run, reg, MP_CFA_ELSEWHERE, 0);
		break;
	case DW_CFA_expression: {
		struct mp_cfa_saved saved = register_expression(block(c));

		save(run, reg, saved.where, saved.offset);
		break;
	}
	case DW_CFA_val_expression:
		block(c);
		save(run, reg, MP_CFA_ELSEWHERE, 0);
		break;
	}
}

static void stack_instruction(struct mp_cfa_run *run, uint8_t op)
{
	if (op == DW_CFA_remember_state && run->nr_states < MP_CFA_STATES)
		run->states[run->nr_states++] = run->state;
	else if (op == DW_CFA_restore_state && run->nr_states)
		run->state = run->states[--run->nr_states];
	else
		run->code.bad = true;
}

static void instruction(struct mp_cfa_run *run, uint8_t op)
{
	switch (op) {
	case DW_CFA_nop:
		break;
	case DW_CFA_def_cfa:
	case DW_CFA_def_cfa_sf:
	case DW_CFA_def_cfa_register:
	case DW_CFA_def_cfa_offset:
	case DW_CFA_def_cfa_offset_sf:
	case DW_CFA_def_cfa_expression:
		cfa_instruction(run, op);
		break;
	case DW_CFA_offset_extended:
	case DW_CFA_offset_extended_sf:
	case CFA_GNU_OFFSET_NEG:
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
	case DW_CFA_restore_extended:
	case DW_CFA_undefined:
	case DW_CFA_same_value:
	case DW_CFA_register:
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		register_instruction(run, op);
		break;
	case DW_CFA_remember_state:
	case DW_CFA_restore_state:
		stack_instruction(run, op);
		break;
	case DW_CFA_GNU_args_size:
		mp_cursor_uleb(&run->code);
		break;
	default:
		run->code.bad = true;
	}
}

/* True if @op moves on, by @delta units, or to the address *@to. */
static bool advances(struct mp_cfa_run *run, uint8_t op, uint64_t *to)
{
	struct mp_cursor *c = &run->code;
	uint64_t delta;

	switch (op & 0xc0 ? op & 0xc0 : op) {
	case DW_CFA_advance_loc:
		delta = op & 0x3f;
		break;
	case DW_CFA_advance_loc1:
		delta = mp_cursor_fixed(c, 1);
		break;
	case DW_CFA_advance_loc2:
		delta = mp_cursor_fixed(c, 2);
		break;
	case DW_CFA_advance_loc4:
		delta = mp_cursor_fixed(c, 4);
		break;
	case CFA_MIPS_ADVANCE_LOC8:
		delta = mp_cursor_fixed(c, 8);
		break;
	case DW_CFA_set_loc:
		*to = mp_cursor_pointer(c, run->cie->encoding, run->code_address + (uintptr_t)c->p,
					0);
		c->bad |= *to < run->at;
		return true;
	default:
		return false;
	}
	if (__builtin_mul_overflow(delta, run->cie->code_align, &delta) ||
	    __builtin_add_overflow(run->at, delta, to))
		c->bad = true;
	return true;
}

/* Runs up to the next move; where it goes, the function's end if there is none. */
static uint64_t run_on(struct mp_cfa_run *run)
{
	uint64_t to = run->at;
	uint8_t op;

	while (!run->code.bad && run->code.p < run->code.end) {
		op = mp_cursor_fixed(&run->code, 1);
		if (advances(run, op, &to)) {
			if (to != run->at)
				return to;
		} else if ((op & 0xc0) == DW_CFA_offset) {
			save(run, op & 0x3f, MP_CFA_AT_CFA, factored_uleb(run));
		} else if ((op & 0xc0) == DW_CFA_restore) {
			restore(run, op & 0x3f);
		} else {
			instruction(run, op);
		}
	}
	return run->end;
}

/* --- a state as a rule */

static bool words(int64_t bytes, int64_t bias, int64_t max, int64_t *n)
{
	if (bytes % 8)
		return false;
	*n = bytes / 8 + bias;
	return *n >= 0 && *n <= max;
}

/* The rbp field; -1: it cannot be said. */
static int64_t rbp_field(const struct mp_cfa_state *s)
{
	int64_t n;

	switch (s->rbp.where) {
	case MP_CFA_SAME:
		return 0;
	case MP_CFA_AT_CFA:
		if (s->how != MP_CFA_DEREF_RBP && s->rbp.offset < 0 &&
		    s->rbp.offset >= -8 * MP_UNWIND_RBP_MAX &&
		    words(-s->rbp.offset, 0, MP_UNWIND_RBP_MAX, &n) && n)
			return n;
		return -1;
	case MP_CFA_AT_RBP:
		if (s->how == MP_CFA_DEREF_RBP &&
		    words(s->rbp.offset, MP_UNWIND_RBP_BIAS, MP_UNWIND_RBP_MAX, &n) && n)
			return n;
		return -1;
	default:
		return -1;
	}
}

static uint32_t rule_of(const struct mp_cfa_state *s, bool signal)
{
	const uint32_t unsupported = MP_UNWIND_RULE(MP_UNWIND_UNSUPPORTED, 0, 0);
	int64_t rbp = rbp_field(s), n;

	if (signal) /* only the kernel's own layout */
		return s->rip.where == MP_CFA_AT_RSP && s->rip.offset == MP_UNWIND_SIGNAL_RIP &&
				       s->rsp.where == MP_CFA_AT_RSP &&
				       s->rsp.offset == MP_UNWIND_SIGNAL_RSP &&
				       s->rbp.where == MP_CFA_AT_RSP &&
				       s->rbp.offset == MP_UNWIND_SIGNAL_RBP
			       ? MP_UNWIND_RULE(MP_UNWIND_SIGNAL, 0, 0)
			       : unsupported;
	if (s->rip.where == MP_CFA_UNDEFINED)
		return MP_UNWIND_RULE(MP_UNWIND_END, 0, 0);
	if (rbp < 0 || s->rip.where != MP_CFA_AT_CFA || s->rip.offset != -8 ||
	    s->rsp.where != MP_CFA_IS_CFA || s->rsp.offset)
		return unsupported;
	if (s->how == MP_CFA_PLT)
		return MP_UNWIND_RULE(MP_UNWIND_PLT, s->offset, rbp);
	if ((s->how == MP_CFA_DEREF_RBP || s->how == MP_CFA_SAVED_RSP) &&
	    words(s->offset, MP_UNWIND_WORDS_BIAS, MP_UNWIND_WORDS_MAX, &n))
		return MP_UNWIND_RULE(
			s->how == MP_CFA_SAVED_RSP ? MP_UNWIND_SAVED : MP_UNWIND_DEREF, n, rbp);
	if (s->how == MP_CFA_REGISTER && words(s->offset, 0, MP_UNWIND_WORDS_MAX, &n) &&
	    (s->reg == REG_RSP || s->reg == REG_RBP))
		return MP_UNWIND_RULE(s->reg == REG_RSP ? MP_UNWIND_RSP : MP_UNWIND_RBP, n, rbp);
	return unsupported;
}

void mp_cfa_run_start(struct mp_cfa_run *run, const struct mp_cfa_cie *cie, uint64_t begin,
		      uint64_t end, const uint8_t *p, const uint8_t *p_end, uint64_t at_p)
{
	run->cie = cie;
	run->code = (struct mp_cursor){ p, p_end, !cie->usable };
	run->code_address = at_p - (uintptr_t)p;
	run->at = begin;
	run->end = end;
	run->state = cie->initial;
	run->nr_states = 0;
}

bool mp_cfa_run_next(struct mp_cfa_run *run, uint64_t *from, uint32_t *rule)
{
	uint64_t to;

	if (run->at >= run->end)
		return false;
	*from = run->at;
	to = run_on(run);
	if (run->code.bad) {
		*rule = MP_UNWIND_RULE(MP_UNWIND_UNSUPPORTED, 0, 0);
		to = run->end;
	} else {
		*rule = rule_of(&run->state, run->cie->signal);
	}
	run->at = to;
	return true;
}

void mp_cfa_cie_run(struct mp_cfa_cie *cie, const uint8_t *p, const uint8_t *end)
{
	struct mp_cfa_run run;

	/* What holds where nothing is said: callee-saved registers are kept, rsp is the CFA. */
	cie->initial = (struct mp_cfa_state){ .rbp = { MP_CFA_SAME, 0 },
					      .rsp = { MP_CFA_IS_CFA, 0 },
					      .rip = { MP_CFA_ELSEWHERE, 0 } };
	mp_cfa_run_start(&run, cie, 0, 1, p, end, 0);
	/* a move makes no sense here */
	if (run_on(&run) != run.end || run.code.bad || run.code.p != run.code.end)
		cie->usable = false;
	else
		cie->initial = run.state;
}
