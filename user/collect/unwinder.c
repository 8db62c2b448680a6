// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/unwinder.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "collect/elf.h"
#include "collect/grace.h"
#include "collect/objects.h"
#include "collect/procfs.h"
#include "collect/unwind_table.h"
#include "mallocpath.skel.h"

#define EXEC       4 /* of struct mp_ev_map's perms */
#define PAGE_UP(n) (((n) + MP_PAGE_SIZE - 1) & ~(MP_PAGE_SIZE - 1))

/* In the map "tables" nothing ever stands there: the programs see an object that lost its table. */
#define NO_TABLE (MP_UNWIND_OBJECTS - 1)

struct object { /* its index is its key in the map "tables"; 0 is no object */
	bool used;
	struct mp_file_id id; /* the file it was made of; the vdso: all 0 */
	uint8_t build_id[32];
	uint32_t build_id_len;
	uint32_t users; /* layouts it stands in */
	uint32_t n_index, covered;
	uint64_t base, bytes;
	bool plain; /* no .eh_frame: followed by frame pointers */
};

struct layout { /* its index is its key in the map "layouts"; 0 is none */
	pid_t pid;
	uint32_t *objects;
	size_t nr;
	struct mp_executable *codes; /* as the programs have it */
};

/*
 * Pieces of stacks that are told in one run, each of which takes some 100 bytes of whoever reads them.
 * Beyond them, what the kernel side no longer knows is lost, and counted.
 */
#define MP_STACKS_TOLD (1U << 20)
/* Ids that are given at a time: less than a hundredth of the ready ones' way through them. */
#define GIVE_AT_ONCE 256

struct mp_unwinder {
	struct mp_kernel *k;
	uint64_t bytes;
	size_t nr_tables;
	struct mp_unwinder_memory memory;
	struct mp_objects told;
	uint32_t last_id, nr_to_give;
	struct object objects[MP_UNWIND_OBJECTS];
	struct layout layouts[MP_UNWIND_LAYOUTS];
};

/*
 * An id is given out once: a stack stays what it was told to be. By a program, for while bpf(2) changes a
 * map the kernel holds off the programs of its CPU, and some of the target's events with them.
 */
static void give_ids(struct mp_unwinder *u)
{
	uint64_t args[2] = { u->last_id + 1, MP_STACKS_TOLD - u->last_id };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = sizeof(args));

	if (args[1] > u->nr_to_give)
		args[1] = u->nr_to_give;
	if (!args[1] ||
	    bpf_prog_test_run_opts(bpf_program__fd(u->k->skel->progs.mp_give_ids), &opts))
		return; /* the next time, if there are any */
	u->last_id += opts.retval;
	u->nr_to_give -= opts.retval;
}

void mp_unwinder__told(struct mp_unwinder *u)
{
	u->memory.nr_told++;
	if (++u->nr_to_give >= GIVE_AT_ONCE)
		give_ids(u);
}

struct mp_unwinder *mp_unwinder__new(struct mp_kernel *k, uint64_t max_bytes, struct mp_err *err)
{
	struct mp_unwinder *u = calloc(1, sizeof(*u));

	if (!u) {
		mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory for call stacks");
		return NULL;
	}
	elf_version(EV_CURRENT);
	u->k = k;
	u->memory.max_bytes = max_bytes;
	u->memory.max_told = MP_STACKS_TOLD;
	u->nr_to_give = MP_STACK_IDS;
	for (int i = 0; i < MP_STACK_IDS / MP_STACK_IDS_GIVEN; i++)
		give_ids(u);
	if (!u->nr_to_give)
		return u;
	free(u);
	mp_fail(err, MP_EXIT_FAILED, EIO, "the kernel side cannot be given ids for call stacks");
	return NULL;
}

void mp_unwinder__tell_objects(struct mp_unwinder *u, mp_emit_fn emit, void *ctx)
{
	u->told.emit = emit;
	u->told.ctx = ctx;
}

static void leave(struct mp_unwinder *u, uint32_t index)
{
	struct object *o = &u->objects[index];

	if (!o->used || --o->users)
		return;
	mp_grace__put(u->k->grace, bpf_map__fd(u->k->skel->maps.tables), index, -1);
	u->bytes -= o->bytes;
	u->nr_tables -= !o->plain;
	o->used = false;
}

static void drop(struct mp_unwinder *u, struct layout *l)
{
	for (size_t i = 0; i < l->nr; i++)
		leave(u, l->objects[i]);
	free(l->objects);
	free(l->codes);
	*l = (struct layout){};
}

void mp_unwinder__free(struct mp_unwinder *u)
{
	for (size_t i = 0; u && i < MP_UNWIND_LAYOUTS; i++) {
		free(u->layouts[i].objects);
		free(u->layouts[i].codes);
	}
	if (u)
		free(u->told.told);
	free(u);
}

/* ---- a table --------------------------------------------------------------------------------- */

