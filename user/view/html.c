// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One page that opens from disk: the report's data, and the style and script of html/ to draw it.
 *
 * The data is JSON within a script element, which ends at the first "</script" whatever it stands in:
 * every "<" is written as an escape. The policy lets nothing be loaded, and lets no script run but
 * the page's own: names come from the traced program.
 */
#include "view/html.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "view/label.h"
#include "view/rows.h"
#include "view/views.h"

#define BLOCKS_NAMED 1000000 /* of all processes: about 8 MB */
#define NOTES_WIDTH  96      /* columns */

void mp_html_label(struct mp_json *j, const char *name, const char *text)
{
	char safe[1024];

	mp_json_string(j, name, mp_label_safe(safe, sizeof(safe), text ? text : ""));
}

static void host(struct mp_json *j, const struct mp_report *r)
{
	static const char *const rows[] = {
		[MP_ROW_FENTRY] = "fentry", [MP_ROW_KPROBE] = "kprobe", [MP_ROW_TRACEPOINT] = "tracepoint"
	};
	const struct mp_host *h = &r->host;

	mp_json_open(j, "host", "{");
	mp_html_label(j, "kernel", h->release);
	mp_json_word(j, "fault_source",
		     h->fault_row < sizeof(rows) / sizeof(*rows) ? rows[h->fault_row] : NULL);
	mp_json_close(j, "}");
}

static void word_list(struct mp_json *j, const char *name, const char *(*word)(int), int nr)
{
	int i;

	mp_json_open(j, name, "[");
	for (i = 0; i < nr; i++)
		mp_json_word(j, NULL, word(i));
	mp_json_close(j, "]");
}

static void words(struct mp_json *j)
{
	mp_json_open(j, "words", "{");
	word_list(j, "state", mp_state_name, MP_STATE_GONE + 1);
	word_list(j, "kind", mp_kind_name, MP_KIND_NR);
	word_list(j, "by", mp_by_name, MP_BY_NR);
	word_list(j, "source", mp_source_name, MP_SRC_MOVED + 1);
	word_list(j, "tier", mp_tier_name, MP_TIER_NR);
	word_list(j, "sure", mp_sure_name, MP_SURE_NR);
	mp_json_close(j, "}");
}

static void books(struct mp_json *j, const struct mp_books *b)
{
	mp_json_open(j, "books", "{");
	mp_json_signed(j, "rss", b->rss);
	mp_json_signed(j, "block", b->block);
	mp_json_signed(j, "retained", b->retained);
	mp_json_signed(j, "metadata", b->metadata);
	mp_json_signed(j, "before_attach", b->before_attach);
	mp_json_signed(j, "other_anon", b->other_anon);
	mp_json_signed(j, "stack", b->stack);
	mp_json_signed(j, "file", b->file);
	mp_json_signed(j, "shmem", b->shmem);
	mp_json_signed(j, "tool", b->tool);
	mp_json_signed(j, "unexplained", b->unexplained);
	mp_json_signed(j, "zero", b->zero);
	mp_json_signed(j, "hugetlb", b->hugetlb);
	mp_json_real(j, "coverage", b->coverage);
	mp_json_real(j, "site_coverage", b->site_coverage);
	mp_json_close(j, "}");
}

struct page {
	const struct mp_report *r;
	struct mp_symbols *sym;
	const struct mp_view_opts *opts;
	struct mp_json j;
};

/* What the text views say, as they say it. @proc NULL: of the whole. */
static void notes(struct page *pg, const struct mp_proc *proc)
{
	struct mp_view_opts opts = *pg->opts;
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	opts.color = false;
	opts.width = NOTES_WIDTH;
	if (!f) {
		pg->j.err = -ENOMEM;
		return;
	}
	if (proc) {
		mp_text_limit(proc, &opts, f);
		mp_text_heap(pg->r, proc, pg->sym, &opts, f);
		mp_text_arenas(pg->r, proc, pg->sym, &opts, f);
	} else {
		mp_text_tiers(pg->r, &opts, f);
		mp_text_given_back(pg->r, pg->sym, &opts, f);
		mp_text_audit(pg->r, &opts, f);
		mp_text_loss(&pg->r->loss, &opts, f);
		mp_text_cost(&pg->r->cost, &opts, f);
	}
	if (fclose(f) && !pg->j.err)
		pg->j.err = -ENOMEM;
	mp_json_string(&pg->j, "notes", text ? text : "");
	free(text);
}

