// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The call stacks as one SVG file: the outermost frame on top, each as wide as what it and those inside
 * of it have of the metric. Complete without its script, which adds zoom and search: widths are percents,
 * a frame is an <svg> of its own and so cuts its name, and its title tells the numbers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/calltree.h"
#include "view/embed.h"
#include "view/metric.h"
#include "view/views.h"

MP_EMBED(mp_flame_js, "user/view/flame.js");
MP_EMBED(mp_flame_css, "user/view/flame.css");

#define ROW_HEIGHT   18
#define HEAD_HEIGHT  84
#define FRAMES_DRAWN 20000 /* the largest; a browser is quick with so many */
#define COLOURS      6

struct flame {
	const struct mp_report *r;
	const struct mp_view_opts *opts;
	FILE *out;
	struct mp_calltree tree;
	uint64_t least; /* what is drawn */
	size_t drawn;
	uint32_t *ids; /* by node: which of those drawn it is */
	uint64_t *at;  /* by node: what is left of it */
};

/* U+FFFE and U+FFFF are the only ones that a safe label may hold and XML may not. */
static void put_xml(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '&')
			fputs("&amp;", out);
		else if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '>')
			fputs("&gt;", out);
		else if (*text == '"')
			fputs("&quot;", out);
		else if (!strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3))
			fputs("\xef\xbf\xbd", out), text += 2;
		else
			fputc(*text, out);
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* A frame is never larger than the one around it: those above some size are a tree. */
static int choose(struct flame *f)
{
	const struct mp_calltree *t = &f->tree;
	uint64_t *sizes = calloc(t->nr, sizeof(*sizes));
	size_t i;

	f->ids = calloc(t->nr, sizeof(*f->ids));
	f->at = calloc(t->nr, sizeof(*f->at));
	if (!sizes || !f->ids || !f->at) {
		free(sizes);
		return -ENOMEM;
	}
	for (i = 0; i < t->nr; i++)
		sizes[i] = t->nodes[i]->total;
	qsort(sizes, t->nr, sizeof(*sizes), by_size);
	f->least = t->nr > FRAMES_DRAWN ? mp_metric_add(sizes[FRAMES_DRAWN], 1) : 1;
	free(sizes);
	return 0;
}

static unsigned int colour(const char *name)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619U;
	return (hash ^ hash >> 16) % COLOURS;
}

static void put_title(const struct flame *f, const struct mp_calltree_node *node, const char *name)
{
	const struct mp_calltree_node *root = f->tree.nodes[0];
	bool plain = f->opts->bytes;

	fputs("<title>", f->out);
	put_xml(name, f->out);
	fprintf(f->out, "\n%s %s, %s of all",
		mp_metric_text(f->opts->sort, mp_units_signed(node->total), plain).s,
		mp_metric(f->opts->sort)->word,
		mp_units_percent((double)node->total / root->total).s);
	if (node->own && node->own != node->total)
		fprintf(f->out, "; %s in itself",
			mp_metric_text(f->opts->sort, mp_units_signed(node->own), plain).s);
	fputs("</title>", f->out);
}

static void put_frame(struct flame *f, const struct mp_calltree_node *node)
{
	const char *name = node->parent ? node->name : "all";
	double all = (double)f->tree.nodes[0]->total;
	bool own = !node->parent || *name == '(';

	f->ids[node->index] = (uint32_t)f->drawn;
	fprintf(f->out,
		"<svg class=\"f\" id=\"f%zu\" x=\"%.4f%%\" y=\"%" PRIu32
		"\" width=\"%.4f%%\" height=\"%d\" tabindex=\"%d\" data-at=\"%" PRIu64
		"\" data-n=\"%" PRIu64 "\" data-own=\"%" PRIu64 "\"",
		f->drawn, 100 * (double)f->at[node->index] / all,
		HEAD_HEIGHT + node->depth * ROW_HEIGHT, 100 * (double)node->total / all,
		ROW_HEIGHT - 1, node->parent ? -1 : 0, f->at[node->index], node->total, node->own);
	if (node->parent)
		fprintf(f->out, " data-up=\"%" PRIu32 "\"", f->ids[node->parent->index]);
	fputs(">", f->out);
	put_title(f, node, name);
	if (own)
		fputs("<rect class=\"own\"", f->out);
	else
		fprintf(f->out, "<rect class=\"c%u\"", colour(name));
	fputs(" width=\"100%\" height=\"100%\"/><text x=\"3\" y=\"13\">", f->out);
	put_xml(name, f->out);
	fputs("</text></svg>\n", f->out);
	f->drawn++;
}

