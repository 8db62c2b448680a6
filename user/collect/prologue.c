// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/prologue.h"

#include <Zydis/Zydis.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "../bpf/event.h"

/* Limits of the search: no compiler puts the first emulated instruction further in. */
#define MAX_INSTRUCTIONS 16
#define MAX_INTO         64
/* Branches back to the spot are looked for in this much of the function. */
#define MAX_BODY 65536

/* rdi, rsi, rdx, rcx: the first integer arguments of the x86-64 psABI. */
static const ZydisRegister arg_regs[] = {
	ZYDIS_REGISTER_RDI,
	ZYDIS_REGISTER_RSI,
	ZYDIS_REGISTER_RDX,
	ZYDIS_REGISTER_RCX,
};
#define NR_ARG_REGS (sizeof(arg_regs) / sizeof(arg_regs[0]))

struct insn {
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
};

static bool is_cond_jump(const uint8_t *p, size_t len)
{
	if (len == 2)
		return (p[0] & 0xf0) == 0x70;
	return len == 6 && p[0] == 0x0f && (p[1] & 0xf0) == 0x80;
}

static bool is_jump_or_call(const uint8_t *p, size_t len)
{
	if (len == 2)
		return p[0] == 0xeb;
	return len == 5 && (p[0] == 0xe9 || p[0] == 0xe8);
}

static bool is_push(const uint8_t *p, size_t len)
{
	if (len == 1)
		return (p[0] & 0xf8) == 0x50;
	return len == 2 && p[0] == 0x41 && (p[1] & 0xf8) == 0x50;
}

/* The recommended multi-byte nops, by length: only these are compared byte for byte by kernels. */
static bool is_nop(const uint8_t *p, size_t len)
{
	static const uint8_t nops[9][8] = {
		[1] = { 0x90 },
		[2] = { 0x66, 0x90 },
		[3] = { 0x0f, 0x1f, 0x00 },
		[4] = { 0x0f, 0x1f, 0x40, 0x00 },
		[5] = { 0x0f, 0x1f, 0x44, 0x00, 0x00 },
		[6] = { 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
		[7] = { 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
		[8] = { 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
	};

	return len >= 1 && len <= 8 && !memcmp(p, nops[len], len);
}

/* What arch/x86/kernel/uprobes.c emulates on every kernel since 4.17 (push since 4.18). */
static bool is_emulated(const uint8_t *p, size_t len)
{
	if (is_push(p, len) || is_nop(p, len))
		return true;
	/* bnd, and the branch hints that notrack shares: the kernel looks past one such prefix */
	if (len > 2 && (p[0] == 0xf2 || p[0] == 0x3e || p[0] == 0x2e)) {
		p++;
		len--;
	}
	return is_cond_jump(p, len) || is_jump_or_call(p, len);
}

static bool leaves(const struct insn *i)
{
	switch (i->zi.meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSTEM:
		return true;
	default:
		break;
	}
	switch (i->zi.mnemonic) {
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
		return true;
	default:
		return false;
	}
}

static bool is_kept(ZydisRegister reg, unsigned int nr_args)
{
	ZydisRegister full = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	if (full == ZYDIS_REGISTER_RSP)
		return true;
	for (unsigned int n = 0; n < nr_args; n++)
		if (full == arg_regs[n])
			return true;
	return false;
}

/* True if @i changes an argument, the stack pointer or the stack. */
static bool spoils(const struct insn *i, unsigned int nr_args)
{
	for (unsigned int n = 0; n < i->zi.operand_count; n++) {
		const ZydisDecodedOperand *op = &i->ops[n];

		if (!(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			continue;
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && is_kept(op->reg.value, nr_args))
			return true;
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.base == ZYDIS_REGISTER_RSP)
			return true;
	}
	return false;
}

static bool decode(const ZydisDecoder *d, const uint8_t *p, size_t len, struct insn *i)
{
	return ZYAN_SUCCESS(ZydisDecoderDecodeFull(d, p, len, &i->zi, i->ops));
}

/* True if a branch in @code leads to (0, @spot]: a call could then pass the spot twice. */
static bool is_branched_to(const ZydisDecoder *d, const uint8_t *code, size_t len, uint32_t spot)
{
	size_t at = 0;

	if (len > MAX_BODY)
		len = MAX_BODY;
	while (at < len) {
		ZydisDecodedInstruction zi;
		ZyanI64 target;

		if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(d, NULL, code + at, len - at, &zi))) {
			at++; /* data in the text: get in step again */
			continue;
		}
		if (zi.raw.imm[0].is_relative && zi.meta.category != ZYDIS_CATEGORY_CALL) {
			target = (ZyanI64)at + zi.length + zi.raw.imm[0].value.s;
			if (target > 0 && target <= spot)
				return true;
		}
		at += zi.length;
	}
	return false;
}

int mp_prologue_find(const uint8_t *code, size_t len, unsigned int nr_args, struct mp_spot *out)
{
	ZydisDecoder d;
	struct insn i;
	uint32_t at = 0;

	out->into = 0;
	out->kind = MP_PROBE_STEPPED;
	if (nr_args > NR_ARG_REGS)
		nr_args = NR_ARG_REGS;
	if (ZYAN_FAILED(ZydisDecoderInit(&d, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
		return -EINVAL;
	for (int n = 0; n < MAX_INSTRUCTIONS && at < MAX_INTO && at < len; n++) {
		if (!decode(&d, code + at, len - at, &i))
			return n ? 0 : -EINVAL;
		if (is_emulated(code + at, i.zi.length)) {
			if (at && is_branched_to(&d, code, len, at))
				return 0;
			out->into = at;
			out->kind = MP_PROBE_EMULATED;
			return 0;
		}
		if (leaves(&i) || spoils(&i, nr_args))
			return 0;
		at += i.zi.length;
	}
	return len ? 0 : -EINVAL;
}