/* A BPF array with @bytes of @data in it; the descriptor or -errno. */
static int make_map(const char *name, uint32_t value_size, const void *data, uint32_t nr)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = MP_UNWIND_MAP_FLAGS);
	size_t bytes = (size_t)nr * value_size;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), value_size, nr, &opts);
	void *to;

	if (fd < 0)
		return -errno;
	to = mmap(NULL, PAGE_UP(bytes), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (to == MAP_FAILED) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	memcpy(to, data, bytes);
	munmap(to, PAGE_UP(bytes));
	return fd;
}

/* Puts a new array at @index of a map of maps. */
static int put_map(struct mp_unwinder *u, struct bpf_map *outer, uint32_t index, const char *name,
		   uint32_t value_size, const void *data, uint32_t nr)
{
	int fd = make_map(name, value_size, data, nr);

	return fd < 0 ? fd : mp_grace__put(u->k->grace, bpf_map__fd(outer), index, fd);
}

static int compile(struct mp_unwinder *u, uint32_t index, Elf *elf)
{
	struct object *o = &u->objects[index];
	struct mp_unwind_table t;
	struct mp_err err;
	uint64_t bytes;
	int rc = mp_unwind_table__build(elf, &t, &err);

	if (rc == -ENODATA) {
		o->plain = true;
		return 0;
	}
	if (rc)
		return rc;
	bytes = PAGE_UP(8ULL * ((uint64_t)t.n_index + t.n_rows));
	if (u->bytes + bytes > u->memory.max_bytes)
		rc = -ENOSPC;
	else
		rc = put_map(u, u->k->skel->maps.tables, index, "mp_table", sizeof(uint64_t),
			     t.entries, t.n_index + t.n_rows);
	if (!rc) {
		o->base = t.base;
		o->n_index = t.n_index;
		o->covered = t.end - t.base;
		o->bytes = bytes;
		u->bytes += bytes;
		u->nr_tables++;
		if (u->bytes > u->memory.peak_bytes)
			u->memory.peak_bytes = u->bytes;
		if (u->nr_tables > u->memory.peak_tables)
			u->memory.peak_tables = u->nr_tables;
	}
	mp_unwind_table__clear(&t);
	return rc;
}

static int compile_vdso(struct mp_unwinder *u, uint32_t index)
{
	char *image = (char *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *head = (void *)image;
	Elf *elf;
	int rc;

	if (!image)
		return -ENOENT;
	/* the section headers are the last thing in it (arch/x86/entry/vdso/vdso2c.c strips) */
	elf = elf_memory(image, head->e_shoff + (size_t)head->e_shnum * head->e_shentsize);
	if (!elf)
		return -ENOEXEC;
	rc = compile(u, index, elf);
	elf_end(elf);
	return rc;
}

static int compile_file(struct mp_unwinder *u, uint32_t index, int fd)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	int rc;

	if (!elf)
		return -ENOEXEC;
	rc = compile(u, index, elf);
	elf_end(elf);
	return rc;
}

/* ---- a layout -------------------------------------------------------------------------------- */

static uint32_t free_object(struct mp_unwinder *u)
{
	for (uint32_t i = 1; i < NO_TABLE; i++)
		if (!u->objects[i].used)
			return i;
	return NO_TABLE;
}

static bool same_file(const struct object *o, const struct mp_file_id *id)
{
	return o->used && o->id.ino == id->ino && o->id.dev_major == id->dev_major &&
	       o->id.dev_minor == id->dev_minor;
}

/* The object of another file with the same content: an image in another container, a copy. */
static uint32_t same_build(const struct mp_unwinder *u, const uint8_t *build_id, uint32_t len)
{
	for (uint32_t i = 1; len && i < NO_TABLE; i++)
		if (u->objects[i].used && u->objects[i].build_id_len == len &&
		    !memcmp(u->objects[i].build_id, build_id, len))
			return i;
	return 0;
}

/* The object of a mapping, compiled if it is new; NO_TABLE if it cannot be. */
static uint32_t object_of(struct mp_unwinder *u, pid_t pid, const struct mp_map *m,
			  const struct mp_file_id *id, struct mp_elf *e, int fd)
{
	uint8_t build_id[32];
	uint32_t len = e ? mp_elf__build_id(e, build_id, sizeof(build_id)) : 0, i;
	struct object *o;
	int rc;

	mp_objects_tell(&u->told, pid, m->name, id, build_id, len);

	for (i = 1; i < NO_TABLE; i++)
		if (same_file(&u->objects[i], id))
			return i;
	i = same_build(u, build_id, len);
	if (i)
		return i;
	i = free_object(u);
	if (i == NO_TABLE)
		return i;
	o = &u->objects[i];
	*o = (struct object){ .used = true, .id = *id, .build_id_len = len };
	memcpy(o->build_id, build_id, len);
	rc = e ? compile_file(u, i, fd) : compile_vdso(u, i);
	if (!rc)
		return i;
	o->used = false;
	u->memory.nr_refused += rc == -ENOSPC;
	return NO_TABLE;
}

