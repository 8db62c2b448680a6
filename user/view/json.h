/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing JSON values one by one. @name is the key, NULL within an array. Errors stick in @err. */
#ifndef MP_VIEW_JSON_H
#define MP_VIEW_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <yajl/yajl_gen.h>

struct mp_json {
	yajl_gen gen;
	FILE *out;
	int err; /* 0 or -errno; failed writes are seen in @out */
};

/* @j->out must be set. 0 or -ENOMEM. */
int mp_json_init(struct mp_json *j);
void mp_json_end(struct mp_json *j);

/* @bracket: "{" or "[", "}" or "]" */
void mp_json_open(struct mp_json *j, const char *name, const char *bracket);
void mp_json_close(struct mp_json *j, const char *bracket);
/* A line break between two elements */
void mp_json_line(struct mp_json *j);

/* Our own words; NULL gives null. */
void mp_json_word(struct mp_json *j, const char *name, const char *value);
/* Text of others: what is not UTF-8 becomes U+FFFD, JSON having no other text. */
void mp_json_string(struct mp_json *j, const char *name, const char *value);
/* The same; NULL and "" give null. */
void mp_json_text(struct mp_json *j, const char *name, const char *value);
void mp_json_bool(struct mp_json *j, const char *name, bool value);
/* "0x..." */
void mp_json_address(struct mp_json *j, const char *name, uint64_t addr);
void mp_json_number(struct mp_json *j, const char *name, uint64_t n);
/* 0 gives null. */
void mp_json_known(struct mp_json *j, const char *name, uint64_t n);
/* MP_UNKNOWN gives null. */
void mp_json_signed(struct mp_json *j, const char *name, int64_t n);
/* NaN gives null. */
void mp_json_real(struct mp_json *j, const char *name, double x);

struct mp_site;
struct mp_symbols;
struct mp_view_opts;
/* json.c: the members "frames", "shown" and "stack_end" of a site. */
void mp_json_frames(struct mp_json *j, struct mp_symbols *sym, const struct mp_view_opts *opts,
		    const struct mp_site *s);

struct mp_limit;
struct mp_give_back;
struct mp_heap_facts;
struct mp_waits;
struct mp_page;
struct mp_departed;
/* json_past.c: members of a page; "departed" of a site, or of none; "departed" of a process. */
void mp_json_past(struct mp_json *j, const struct mp_page *p);
void mp_json_departed(struct mp_json *j, const struct mp_departed *d, size_t nr);
void mp_json_ways(struct mp_json *j, const uint64_t *bytes);
/* json_retention.c: the member "cgroup" of a process; "given_back", of a process or a site. */
void mp_json_limit(struct mp_json *j, const struct mp_limit *l);
void mp_json_given_back(struct mp_json *j, const struct mp_give_back *g);
/* waits.c: members of "waits" of a process, of "page_alloc" of a site */
void mp_json_waits(struct mp_json *j, const struct mp_waits *w);
struct mp_vma;
/* json_retention.c: the member "growers" of a VMA. */
void mp_json_growers(struct mp_json *j, const struct mp_vma *v);
struct mp_proc;
/* refusals.c: the member "refusals" of a process. */
void mp_json_refusals(struct mp_json *j, const struct mp_proc *p);
/* Members of "glibc": how many arenas, and who made them. */
void mp_json_arenas(struct mp_json *j, const struct mp_heap_facts *g);

#endif
