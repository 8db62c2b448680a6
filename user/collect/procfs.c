// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/procfs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#define VMAS_MAX (1U << 20) /* 16 times the default vm.max_map_count; bounds memory */
#define TRIES    3

/* Longest line: 4096 bytes of path, each a newline written as four characters, and the rest. */
#define LINE_MAX_BYTES (4 * 4096 + 256)

/* ---- text to numbers ------------------------------------------------------------------------ */

/* Digits of @base at *@at; moves *@at behind them. false: none, or too large for 64 bits. */
static bool take_number(const char **at, unsigned int base, uint64_t *value)
{
	const char *p = *at;
	uint64_t v = 0;

	for (; isxdigit((unsigned char)*p); p++) {
		unsigned int digit = isdigit((unsigned char)*p)
					     ? (unsigned int)(*p - '0')
					     : (unsigned int)(tolower(*p) - 'a') + 10;

		if (digit >= base)
			break;
		if (v > (UINT64_MAX - digit) / base)
			return false;
		v = v * base + digit;
	}
	if (p == *at)
		return false;
	*at = p;
	*value = v;
	return true;
}

static bool take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

/* The four letters of the permissions; the fourth tells shared from private. */
static bool take_perms(const char **at, uint8_t *perms)
{
	static const char letters[] = "rwxs";
	const char *p = *at;

	*perms = 0;
	for (int i = 0; i < 4; i++) {
		if (p[i] == letters[i])
			*perms |= (uint8_t)(1U << i);
		else if (p[i] != (i == 3 ? 'p' : '-'))
			return false;
	}
	*at = p + 4;
	return true;
}

/*
 * The kernel writes a newline in a name as \012. It leaves a backslash alone, so a name that really
 * holds these four characters cannot be told apart; device and inode still identify the file.
 */
static size_t unescape(const char *from, char *to, size_t room)
{
	size_t n = 0;

	while (*from && n < room) {
		if (!strncmp(from, "\\012", 4)) {
			to[n++] = '\n';
			from += 4;
		} else {
			to[n++] = *from++;
		}
	}
	to[n] = '\0';
	return n;
}

/* ---- one VMA -------------------------------------------------------------------------------- */

static bool name_starts(const struct mp_map *map, const char *with)
{
	return !strncmp(map->name, with, strlen(with));
}

/* The kind as far as the name tells; FILE if it takes the file system to know. */
static uint8_t kind_by_name(const struct mp_map *map)
{
	static const char *const special[] = { "[vdso]",    "[vvar",     "[vsyscall]",
					       "[uprobes]", "[vectors]", "[sigpage]" };
	bool shared = map->perms & 8;

	if (name_starts(map, "[heap]"))
		return MP_VMA_HEAP;
	if (name_starts(map, "[stack"))
		return MP_VMA_STACK;
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (name_starts(map, special[i]))
			return MP_VMA_SPECIAL;
	if (name_starts(map, "[anon_shmem:") || name_starts(map, "/memfd:") ||
	    name_starts(map, "/SYSV") || name_starts(map, "/dev/shm/"))
		return MP_VMA_SHMEM;
	if (name_starts(map, "/anon_hugepage"))
		return MP_VMA_HUGETLB;
	if (!strcmp(map->name, "/dev/zero (deleted)") && shared)
		return MP_VMA_SHMEM;
	if (!strcmp(map->name, "/dev/zero"))
		return MP_VMA_ANON; /* a private mapping of it is plain anonymous memory */
	if (name_starts(map, "[anon") || (!map->name[0] && !map->ino))
		return shared ? MP_VMA_SHMEM : MP_VMA_ANON;
	if (map->name[0] == '[')
		return MP_VMA_SPECIAL;
	return MP_VMA_FILE;
}

/* A line of the form "start-end perms offset major:minor inode   name". */
static int parse_vma(const char *line, struct mp_map *map, char *name)
{
	uint64_t major_nr, minor_nr;
	const char *at = line;

	if (!take_number(&at, 16, &map->start) || !take_char(&at, '-') ||
	    !take_number(&at, 16, &map->end) || !take_char(&at, ' ') ||
	    !take_perms(&at, &map->perms) || !take_char(&at, ' ') ||
	    !take_number(&at, 16, &map->offset) || !take_char(&at, ' ') ||
	    !take_number(&at, 16, &major_nr) || !take_char(&at, ':') ||
	    !take_number(&at, 16, &minor_nr) || !take_char(&at, ' ') ||
	    !take_number(&at, 10, &map->ino))
		return -EBADMSG;
	if (*at && *at != ' ')
		return -EBADMSG;
	if (map->start >= map->end || (map->start | map->end) & ~MP_PAGE_MASK ||
	    major_nr > UINT32_MAX || minor_nr > UINT32_MAX)
		return -EBADMSG;
	map->dev_major = (uint32_t)major_nr;
	map->dev_minor = (uint32_t)minor_nr;
	map->rss_bytes = map->anon_bytes = map->swap_bytes = map->hugetlb_bytes = MP_UNREAD;
	at += strspn(at, " ");
	map->name_len = (uint16_t)unescape(at, name, MP_NAME_MAX);
	map->name = name;
	map->kind = kind_by_name(map);
	return 0;
}

