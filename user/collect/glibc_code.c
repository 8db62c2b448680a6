// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/glibc_code.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* malloc has some 700 bytes in every version, with all that is inlined. */
#define MAX_CODE  8192
#define MAX_PATHS 256
/* Code read behind a jump out of the function, whose end is not known. */
#define UNSIZED_CODE 1024

enum known {
	KNOWN_NOTHING = 0,
	KNOWN_SLOT,   /* loaded from ELF address @value */
	KNOWN_NUMBER, /* the constant @value */
	KNOWN_TLS,    /* the content of tls[@value] */
	KNOWN_PLUS,   /* some index plus @value */
};

struct reg {
	uint8_t known;
	int64_t value;
};

struct state {
	struct reg regs[16];
};

struct path { /* code still to be followed */
	uint32_t at;
	struct state state;
};

struct follow {
	ZydisDecoder decoder;
	uint64_t value; /* ELF address of code[0] */
	const uint8_t *code;
	size_t len;
	uint8_t *seen;
	struct path *paths;
	size_t nr_paths;
	struct mp_glibc_code *out;
};

struct insn {
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
};

static int reg_index(ZydisRegister r)
{
	ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, r);

	if (full < ZYDIS_REGISTER_RAX || full > ZYDIS_REGISTER_R15)
		return -1;
	return (int)(full - ZYDIS_REGISTER_RAX);
}

static const struct reg *known_reg(const struct state *s, ZydisRegister r)
{
	static const struct reg nothing;
	int i = reg_index(r);

	return i < 0 ? &nothing : &s->regs[i];
}

static bool is_rip_relative(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.base == ZYDIS_REGISTER_RIP &&
	       op->mem.type == ZYDIS_MEMOP_TYPE_MEM;
}

/* ELF address of a rip-relative operand of the instruction at @at. */
static uint64_t rip_target(const struct follow *f, uint32_t at, const struct insn *i,
			   const ZydisDecodedOperand *op)
{
	return f->value + at + i->zi.length + (uint64_t)op->mem.disp.value;
}

static int add_tls(struct mp_glibc_code *out, bool is_slot, int64_t value)
{
	size_t n;

	for (n = 0; n < out->nr_tls; n++)
		if (out->tls[n].is_slot == is_slot && out->tls[n].value == value)
			return (int)n;
	if (n >= MP_CODE_TLS)
		return -1;
	out->tls[n] = (struct mp_code_tls){ is_slot, value };
	out->nr_tls++;
	return (int)n;
}

static void add_unique(uint64_t *list, size_t *nr, size_t max, uint64_t value)
{
	for (size_t n = 0; n < *nr; n++)
		if (list[n] == value)
			return;
	if (*nr < max)
		list[(*nr)++] = value;
}

/* The thread-local word that memory operand @op is; -1: none that can be named. */
static int find_tls(struct follow *f, const struct state *s, const ZydisDecodedOperand *op)
{
	const struct reg *base = known_reg(s, op->mem.base);

	if (op->mem.segment != ZYDIS_REGISTER_FS || op->mem.index != ZYDIS_REGISTER_NONE)
		return -1;
	/* what lies above the thread pointer is no variable but the thread's control block */
	if (op->mem.base == ZYDIS_REGISTER_NONE)
		return op->mem.disp.value < 0 ? add_tls(f->out, false, op->mem.disp.value) : -1;
	if (op->mem.disp.value)
		return -1;
	if (base->known == KNOWN_SLOT)
		return add_tls(f->out, true, base->value);
	if (base->known == KNOWN_NUMBER && base->value < 0)
		return add_tls(f->out, false, base->value);
	return -1;
}

/* An element of an array in what tls[0] points to. */
static void note_array(struct follow *f, const struct state *s, const ZydisDecodedOperand *op)
{
	const struct reg *base = known_reg(s, op->mem.base);
	const struct reg *index = known_reg(s, op->mem.index);
	int64_t at = op->mem.disp.value;

	if (base->known != KNOWN_TLS || base->value != 0)
		return;
	if (index->known == KNOWN_PLUS)
		at += index->value * op->mem.scale;
	if (at < 0 || at > UINT16_MAX)
		return;
	if (op->mem.scale == 2 && op->size == 16 && f->out->counts < 0)
		f->out->counts = (int32_t)at;
	if (op->mem.scale == 8 && op->size == 64 && f->out->entries < 0)
		f->out->entries = (int32_t)at;
}

static void note_operands(struct follow *f, const struct state *s, uint32_t at,
			  const struct insn *i)
{
	for (unsigned int n = 0; n < i->zi.operand_count_visible; n++) {
		const ZydisDecodedOperand *op = &i->ops[n];

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY ||
		    !(op->actions & ZYDIS_OPERAND_ACTION_MASK_READ))
			continue;
		if (is_rip_relative(op) && op->size == 64)
			add_unique(f->out->vars, &f->out->nr_vars, MP_CODE_VARS,
				   rip_target(f, at, i, op));
		note_array(f, s, op);
	}
}

/* What the destination of the instruction will hold; only moves and simple sums are followed. */
static struct reg moved(struct follow *f, const struct state *s, uint32_t at, const struct insn *i)
{
	struct reg r = { KNOWN_NOTHING, 0 };
	const ZydisDecodedOperand *from = &i->ops[1];
	int tls;

