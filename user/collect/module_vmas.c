// SPDX-License-Identifier: GPL-2.0-or-later
/* The text of PID/vmas: a header line that names the columns, then a line a mapping. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collect/module.h"

#define COLUMNS_MAX 256
#define ROWS_MAX    (1U << 20)
#define LINE_BYTES  65536U
#define IGNORED     SIZE_MAX
#define PERMS       (SIZE_MAX - 1)
#define KIND        (SIZE_MAX - 2)
#define NAME        (SIZE_MAX - 3)
#define TWICE       (SIZE_MAX - 4)
#define NODE        (SIZE_MAX / 2) /* and the node's number */

#define AT(field) offsetof(struct mp_module_vma, field)

/* Every one of them must be there, once. */
static const struct {
	const char *name;
	size_t at; /* of the u64 in the row, or as above */
} known[] = {
	{ "start", AT(start) },      { "end", AT(end) },
	{ "perms", PERMS },          { "kind", KIND },
	{ "f_anon", AT(faults[0]) }, { "f_thp", AT(faults[1]) },
	{ "f_mthp", AT(faults[2]) }, { "f_zero", AT(faults[3]) },
	{ "f_cow", AT(faults[4]) },  { "f_swapin", AT(faults[5]) },
	{ "f_file", AT(faults[6]) }, { "f_shmem", AT(faults[7]) },
	{ "minor", AT(minor) },      { "major", AT(major) },
	{ "foreign", AT(foreign) },  { "first_ns", AT(first_ns) },
	{ "last_ns", AT(last_ns) },  { "present", AT(present) },
	{ "anon", AT(anon) },        { "thp", AT(thp) },
	{ "mthp", AT(mthp) },        { "swap", AT(swap) },
	{ "zero", AT(zero) },        { "huge_zero", AT(huge_zero) },
	{ "hugetlb", AT(hugetlb) },  { "name", NAME },
};
#define NR_KNOWN (sizeof(known) / sizeof(known[0]))

struct header {
	size_t nr;
	size_t at[COLUMNS_MAX];
};

/* The next word of @s, ended by NUL in place; NULL at the end. Fields are separated by one space. */
static char *word(char **s)
{
	char *begin = *s, *end;

	if (!begin || !*begin)
		return NULL;
	end = strchr(begin, ' ');
	if (end)
		*end++ = '\0';
	*s = end;
	return begin;
}

static bool parse_u64(const char *text, uint64_t *out)
{
	char *end;

	if (!strcmp(text, "-")) {
		*out = MP_MODULE_NONE;
		return true;
	}
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, strncmp(text, "0x", 2) ? 10 : 16);
	return !*end && !errno && *out != MP_MODULE_NONE;
}

static size_t column(const char *name, uint32_t *seen, uint32_t *nodes)
{
	uint64_t node;
	size_t i;

	for (i = 0; i < NR_KNOWN; i++) {
		if (strcmp(name, known[i].name))
			continue;
		if (*seen & 1U << i)
			return TWICE;
		*seen |= 1U << i;
		return known[i].at;
	}
	if (strncmp(name, "node", 4) || !parse_u64(name + 4, &node) || node > UINT16_MAX)
		return IGNORED;
	node = node < MP_MODULE_NODES ? node : MP_MODULE_NODES - 1;
	*nodes |= 1U << node;
	return NODE + node;
}

/* False: not what is needed is there, or twice, or the name is not last. */
static bool parse_header(char *line, struct header *h, uint32_t *nodes)
{
	uint32_t seen = 0;
	char *name;

	h->nr = 0;
	while ((name = word(&line))) {
		if (h->nr == COLUMNS_MAX || !*name)
			return false;
		h->at[h->nr] = column(name, &seen, nodes);
		if (h->at[h->nr] == TWICE)
			return false;
		h->nr++;
	}
	return seen == (1U << NR_KNOWN) - 1 && h->at[h->nr - 1] == NAME;
}

static bool take_word(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (!len || len >= size || strspn(text, "abcdefghijklmnopqrstuvwxyz-") != len)
		return false;
	memcpy(to, text, len + 1);
	return true;
}

static bool take_field(struct mp_module_vma *row, size_t at, const char *text)
{
	uint64_t n;

	if (at == IGNORED)
		return true;
	if (at == PERMS)
		return strlen(text) == 4 && take_word(row->perms, sizeof(row->perms), text);
	if (at == KIND)
		return take_word(row->kind, sizeof(row->kind), text);
	if (!parse_u64(text, &n))
		return false;
	if (at < NODE)
		memcpy((char *)row + at, &n, sizeof(n));
	else if (n != MP_MODULE_NONE)
		row->nodes[at - NODE] += n;
	return true;
}

/* 0, -EBADMSG or -ENOMEM */
static int parse_row(char *line, const struct header *h, struct mp_module_vma *row)
{
	bool placed;
	size_t i;

	for (i = 0; i + 1 < h->nr; i++) {
		const char *text = word(&line);

		if (!text || !take_field(row, h->at[i], text))
			return -EBADMSG;
	}
	placed = row->start != MP_MODULE_NONE;
	if (!line || !*line || placed != (row->end != MP_MODULE_NONE) ||
	    (placed && row->start >= row->end))
		return -EBADMSG;
	row->name = strdup(strcmp(line, "-") ? line : "");
	return row->name ? 0 : -ENOMEM;
}

/* 1, -E2BIG, -ENOMEM or -EBADMSG */
static int add_row(struct mp_module_vmas *out, char *line, const struct header *h)
{
	struct mp_module_vma *row = out->row;
	int rc;

	if (out->nr == ROWS_MAX)
		return -E2BIG;
	if (out->nr == out->room) {
		out->room = out->room ? 2 * out->room : 64;
		row = realloc(row, out->room * sizeof(*row));
		if (!row)
			return -ENOMEM;
		out->row = row;
	}
	row = &out->row[out->nr];
	memset(row, 0, sizeof(*row));
	rc = parse_row(line, h, row);
	if (rc)
		return rc;
	out->nr++;
	return 1;
}

/* A line without its end. 1, 0 at the end, -EIO, or -EBADMSG: NUL in it, no end, or too long */
static int next_line(FILE *f, char **line, size_t *room)
{
	ssize_t n;

	errno = 0;
	n = getline(line, room, f);
	if (n < 0)
		return errno == ENOMEM ? -ENOMEM : ferror(f) ? -EIO : 0;
	if (n > LINE_BYTES || strlen(*line) != (size_t)n || (*line)[n - 1] != '\n')
		return -EBADMSG;
	(*line)[n - 1] = '\0';
	return 1;
}

int mp_module_vmas_parse(FILE *f, struct mp_module_vmas *out, size_t *line)
{
	struct header h = { 0 };
	char *text = NULL;
	size_t room = 0, nr = 1;
	int rc;

	*out = (struct mp_module_vmas){ .since_ns = MP_MODULE_NONE };
	rc = next_line(f, &text, &room);
	if (rc == 0 || (rc == 1 && !parse_header(text, &h, &out->known_nodes)))
		rc = -EBADMSG;
	while (rc > 0) {
		nr++;
		rc = next_line(f, &text, &room);
		if (rc > 0)
			rc = add_row(out, text, &h);
	}
	free(text);
	if (line)
		*line = nr;
	if (rc)
		mp_module_vmas_free(out);
	return rc;
}

void mp_module_vmas_free(struct mp_module_vmas *vmas)
{
	for (size_t i = 0; i < vmas->nr; i++)
		free(vmas->row[i].name);
	free(vmas->row);
	*vmas = (struct mp_module_vmas){ .since_ns = MP_MODULE_NONE };
}