/* What the programs are to know of one mapping; false: nothing. */
static bool describe(struct mp_unwinder *u, pid_t pid, const struct mp_map *m,
		     struct mp_executable *c)
{
	struct mp_file_id id = { m->dev_major, m->dev_minor, m->ino };
	bool vdso = !strcmp(m->name, "[vdso]");
	struct mp_elf *e = NULL;
	uint64_t bias = m->start;
	int fd = -1;

	*c = (struct mp_executable){ .start = m->start, .end = m->end };
	if (m->name[0] == '[' && !vdso)
		return false; /* [vsyscall], [uprobes] */
	if (!vdso && !m->ino)
		return true; /* made at run time */
	c->object = NO_TABLE;
	if (!vdso) {
		fd = mp_file_open(pid, m->name, &id, NULL, 0);
		if (fd < 0 || mp_elf__open(fd, &e) || mp_elf__bias(e, m->start, m->offset, &bias)) {
			mp_elf__close(e);
			if (fd >= 0)
				close(fd);
			return true;
		}
	}
	c->object = object_of(u, pid, m, &id, e, fd);
	mp_elf__close(e);
	if (fd >= 0)
		close(fd);
	c->base = bias + u->objects[c->object].base;
	c->nr_index = u->objects[c->object].n_index;
	c->covered = u->objects[c->object].covered;
	return true;
}

/* @l->codes[0].start is the number of those that follow. */
static int describe_all(struct mp_unwinder *u, pid_t pid, const struct mp_maps *maps,
			struct layout *l)
{
	struct mp_executable *c = calloc(maps->nr + 1, sizeof(*c));
	size_t n = 0;

	l->objects = calloc(maps->nr + 1, sizeof(*l->objects));
	if (!c || !l->objects) {
		free(c);
		return -ENOMEM;
	}
	for (size_t i = 0; i < maps->nr && n < (1U << MP_UNWIND_TEXT_STEPS) - 1; i++) {
		if (!(maps->map[i].perms & EXEC) || !describe(u, pid, &maps->map[i], &c[n + 1]))
			continue;
		n++;
		if (c[n].object && c[n].object != NO_TABLE) {
			u->objects[c[n].object].users++;
			l->objects[l->nr++] = c[n].object;
			if (u->objects[c[n].object].plain)
				c[n].object = 0;
		}
	}
	c[0].start = n;
	l->codes = c;
	return 0;
}

/* The layout @pid has, or a free one. */
static uint32_t layout_of(const struct mp_unwinder *u, pid_t pid)
{
	uint32_t spare = 0;

	for (uint32_t i = MP_UNWIND_LAYOUTS - 1; i; i--) {
		if (u->layouts[i].pid == pid)
			return i;
		if (!u->layouts[i].pid)
			spare = i;
	}
	return spare;
}

int mp_unwinder__look(struct mp_unwinder *u, pid_t pid, struct mp_err *err)
{
	uint32_t index = layout_of(u, pid);
	struct layout next = { .pid = pid };
	struct mp_maps maps;
	int rc = mp_maps_read(pid, false, &maps, err);

	if (rc)
		return rc;
	if (!index)
		rc = -ENOSPC;
	if (!rc)
		rc = describe_all(u, pid, &maps, &next);
	if (!rc)
		rc = put_map(u, u->k->skel->maps.layouts, index, "mp_layout", sizeof(*next.codes),
			     next.codes, next.codes[0].start + 1);
	if (!rc)
		rc = mp_kernel_layout(u->k, pid, index);
	if (rc == -ENOENT) /* not traced yet */
		rc = 0;
	drop(u, rc ? &next : &u->layouts[index]);
	if (!rc)
		u->layouts[index] = next;
	mp_maps_free(&maps);
	return rc ? mp_fail(err, MP_EXIT_FAILED, -rc, "stacks of process %d are not unwound: %s",
			    pid, strerror(-rc))
		  : 0;
}

uint32_t mp_unwinder__layout(const struct mp_unwinder *u, pid_t pid)
{
	uint32_t index = layout_of(u, pid);

	return u->layouts[index].pid == pid ? index : 0;
}

bool mp_unwinder__knows(const struct mp_unwinder *u, pid_t pid, uint64_t addr)
{
	const struct mp_executable *c = NULL;

	for (size_t i = 1; i < MP_UNWIND_LAYOUTS; i++)
		if (u->layouts[i].pid == pid)
			c = u->layouts[i].codes;
	for (size_t i = 1; c && i <= c[0].start; i++)
		if (addr >= c[i].start && addr < c[i].end)
			return true;
	return false;
}

void mp_unwinder__forget(struct mp_unwinder *u, pid_t pid)
{
	uint32_t index = layout_of(u, pid);

	if (!index || !u->layouts[index].pid)
		return;
	mp_grace__put(u->k->grace, bpf_map__fd(u->k->skel->maps.layouts), index, -1);
	drop(u, &u->layouts[index]);
}

const struct mp_unwinder_memory *mp_unwinder__memory(const struct mp_unwinder *u)
{
	return &u->memory;
}
