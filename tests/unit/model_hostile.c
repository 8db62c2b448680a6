// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events whose fields are anything the decoder lets through: the model may count nonsense, but it
 * may not crash, use memory without bound, or contradict itself.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/inside.h"
#include "trace/trace.h"

#define WORLDS       12
#define WORLDS_SLOW  5 /* sanitized, where each takes twenty times as long, unless FULL is set */
#define WORLD_EVENTS 20000

static uint64_t seed = 1;

static uint64_t draw(uint64_t below)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15ULL; /* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z ^ z >> 31) % below;
}

/* Mostly values that mean something somewhere, so that events meet. */
static uint64_t word(void)
{
	static const uint64_t odd[] = { 0,
					1,
					2,
					4095,
					4096,
					1ULL << 21,
					1ULL << 32,
					(1ULL << 47) - 4096,
					(1ULL << 57) - 4096,
					1ULL << 57,
					1ULL << 63,
					UINT64_MAX - 4095,
					UINT64_MAX };

	switch (draw(6)) {
	case 0:
		return odd[draw(sizeof(odd) / sizeof(*odd))];
	case 1:
		return draw(UINT64_MAX);
	case 2:
		return draw(64);
	case 3:
		return draw(1 << 16) << MP_PAGE_SHIFT;
	}
	return 0x7f0000000000 + draw(1 << 12) * (draw(2) ? 16 : 4096);
}

static void fill(uint64_t *words, size_t nr)
{
	while (nr--)
		words[nr] = draw(3) ? word() : 0;
}

static bool make(uint64_t *words, size_t nr, uint64_t ns)
{
	static const uint16_t types[] = { 1,  2,  3,  4,  5,  6,  7,  8,  9, 13,
					  13, 32, 34, 35, 36, 37, 38, 39, 40 };
	static const uint16_t lives[] = { 10, 11, 12, 33, 99 };
	struct mp_ev *ev = (struct mp_ev *)words;

	fill(words, nr);
	*ev = (struct mp_ev){
		.type = draw(60) ? types[draw(sizeof(types) / sizeof(*types))]
				 : lives[draw(sizeof(lives) / sizeof(*lives))],
		.size = (4 + draw(nr - 3)) * 8,
		.ts_ns = draw(8) ? ns : word(),
		.tgid = draw(6),
		.tid = draw(20),
	};
	if (ev->type == MP_EV_PAGES && draw(2)) {
		struct mp_ev_pages *pages = (struct mp_ev_pages *)ev;

		pages->addr = 0x7f0000000000 + draw(1 << 12) * 4096;
		pages->nr = draw(600);
		pages->source = 1 + draw(6);
		pages->contig = 1;
		pages->order = draw(11);
	}
	if (ev->type == MP_EV_STACK && draw(4)) {
		struct mp_ev_stack *stack = (struct mp_ev_stack *)ev;

		ev->size = sizeof(*stack);
		stack->id = draw(64);
		stack->prev = draw(3) ? draw(64) : 0;
		stack->nr = draw(8);
		stack->end = stack->prev && draw(8) ? 0 : draw(10);
	}
	if (ev->type == MP_EV_RANGE)
		((struct mp_ev_range *)ev)->op = draw(12);
	return mp_decode(ev, ev->size) == ev->size;
}

static void run_world(void)
{
	struct mp_model *m = mp_model__new();
	uint64_t words[80], i, ns = 1 << 20;
	size_t limit = 500000ULL << draw(9);
	struct mp_report *r;
	const char *wrong;
	int err = 0;

	if (draw(2))
		assert_int_equal(mp_model__keep_history(m, 1 + draw(3000)), 0);
	assert_non_null(m);
	mp_model__limit(m, limit);
	for (i = 0; i < WORLD_EVENTS && !err; i++)
		if (make(words, sizeof(words) / sizeof(*words), ns += draw(1 << 20)))
			err = mp_model__apply(m, (struct mp_ev *)words);
	assert_true(!err || err == -12);
	assert_true(m->mem.used <= limit + 4096);
	wrong = err ? NULL : mp_model_check(m); /* without memory an event may be applied in part */
	if (wrong)
		fail_msg("%s", wrong);
	r = mp_model__report(m, MP_REPORT_PAGES | MP_REPORT_BLOCKS);
	assert_non_null(r);
	mp_report__free(r);
	mp_model__free(m);
}

static void nonsense_is_survived(void **state)
{
	int i, worlds = WORLDS;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	if (!getenv("FULL") || !*getenv("FULL"))
		worlds = WORLDS_SLOW;
#endif
	for (i = 0; i < worlds; i++)
		run_world();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nonsense_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
