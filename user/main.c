// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

const struct mp_command mp_commands[] = {
	{ "", "-p PID[,PID]\n--cgroup PATH\n-- CMD ARG...",
	  "Which line of a program owns each physical page, and how did it get it?\v"
	  "Commands: record, report, symbolize, top, trace, explain, diff, doctor, vmas, xray; each has its own "
	  "--help.\n"
	  "  mallocpath -p 4242                 trace a running process until Ctrl-C, then report\n"
	  "  mallocpath -f -- gcc -O2 -c x.c    trace a command and its children\n"
	  "  mallocpath record -o t.mpt -p 4242 keep the events\n"
	  "  mallocpath report t.mpt --view tree",
	  true, true, false, false, mp_cmd_default },
	{ "record", "-o FILE -p PID[,PID]\n-o FILE --cgroup PATH\n-o FILE -- CMD ARG...",
	  "Keep the events of a run in FILE.", true, true, false, false, mp_cmd_record },
	{ "report", "FILE", "Show a recorded trace; needs no root and no BPF.", false, false, true,
	  false, mp_cmd_report },
	{ "symbolize", "FILE",
	  "Put the names that are known on this machine into a recorded trace, so that it can be shown "
	  "on others.",
	  false, false, true, false, mp_cmd_symbolize },
	{ "trace", "-p PID[,PID]\n--cgroup PATH\n-- CMD ARG...\nFILE",
	  "Every step as a line, as it happens: blocks, system calls, faults, pages.\v"
	  "Steps (--only): malloc, free, grow, fault, page, heap, life. Not told are readings of /proc.",
	  true, true, true, false, mp_cmd_trace },
	{ "top", "-p PID[,PID]",
	  "A live screen of the sites, with what they gain and ask for a second. h tells the keys. Where "
	  "the output is no terminal: plain text, again and again.",
	  true, true, false, false, mp_cmd_top },
	{ "explain", "ADDR -p PID[,PID]\nADDR FILE\npfn:N ...",
	  "The life of one block or page in words: who asked for it, which part of the allocator served "
	  "it and why, the mapping, the touch, the page, and what shares it. With -p only what can be "
	  "read without tracing.",
	  true, true, true, true, mp_cmd_explain },
	{ "diff", "A B",
	  "What changed between two recorded traces, by site and by --metric (--view table or json). "
	  "Sites are the same if their call stacks are, at whatever addresses.",
	  false, false, true, true, mp_cmd_diff },
	{ "doctor", "[-p PID]",
	  "What this kernel and this process allow, and what each gap costs. With -p the probes are "
	  "set for a second (or -d) and their hits shown.",
	  true, false, false, false, mp_cmd_doctor },
	{ "vmas", "-p PID[,PID]",
	  "The kernel module's numbers, mapping by mapping: what is mapped, which faults there were. "
	  "With -d faults are counted for so long; nothing is traced, and BPF is not used.",
	  true, true, false, false, mp_cmd_vmas },
	{ "xray", "-p PID[,PID]",
	  "The heap of a process as it stands: what each byte of it is, which pages are there, and "
	  "what keeps them. Nothing is traced, and BPF is not used; no root for processes of one's "
	  "own.",
	  true, true, false, false, mp_cmd_xray },
	{ NULL, NULL, NULL, false, false, false, false, NULL },
};

int mp_complain(const struct mp_err *err)
{
	fprintf(stderr, "mallocpath: %s\n", err->text);
	return err->exit ? err->exit : MP_EXIT_FAILED;
}

/* What --help or --version could not write is an error too. */
static void close_stdout(void)
{
	if (!ferror(stdout) && !fflush(stdout))
		return;
	if (errno == EPIPE)
		return; /* the reader has had enough */
	fprintf(stderr, "mallocpath: cannot write to standard output: %s\n", strerror(errno));
	_exit(MP_EXIT_FAILED);
}

int main(int argc, char **argv)
{
	const struct mp_command *cmd = &mp_commands[0];
	struct mp_options o;

	atexit(close_stdout);
	for (const struct mp_command *c = cmd + 1; argc > 1 && c->name; c++)
		if (!strcmp(argv[1], c->name)) {
			static char name[64];

			snprintf(name, sizeof(name), "mallocpath %s", c->name);
			argv[1] = name;
			argv++;
			argc--;
			cmd = c;
			break;
		}
	mp_options_parse(cmd, argc, argv, &o);
	return cmd->run(&o);
}
