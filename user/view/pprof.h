/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a profile holds besides its samples: tables whose entries are written when first used. */
#ifndef MP_VIEW_PPROF_H
#define MP_VIEW_PPROF_H

#include "view/frames.h"
#include "view/proto.h"

struct mp_pprof_mapping;

struct mp_pprof {
	const struct mp_report *r;
	struct mp_symbols *sym;
	struct mp_proto profile;                       /* the message Profile */
	struct mp_proto part, line;                    /* those under way */
	void *strings, *functions, *places, *mappings; /* see search(3) */
	struct mp_pprof_mapping *first_mapping, **last_mapping;
	uint64_t nr_strings, nr_functions, nr_places, nr_mappings;
	int err; /* 0 or -ENOMEM */
};

/* Fields of Profile, in google/pprof's proto/profile.proto */
enum {
	MP_PPROF_SAMPLE_TYPE = 1,
	MP_PPROF_SAMPLE = 2,
	MP_PPROF_MAPPING = 3,
	MP_PPROF_LOCATION = 4,
	MP_PPROF_FUNCTION = 5,
	MP_PPROF_STRING = 6,
	MP_PPROF_DURATION = 10,
	MP_PPROF_PERIOD_TYPE = 11,
	MP_PPROF_PERIOD = 12,
	MP_PPROF_DEFAULT_TYPE = 14,
};

void mp_pprof__init(struct mp_pprof *p, const struct mp_report *r, struct mp_symbols *sym);
void mp_pprof__fini(struct mp_pprof *p);

/* Index of the string, made safe. */
uint64_t mp_pprof__string(struct mp_pprof *p, const char *s);
/* Id of the location of f->frame, whose names are all used: goes on to the next frame. */
uint64_t mp_pprof__location(struct mp_pprof *p, struct mp_frames *f);
/* Of something that is no code, as "(unknown)". */
uint64_t mp_pprof__named(struct mp_pprof *p, const char *name);
/* Writes the mappings, once all locations are known. */
void mp_pprof__mappings(struct mp_pprof *p);

#endif
