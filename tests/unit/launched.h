/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One launched command at a time: what was held of it, what its constructors and its stdout said. */
#ifndef LAUNCHED_H
#define LAUNCHED_H

#include <stdbool.h>
#include <sys/types.h>

#include "collect/launch.h"

struct launched {
	struct mp_launch *l;
	int ctor[2]; /* each constructor of a fixture writes a byte */
	int out[2];  /* stdout of CMD */
	pid_t pid;
	int forks, execs, ends; /* holds by reason, processes that ended */
	int images, of_threads; /* the new programs before that, by who executed them */
	char names[4096];       /* of what was held at exec, by their comm, a blank after each */
	int early;              /* constructors that had run at a hold */
	int kill_held;          /* kill what is held */
};
extern struct launched run;

/* Group set-up: the directory of fixtures with ./dynamic ./static ./static-pie ./tree ./p32 and
 * ./libaudit.so, and we are in it. */
int launched_set_up(void **state);
int launched_tear_down(void **state);

void launched_begin(void);
/* Ends the run, l too if it is not NULL, and takes free's handler away. */
void launched_end(void);

pid_t launched_start_args(char *const argv[], bool follow, struct mp_err *err);
/* At most two arguments, NULL for none; the test fails if it cannot start. */
void launched_start(bool follow, const char *command, const char *arg, const char *arg2);
/* Until CMD has ended; its status. */
int launched_finish(void);
/* All that CMD's tree wrote; valid until the next call. Waits until nobody can write any more. */
char *launched_output(void);
/* Whether a constructor has told that it ran; takes the byte. */
int launched_ctor_ran(void);

#endif
