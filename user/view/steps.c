// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/steps.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "view/frames.h"
#include "view/step_text.h"
#include "view/views.h"

struct label {       /* of a site */
	char *text;  /* NULL: not asked for yet */
	bool wanted; /* by opts->function */
};

struct mp_steps {
	struct mp_model *m;
	struct mp_symbols *sym;
	const struct mp_steps_opts *opts;
	const struct mp_view_opts *view_opts;
	FILE *out;
	struct label *labels; /* by site */
	size_t nr_labels;
	struct mp_step_site at; /* the one being named: large */
	struct mp_frames frames;
	uint64_t begin_ns, shown;
};

static const struct {
	const char *word;
	unsigned int stage;
} stages[] = {
	{ "malloc", MP_STEP_MALLOC }, { "free", MP_STEP_FREE }, { "grow", MP_STEP_GROW },
	{ "fault", MP_STEP_FAULT },   { "page", MP_STEP_PAGE }, { "heap", MP_STEP_HEAP },
	{ "life", MP_STEP_LIFE },
};

const char *mp_stages_words(void)
{
	return "malloc, free, grow, fault, page, heap, life";
}

static unsigned int stage_of(const char *word, size_t len)
{
	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		if (strlen(stages[i].word) == len && !strncmp(stages[i].word, word, len))
			return stages[i].stage;
	return 0;
}

int mp_stages_parse(const char *words, unsigned int *out)
{
	*out = 0;
	for (;;) {
		size_t len = strcspn(words, ",");
		unsigned int stage = stage_of(words, len);

		if (!stage)
			return -EINVAL;
		*out |= stage;
		if (!words[len])
			return 0;
		words += len + 1;
	}
}

struct mp_steps *mp_steps__new(struct mp_model *m, struct mp_symbols *sym,
			       const struct mp_steps_opts *opts,
			       const struct mp_view_opts *view_opts, FILE *out)
{
	struct mp_steps *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->m = m;
	s->sym = sym;
	s->opts = opts;
	s->view_opts = view_opts;
	s->out = out;
	return s;
}

void mp_steps__free(struct mp_steps *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->nr_labels; i++)
		free(s->labels[i].text);
	free(s->labels);
	free(s);
}

uint64_t mp_steps__shown(const struct mp_steps *s)
{
	return s->shown;
}

static bool has_function(struct mp_steps *s)
{
	struct mp_frames *f = &s->frames;

	for (mp_frames_begin(f, &s->at.site, s->sym); f->frame; mp_frames_next(f, s->sym)) {
		const char *name = mp_frames_name(f)->function;

		if (name && !fnmatch(s->opts->function, name, 0))
			return true;
	}
	return false;
}

static int name_site(struct mp_steps *s, uint32_t site, struct label *label)
{
	mp_model__step_site(s->m, site, &s->at);
	if (!s->at.site.frame) {
		label->text = strdup("");
		return label->text ? 0 : -ENOMEM;
	}
	label->wanted = s->opts->function && has_function(s);
	mp_frames_shown(&s->frames, &s->at.site, s->sym, s->view_opts);
	label->text = strdup(mp_frames_label(&s->frames, 0).s);
	return label->text ? 0 : -ENOMEM;
}

/* What @site is called; NULL: no memory. */
static struct label *label_of(struct mp_steps *s, uint32_t site)
{
	if (site >= s->nr_labels) {
		size_t n = (site + 1) * 2;
		struct label *more = reallocarray(s->labels, n, sizeof(*more));

		if (!more)
			return NULL;
		memset(more + s->nr_labels, 0, (n - s->nr_labels) * sizeof(*more));
		s->labels = more;
		s->nr_labels = n;
	}
	if (!s->labels[site].text && name_site(s, site, &s->labels[site]))
		return NULL;
	return &s->labels[site];
}

/* 1: to be shown, 0: not, or -ENOMEM. */
static int wanted(struct mp_steps *s, const struct mp_ev *ev, const struct mp_step *step)
{
	uint32_t sites[] = { step->site, step->owner };

	if (ev->type == MP_EV_GAP)
		return 1;
	if (mp_step_bytes(ev, step) < s->opts->min_bytes)
		return 0;
	if (!s->opts->function)
		return 1;
	for (size_t i = 0; i < 2; i++) {
		struct label *label = sites[i] ? label_of(s, sites[i]) : NULL;

		if (sites[i] && !label)
			return -ENOMEM;
		if (label && label->wanted)
			return 1;
	}
	return 0;
}

static void print_head(const struct mp_steps *s, const struct mp_ev *ev)
{
	char who[32];

	if (ev->tid && ev->tid != ev->tgid)
		snprintf(who, sizeof(who), "%" PRIu32 "/%" PRIu32, ev->tgid, ev->tid);
	else
		snprintf(who, sizeof(who), "%" PRIu32, ev->tgid);
	fprintf(s->out, "%12.6f %-13s ",
		ev->ts_ns > s->begin_ns ? (ev->ts_ns - s->begin_ns) / 1e9 : 0.0, who);
}

static int print_site(struct mp_steps *s, const char *before, uint32_t site)
{
	const struct label *label = site ? label_of(s, site) : NULL;

	if (site && !label)
		return -ENOMEM;
	if (label && *label->text)
		fprintf(s->out, "%s%s", before, label->text);
	return 0;
}

static void print_stack(struct mp_steps *s, uint32_t site)
{
	struct mp_frames *f = &s->frames;

	mp_model__step_site(s->m, site, &s->at);
	if (!s->at.site.frame)
		return;
	for (mp_frames_begin(f, &s->at.site, s->sym); f->frame; mp_frames_next(f, s->sym))
		fprintf(s->out, "%28s%s\n", "", mp_frames_label(f, 0).s);
}

static int print(struct mp_steps *s, const struct mp_ev *ev, const struct mp_step *step)
{
	print_head(s, ev);
	mp_step_print(ev, step, s->view_opts->bytes, s->out);
	if (print_site(s, ev->type == MP_EV_FREE ? ", of " : ", memory of ",
		       step->owner != step->site ? step->owner : 0) ||
	    print_site(s, "  <- ", step->site))
		return -ENOMEM;
	if (fputc('\n', s->out) == EOF)
		return errno ? -errno : -EIO;
	if (s->view_opts->stacks && step->site)
		print_stack(s, step->site);
	s->shown++;
	return 0;
}

int mp_steps__put(struct mp_steps *s, const struct mp_ev *ev)
{
	struct mp_step step;
	int rc;

	if (!s->begin_ns)
		s->begin_ns = ev->ts_ns;
	if (!(mp_step_stage(ev) & s->opts->stages))
		return 0;
	rc = mp_model__step(s->m, ev, &step);
	if (!rc)
		rc = wanted(s, ev, &step);
	return rc <= 0 ? rc : print(s, ev, &step);
}
