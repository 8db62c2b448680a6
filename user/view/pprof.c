// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A profile for pprof and what reads its format: the message Profile of google/pprof's
 * proto/profile.proto, through gzip. The names of values are those of heap profiles elsewhere, so that
 * such profiles can be compared.
 */
#include "view/pprof.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "view/calltree.h"
#include "view/metric.h"
#include "view/order.h"
#include "view/views.h"

enum {
	ALLOC_OBJECTS,
	ALLOC_SPACE,
	INUSE_OBJECTS,
	INUSE_SPACE,
	RESIDENT,
	UNTOUCHED,
	CHARGED,
	FAULTS,
	FAULT_TIME,
	VALUES
};

static const struct {
	const char *type, *unit;
} types[VALUES] = {
	[ALLOC_OBJECTS] = { "alloc_objects", "count" },
	[ALLOC_SPACE] = { "alloc_space", "bytes" },
	[INUSE_OBJECTS] = { "inuse_objects", "count" },
	[INUSE_SPACE] = { "inuse_space", "bytes" },
	[RESIDENT] = { "resident_space", "bytes" },
	[UNTOUCHED] = { "untouched_space", "bytes" },
	[CHARGED] = { "charged_space", "bytes" },
	[FAULTS] = { "faults", "count" },
	[FAULT_TIME] = { "fault_time", "nanoseconds" },
};

/* What a reader shows first. */
static int shown_first(enum mp_sort sort)
{
	switch (sort) {
	case MP_SORT_CHARGED:
		return CHARGED;
	case MP_SORT_LIVE:
		return INUSE_SPACE;
	case MP_SORT_UNTOUCHED:
		return UNTOUCHED;
	case MP_SORT_FAULTS:
		return FAULTS;
	case MP_SORT_FAULT_NS:
		return FAULT_TIME;
	case MP_SORT_CALLS:
		return ALLOC_OBJECTS;
	default:
		return RESIDENT;
	}
}

static void put_type(struct mp_pprof *p, uint32_t field, int i)
{
	enum { TYPE = 1, UNIT = 2 };
	uint64_t type = mp_pprof__string(p, types[i].type),
		 unit = mp_pprof__string(p, types[i].unit);

	mp_proto_clear(&p->part);
	mp_proto_number(&p->part, TYPE, type);
	mp_proto_number(&p->part, UNIT, unit);
	mp_proto_message(&p->profile, field, &p->part);
}

/* @kind: the value of the label that says where the memory came from */
static void put_sample(struct mp_pprof *p, const uint64_t *ids, size_t nr,
		       const uint64_t values[VALUES], const char *kind)
{
	enum { LOCATION_ID = 1, VALUE = 2, LABEL = 3 };
	enum { LABEL_KEY = 1, LABEL_STR = 2 };
	uint64_t key = mp_pprof__string(p, "kind"), value = mp_pprof__string(p, kind);

	mp_proto_clear(&p->line);
	mp_proto_number(&p->line, LABEL_KEY, key);
	mp_proto_number(&p->line, LABEL_STR, value);
	mp_proto_clear(&p->part);
	mp_proto_packed(&p->part, LOCATION_ID, ids, nr);
	mp_proto_packed(&p->part, VALUE, values, VALUES);
	mp_proto_message(&p->part, LABEL, &p->line);
	mp_proto_message(&p->profile, MP_PPROF_SAMPLE, &p->part);
}

/* Values are signed there. */
static bool values_of(const struct mp_site *s, uint64_t values[VALUES])
{
	const uint64_t n[VALUES] = {
		[ALLOC_OBJECTS] = s->calls,       [ALLOC_SPACE] = s->requested_bytes,
		[INUSE_OBJECTS] = s->live_blocks, [INUSE_SPACE] = s->live_bytes,
		[RESIDENT] = s->resident_bytes,   [UNTOUCHED] = s->untouched_bytes,
		[CHARGED] = s->charged_bytes,     [FAULTS] = mp_order_faults(s->faults),
		[FAULT_TIME] = s->fault_ns,
	};
	bool some = false;
	int i;

	for (i = 0; i < VALUES; i++) {
		values[i] = (uint64_t)mp_units_signed(n[i]);
		some |= n[i] != 0;
	}
	return some;
}

