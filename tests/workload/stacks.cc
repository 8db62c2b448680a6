// SPDX-License-Identifier: GPL-2.0-or-later
// Stacks of every awkward kind: deep, in a signal handler (on the stack and on one of its own), behind
// exceptions and longjmp, in a library opened at run time, in threads, with a realigned frame, with a
// frame of variable size.
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdexcept>
#include <unistd.h>

static void *volatile kept;

// Not a leaf, never inlined, nothing after it is a tail call.
#define FRAME __attribute__((noinline, noclone))

FRAME static void take(size_t n)
{
	void *p = malloc(n);

	memset(p, 1, n);
	kept = p;
	free(p);
}

FRAME static int deep(int n)
{
	volatile int here = n;

	if (n)
		return deep(n - 1) + here;
	take(1000);
	return here;
}

static void on_signal(int)
{
	take(2000);
}

FRAME static void signals(bool own_stack)
{
	static char stack[64 * 1024];
	struct sigaction act = {};
	stack_t alt = {};

	alt.ss_sp = stack;
	alt.ss_size = sizeof(stack);
	if (own_stack)
		sigaltstack(&alt, nullptr);
	act.sa_handler = on_signal;
	act.sa_flags = own_stack ? SA_ONSTACK : 0;
	sigaction(SIGUSR1, &act, nullptr);
	raise(SIGUSR1);
}

FRAME static void thrower(int n)
{
	if (n)
		thrower(n - 1);
	else
		throw std::runtime_error("a string long enough for a block of its own on the heap");
	take(3000);
}

FRAME static void exceptions()
{
	try {
		thrower(5);
	} catch (const std::exception &e) {
		take(strlen(e.what()) + 3100);
	}
}

static jmp_buf back;

FRAME static void jumper(int n)
{
	if (n)
		jumper(n - 1);
	take(4000);
	if (!n)
		longjmp(back, 1);
}

FRAME static void jumps()
{
	if (!setjmp(back))
		jumper(3);
	take(4100);
}

FRAME static void realigned(size_t n)
{
	alignas(64) volatile char aligned[64 * 3];
	volatile char *variable = static_cast<char *>(alloca(n));

	aligned[n % 64] = variable[0] = 1;
	take(5000 + aligned[0]);
}

static void *closed_last; // the other witness has to find its file in the mappings

FRAME static void opened()
{
	void *library = dlopen("libsqlite3.so.0", RTLD_NOW);
	void *(*get)(int);

	if (!library)
		library = dlopen("libz.so.1", RTLD_NOW);
	if (!library)
		return;
	usleep(300000); // its table comes some milliseconds after it
	*(void **)&get = dlsym(library, "sqlite3_malloc");
	if (get)
		kept = get(6000);
	closed_last = library;
}

static int compare(const void *a, const void *b)
{
	take(7000); // called from libc, which has no frame pointers
	return *static_cast<const int *>(a) - *static_cast<const int *>(b);
}

static void *thread(void *)
{
	int numbers[] = { 3, 1, 2 };

	deep(20);
	qsort(numbers, 3, sizeof(int), compare);
	exceptions();
	return nullptr;
}

// Holds until somebody has written, and then closed, the file of that name.
static void wait_for(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c;

	while (fd >= 0 && read(fd, &c, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];

	for (int round = 0; round < 3; round++) {
		for (int n = 0; n < 100; n += 7)
			deep(n);
		signals(false);
		signals(true);
		exceptions();
		jumps();
		realigned(100 + round);
		opened();
		for (pthread_t &t : threads)
			pthread_create(&t, nullptr, thread, nullptr);
		for (pthread_t &t : threads)
			pthread_join(t, nullptr);
	}
	if (argc > 1)
		wait_for(argv[1]);
	if (closed_last)
		dlclose(closed_last);
	deep(3); // its table has gone, the others are as they were
	return fflush(stdout);
}
