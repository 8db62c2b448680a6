// SPDX-License-Identifier: GPL-2.0-or-later
#include "frames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "fixture.h"

size_t frames_at(struct mp_symbols *s, const char *name, uint64_t offset, struct mp_symbol *out)
{
	struct mp_code code = { .path = fixture_path(name), .offset = offset };
	struct stat st;

	assert_int_equal(stat(code.path, &st), 0);
	code.ino = st.st_ino;
	code.dev_major = major(st.st_dev);
	code.dev_minor = minor(st.st_dev);
	return mp_symbols__frames(s, &code, out, FRAMES_MAX);
}

uint64_t frames_bias(const char *name)
{
	unsigned long offset, vaddr;
	char said[128];

	fixture_output(said, sizeof(said),
		       "readelf -lW %s | awk '$1 == \"LOAD\" && / R E / { print $2, $3 }'", name);
	assert_int_equal(sscanf(said, "%lx %lx", &offset, &vaddr), 2);
	return vaddr - offset;
}

uint64_t frames_address(const char *name, const char *function)
{
	char said[128];
	uint64_t addr;

	fixture_output(said, sizeof(said), "nm -C %s | sed -n 's/ [tTwW] %s$//p'", name, function);
	addr = strtoull(said, NULL, 16);
	assert_int_not_equal(addr, 0);
	return addr;
}

size_t frames_of(struct mp_symbols *s, const char *name, const char *debug, const char *function,
		 struct mp_symbol *out)
{
	return frames_at(s, name, frames_address(debug, function) - frames_bias(name), out);
}

/* "FILE:LINE[:COLUMN][ (discriminator N)]", "??:0", "??:?" */
static void split_line(char *text, unsigned int *line)
{
	char *colon;

	text[strcspn(text, "\n")] = '\0';
	colon = strstr(text, " (discriminator");
	if (colon)
		*colon = '\0';
	*line = 0;
	/* from the end: at most two numbers */
	for (int i = 0; i < 2 && (colon = strrchr(text, ':')); i++) {
		if (colon[1 + strspn(colon + 1, "0123456789?")])
			return;
		*line = (unsigned int)strtoul(colon + 1, NULL, 10);
		*colon = '\0';
	}
}

struct said {
	char function[8192], file[8192];
	unsigned int line;
};

/* The frames of the next address, and that; 0 at the end. */
static size_t read_said(FILE *f, uint64_t *addr, struct said *out)
{
	static char line[16384];
	char *inlined;
	size_t nr = 0;
	int c;

	if (!fgets(line, sizeof(line), f))
		return 0;
	assert_int_equal(sscanf(line, "0x%lx", addr), 1);
	while ((c = getc(f)) != EOF) {
		ungetc(c, f);
		if (c == '0')
			break;
		assert_true(nr < FRAMES_MAX);
		assert_non_null(fgets(line, sizeof(line), f));
		line[strcspn(line, "\n")] = '\0';
		inlined = strstr(line, " inlined at ");
		if (inlined)
			*inlined = '\0';
		snprintf(out[nr].function, sizeof(out[nr].function), "%.8191s", line);
		assert_non_null(fgets(line, sizeof(line), f));
		split_line(line, &out[nr].line);
		snprintf(out[nr].file, sizeof(out[nr].file), "%.8191s", line);
		nr++;
	}
	return nr;
}

static void check(uint64_t addr, const struct said *said, size_t nr_said,
		  const struct mp_symbol *got, size_t nr, const char *tool)
{
	if (nr != nr_said)
		fail_msg("0x%lx: %zu frames, first %s, %s: %zu, first %s", addr, nr,
			 nr ? got[0].function : "", tool, nr_said, said[0].function);
	for (size_t i = 0; i < nr; i++) {
		if (!got[i].function || strcmp(got[i].function, said[i].function))
			fail_msg("0x%lx frame %zu: %s, %s: %s", addr, i, got[i].function, tool,
				 said[i].function);
		assert_int_equal(got[i].inlined, i + 1 < nr);
		if (said[i].line && (!got[i].file || strcmp(got[i].file, said[i].file) ||
				     got[i].line != (int)said[i].line))
			fail_msg("0x%lx %s: %s:%d, %s: %s:%u", addr, got[i].function,
				 got[i].file ? got[i].file : "-", got[i].line, tool, said[i].file,
				 said[i].line);
	}
}

static void write_addresses(const char *debug, const char *functions, unsigned int step)
{
	unsigned long start, size;
	char line[4096];
	size_t nr = 0;
	FILE *in, *out;

	fixture_shell("nm -CS %s | grep -E '^[0-9a-f]+ [0-9a-f]+ [tTwW] (%s)' >functions", debug,
		      functions);
	in = fopen(fixture_path("functions"), "r");
	out = fopen(fixture_path("addresses"), "w");
	assert_non_null(in);
	assert_non_null(out);
	while (fgets(line, sizeof(line), in)) {
		assert_int_equal(sscanf(line, "%lx %lx", &start, &size), 2);
		for (unsigned long into = 0; into < size; into += step, nr++)
			fprintf(out, "0x%lx\n", start + into);
	}
	assert_true(nr > 0);
	fclose(in);
	assert_int_equal(fclose(out), 0);
}

struct frames_count frames_compare(struct mp_symbols *s, const char *name, const char *debug,
				   const char *tool, const char *functions, unsigned int step)
{
	static struct said said[FRAMES_MAX];
	struct mp_symbol got[FRAMES_MAX];
	struct frames_count count = { 0 };
	uint64_t bias = frames_bias(name), addr;
	size_t nr;
	FILE *f;

	write_addresses(debug, functions, step);
	fixture_shell("%s -a -i -f -e %s <addresses >raw && c++filt <raw >said", tool, debug);
	f = fopen(fixture_path("said"), "r");
	assert_non_null(f);
	while ((nr = read_said(f, &addr, said))) {
		size_t mine = frames_at(s, name, addr - bias, got);

		check(addr, said, nr, got, mine, tool);
		count.addresses++;
		count.inlined += nr - 1;
		count.deepest = nr > count.deepest ? nr : count.deepest;
	}
	fclose(f);
	return count;
}