/* @ids has room for what is kept of a stack, and one more. */
static void put_site(struct mp_pprof *p, const struct mp_site *site, uint64_t *ids)
{
	uint64_t values[VALUES];
	struct mp_label end;
	struct mp_frames f;
	size_t nr = 0;

	if (!values_of(site, values))
		return;
	mp_frames_begin(&f, site, p->sym);
	while (f.frame && nr < MP_CALLTREE_DEPTH)
		ids[nr++] = mp_pprof__location(p, &f);
	end = mp_calltree_end(f.frame ? MP_STACK_DEEP : site->end);
	if (*end.s)
		ids[nr++] = mp_pprof__named(p, end.s);
	put_sample(p, ids, nr, values, site->mapping ? "mmap" : "malloc");
}

static void put_unknown(struct mp_pprof *p)
{
	const struct mp_unknown unknown = mp_unknown_find(p->r);
	const uint64_t values[VALUES] = {
		[INUSE_OBJECTS] = unknown.live_blocks,
		[RESIDENT] = unknown.resident_bytes,
	};
	uint64_t id;

	if (!unknown.live_blocks && !unknown.resident_bytes)
		return;
	id = mp_pprof__named(p, MP_CALLTREE_UNKNOWN);
	put_sample(p, &id, 1, values, "malloc");
}

static int put_profile(struct mp_pprof *p, const struct mp_view_opts *opts)
{
	uint64_t *ids = calloc(MP_CALLTREE_DEPTH + 1, sizeof(*ids));
	size_t i;

	if (!ids)
		return -ENOMEM;
	for (i = 0; i < VALUES; i++)
		put_type(p, MP_PPROF_SAMPLE_TYPE, (int)i);
	for (i = 0; i < p->r->nr_sites && !p->err && !p->profile.err; i++)
		put_site(p, &p->r->sites[i], ids);
	put_unknown(p);
	mp_pprof__mappings(p);
	put_type(p, MP_PPROF_PERIOD_TYPE, INUSE_SPACE);
	mp_proto_number(&p->profile, MP_PPROF_PERIOD, 1);
	mp_proto_number(&p->profile, MP_PPROF_DURATION, p->r->last_ns - p->r->first_ns);
	mp_proto_number(&p->profile, MP_PPROF_DEFAULT_TYPE,
			mp_pprof__string(p, types[shown_first(opts->sort)].type));
	free(ids);
	return p->err ? p->err : p->profile.err;
}

/* Without a name and a time: the same profile is the same file. */
static int put_gzip(const struct mp_proto *m, FILE *out)
{
	const int gzip = 16 + MAX_WBITS;
	unsigned char bytes[16384];
	size_t at = 0, piece;
	z_stream z = { 0 };
	int rc, err = 0;

	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip, 8, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		return -ENOMEM;
	do {
		/* what z_stream counts is smaller than what there may be */
		if (!z.avail_in) {
			piece = m->len - at < 1U << 30 ? m->len - at : 1U << 30;
			z.next_in = m->bytes + at;
			z.avail_in = (uInt)piece;
			at += piece;
		}
		z.next_out = bytes;
		z.avail_out = sizeof(bytes);
		rc = deflate(&z, at == m->len ? Z_FINISH : Z_NO_FLUSH);
		errno = 0;
		if (fwrite(bytes, 1, sizeof(bytes) - z.avail_out, out) <
		    sizeof(bytes) - z.avail_out)
			err = errno ? -errno : -EIO;
	} while (!err && rc != Z_STREAM_END && rc != Z_STREAM_ERROR);
	deflateEnd(&z);
	if (!err && rc != Z_STREAM_END)
		err = -EIO;
	return err ? err : mp_view_finish(out);
}

int mp_view_pprof(const struct mp_report *r, struct mp_symbols *sym,
		  const struct mp_view_opts *opts, FILE *out)
{
	struct mp_pprof p;
	int err;

	mp_pprof__init(&p, r, sym);
	err = put_profile(&p, opts);
	if (!err)
		err = put_gzip(&p.profile, out);
	mp_pprof__fini(&p);
	return err;
}