static void parse_flags(const char *at, struct mp_map *map)
{
	while (*at) {
		at += strspn(at, " ");
		if (!strncmp(at, "ht", 2))
			map->hugetlb = true;
		if (!strncmp(at, "pf", 2) || !strncmp(at, "io", 2))
			map->pfnmap = true;
		at += strcspn(at, " ");
	}
}

/* Adds "  12 kB" to @field. */
static int parse_kb(const char *at, uint64_t *field)
{
	uint64_t kb;

	at += strspn(at, " \t");
	if (!take_number(&at, 10, &kb) || strncmp(at, " kB", 3) || kb > UINT64_MAX >> 11)
		return -EBADMSG;
	kb *= 1024;
	if (*field == MP_UNREAD)
		*field = 0;
	if (kb > UINT64_MAX / 2 - *field)
		return -EBADMSG;
	*field += kb;
	return 0;
}

/* A line "Key:   value" of smaps; keys that say nothing to us are passed over. */
static int parse_field(const char *line, struct mp_map *map)
{
	const struct {
		const char *key;
		uint64_t *field;
	} fields[] = {
		{ "Rss:", &map->rss_bytes },
		{ "Anonymous:", &map->anon_bytes },
		{ "Swap:", &map->swap_bytes },
		{ "Shared_Hugetlb:", &map->hugetlb_bytes },
		{ "Private_Hugetlb:", &map->hugetlb_bytes },
	};
	size_t len = strcspn(line, ":");

	if (!line[len] || !isupper((unsigned char)*line))
		return -EBADMSG;
	len++;
	if (!strncmp(line, "VmFlags:", len)) {
		parse_flags(line + len, map);
		return 0;
	}
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strlen(fields[i].key) == len && !strncmp(line, fields[i].key, len))
			return parse_kb(line + len, fields[i].field);
	return 0;
}

/* ---- the list ------------------------------------------------------------------------------- */

void mp_maps_free(struct mp_maps *maps)
{
	if (!maps)
		return;
	for (size_t i = 0; i < maps->nr; i++)
		free(maps->map[i].name);
	free(maps->map);
	*maps = (struct mp_maps){ 0 };
}

static int maps_add(struct mp_maps *maps, const struct mp_map *map)
{
	char *name;

	/* The file is read in pieces while the process goes on: a VMA that grew downwards can
	 * reappear. What was said first stands. */
	if (maps->nr && map->start < maps->map[maps->nr - 1].end)
		return 0;
	if (maps->nr == VMAS_MAX)
		return -E2BIG;
	if (maps->nr == maps->room) {
		size_t room = maps->room ? 2 * maps->room : 64;
		struct mp_map *more = reallocarray(maps->map, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		maps->map = more;
		maps->room = room;
	}
	name = strdup(map->name);
	if (!name)
		return -ENOMEM;
	maps->map[maps->nr] = *map;
	maps->map[maps->nr++].name = name;
	return 0;
}

/* One line without its newline, cut to @len; the rest of a longer one is dropped. false: end. */
static bool read_line(FILE *f, char *line, size_t len)
{
	size_t n;
	int c;

	if (!fgets(line, (int)len, f))
		return false;
	n = strlen(line);
	if (n && line[n - 1] == '\n') {
		line[n - 1] = '\0';
		return true;
	}
	do {
		c = getc(f);
	} while (c != EOF && c != '\n');
	return true;
}

/* smaps adds its fields to the VMA line before them; a VMA that maps_add passed over has none. */
static int parse_line(const char *line, struct mp_maps *out, struct mp_map *last, char *name)
{
	struct mp_map map = { 0 };
	size_t nr = out->nr;
	int ret;

	if (isdigit((unsigned char)line[0]) || islower((unsigned char)line[0])) {
		ret = parse_vma(line, &map, name);
		if (!ret)
			ret = maps_add(out, &map);
		*last = (struct mp_map){ .start = out->nr > nr };
		return ret;
	}
	if (!out->nr)
		return -EBADMSG;
	return parse_field(line, last->start ? &out->map[out->nr - 1] : last);
}

int mp_maps_parse(FILE *f, struct mp_maps *out, size_t *line)
{
	char *text = malloc(LINE_MAX_BYTES), *name = malloc(MP_NAME_MAX + 1);
	struct mp_map last = { 0 };
	size_t at = 0;
	int ret = text && name ? 0 : -ENOMEM;

	*out = (struct mp_maps){ 0 };
	while (!ret && read_line(f, text, LINE_MAX_BYTES)) {
		at++;
		ret = parse_line(text, out, &last, name);
	}
	if (!ret && ferror(f))
		ret = -EIO;
	if (line)
		*line = at;
	if (ret)
		mp_maps_free(out);
	free(text);
	free(name);
	return ret;
}

/* ---- kinds that only the file system knows --------------------------------------------------- */

struct dev_kind {
	uint32_t dev_major, dev_minor;
	uint8_t kind;
};

struct dev_cache {
	struct dev_kind dev[32];
	size_t nr;
};

/* Asks the file behind the mapping itself, so that deleted files and other mounts work too.
 * 0: not known, the mapping is gone. */
static uint8_t kind_by_file(pid_t pid, const struct mp_map *map)
{
	char path[96];
	struct statfs fs;
	struct stat st;
	uint8_t kind = MP_VMA_FILE;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", pid,
		 (unsigned long long)map->start, (unsigned long long)map->end);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode)) {
		/* devtmpfs calls itself tmpfs; private /dev/zero (1:5) is anonymous memory */
		bool zero = st.st_rdev == makedev(1, 5) && !(map->perms & 8);

		kind = zero ? MP_VMA_ANON : MP_VMA_SPECIAL;
	} else if (fstatfs(fd, &fs) == 0) {
		if (fs.f_type == TMPFS_MAGIC)
			kind = MP_VMA_SHMEM;
		else if (fs.f_type == HUGETLBFS_MAGIC)
			kind = MP_VMA_HUGETLB;
	}
	close(fd);
	return kind;
}