/* Parents first. What a frame has in itself is at its right end. */
static uint32_t put_frames(struct flame *f)
{
	struct mp_calltree_node *node = f->tree.nodes[0], *child;
	uint32_t deepest = 0;
	uint64_t at;

	for (; node; node = mp_calltree_next(node)) {
		at = f->at[node->index];
		for (child = node->child; child; child = child->next) {
			f->at[child->index] = at;
			at = mp_metric_add(at, child->total);
		}
		if (node->total < f->least)
			continue;
		put_frame(f, node);
		deepest = node->depth > deepest ? node->depth : deepest;
	}
	return deepest;
}

static uint32_t depth_drawn(const struct flame *f)
{
	uint32_t deepest = 0;
	size_t i;

	for (i = 0; i < f->tree.nr; i++)
		if (f->tree.nodes[i]->total >= f->least && f->tree.nodes[i]->depth > deepest)
			deepest = f->tree.nodes[i]->depth;
	return deepest;
}

static void put_processes(const struct flame *f)
{
	const struct mp_report *r = f->r;
	char comm[80];
	size_t i;

	for (i = 0; i < r->nr_procs && i < 4; i++) {
		mp_label_safe(comm, sizeof(comm), r->procs[i].comm);
		fputs(i ? ", " : ": ", f->out);
		put_xml(comm, f->out);
		fprintf(f->out, " (pid %" PRIu32 "), %s", r->procs[i].pid,
			mp_at_name(r->procs[i].at));
	}
	if (i < r->nr_procs)
		fprintf(f->out, " and %zu more", r->nr_procs - i);
}

static void put_head(const struct flame *f)
{
	const struct mp_metric *metric = mp_metric(f->opts->sort);
	uint64_t total = f->tree.nodes[0]->total;

	fprintf(f->out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1200\" height=\"%" PRIu32
		"\" style=\"width:100%%;min-width:40em;background:#fff\" data-metric=\"%s\" "
		"data-unit=\"%s\" data-total=\"%" PRIu64 "\">\n<title>mallocpath: %s</title>\n"
		"<style>\n%s</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\" "
		"stroke=\"none\" style=\"stroke:none\"/>\n<text id=\"title\" x=\"6\" y=\"20\">",
		HEAD_HEIGHT + (depth_drawn(f) + 1) * ROW_HEIGHT + 28, metric->word, metric->unit,
		total, metric->title, mp_flame_css);
	fprintf(f->out, "%s by call stack", metric->title);
	put_processes(f);
	fprintf(f->out, "</text>\n<text class=\"note\" x=\"6\" y=\"38\">%s in all",
		mp_metric_text(f->opts->sort, mp_units_signed(total), f->opts->bytes).s);
	if (f->r->loss.events_dropped)
		fprintf(f->out, "; %" PRIu64 " events were lost", f->r->loss.events_dropped);
	fputs("</text>\n<text id=\"about\" x=\"6\" y=\"76\"></text>\n"
	      "<g id=\"tools\" style=\"display:none\"><foreignObject x=\"6\" y=\"42\" width=\"250\" "
	      "height=\"24\"><input xmlns=\"http://www.w3.org/1999/xhtml\" id=\"find\" "
	      "type=\"search\" placeholder=\"find a name ( / )\" aria-label=\"find a name\"/>"
	      "</foreignObject><text class=\"note\" id=\"found\" x=\"262\" y=\"58\"></text></g>\n",
	      f->out);
}

static void put_foot(const struct flame *f, uint32_t deepest)
{
	fprintf(f->out, "<text class=\"note\" x=\"6\" y=\"%" PRIu32 "\">",
		HEAD_HEIGHT + (deepest + 1) * ROW_HEIGHT + 16);
	if (!f->drawn)
		fputs("nothing has any of it", f->out);
	else if (f->drawn < f->tree.nr)
		fprintf(f->out, "%zu frames with less than %s are not drawn; ",
			f->tree.nr - f->drawn,
			mp_metric_text(f->opts->sort, mp_units_signed(f->least), f->opts->bytes).s);
	if (f->drawn)
		fputs("click or Enter: zoom; Esc: all; arrows: walk; /: find", f->out);
	fputs("</text>\n<script><![CDATA[\n", f->out);
	fputs(mp_flame_js, f->out);
	/* by itself, so that something is left to flush, which tells why writing failed */
	fputs("]]></script>\n</svg>\n", f->out);
}

int mp_view_flame(const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out)
{
	struct flame f = { .r = r, .opts = opts, .out = out };
	int err;

	err = mp_calltree__init(&f.tree);
	if (!err)
		err = mp_calltree_fill(&f.tree, r, sym, opts);
	if (!err)
		err = choose(&f);
	if (!err) {
		put_head(&f);
		put_foot(&f, put_frames(&f));
		err = mp_view_finish(out);
	}
	free(f.ids);
	free(f.at);
	mp_calltree__fini(&f.tree);
	return err;
}
