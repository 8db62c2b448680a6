// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Wants more memory than there is, some of it in huge pages, and reads and writes again what it had
 * before. pressed DIR ROUNDS MIB
 *
 * Each round ends at three barriers: "wanted", right after its last touch and with no system call of its
 * own since the barrier before; "warm", whose truth is not the one meant: taking it brings back what of the
 * taker itself was swapped out; and "round N".
 */
#include "sites.h"
#include "truth.h"

#define KEPT 3

static int kept[KEPT] = { -1, -1, -1 };

MALLOC_SITE(site_wanted)

static char *page_up(char *p)
{
	return (char *)(((uintptr_t)p + TRUTH_PAGE - 1) & ~(TRUTH_PAGE - 1));
}

/* What is there to be wanted in @round, where the oldest was before. */
static void prepare(int round, size_t n)
{
	int *at = &kept[round % KEPT];
	char *p;

	if (*at >= 0)
		free(truth_end(*at));
	*at = site_wanted(n);
	p = page_up(truth_at(*at));
	if (madvise(p, n - TRUTH_PAGE, round % 2 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		truth_die("madvise");
}

/* The new block all of it; of the older ones every third page read, and every seventh written. */
static void want(int round, size_t n)
{
	for (int i = 0; i < KEPT; i++) {
		volatile char *p = kept[i] < 0 ? NULL : truth_at(kept[i]);

		for (size_t at = 0; p && at < n; at += TRUTH_PAGE)
			if (i == round % KEPT || !(at / TRUTH_PAGE % 7))
				p[at]++;
			else if (!(at / TRUTH_PAGE % 3))
				(void)p[at];
	}
}

static void stand(const char *word)
{
	char go;

	if (write(truth->ready, word, strlen(word)) < 0 || read(truth->go, &go, 1) != 1)
		_exit(98);
}

int main(int argc, char **argv)
{
	int rounds = argc == 4 ? atoi(argv[2]) : 0;
	size_t n = argc == 4 ? strtoul(argv[3], NULL, 10) * MIB : 0;
	char name[32];

	if (!rounds || !n) {
		dprintf(2, "usage: pressed DIR ROUNDS MIB\n");
		return 99;
	}
	truth_start(argv[1]);
	truth_barrier("begin");
	for (int i = 0; i < rounds; i++) {
		prepare(i, n);
		stand("0\n");
		want(i, n);
		stand("0\n");
		/* what is there stays, and where it is; what is not does not come */
		if (mlockall(MCL_CURRENT | MCL_ONFAULT))
			truth_die("mlockall");
		truth_barrier("warm");
		snprintf(name, sizeof(name), "round_%d", i);
		truth_barrier(name);
		if (munlockall())
			truth_die("munlockall");
	}
	_exit(truth->failed ? 97 : 42);
}