/* Only file systems without a block device (major 0) can be tmpfs or hugetlbfs. */
static void decide_kind(pid_t pid, struct mp_map *map, struct dev_cache *cache)
{
	bool asks_file = map->kind == MP_VMA_FILE || name_starts(map, "/memfd:") ||
			 name_starts(map, "/dev/shm/");
	bool device = name_starts(map, "/dev/"); /* one file system, many kinds */
	uint8_t kind;

	if (map->hugetlb)
		map->kind = MP_VMA_HUGETLB;
	else if (map->pfnmap)
		map->kind = MP_VMA_SPECIAL;
	if (map->hugetlb || map->pfnmap || !asks_file || map->dev_major || map->name[0] != '/')
		return;
	for (size_t i = 0; !device && i < cache->nr; i++) {
		if (cache->dev[i].dev_major == map->dev_major &&
		    cache->dev[i].dev_minor == map->dev_minor) {
			map->kind = cache->dev[i].kind;
			return;
		}
	}
	kind = kind_by_file(pid, map);
	if (kind)
		map->kind = kind;
	device |= kind == MP_VMA_ANON || kind == MP_VMA_SPECIAL;
	if (kind && !device && cache->nr < sizeof(cache->dev) / sizeof(cache->dev[0]))
		cache->dev[cache->nr++] =
			(struct dev_kind){ map->dev_major, map->dev_minor, map->kind };
}

static int maps_fail(pid_t pid, const char *what, int error, size_t line, struct mp_err *err)
{
	if (error == ENOENT || error == ESRCH)
		return mp_fail(err, MP_EXIT_FAILED, ESRCH,
			       "process %d ended while its mappings were read; list with ps -e",
			       pid);
	if (error == EACCES || error == EPERM)
		return mp_fail(err, MP_EXIT_LACKS, error,
			       "/proc/%d/%s: not permitted; run as root (sudo)", pid, what);
	if (error == EBADMSG)
		return mp_fail(err, MP_EXIT_FAILED, error,
			       "/proc/%d/%s: line %zu is not in the known form; please report it "
			       "with this line",
			       pid, what, line);
	if (error == E2BIG)
		return mp_fail(err, MP_EXIT_FAILED, error,
			       "process %d has more than %u mappings; that many are not supported",
			       pid, VMAS_MAX);
	return mp_fail(err, MP_EXIT_FAILED, error, "/proc/%d/%s: %s; try again", pid, what,
		       strerror(error));
}

int mp_maps_read(pid_t pid, bool with_rss, struct mp_maps *out, struct mp_err *err)
{
	const char *what = with_rss ? "smaps" : "maps";
	struct dev_cache cache = { 0 };
	size_t line = 0;
	char path[64];
	FILE *f;
	int ret;

	*out = (struct mp_maps){ 0 };
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	f = fopen(path, "re");
	if (!f)
		return maps_fail(pid, what, errno, 0, err);
	errno = 0;
	ret = mp_maps_parse(f, out, &line);
	if (ret == -EIO && errno)
		ret = -errno;
	fclose(f);
	if (!ret && !out->nr) /* the address space is gone */
		ret = -ESRCH;
	if (ret)
		return maps_fail(pid, what, -ret, line, err);
	for (size_t i = 0; i < out->nr; i++)
		decide_kind(pid, &out->map[i], &cache);
	return 0;
}