static void process(struct page *pg, const struct mp_proc *p, size_t most)
{
	struct mp_json *j = &pg->j;
	uint64_t origin_ns = pg->r->first_ns;
	size_t i;

	mp_json_line(j);
	mp_json_open(j, NULL, "{");
	mp_json_number(j, "pid", p->pid);
	mp_html_label(j, "comm", p->comm);
	mp_json_open(j, "cmdline", "[");
	for (i = 0; i < p->nr_cmdline; i++)
		mp_html_label(j, NULL, p->cmdline[i]);
	mp_json_close(j, "]");
	mp_json_word(j, "at", mp_at_name(p->at));
	mp_json_number(j, "t", mp_html_since(p->t_ns, origin_ns));
	mp_json_number(j, "live_blocks", p->live_blocks);
	mp_json_number(j, "present_pages", p->present_pages);
	books(j, &p->books);
	notes(pg, p);
	mp_html_vmas(j, p, origin_ns);
	mp_html_moments(j, p, origin_ns);
	mp_html_pages(j, p, origin_ns);
	mp_html_blocks(j, p, origin_ns, most);
	mp_json_close(j, "}");
}

/* Each process may name a share of the blocks as large as that of its own. */
static size_t share(const struct mp_report *r, const struct mp_proc *p)
{
	size_t i, all = 0;

	for (i = 0; i < r->nr_procs; i++)
		all += r->procs[i].nr_blocks;
	return all > BLOCKS_NAMED ? (double)p->nr_blocks / all * BLOCKS_NAMED : p->nr_blocks;
}

static int document(struct page *pg)
{
	struct mp_json *j = &pg->j;
	size_t i;
	int err;

	mp_json_open(j, NULL, "{");
	mp_json_word(j, "format", "mallocpath.html/1");
	host(j, pg->r);
	words(j);
	err = mp_html_sites(j, pg->r, pg->sym, pg->opts);
	if (err)
		return err;
	mp_json_open(j, "processes", "[");
	for (i = 0; i < pg->r->nr_procs; i++)
		process(pg, &pg->r->procs[i], share(pg->r, &pg->r->procs[i]));
	mp_json_close(j, "]");
	notes(pg, NULL);
	mp_json_close(j, "}");
	return j->err;
}

/* ---- the file around it ----------------------------------------------------------------------- */

static ssize_t escape(void *to, const char *bytes, size_t n)
{
	const char *end = bytes + n, *p;

	for (p = bytes; p < end; p++) {
		const char *open = memchr(p, '<', end - p);
		size_t plain = (open ? open : end) - p;

		if (fwrite(p, 1, plain, to) != plain)
			return 0;
		if (!open)
			break;
		if (fputs("\\u003c", to) < 0)
			return 0;
		p = open;
	}
	return n;
}

static int data(struct page *pg, FILE *out)
{
	FILE *filter = fopencookie(out, "w", (cookie_io_functions_t){ .write = escape });
	int err;

	if (!filter)
		return -ENOMEM;
	pg->j.out = filter;
	err = mp_json_init(&pg->j);
	if (!err) {
		err = document(pg);
		mp_json_end(&pg->j);
	}
	/* what did not get through is seen in @out */
	fclose(filter);
	return err;
}

static void asset(FILE *out, const char *begin, const char *end)
{
	fwrite(begin, 1, end - begin, out);
}

int mp_view_html(const struct mp_report *r, struct mp_symbols *sym, const struct mp_view_opts *opts,
		 FILE *out)
{
	struct page pg = { .r = r, .sym = sym, .opts = opts };
	int err;

	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	      "style-src 'nonce-page'; script-src 'nonce-page'; img-src data:; base-uri 'none'; "
	      "form-action 'none'\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width\">\n"
	      "<meta name=\"color-scheme\" content=\"light dark\">\n"
	      "<title>mallocpath</title>\n<style nonce=\"page\">\n",
	      out);
	asset(out, mp_html_style, mp_html_style_end);
	fputs("</style>\n</head>\n", out);
	asset(out, mp_html_body, mp_html_body_end);
	fputs("<script type=\"application/json\" id=\"data\">", out);
	err = data(&pg, out);
	fputs("</script>\n<script nonce=\"page\">\n", out);
	asset(out, mp_html_script, mp_html_script_end);
	fputs("</script>\n</html>\n", out);
	if (err)
		return err;
	return mp_view_finish(out);
}
