// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A heap that knows itself: every call of the malloc family, libc's own ones too, goes through
 * functions here that keep a table of live blocks outside of the heap. Threads, arenas, mapped and
 * aligned blocks, and blocks freed by another thread than their own.
 *
 * usage: heap TRUTH INFO MODE [N [SIZE]]
 *   mixed N     four threads make N blocks each of all kinds and free some
 *   comb N SIZE N blocks of SIZE, all but each 64th freed again
 *   foreign N SIZE  the same, but someone else takes memory from brk in between, twice
 *   busy        as mixed, but the threads go on
 *   many N SIZE N blocks of SIZE on the average, a third of them freed again; no TRUTH
 *
 * When done: writes a line "ADDR USABLE" for each live block to TRUTH and what malloc_info(3) says to
 * INFO, says "ready", and then obeys lines: "trim" (malloc_trim(0), says "trimmed"); ends with its
 * input.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SLOTS   (1U << 24) /* of the table: a power of two */
#define GONE    1ULL
#define THREADS 4

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *mem);

/* ---- the table ------------------------------------------------------------------------------ */

static _Atomic uint64_t *table;

static void table_open(void)
{
	void *mem = mmap(NULL, SLOTS * sizeof(*table), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		_exit(99);
	table = mem;
}

static uint64_t slot_of(uint64_t addr)
{
	return (addr >> 4) * 0x9e3779b97f4a7c15ULL >> 40 & (SLOTS - 1);
}

static void *put(void *mem)
{
	uint64_t addr = (uint64_t)(uintptr_t)mem, was;

	if (!table)
		table_open();
	for (uint64_t i = slot_of(addr); mem; i = (i + 1) & (SLOTS - 1)) {
		was = table[i];
		if (was <= GONE && atomic_compare_exchange_strong(&table[i], &was, addr))
			break;
	}
	return mem;
}

static void take(void *mem)
{
	uint64_t addr = (uint64_t)(uintptr_t)mem;

	for (uint64_t i = slot_of(addr); mem && table && table[i]; i = (i + 1) & (SLOTS - 1)) {
		if (table[i] == addr) {
			table[i] = GONE;
			return;
		}
	}
}

void *malloc(size_t size)
{
	return put(__libc_malloc(size));
}

void free(void *mem)
{
	take(mem);
	__libc_free(mem);
}

void *calloc(size_t nr, size_t size)
{
	return put(__libc_calloc(nr, size));
}

void *realloc(void *old, size_t size)
{
	void *mem;

	take(old);
	mem = __libc_realloc(old, size);
	if (!mem && size)
		put(old);
	return put(mem);
}

void *memalign(size_t alignment, size_t size)
{
	return put(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	*out = memalign(alignment, size);
	return *out ? 0 : ENOMEM;
}

/* ---- what is done with it ------------------------------------------------------------------- */

static uint64_t per_thread = 4000;
static void **blocks; /* THREADS rows, in memory that is no heap's */
static pthread_barrier_t met;
static int busy;

static uint32_t draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*seed >> 33);
}

static void *make(uint64_t *seed, uint64_t i)
{
	size_t size = 1 + draw(seed) % (i % 10 ? 600 : 20000);
	size_t align = (size_t)16 << draw(seed) % 9;
	void *mem;

	if (i % 400 == 7) /* mapped, aligned as can be */
		mem = memalign((size_t)16 << (i / 400 * 4 + draw(seed) % 4) % 18, 200000 + size);
	else if (i % 200 == 3)
		mem = malloc(150000 + size * 16);
	else if (i % 13 == 0)
		mem = calloc(1, size);
	else if (i % 17 == 0)
		mem = memalign(align, size);
	else if (i % 19 == 0)
		mem = realloc(malloc(size), size * 3);
	else
		mem = malloc(size);
	if (!mem)
		_exit(98);
	memset(mem, 0xa5, size); /* no byte of it looks like a head */
	return mem;
}

