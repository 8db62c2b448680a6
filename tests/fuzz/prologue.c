// SPDX-License-Identifier: GPL-2.0-or-later
/* Any bytes as code: the spot lies within them, and only where the kernel can emulate. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "../bpf/event.h"
#include "collect/prologue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mp_spot spot, again;

	for (unsigned int nr_args = 0; nr_args < 6; nr_args++) {
		if (mp_prologue_find(data, size, nr_args, &spot))
			return 0;
		if (spot.into >= size || (spot.kind == MP_PROBE_STEPPED && spot.into))
			abort();
		/* fewer arguments to keep never give an earlier end */
		if (nr_args && !mp_prologue_find(data, size, nr_args - 1, &again) &&
		    again.kind == MP_PROBE_STEPPED && spot.kind == MP_PROBE_EMULATED)
			abort();
	}
	return 0;
}
