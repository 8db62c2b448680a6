// SPDX-License-Identifier: GPL-2.0-or-later
/* Limits of memory, in words. */
#include <inttypes.h>

#include "view/label.h"
#include "view/units.h"
#include "view/views.h"

void mp_text_limit(const struct mp_proc *p, const struct mp_view_opts *opts, FILE *out)
{
	const struct mp_limit *l = &p->limit;
	char path[600];

	if (p->at == MP_AT_OOM && p->exited)
		fputs("  out of memory: the kernel chose it to be killed; this is that instant\n",
		      out);
	else if (p->at == MP_AT_OOM)
		fputs("  out of memory: this is the instant after; the process lives on\n", out);
	if (!l->version)
		return;
	mp_label_safe(path, sizeof(path), l->path);
	fprintf(out, "  limit %s by the cgroup %s", mp_units_bytes(l->limit_bytes, opts->bytes).s,
		path);
	if (l->peak_bytes != MP_UNKNOWN)
		fprintf(out, ": %s at most so far", mp_units_bytes(l->peak_bytes, opts->bytes).s);
	if (l->limit_hits != MP_UNKNOWN)
		fprintf(out, ", limit met %" PRId64 " time%s", l->limit_hits,
			l->limit_hits == 1 ? "" : "s");
	if (l->oom_kills > 0)
		fprintf(out, ", %" PRId64 " killed", l->oom_kills);
	fputc('\n', out);
}
