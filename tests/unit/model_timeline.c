// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory over time: bounded, and its peaks and sums are those of every event. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "model/timeline.h"
#include "model_feed.h"

#define A   0x401000
#define B   0x402000
#define MEM 0x7f0000000000ULL

static const struct mp_moment *last(void)
{
	const struct mp_proc *p = report_proc(1);

	assert_true(p->nr_moments > 0);
	return &p->moments[p->nr_moments - 1];
}

static void each_event_counts(void **state)
{
	(void)state;
	feed_begin();
	feed_mmap(1, MEM, 16 * PAGE, A, MP_FN_MALLOC);
	feed_alloc(1, MEM + 16, 1000, A);
	feed_fault(1, MEM, 10, TOUCH);
	feed_fault(1, MEM + PAGE, 11, TOUCH);
	feed_fault(1, MEM + 2 * PAGE, 3, WALKED | MP_FAULT_ZERO); /* in no Rss */
	feed_report();
	assert_int_equal(last()->live_bytes, 1000);
	assert_int_equal(last()->resident_bytes, 2 * PAGE);
	assert_true(last()->rss_bytes == MP_UNKNOWN);
	feed_free(1, MEM + 16);
	feed_munmap(1, MEM, PAGE);
	feed_report();
	assert_int_equal(last()->live_bytes, 0);
	assert_int_equal(last()->resident_bytes, PAGE);
	feed_maps(1, 77 * PAGE, 0, NULL, 0);
	feed_report();
	assert_int_equal(last()->rss_bytes, 77 * PAGE);
	feed_end();
}

static void growth_has_its_site(void **state)
{
	const struct mp_proc *p;
	uint64_t bytes = 0, n = 0, of_b = 0;
	size_t i;

	(void)state;
	feed_begin();
	feed_brk(1, 0x1000000, 0x1000000 + 33 * PAGE, A, MP_FN_MALLOC);
	feed_ns += 5000; /* a step of its own */
	feed_mmap(1, MEM, 16 * PAGE, B, MP_FN_NONE);
	feed_brk(1, 0x1000000 + 33 * PAGE, 0x1000000 + PAGE, A, MP_FN_FREE); /* not a growth */
	feed_report();
	p = report_proc(1);
	for (i = 0; i < p->nr_moments; i++) {
		bytes += p->moments[i].grown_bytes;
		n += p->moments[i].growths;
		if (p->moments[i].site == report_site(B)->id)
			of_b += p->moments[i].largest_bytes;
	}
	assert_int_equal(n, 2);
	assert_int_equal(bytes, (33 + 16) * PAGE);
	assert_int_equal(of_b, 16 * PAGE);
	feed_end();
}

/* A sum and two peaks over @events facts, of which the timeline may keep few. */
static void bounded(uint64_t events, uint64_t apart_ns)
{
	struct mp_timeline t = { 0 };
	struct mp_mem mem = { 0 };
	uint64_t live = 0, live_peak = 0, rss_peak = 0, grown = 0, seed = 1, i;
	uint64_t told_live = 0, told_rss = 0, told_grown = 0, told_growths = 0, growths = 0;

	for (i = 0; i < events; i++) {
		struct mp_timeline_fact f = { .t_ns = 5000 + i * apart_ns,
					      .rss_bytes = MP_UNKNOWN };

		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		live += (seed >> 33) % 1000;
		live -= live / 3 * (seed >> 60 == 7);
		f.live_bytes = live;
		f.resident_bytes = (seed >> 20) % 100000;
		f.grown_bytes = seed >> 61 ? 0 : 1 + (seed >> 40) % 5000;
		live_peak = live > live_peak ? live : live_peak;
		rss_peak = f.resident_bytes > rss_peak ? f.resident_bytes : rss_peak;
		grown += f.grown_bytes;
		growths += !!f.grown_bytes;
		assert_int_equal(mp_timeline__note(&t, &mem, &f), 0);
		assert_true(t.nr <= MP_MOMENTS);
	}
	for (i = 0; i < t.nr; i++) {
		const struct mp_moment *m = &t.moments[i];

		assert_true(!i || m->t_ns > t.moments[i - 1].t_ns);
		assert_true(m->live_bytes <= m->live_peak && m->resident_bytes <= m->resident_peak);
		told_live = m->live_peak > told_live ? m->live_peak : told_live;
		told_rss = m->resident_peak > told_rss ? m->resident_peak : told_rss;
		told_grown += m->grown_bytes;
		told_growths += m->growths;
	}
	assert_int_equal(t.moments[t.nr - 1].live_bytes, live);
	assert_int_equal(told_live, live_peak);
	assert_int_equal(told_rss, rss_peak);
	assert_int_equal(told_grown, grown);
	assert_int_equal(told_growths, growths);
	if (events > MP_MOMENTS)
		assert_true(t.nr >= MP_MOMENTS / 4); /* it is no coarser than it must be */
	mp_timeline__fini(&t, &mem);
	assert_int_equal(mem.used, 0);
}

static void however_long_it_is(void **state)
{
	(void)state;
	bounded(1, 1);
	bounded(MP_MOMENTS, 5000);
	bounded(MP_MOMENTS + 1, 5000);
	bounded(100000, 3000);
	bounded(100000, 1ULL << 40);
}

/* Times as no clock would tell them. */
static void odd_times_do_no_harm(void **state)
{
	static const uint64_t times[] = { 1ULL << 62, 0, UINT64_MAX, 7, UINT64_MAX - 1 };
	struct mp_timeline t = { 0 };
	struct mp_mem mem = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 5000; i++) {
		struct mp_timeline_fact f = { .t_ns = times[i % 5] + (i % 5 == 1 ? i << 40 : 0),
					      .live_bytes = i,
					      .rss_bytes = MP_UNKNOWN };

		assert_int_equal(mp_timeline__note(&t, &mem, &f), 0);
	}
	assert_true(t.nr <= MP_MOMENTS);
	assert_int_equal(t.moments[t.nr - 1].live_bytes, 4999);
	mp_timeline__fini(&t, &mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_event_counts),
		cmocka_unit_test(growth_has_its_site),
		cmocka_unit_test(however_long_it_is),
		cmocka_unit_test(odd_times_do_no_harm),
	};

	return cmocka_run_group_tests_name("model_timeline", tests, NULL, NULL);
}
