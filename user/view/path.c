// SPDX-License-Identifier: GPL-2.0-or-later
#include "view/path.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Index of the VMA that holds @addr, nr_vmas if none does. */
static size_t vma_of(const struct mp_proc *p, uint64_t addr)
{
	size_t low = 0, high = p->nr_vmas, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (p->vmas[mid].end <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->nr_vmas && p->vmas[low].start <= addr ? low : p->nr_vmas;
}

static void count_pages(const struct mp_proc *p, const struct mp_site *site, struct mp_path *path,
			uint64_t *bytes)
{
	const struct mp_page *page;
	size_t i;

	for (i = 0; i < p->nr_pages; i++) {
		page = &p->pages[i];
		if (page->site != site->id)
			continue;
		if (page->state <= MP_STATE_GONE)
			path->states[page->state]++;
		if (site->mapping && !page->blocks)
			bytes[vma_of(p, page->addr)] += MP_PAGE_SIZE;
		if (page->state != MP_STATE_PRESENT)
			continue;
		if (page->node_known)
			path->zones[page->zone < MP_PATH_ZONES ? page->zone : MP_PATH_ZONES - 1]++;
		if (path->nr_examples < MP_PATH_EXAMPLES)
			path->examples[path->nr_examples++] = page;
	}
}

/* Keeps the VMAs with the most bytes, in order. */
static void keep(struct mp_path *path, const struct mp_proc *p, const struct mp_vma *vma,
		 uint64_t bytes)
{
	size_t i = path->nr_vmas;

	while (i > 0 && path->vmas[i - 1].bytes < bytes)
		i--;
	path->more_vmas += path->nr_vmas == MP_PATH_VMAS;
	if (i == MP_PATH_VMAS)
		return;
	if (path->nr_vmas < MP_PATH_VMAS)
		path->nr_vmas++;
	memmove(&path->vmas[i + 1], &path->vmas[i],
		(path->nr_vmas - 1 - i) * sizeof(path->vmas[0]));
	path->vmas[i].vma = vma;
	path->vmas[i].pid = p->pid;
	path->vmas[i].bytes = bytes;
}

static int find_in(const struct mp_proc *p, const struct mp_site *site, struct mp_path *path)
{
	uint64_t *bytes; /* by VMA; the last for what lies in none */
	bool *seen;
	size_t i, v;

	bytes = calloc(p->nr_vmas + 1, sizeof(*bytes));
	seen = calloc(p->nr_vmas + 1, sizeof(*seen));
	if (!bytes || !seen) {
		free(bytes);
		free(seen);
		return -ENOMEM;
	}
	for (i = 0; i < p->nr_blocks; i++) {
		if (p->blocks[i].site != site->id)
			continue;
		v = vma_of(p, p->blocks[i].addr);
		bytes[v] += p->blocks[i].requested;
		seen[v] = true;
	}
	count_pages(p, site, path, bytes);
	for (v = 0; v < p->nr_vmas; v++) {
		if (site->mapping && p->vmas[v].site == site->id)
			bytes[v] = p->vmas[v].end - p->vmas[v].start;
		if (seen[v] || bytes[v])
			keep(path, p, &p->vmas[v], bytes[v]);
	}
	free(bytes);
	free(seen);
	return 0;
}

int mp_path_find(const struct mp_report *r, const struct mp_site *site, struct mp_path *path)
{
	size_t i;
	int err = 0;

	memset(path, 0, sizeof(*path));
	for (i = 0; i < r->nr_procs && !err; i++)
		err = find_in(&r->procs[i], site, path);
	return err;
}
