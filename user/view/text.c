// SPDX-License-Identifier: GPL-2.0-or-later
/* The books, the loss and the cost in words. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "view/frames.h"
#include "view/label.h"
#include "view/units.h"
#include "view/views.h"

size_t mp_text_flow(FILE *out, size_t column, size_t indent, size_t width, const char *sep,
		    const char *text)
{
	size_t len = strlen(sep) + strlen(text);

	if (column + len > width && column > indent) {
		/* what ends a phrase stays on its line */
		fprintf(out, "%.*s\n%*s", *sep != ' ', sep, (int)indent, "");
		column = indent;
		sep = sep[0] == ' ' ? sep + 1 : "";
		len = strlen(sep) + strlen(text);
	}
	fprintf(out, "%s%s", sep, text);
	return column + len;
}

static void balance(const struct mp_books *b, const struct mp_view_opts *opts, FILE *out)
{
	const struct {
		const char *name;
		int64_t bytes;
	} parts[] = {
		{ "block", b->block },
		{ "retained", b->retained },
		{ "metadata", b->metadata },
		{ "before attach", b->before_attach },
		{ "other anon", b->other_anon },
		{ "stack", b->stack },
		{ "file", b->file },
		{ "shmem", b->shmem },
		{ "tool", b->tool },
		{ "unexplained", b->unexplained },
	};
	size_t width = opts->width > 0 ? opts->width : MP_WIDTH_DEFAULT;
	size_t i, column, indent, shown = 0;
	char text[80];

	column = fprintf(out, "  Rss %s", mp_units_bytes(b->rss, opts->bytes).s);
	indent = column + 1;
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (parts[i].bytes == 0 || parts[i].bytes == MP_UNKNOWN)
			continue;
		snprintf(text, sizeof(text), "%s %s", parts[i].name,
			 mp_units_bytes(parts[i].bytes, opts->bytes).s);
		column = mp_text_flow(out, column, indent, width, shown++ ? " + " : " = ", text);
	}
	fputc('\n', out);
}

/* Rss with what is shared divided by those who map it. */
static void pss(const struct mp_books *b, const struct mp_view_opts *opts, FILE *out)
{
	if (b->pss > 0)
		fprintf(out, "  Pss %s", mp_units_bytes(b->pss, opts->bytes).s);
	if (b->pss > 0 && b->pss_anon == MP_UNKNOWN)
		fputs("; anonymous pages are shared with processes that are not traced\n", out);
	else if (b->pss > 0)
		fprintf(out, ", %s of it anonymous\n", mp_units_bytes(b->pss_anon, opts->bytes).s);
	else if (b->pss_anon > 0)
		fprintf(out, "  Pss of the anonymous memory %s\n",
			mp_units_bytes(b->pss_anon, opts->bytes).s);
}

static void coverage(const struct mp_books *b, FILE *out)
{
	if (isnan(b->coverage))
		fputs("  coverage -: Rss is not known or 0\n", out);
	else
		fprintf(out, "  coverage %s: share of Rss that is explained\n",
			mp_units_percent(b->coverage).s);
	if (isnan(b->site_coverage))
		fputs("  site coverage -: no anonymous page came since tracing began\n", out);
	else
		fprintf(out,
			"  site coverage %s: of the anonymous memory that came since tracing began,\n"
			"    the share whose caller is known\n",
			mp_units_percent(b->site_coverage).s);
}

/* The command line as one line, at most @size - 1 bytes. */
static void command_line(const struct mp_proc *proc, char *line, size_t size)
{
	size_t i, used = 0;

	line[0] = '\0';
	for (i = 0; i < proc->nr_cmdline && used + 2 < size; i++) {
		if (i)
			line[used++] = ' ';
		mp_label_safe(line + used, size - used, proc->cmdline[i]);
		used += strlen(line + used);
	}
}

void mp_text_books(const struct mp_proc *proc, const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_books *b = &proc->books;
	char comm[80], line[1024];
	size_t width = opts->width > 0 ? opts->width : MP_WIDTH_DEFAULT;
	size_t column;

	mp_label_safe(comm, sizeof(comm), proc->comm && *proc->comm ? proc->comm : "?");
	command_line(proc, line, sizeof(line));
	column = fprintf(out, "%s%s (pid %" PRIu32 "), %s%s%s", opts->color ? "\033[1m" : "", comm,
			 proc->pid, mp_at_name(proc->at), opts->color ? "\033[0m" : "",
			 *line ? ": " : "");
	column -= opts->color ? strlen("\033[1m\033[0m") : 0;
	if (!opts->verbose)
		mp_label_clip(line, width > column + 2 ? width - column : 2);
	fprintf(out, "%s\n", line);
	balance(b, opts, out);
	pss(b, opts, out);
	coverage(b, out);
	if (b->zero > 0)
		fprintf(out, "  beside Rss: %s on the zero page\n",
			mp_units_bytes(b->zero, opts->bytes).s);
	if (b->hugetlb > 0)
		fprintf(out, "  beside Rss: %s of hugetlb\n",
			mp_units_bytes(b->hugetlb, opts->bytes).s);
}

