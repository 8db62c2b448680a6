// SPDX-License-Identifier: GPL-2.0-or-later
#include "model/step.h"

#include <errno.h>
#include <string.h>

#include "model/inside.h"

static void find_block(struct mp_process *p, uint64_t addr, struct mp_step *step)
{
	struct mp_blk blk;

	if (!mp_blocks__at(&p->blocks, addr, &blk) && !mp_blocks__start(&p->blocks, addr, &blk))
		return;
	step->block = blk.start;
	step->bytes = blk.end - blk.start;
	step->t_ns = blk.t_ns;
	step->owner = blk.site;
}

static int of_alloc(struct mp_model *m, struct mp_process *p, const struct mp_ev_alloc *ev,
		    bool stayed, struct mp_step *step)
{
	uint8_t tiered = mp_tiered(p, ev, stayed);

	step->tier = MP_TIER_OF(tiered);
	step->sure = MP_SURE_OF(tiered);
	return mp_process_site(m, p, ev->stack, ev->caller, MP_PLACE_RETURN, &step->site);
}

static int of_free(struct mp_model *m, struct mp_process *p, const struct mp_ev_free *ev,
		   struct mp_step *step)
{
	find_block(p, ev->addr, step);
	return mp_process_site(m, p, ev->stack, ev->caller, MP_PLACE_RETURN, &step->site);
}

static int of_fault(struct mp_model *m, struct mp_process *p, const struct mp_ev_fault *ev,
		    struct mp_step *step)
{
	struct mp_fault_look look;
	int err;

	if (ev->addr >= MP_ADDR_END)
		return 0;
	find_block(p, ev->addr, step);
	err = mp_fault_look(m, p, ev, mp_ranges__vma(&p->ranges, ev->addr), &look);
	if (err)
		return err;
	step->kind = look.kind;
	step->by = look.by;
	step->owner = look.owner;
	step->site = look.toucher;
	return 0;
}

int mp_model__step(struct mp_model *m, const struct mp_ev *ev, struct mp_step *step)
{
	const struct mp_ev_realloc_done *re = (const void *)ev;
	const struct mp_ev_range *range = (const void *)ev;
	const struct mp_ev_threshold *raise = (const void *)ev;
	const struct mp_ev_new_heap *heap = (const void *)ev;
	const struct mp_ev_stall *stall = (const void *)ev;
	struct mp_process *p;

	memset(step, 0, sizeof(*step));
	p = mp_process_of(m, ev->tgid);
	if (!p)
		return -ENOMEM;
	switch (ev->type) {
	case MP_EV_ALLOC:
		return of_alloc(m, p, (const void *)ev, false, step);
	case MP_EV_REALLOC_DONE:
		find_block(p, re->old, step);
		return of_alloc(m, p, &re->a, re->a.addr == re->old, step);
	case MP_EV_FREE:
		return of_free(m, p, (const void *)ev, step);
	case MP_EV_FAULT:
		return of_fault(m, p, (const void *)ev, step);
	case MP_EV_STALL:
		find_block(p, stall->addr, step);
		return mp_stall_owner(m, p, stall, &step->owner);
	case MP_EV_RANGE:
		return mp_process_site(m, p, range->stack, range->caller, MP_PLACE_RETURN,
				       &step->site);
	case MP_EV_THRESHOLD:
		return mp_process_site(m, p, raise->stack, raise->caller, MP_PLACE_RETURN,
				       &step->site);
	case MP_EV_NEW_HEAP:
		return mp_process_site(m, p, heap->stack, heap->caller, MP_PLACE_RETURN,
				       &step->site);
	}
	return 0;
}

void mp_model__step_site(const struct mp_model *m, uint32_t site, struct mp_step_site *out)
{
	const struct mp_sites *s = &m->sites;
	uint32_t node = s->recs[site].node;
	size_t n = 0;

	memset(&out->site, 0, sizeof(out->site));
	out->site.id = site;
	for (; node >= MP_STACK_END_MAX && n < MP_STEP_FRAMES; node = s->nodes[node].outer, n++) {
		out->places[n] = s->places.recs[s->nodes[node].place].place;
		out->frames[n] = (struct mp_stack_frame){ .place = &out->places[n] };
		if (n)
			out->frames[n - 1].outer = &out->frames[n];
	}
	out->site.end = node < MP_STACK_END_MAX ? node : MP_STACK_DEEP;
	out->site.frame = n ? out->frames : NULL;
}