	if (i->zi.mnemonic == ZYDIS_MNEMONIC_LEA) {
		if (from->mem.index == ZYDIS_REGISTER_NONE &&
		    from->mem.base != ZYDIS_REGISTER_RIP && from->mem.base != ZYDIS_REGISTER_RSP)
			r = (struct reg){ KNOWN_PLUS, from->mem.disp.value };
		return r;
	}
	if (i->zi.mnemonic != ZYDIS_MNEMONIC_MOV)
		return r;
	if (from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return (struct reg){ KNOWN_NUMBER, from->imm.value.s };
	if (from->type == ZYDIS_OPERAND_TYPE_REGISTER && from->size == 64)
		return *known_reg(s, from->reg.value);
	if (from->type != ZYDIS_OPERAND_TYPE_MEMORY || from->size != 64)
		return r;
	if (is_rip_relative(from))
		return (struct reg){ KNOWN_SLOT, (int64_t)rip_target(f, at, i, from) };
	tls = find_tls(f, s, from);
	return tls < 0 ? r : (struct reg){ KNOWN_TLS, tls };
}

static void forget_call(struct state *s)
{
	/* rax rcx rdx rsi rdi r8..r11 belong to the callee (x86-64 psABI), in encoding order */
	static const uint8_t lost[] = { 0, 1, 2, 6, 7, 8, 9, 10, 11 };

	for (size_t n = 0; n < sizeof(lost); n++)
		s->regs[lost[n]].known = KNOWN_NOTHING;
}

static void step(struct follow *f, struct state *s, uint32_t at, const struct insn *i)
{
	struct reg r = moved(f, s, at, i);

	note_operands(f, s, at, i);
	if (i->zi.mnemonic == ZYDIS_MNEMONIC_SHR &&
	    i->ops[1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE && i->ops[1].imm.value.u == 12)
		f->out->shifts_12 = true;
	if (i->zi.meta.category == ZYDIS_CATEGORY_CALL)
		forget_call(s);
	for (unsigned int n = 0; n < i->zi.operand_count; n++) {
		const ZydisDecodedOperand *op = &i->ops[n];
		int index;

		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		index = reg_index(op->reg.value);
		if (index < 0)
			continue;
		s->regs[index] = n ? (struct reg){ KNOWN_NOTHING, 0 } : r;
	}
}

/* Follows a branch to ELF address @to, or tells that the function is left by it. */
static void branch(struct follow *f, const struct state *s, uint64_t to)
{
	if (to - f->value >= f->len) {
		add_unique(f->out->jumps, &f->out->nr_jumps, MP_CODE_JUMP, to);
		return;
	}
	if (f->seen[to - f->value] || f->nr_paths >= MAX_PATHS)
		return;
	f->paths[f->nr_paths].at = (uint32_t)(to - f->value);
	f->paths[f->nr_paths++].state = *s;
}

/* False: the path ends here. */
static bool go_on(struct follow *f, const struct state *s, uint32_t at, const struct insn *i)
{
	const ZydisDecodedOperand *op = &i->ops[0];
	bool relative = op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE && op->imm.is_relative;
	uint64_t to = f->value + at + i->zi.length + (uint64_t)op->imm.value.s;

	if ((i->zi.meta.category == ZYDIS_CATEGORY_CALL ||
	     i->zi.meta.category == ZYDIS_CATEGORY_UNCOND_BR) &&
	    !relative)
		f->out->calls_pointer = true;
	switch (i->zi.meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		if (relative)
			branch(f, s, to);
		return true;
	case ZYDIS_CATEGORY_UNCOND_BR:
		if (relative)
			branch(f, s, to);
		return false;
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_INTERRUPT:
		return false;
	default:
		return i->zi.mnemonic != ZYDIS_MNEMONIC_UD2 && i->zi.mnemonic != ZYDIS_MNEMONIC_HLT;
	}
}

static void follow_path(struct follow *f, struct path *p)
{
	while (p->at < f->len && !f->seen[p->at]) {
		uint32_t at = p->at;
		struct insn i;

		f->seen[at] = 1;
		if (ZYAN_FAILED(ZydisDecoderDecodeFull(&f->decoder, f->code + at, f->len - at,
						       &i.zi, i.ops)))
			return;
		step(f, &p->state, at, &i);
		if (!go_on(f, &p->state, at, &i))
			return;
		p->at = at + i.zi.length;
	}
}

static int follow_all(struct follow *f)
{
	struct path p = { 0 };

	if (ZYAN_FAILED(ZydisDecoderInit(&f->decoder, ZYDIS_MACHINE_MODE_LONG_64,
					 ZYDIS_STACK_WIDTH_64)))
		return -ENOENT;
	f->paths = calloc(MAX_PATHS, sizeof(*f->paths));
	f->seen = calloc(f->len, 1);
	if (!f->paths || !f->seen)
		return -ENOMEM;
	follow_path(f, &p);
	/* in the order they were come by: what is loaded on the likely paths comes first */
	for (size_t n = 0; n < f->nr_paths; n++) {
		p = f->paths[n];
		follow_path(f, &p);
	}
	return 0;
}

void mp_glibc_code_init(struct mp_glibc_code *out)
{
	memset(out, 0, sizeof(*out));
	out->counts = -1;
	out->entries = -1;
}

int mp_glibc_code_add(const struct mp_elf *e, uint64_t value, uint64_t size,
		      struct mp_glibc_code *out)
{
	struct follow f = { .value = value, .out = out };
	uint64_t offset, avail;
	uint8_t *code;
	int err;

	if (!size)
		size = UNSIZED_CODE;
	if (size > MAX_CODE)
		size = MAX_CODE;
	if (mp_elf__offset(e, value, PF_X, &offset, &avail))
		return -ENOENT;
	code = malloc(MAX_CODE);
	if (!code)
		return -ENOMEM;
	f.code = code;
	f.len = mp_elf__read(e, offset, code, size < avail ? size : avail);
	err = f.len ? follow_all(&f) : -ENOENT;
	free(f.paths);
	free(f.seen);
	free(code);
	return err;
}
