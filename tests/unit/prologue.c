// SPDX-License-Identifier: GPL-2.0-or-later
/* Where probes go: instruction sequences worked out by hand from the kernel's rules. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../bpf/event.h"
#include "collect/prologue.h"

#define E MP_PROBE_EMULATED
#define S MP_PROBE_STEPPED

static const struct {
	const char *what;
	const char *code; /* hexadecimal */
	unsigned int nr_args;
	uint32_t into;
	uint8_t kind;
} cases[] = {
	{ "push %rbp", "55 48 89 e5", 4, 0, E },
	{ "push %r12", "41 54 55 53", 4, 0, E },
	{ "test %rdi,%rdi; je near", "48 85 ff 0f 84 bf 00 00 00 55", 4, 3, E },
	{ "test %rdi,%rdi; je short", "48 85 ff 74 10 55", 4, 3, E },
	{ "endbr64; push %rbx", "f3 0f 1e fa 53", 4, 4, E },
	{ "endbr64; test; je", "f3 0f 1e fa 48 85 ff 74 05", 4, 7, E },
	{ "jmp rel32, a tail call", "e9 10 20 00 00", 4, 0, E },
	{ "jmp rel8", "eb 10", 4, 0, E },
	{ "bnd jmp rel32", "f2 e9 10 20 00 00", 4, 0, E },
	{ "call rel32, arguments intact", "31 c0 e8 00 01 00 00", 4, 2, E },
	{ "nop", "90 55", 4, 0, E },
	{ "xchg %ax,%ax", "66 90 55", 4, 0, E },
	{ "five byte nop", "0f 1f 44 00 00 55", 4, 0, E },
	{ "eight byte nop", "0f 1f 84 00 00 00 00 00 55", 4, 0, E },
	{ "ten byte nop is stepped, so pass it", "66 2e 0f 1f 84 00 00 00 00 00 55", 4, 10, E },
	{ "odd nop encoding is stepped", "0f 1f 45 00 55", 4, 4, E },
	{ "mov to a free register; push", "48 89 f8 55", 4, 3, E },
	{ "cmpb $0,x(%rip); je", "80 3d 71 0e 14 00 00 74 07", 4, 7, E },
	{ "mov %fs:0,%rax; push", "64 48 8b 04 25 00 00 00 00 55", 4, 9, E },
	{ "mul %rdx needs no third argument", "48 f7 e2 55", 2, 3, E },
	{ "back to the entry is the entry's matter", "48 89 f8 55 eb fa", 4, 3, E },

	{ "mul %rdx spoils the third argument", "48 f7 e2 55", 3, 0, S },
	{ "mov %rsi,%rdi", "48 89 f7 55", 1, 0, S },
	{ "the same without arguments to keep", "48 89 f7 55", 0, 3, E },
	{ "xor %edi,%edi, the low half", "31 ff 55", 1, 0, S },
	{ "mov $1,%dil, the low byte", "40 b7 01 55", 1, 0, S },
	{ "cmov into %rdi", "48 0f 45 fe 55", 1, 0, S },
	{ "xchg %rax,%rdi", "48 97 55", 1, 0, S },
	{ "rep stos moves %rdi", "f3 48 ab 55", 1, 0, S },
	{ "sub $24,%rsp", "48 83 ec 18 55", 0, 0, S },
	{ "lea -8(%rsp),%rsp", "48 8d 64 24 f8 55", 0, 0, S },
	{ "push $1", "6a 01 55", 0, 0, S },
	{ "push mem", "ff 35 00 00 00 00 55", 0, 0, S },
	{ "push with an idle REX", "40 55 55", 0, 0, S },
	{ "pop %rax", "58 50", 0, 0, S },
	{ "store under the stack", "48 89 7c 24 f8 55", 0, 0, S },
	{ "store over the return address", "48 89 3c 24 55", 0, 0, S },
	{ "jmp *%rax", "ff e0 55", 0, 0, S },
	{ "call *%rax", "ff d0 55", 0, 0, S },
	{ "jmp with an operand size prefix", "66 e9 00 00 00 00 55", 0, 0, S },
	{ "jrcxz", "e3 10 55", 0, 0, S },
	{ "ret", "c3 55", 0, 0, S },
	{ "syscall", "48 89 f8 0f 05 55", 0, 0, S },
	{ "int3", "cc 55", 0, 0, S },
	{ "ud2", "0f 0b 55", 0, 0, S },
	{ "a loop onto the spot", "48 89 f8 55 90 eb fc", 4, 0, S },
	{ "a loop before the spot", "48 89 f8 48 89 f8 55 eb fa", 4, 0, S },
	{ "the spot itself loops back", "48 89 f8 48 85 ff 74 fb", 4, 0, S },
	{ "cut within the second instruction", "48 85 ff 0f", 4, 0, S },
	{ "nothing emulated in the whole", "48 89 f8 48 01 f0", 4, 0, S },
	{ "too far in",
	  "48 89 f8 48 89 f8 48 89 f8 48 89 f8 48 89 f8 48 89 f8 48 89 f8 48 89 f8 "
	  "48 89 f8 48 89 f8 48 89 f8 48 89 f8 48 89 f8 48 89 f8 48 89 f8 48 89 f8 55",
	  4, 0, S },
};

static size_t from_hex(const char *text, uint8_t *out)
{
	size_t n = 0;
	unsigned int byte;
	int used;

	while (sscanf(text, "%2x%n", &byte, &used) == 1) {
		out[n++] = (uint8_t)byte;
		text += used;
	}
	return n;
}

static void finds_the_spot(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mp_spot spot = { 99, 99 };
		uint8_t code[128];
		size_t len = from_hex(cases[i].code, code);

		assert_true(len > 0);
		if (mp_prologue_find(code, len, cases[i].nr_args, &spot) ||
		    spot.into != cases[i].into || spot.kind != cases[i].kind)
			fail_msg("%s: got +%u kind %u", cases[i].what, spot.into, spot.kind);
	}
}

static void refuses_what_is_no_code(void **state)
{
	static const uint8_t cut[] = { 0x48 }, bad[] = { 0x06, 0x90 };
	struct mp_spot spot;

	(void)state;
	assert_int_equal(mp_prologue_find(cut, 0, 1, &spot), -EINVAL);
	assert_int_equal(mp_prologue_find(cut, sizeof(cut), 1, &spot), -EINVAL);
	assert_int_equal(mp_prologue_find(bad, sizeof(bad), 1, &spot), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_spot),
		cmocka_unit_test(refuses_what_is_no_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