/* One line, if any stack is not whole. */
static void stacks(const uint64_t ends[MP_STACK_END_MAX], const struct mp_view_opts *opts,
		   FILE *out)
{
	static const char *const words[MP_STACK_END_MAX] = {
		[MP_STACK_GOES_ON] = "are the caller alone",
		[MP_STACK_DEEP] = "are deeper than is followed",
		[MP_STACK_READ] = "end where the stack could not be read",
		[MP_STACK_NO_LAYOUT] = "are of processes not known yet",
		[MP_STACK_NO_TEXT] = "end outside code known to be mapped",
		[MP_STACK_NO_TABLE] = "end in code whose unwind table was not there",
		[MP_STACK_NO_RULE] = "end in code without unwind information",
		[MP_STACK_UNSUPPORTED] = "end in code with unwind information of an odd form",
		[MP_STACK_NO_FRAME] = "end where no frame can follow",
	};
	size_t width = opts->width > 0 ? opts->width : MP_WIDTH_DEFAULT, column, i;
	uint64_t sum = 0, whole = ends[MP_STACK_WHOLE];
	const char *sep = "; ";
	char text[100];

	for (i = 0; i < MP_STACK_END_MAX; i++)
		sum += ends[i];
	if (whole == sum)
		return;
	if (ends[MP_STACK_GOES_ON] == sum) {
		fputs("stacks: none were recorded, only callers\n", out);
		return;
	}
	column = fprintf(out, "stacks: %s are whole", mp_units_percent((double)whole / sum).s);
	for (i = 0; i < MP_STACK_END_MAX; i++) {
		if (i == MP_STACK_WHOLE || !ends[i])
			continue;
		snprintf(text, sizeof(text), "%" PRIu64 " %s", ends[i], words[i]);
		column = mp_text_flow(out, column, strlen("stacks: "), width, sep, text);
		sep = ", ";
	}
	fputc('\n', out);
}

void mp_text_loss(const struct mp_loss *loss, const struct mp_view_opts *opts, FILE *out)
{
	const struct {
		uint64_t n;
		const char *words;
	} rows[] = {
		{ loss->events_dropped, "events dropped: the ring buffer was full" },
		{ loss->gaps, "gaps in the stream of events" },
		{ loss->returns_missed, "allocator calls whose return was not seen" },
		{ loss->frees_lost, "blocks ended without their free being seen" },
		{ loss->frees_unmatched, "frees of blocks nobody saw allocated" },
		{ loss->stacks_lost, "stacks lost: no room for them" },
		{ loss->programs_skipped, "probe hits skipped by the kernel" },
		{ loss->moved_unseen_pages, "pages changed unseen, put right from pagemap" },
		{ loss->dropped[MP_DROP_SCRATCH], "calls not followed: too many threads in calls" },
		{ loss->dropped[MP_DROP_NESTED], "calls not followed: nested too deep" },
		{ loss->dropped[MP_DROP_USER_READ], "reads of the target's memory that failed" },
		{ loss->dropped[MP_DROP_WALK], "page tables that could not be read" },
		{ loss->dropped[MP_DROP_FAULT_START], "faults whose start was not seen" },
		{ loss->dropped[MP_DROP_FAULT_END], "faults whose end was not seen" },
		{ loss->dropped[MP_DROP_SYSCALL], "memory system calls whose end was not seen" },
		{ loss->dropped[MP_DROP_NO_ENTRY],
		  "returns without entry: calls under way at attach" },
		{ loss->history_lost, "things that happened to pages: no room to keep them" },
		{ loss->module_mismatch_pages > 0 ? loss->module_mismatch_pages : 0,
		  "pages on which the kernel module disagrees" },
		{ loss->chain_mismatches > 0 ? loss->chain_mismatches : 0,
		  "faults that mapped another page than they were given" },
	};
	size_t i, shown = 0;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].n)
			fprintf(out, "%s %" PRIu64 " %s\n", shown++ ? "     " : "lost:", rows[i].n,
				rows[i].words);
	if (!shown)
		fputs("lost: nothing\n", out);
	stacks(loss->stack_ends, opts, out);
}

static struct mp_text frame_number(uint64_t pfn)
{
	struct mp_text text = { "none" };

	if (pfn)
		snprintf(text.s, sizeof(text.s), "%" PRIu64, pfn);
	return text;
}

void mp_text_audit(const struct mp_report *r, const struct mp_view_opts *opts, FILE *out)
{
	int64_t bad = r->loss.module_mismatch_pages;
	size_t i;

	if (!r->host.module)
		return;
	if (bad == MP_UNKNOWN) {
		fputs("audit: none: the process had ended, or the kernel module could not be asked\n",
		      out);
		return;
	}
	fprintf(out, "audit: the kernel module walked %s pages, ",
		mp_units_count(r->module_pages).s);
	if (!bad) {
		fputs("and agrees on each\n", out);
		return;
	}
	fprintf(out, "and disagrees on %s%s\n", mp_units_count(bad).s,
		opts->verbose ? ":" : " (-v lists them)");
	for (i = 0; opts->verbose && i < r->nr_mismatches; i++) {
		const struct mp_mismatch *mis = &r->mismatches[i];

		fprintf(out,
			"       pid %" PRIu32 " 0x%" PRIx64
			": PFN %s by the events, %s by the module\n",
			mis->pid, mis->addr, frame_number(mis->ledger_pfn).s,
			frame_number(mis->module_pfn).s);
	}
	if (opts->verbose && (uint64_t)bad > r->nr_mismatches)
		fprintf(out, "       and %" PRIu64 " more\n", (uint64_t)bad - r->nr_mismatches);
}

void mp_text_cost(const struct mp_cost *cost, const struct mp_view_opts *opts, FILE *out)
{
	fprintf(out, "cost: %s events, %s probe hits", mp_units_count(cost->events).s,
		mp_units_count(cost->probe_hits).s);
	if (!isnan(mp_cost_fraction(cost)))
		fprintf(out, ": about %s of the target's CPU time",
			mp_units_percent(mp_cost_fraction(cost)).s);
	fprintf(out, "\n      of our own: CPU time %s, peak memory %s\n",
		mp_units_ns(cost->tool_cpu_ns, false).s,
		mp_units_bytes(cost->tool_peak_bytes, opts->bytes).s);
}
