// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/system.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOT_READ (~0ULL)
#define KIB      1024

static uint64_t setting(const char *name)
{
	uint64_t value = NOT_READ;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/sys/vm/%s", name);
	f = fopen(path, "re");
	if (!f)
		return NOT_READ;
	if (fscanf(f, "%" SCNu64, &value) != 1)
		value = NOT_READ;
	fclose(f);
	return value;
}

static uint64_t bytes_of(const char *name)
{
	uint64_t kib = setting(name);

	return kib > UINT64_MAX / KIB ? NOT_READ : kib * KIB;
}

static void read_meminfo(struct mp_ev_system *ev)
{
	FILE *f = fopen("/proc/meminfo", "re");
	uint64_t kib;
	char line[128];

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemTotal: %" SCNu64 " kB", &kib) == 1)
			ev->ram_bytes = kib * KIB;
		else if (sscanf(line, "SwapTotal: %" SCNu64 " kB", &kib) == 1)
			ev->swap_bytes = kib * KIB;
		else if (sscanf(line, "CommitLimit: %" SCNu64 " kB", &kib) == 1)
			ev->commit_limit_bytes = kib * KIB;
	}
	fclose(f);
}

void mp_system_read(struct mp_ev_system *ev)
{
	*ev = (struct mp_ev_system){
		.h = { .type = MP_EV_SYSTEM, .size = sizeof(*ev), .ts_ns = mp_mono_ns() },
		.commit_limit_bytes = NOT_READ,
		.ram_bytes = NOT_READ,
		.swap_bytes = NOT_READ,
		.admin_reserve_bytes = bytes_of("admin_reserve_kbytes"),
		.user_reserve_bytes = bytes_of("user_reserve_kbytes"),
		.overcommit = (uint32_t)setting("overcommit_memory"),
		.max_mappings = (uint32_t)setting("max_map_count"),
	};
	read_meminfo(ev);
}

uint64_t mp_system_symbol(const char *name)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	uint64_t addr, found = 0;
	char line[512], symbol[256];

	if (!f)
		return 0;
	/* "ADDRESS TYPE NAME", or with "[MODULE]" after it: those are other variables */
	while (!found && fgets(line, sizeof(line), f))
		if (strstr(line, name) &&
		    sscanf(line, "%" SCNx64 " %*c %255s", &addr, symbol) == 2 &&
		    !strcmp(symbol, name) && !strchr(line, '['))
			found = addr;
	fclose(f);
	return found;
}