struct mp_rollup mp_procfs_rollup(pid_t pid)
{
	struct mp_rollup sum = { MP_UNREAD, MP_UNREAD };
	char path[64], line[256];
	bool bad = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "re");
	if (!f)
		return sum;
	while (!bad && read_line(f, line, sizeof(line)))
		if (!strncmp(line, "Rss:", 4))
			bad = parse_kb(line + 4, &sum.rss);
		else if (!strncmp(line, "Pss:", 4))
			bad = parse_kb(line + 4, &sum.pss);
	fclose(f);
	return sum;
}

/* ---- events --------------------------------------------------------------------------------- */

static int emit_map(pid_t pid, const struct mp_map *map, uint64_t ts_ns, mp_emit_fn emit, void *ctx)
{
	union {
		struct mp_ev_map ev;
		char bytes[sizeof(struct mp_ev_map) + MP_NAME_MAX + 1];
	} u;
	size_t size = (sizeof(u.ev) + map->name_len + 1U + 7) & ~7UL;

	memset(&u, 0, size);
	u.ev.h.type = MP_EV_MAP;
	u.ev.h.size = (uint16_t)size;
	u.ev.h.ts_ns = ts_ns;
	u.ev.h.tgid = (uint32_t)pid;
	u.ev.start = map->start;
	u.ev.end = map->end;
	u.ev.offset = map->offset;
	u.ev.ino = map->ino;
	u.ev.dev_major = map->dev_major;
	u.ev.dev_minor = map->dev_minor;
	u.ev.rss_bytes = map->rss_bytes;
	u.ev.anon_bytes = map->anon_bytes;
	u.ev.swap_bytes = map->swap_bytes;
	u.ev.perms = map->perms;
	u.ev.kind = map->kind;
	u.ev.name_len = map->name_len;
	memcpy(u.bytes + offsetof(struct mp_ev_map, name), map->name, map->name_len);
	return emit(ctx, &u.ev.h);
}

static int emit_maps(pid_t pid, const struct mp_maps *maps, struct mp_ev_maps *head,
		     mp_emit_fn emit, void *ctx)
{
	int ret;

	head->h.type = MP_EV_MAPS;
	head->h.size = sizeof(*head);
	head->h.ts_ns = mp_mono_ns();
	head->h.tgid = (uint32_t)pid;
	head->nr = (uint32_t)maps->nr;
	ret = emit(ctx, &head->h);
	for (size_t i = 0; !ret && i < maps->nr; i++)
		ret = emit_map(pid, &maps->map[i], head->h.ts_ns, emit, ctx);
	return ret;
}

static int emit_pss(pid_t pid, uint64_t pss_bytes, mp_emit_fn emit, void *ctx)
{
	struct mp_ev_pss ev = {
		.h = { .type = MP_EV_PSS, .size = sizeof(ev), .tgid = (uint32_t)pid },
		.pss_bytes = pss_bytes,
	};

	ev.h.ts_ns = mp_mono_ns();
	return emit(ctx, &ev.h);
}

int mp_procfs_maps(pid_t pid, bool with_rss, mp_emit_fn emit, void *ctx, struct mp_err *err)
{
	struct mp_ev_maps head = { .with_rss = with_rss, .rss_bytes = MP_UNREAD };
	struct mp_maps maps = { 0 };
	struct mp_rollup before, after = { MP_UNREAD, MP_UNREAD };
	int ret;

	for (int i = 0; i < TRIES; i++) {
		mp_maps_free(&maps);
		head.begin_ns = mp_mono_ns();
		if (with_rss)
			before = mp_procfs_rollup(pid);
		ret = mp_maps_read(pid, with_rss, &maps, err);
		if (ret)
			return ret;
		if (!with_rss)
			break;
		after = mp_procfs_rollup(pid);
		if (before.rss == after.rss)
			break;
	}
	head.rss_bytes = after.rss;
	for (size_t i = 0; i < maps.nr; i++)
		if (maps.map[i].hugetlb_bytes != MP_UNREAD)
			head.hugetlb_bytes += maps.map[i].hugetlb_bytes;
	ret = emit_maps(pid, &maps, &head, emit, ctx);
	if (!ret && with_rss)
		ret = emit_pss(pid, after.pss, emit, ctx);
	mp_maps_free(&maps);
	return ret;
}
