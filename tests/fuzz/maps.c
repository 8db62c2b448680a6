// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as the text of /proc/PID/smaps: a list in order, or a refusal. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect/procfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mp_maps maps;
	FILE *f;

	if (!size) /* fmemopen refuses it */
		return 0;
	f = fmemopen((void *)(uintptr_t)data, size, "r");
	if (!f)
		abort();
	if (!mp_maps_parse(f, &maps, NULL)) {
		for (size_t i = 0; i < maps.nr; i++) {
			const struct mp_map *map = &maps.map[i];

			if (map->start >= map->end || map->name_len > MP_NAME_MAX ||
			    strnlen(map->name, MP_NAME_MAX + 1) > map->name_len ||
			    (i && maps.map[i - 1].end > map->start))
				abort();
		}
		mp_maps_free(&maps);
	}
	fclose(f);
	return 0;
}