/* Blocks are freed by the thread next to the one that made them. */
static void *run(void *arg)
{
	uint64_t self = (uint64_t)(uintptr_t)arg, seed = self + 1;
	void **mine = blocks + self * per_thread, **next;

	next = blocks + (self + 1) % THREADS * per_thread;
	for (uint64_t i = 0; i < per_thread; i++)
		mine[i] = make(&seed, i);
	pthread_barrier_wait(&met);
	for (uint64_t i = 0; i < per_thread; i++) {
		if (draw(&seed) % 3 == 0 || (i > per_thread / 2 && i % 64)) {
			free(next[i]);
			next[i] = NULL;
		}
	}
	pthread_barrier_wait(&met);
	while (busy)
		free(make(&seed, draw(&seed)));
	pthread_barrier_wait(&met); /* the caches of threads that end would be emptied */
	pause();
	return NULL;
}

/* Memory that is no heap's, but has what looks like heads, as that of a virtual machine may. */
static void decoy(void)
{
	uint64_t *mem =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(mem, 0xa5, 1 << 20);
	for (int page = 40; page < 240; page += 100) {
		mem[page * 512] = 0;
		mem[page * 512 + 1] = page == 40 ? 0x4002 : 0x3ff2;
	}
}

static void mixed(void)
{
	pthread_t thread;

	blocks = mmap(NULL, THREADS * per_thread * sizeof(*blocks), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_barrier_init(&met, NULL, THREADS + !busy);
	decoy();
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, run, (void *)i);
	for (int i = 0; i < 3 && !busy; i++)
		pthread_barrier_wait(&met);
}

static void comb(uint64_t nr, size_t size, int foreign)
{
	void **list = mmap(NULL, nr * sizeof(*list), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (uint64_t i = 0; i < nr; i++) {
		list[i] = malloc(size);
		memset(list[i], 0xa5, size);
		if (foreign && (i == nr / 3 || i == nr / 2))
			memset(sbrk(12344), 0xa5, 12344);
	}
	for (uint64_t i = 0; i < nr; i++)
		if (i % 64)
			free(list[i]);
}

static void many(uint64_t nr, size_t size)
{
	void **list = mmap(NULL, nr * sizeof(*list), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t seed = 1;

	for (uint64_t i = 0; i < nr; i++) {
		size_t some = size / 2 + draw(&seed) % size;

		list[i] = __libc_malloc(some);
		memset(list[i], 0xa5, some);
	}
	for (uint64_t i = 0; i < nr; i++)
		if (draw(&seed) % 3 == 0)
			__libc_free(list[i]);
}

/* ---- the truth ------------------------------------------------------------------------------- */

/* Written without allocating anything. */
static void tell_truth(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	static char text[1 << 16];
	size_t len = 0;

	for (uint64_t i = 0; table && i < SLOTS; i++) {
		if (table[i] > GONE)
			len += (size_t)snprintf(text + len, 64, "%#llx %zu\n",
						(unsigned long long)table[i],
						malloc_usable_size((void *)(uintptr_t)table[i]));
		if (len > sizeof(text) - 64) {
			if (write(fd, text, len) != (ssize_t)len)
				_exit(97);
			len = 0;
		}
	}
	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		_exit(97);
	close(fd);
}

static FILE *info;

static void say(const char *what)
{
	if (write(1, what, strlen(what)) < 0)
		_exit(96);
}

int main(int argc, char **argv)
{
	static char buffer[1 << 16], line[64];
	const char *mode = argc > 3 ? argv[3] : "";
	uint64_t nr = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;

	info = argc > 3 ? fopen(argv[2], "w") : NULL;
	if (!info)
		return 2;
	setvbuf(info, buffer, _IOFBF, sizeof(buffer));
	per_thread = nr ? nr : per_thread;
	busy = !strcmp(mode, "busy");
	if (!strcmp(mode, "comb") || !strcmp(mode, "foreign"))
		comb(nr, argc > 5 ? strtoull(argv[5], NULL, 0) : 100, *mode == 'f');
	else if (!strcmp(mode, "many"))
		many(nr, argc > 5 ? strtoull(argv[5], NULL, 0) : 100);
	else
		mixed();
	if (!busy && strcmp(mode, "many")) {
		tell_truth(argv[1]);
		malloc_info(0, info);
		fflush(info);
	}
	say("ready\n");
	while (read(0, line, sizeof(line)) > 0) {
		if (!strncmp(line, "trim", 4)) {
			malloc_trim(0);
			say("trimmed\n");
		}
	}
	return 0;
}
