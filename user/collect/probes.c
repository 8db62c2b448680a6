// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/probes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collect/calibrate.h"
#include "collect/grace.h"
#include "collect/tiers.h"
#include "mallocpath.skel.h"

#define MULTI_RETURN 1 /* BPF_F_UPROBE_MULTI_RETURN */

/* An object whose functions are probed, by identity of the file. */
struct object {
	uint32_t dev_major, dev_minor;
	uint64_t ino;
};

struct place { /* one probe's identity; its position in the table is its index */
	uint16_t object;
	uint64_t offset;
	uint8_t fn, kind;
	uint32_t into;
	char symbol[64];
};

struct attached { /* a process's share of an object */
	pid_t pid;
	uint16_t object;
	bool old; /* of the program before an exec: the file's probes are still there */
	int *fds; /* uprobe.multi links */
	size_t nr_fds;
	struct bpf_link **links; /* or one link a probe */
	size_t nr_links;
	uint16_t *index; /* into places */
	uint64_t *addr;
	size_t nr;
};

struct mp_probes {
	struct mp_kernel *k;
	int multi_type, session_type;
	struct object objects[256];
	size_t nr_objects;
	struct place places[MP_PROBES_LIMIT];
	size_t nr_places;
	struct attached *list;
	size_t nr;
};

struct mp_probes *mp_probes__new(struct mp_kernel *k)
{
	struct mp_probes *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->k = k;
	p->multi_type = mp_btf_enum("BPF_TRACE_UPROBE_MULTI");
	p->session_type = mp_btf_enum("BPF_TRACE_UPROBE_SESSION");
	return p;
}

static void release(struct mp_probes *p, struct attached *a)
{
	for (size_t i = 0; i < a->nr_fds; i++)
		mp_grace__close(p->k->grace, NULL, a->fds[i]);
	for (size_t i = 0; i < a->nr_links; i++)
		mp_grace__close(p->k->grace, a->links[i], -1);
	free(a->fds);
	free(a->links);
	free(a->index);
	free(a->addr);
}

void mp_probes__free(struct mp_probes *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nr; i++)
		release(p, &p->list[i]);
	free(p->list);
	free(p);
}

static void detach(struct mp_probes *p, pid_t pid, bool only_old)
{
	for (size_t i = 0; i < p->nr;) {
		if (p->list[i].pid != pid || (only_old && !p->list[i].old)) {
			i++;
			continue;
		}
		release(p, &p->list[i]);
		p->list[i] = p->list[--p->nr];
	}
}

void mp_probes__detach(struct mp_probes *p, pid_t pid)
{
	detach(p, pid, false);
}

void mp_probes__renew(struct mp_probes *p, pid_t pid)
{
	for (size_t i = 0; i < p->nr; i++)
		if (p->list[i].pid == pid)
			p->list[i].old = true;
}

void mp_probes__detach_old(struct mp_probes *p, pid_t pid)
{
	detach(p, pid, true);
}

static int object_index(struct mp_probes *p, const struct mp_provider *v)
{
	struct object o = { v->dev_major, v->dev_minor, v->ino };

	for (size_t i = 0; i < p->nr_objects; i++)
		if (p->objects[i].ino == o.ino && p->objects[i].dev_major == o.dev_major &&
		    p->objects[i].dev_minor == o.dev_minor)
			return i;
	if (p->nr_objects == sizeof(p->objects) / sizeof(p->objects[0]))
		return -ENOSPC;
	p->objects[p->nr_objects] = o;
	return p->nr_objects++;
}

static int place_index(struct mp_probes *p, uint16_t object, const struct mp_attach *a)
{
	struct place *pl;

	for (size_t i = 0; i < p->nr_places; i++)
		if (p->places[i].object == object && p->places[i].offset == a->offset)
			return i;
	if (p->nr_places == MP_PROBES_LIMIT)
		return -ENOSPC;
	pl = &p->places[p->nr_places];
	*pl = (struct place){ object, a->offset, a->fn, a->kind, a->into, "" };
	snprintf(pl->symbol, sizeof(pl->symbol), "%.63s", a->symbol);
	return p->nr_places++;
}

/* ---- attaching ------------------------------------------------------------------------------ */

struct batch { /* the probes of one program in one object */
	struct bpf_program *prog;
	bool at_return;
	bool both; /* at entry, and at the return if the entry asks for it */
	uint64_t offsets[MP_PROBES_LIMIT], cookies[MP_PROBES_LIMIT];
	size_t nr;
};

static bool wants(const struct mp_probes *p, const struct bpf_program *prog, uint8_t fn)
{
	bool free_fn = fn == MP_FN_FREE || fn == MP_FN_DELETE, map = fn == MP_FN_MMAP;

	if (prog == p->k->skel->progs.mp_free_ent)
		return free_fn;
	if (prog == p->k->skel->progs.mp_map_ent)
		return map;
	return !free_fn && !map;
}

/* The layout of union bpf_attr for BPF_LINK_CREATE since 6.6, which this libbpf may not know. */
struct link_create_multi {
	uint32_t prog_fd, target_fd, attach_type, flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t cnt, multi_flags, pid, pad;
};

static int link_multi(struct mp_probes *p, const struct batch *b, const char *path, pid_t pid)
{
	struct link_create_multi attr = {
		.prog_fd = bpf_program__fd(b->prog),
		.attach_type = b->both ? p->session_type : p->multi_type,
		.path = (uint64_t)path,
		.offsets = (uint64_t)b->offsets,
		.cookies = (uint64_t)b->cookies,
		.cnt = b->nr,
		.multi_flags = b->at_return ? MULTI_RETURN : 0,
		.pid = pid,
	};
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

static int attach_multi(struct mp_probes *p, struct attached *a, const struct batch *b,
			const char *path)
{
	int fd = link_multi(p, b, path, a->pid), *fds;

	if (fd < 0)
		return fd;
	fds = realloc(a->fds, (a->nr_fds + 1) * sizeof(*fds));
	if (!fds) {
		close(fd);
		return -ENOMEM;
	}
	a->fds = fds;
	a->fds[a->nr_fds++] = fd;
	return 0;
}

static int attach_single(struct mp_probes *p, struct attached *a, const struct batch *b,
			 const char *path)
{
	struct bpf_link **links = realloc(a->links, (a->nr_links + b->nr) * sizeof(*links));

	if (!links)
		return -ENOMEM;
	a->links = links;
	for (size_t i = 0; i < b->nr; i++) {
		LIBBPF_OPTS(bpf_uprobe_opts, opts, .retprobe = b->at_return,
			    .bpf_cookie = p->k->set.has_cookie ? b->cookies[i] : 0);
		struct bpf_link *l = bpf_program__attach_uprobe_opts(b->prog, a->pid, path,
								     b->offsets[i], &opts);

		if (!l)
			return -errno;
		a->links[a->nr_links++] = l;
	}
	return 0;
}

static int attach_batch(struct mp_probes *p, struct attached *a, const struct batch *b,
			const char *path)
{
	if (!b->nr)
		return 0;
	return p->k->multi ? attach_multi(p, a, b, path) : attach_single(p, a, b, path);
}

static uint64_t cookie_of(const struct mp_probes *p, uint16_t index, const struct mp_provider *v)
{
	const struct place *pl = &p->places[index];

	return MP_COOKIE(pl->fn, pl->object, index, v->kind == MP_ALLOC_GLIBC,
			 pl->offset & (MP_PAGE_SIZE - 1));
}

static void add_to_batch(struct mp_probes *p, struct attached *a, const struct mp_provider *v,
			 const struct mp_attach *at, struct batch *b)
{
	int index = place_index(p, a->object, at);

	if (index < 0)
		return;
	b->offsets[b->nr] = at->offset;
	b->cookies[b->nr++] = cookie_of(p, index, v);
}

static bool ends_blocks(const struct mp_attach *at)
{
	return at->fn == MP_FN_REALLOC || at->fn == MP_FN_REALLOCARRAY;
}

/*
 * A process that runs on allocates in between. What ends blocks is probed before what begins them, or
 * a block would be known whose end was not seen. Returns before entries: an entry without its return
 * would be counted as lost.
 */
static int attach_object(struct mp_probes *p, struct attached *a, const struct mp_providers *all,
			 size_t which)
{
	const struct mp_provider *v = &all->list[which];
	struct bpf_program *progs[] = { p->k->skel->progs.mp_free_ent,
					p->k->skel->progs.mp_alloc_both,
					p->k->skel->progs.mp_alloc_ret,
					p->k->skel->progs.mp_alloc_ent,
					p->k->skel->progs.mp_map_ent };
	struct batch *b = calloc(1, sizeof(*b));
	int rc = b ? 0 : -ENOMEM;

	for (size_t i = 0; !rc && i < sizeof(progs) / sizeof(progs[0]); i++) {
		b->prog = progs[i];
		b->both = b->prog == p->k->skel->progs.mp_alloc_both;
		b->at_return = b->prog == p->k->skel->progs.mp_alloc_ret;
		b->nr = 0;
		if (bpf_program__fd(b->prog) < 0)
			continue; /* this kernel has it done by others of these */
		for (size_t j = 0; j < 2 * all->nr_probes; j++) {
			const struct mp_attach *at = &all->probes[j % all->nr_probes];

			if (at->provider == which && wants(p, progs[i], at->fn) &&
			    ends_blocks(at) == (j < all->nr_probes))
				add_to_batch(p, a, v, at, b);
		}
		rc = attach_batch(p, a, b, v->open_path);
	}
	free(b);
	return rc;
}

static int remember(struct mp_probes *p, struct attached *a, const struct mp_providers *all,
		    size_t which)
{
	a->index = calloc(all->nr_probes + 1, sizeof(*a->index));
	a->addr = calloc(all->nr_probes + 1, sizeof(*a->addr));
	if (!a->index || !a->addr)
		return -ENOMEM;
	for (size_t i = 0; i < all->nr_probes; i++) {
		int index = place_index(p, a->object, &all->probes[i]);

		if (all->probes[i].provider != which || index < 0)
			continue;
		a->index[a->nr] = index;
		a->addr[a->nr++] = all->probes[i].addr;
	}
	return 0;
}

static struct attached *find(const struct mp_probes *p, pid_t pid, uint16_t object)
{
	for (size_t i = 0; i < p->nr; i++)
		if (p->list[i].pid == pid && p->list[i].object == object)
			return &p->list[i];
	return NULL;
}

/* The probes of @old are those that @a wants: they become @a's. */
static bool take_over(struct attached *old, struct attached *a)
{
	if (!old || old->nr != a->nr || memcmp(old->index, a->index, a->nr * sizeof(*a->index)))
		return false;
	free(old->addr);
	old->addr = a->addr;
	old->old = false;
	free(a->index);
	return true;
}

static int tell_allocator(uint16_t index, pid_t pid, const struct mp_provider *v, mp_emit_fn emit,
			  void *ctx)
{
	size_t len = strlen(v->object) + 1,
	       size = sizeof(struct mp_ev_allocator) + ((len + 7) & ~7UL);
	struct mp_ev_allocator *ev = calloc(1, size);
	int rc;

	if (!ev)
		return -ENOMEM;
	ev->h = (struct mp_ev){
		.type = MP_EV_ALLOCATOR, .size = size, .ts_ns = mp_mono_ns(), .tgid = pid
	};
	ev->index = index;
	ev->kind = v->kind;
	ev->build_id_len = v->build_id_len;
	memcpy(ev->build_id, v->build_id, sizeof(ev->build_id));
	memcpy(ev->version, v->version, sizeof(ev->version));
	ev->version[sizeof(ev->version) - 1] = 0;
	memcpy(ev->object, v->object, len);
	rc = emit(ctx, &ev->h);
	free(ev);
	return rc;
}

static int attach_one(struct mp_probes *p, pid_t pid, const struct mp_providers *all, size_t which,
		      struct mp_err *err)
{
	struct attached a = { .pid = pid }, *list;
	const struct mp_provider *v = &all->list[which];
	int object = object_index(p, v), rc;
	struct attached *old;

	if (object < 0)
		return mp_fail(err, MP_EXIT_FAILED, ENOSPC, "more than 256 objects provide malloc");
	old = find(p, pid, object);
	if (old && !old->old)
		return 0;
	a.object = object;
	list = realloc(p->list, (p->nr + 1) * sizeof(*list));
	if (!list)
		return mp_fail(err, MP_EXIT_FAILED, ENOMEM, "no memory for the probes");
	p->list = list;
	rc = remember(p, &a, all, which);
	for (size_t i = 0; !rc && i < a.nr; i++)
		mp_kernel_spot(p->k, pid, a.addr[i], cookie_of(p, a.index[i], v));
	if (!rc && take_over(find(p, pid, object), &a))
		return 1;
	if (!rc)
		rc = attach_object(p, &a, all, which);
	if (rc) {
		release(p, &a);
		return mp_fail(err, rc == -ESRCH ? MP_EXIT_FAILED : MP_EXIT_LACKS, -rc,
			       "probes cannot be set in %s of process %d: %s",
			       all->list[which].object, pid,
			       rc == -ESRCH ? "it has ended" : strerror(-rc));
	}
	p->list[p->nr++] = a;
	return 1;
}

static void set_texts(struct mp_probes *p, pid_t pid, const struct mp_providers *all)
{
	struct mp_texts t = {};
	size_t n = 0;

	for (size_t i = 0; i < all->nr; i++)
		for (size_t j = 0; all->list[i].allocates && j < all->list[i].nr_text; j++)
			if (n < MP_TEXTS) {
				t.range[n].start = all->list[i].text[j].start;
				t.range[n++].end = all->list[i].text[j].end;
			}
	mp_kernel_texts(p->k, pid, &t);
}

int mp_probes__attach(struct mp_probes *p, pid_t pid, mp_emit_fn emit, void *ctx,
		      struct mp_err *err)
{
	struct mp_providers all;
	int rc = mp_providers_find(pid, &all, err), new = 0;

	if (rc)
		return rc;
	set_texts(p, pid, &all);
	for (size_t i = 0; rc >= 0 && i < all.nr; i++) {
		rc = attach_one(p, pid, &all, i, err);
		if (rc > 0) {
			new += rc;
			if (all.list[i].allocates)
				tell_allocator(object_index(p, &all.list[i]), pid, &all.list[i],
					       emit, ctx);
		}
	}
	if (new &&rc >= 0)
		mp_tiers_begin(p->k, pid, &all, emit, ctx);
	mp_providers_free(&all);
	return rc < 0 ? rc : new;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t *mp_probes__addrs(struct mp_probes *p, pid_t pid, size_t *nr)
{
	uint64_t *out = NULL;
	size_t n = 0;

	for (size_t i = 0; i < p->nr; i++)
		n += p->list[i].pid == pid ? p->list[i].nr : 0;
	*nr = 0;
	if (n)
		out = calloc(n, sizeof(*out));
	for (size_t i = 0; out && i < p->nr; i++)
		for (size_t j = 0; p->list[i].pid == pid && j < p->list[i].nr; j++)
			out[(*nr)++] = p->list[i].addr[j];
	if (out)
		qsort(out, *nr, sizeof(*out), by_value);
	return out;
}

int mp_probes__tell(struct mp_probes *p, pid_t pid, mp_emit_fn emit, void *ctx)
{
	int rc = 0;

	for (size_t i = 0; i < p->nr; i++)
		for (size_t j = 0; !rc && p->list[i].pid == pid && j < p->list[i].nr; j++) {
			const struct place *pl = &p->places[p->list[i].index[j]];
			struct mp_ev_probe ev = {
				.h = { .type = MP_EV_PROBE,
				       .size = sizeof(ev),
				       .ts_ns = mp_mono_ns(),
				       .tgid = pid },
				.provider = pl->object,
				.kind = pl->kind,
				.fn = pl->fn,
				.into = pl->into,
				.offset = pl->offset,
				.hits = mp_kernel_hits(p->k, p->list[i].index[j]),
			};

			memcpy(ev.symbol, pl->symbol, sizeof(ev.symbol));
			rc = emit(ctx, &ev.h);
		}
	return rc;
}

uint64_t mp_probes__hits(struct mp_probes *p)
{
	uint64_t n = mp_kernel_hits(p->k, MP_HIT_RETURN);

	for (size_t i = 0; i < p->nr_places; i++)
		n += mp_kernel_hits(p->k, i);
	return n;
}

/* ---- what one hit costs ---------------------------------------------------------------------- */

#define PRICE_CALLS 2000

/* A function of our own that begins with an instruction the kernel emulates. */
__attribute__((noinline, used)) int mp_price_me(int n);
__asm__(".pushsection .text\n"
	".globl mp_price_me\n"
	".type mp_price_me, @function\n"
	"mp_price_me:\n"
	"	nop\n"
	"	mov %edi, %eax\n"
	"	ret\n"
	".size mp_price_me, .-mp_price_me\n"
	".popsection\n");

static uint64_t run_calls(void)
{
	uint64_t t = mp_mono_ns();

	for (int i = 0; i < PRICE_CALLS; i++)
		mp_price_me(i);
	return mp_mono_ns() - t;
}

/* Offset of mp_price_me in our own file, from the mapping it lies in. */
static int64_t own_offset(void)
{
	uint64_t addr = (uint64_t)mp_price_me, start, end, off;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");
	int64_t found = -ENOENT;

	if (!f)
		return -errno;
	while (found < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %lx", &start, &end, &off) == 3 && addr >= start &&
		    addr < end)
			found = addr - start + off;
	fclose(f);
	return found;
}

uint64_t mp_probes__price(struct mp_probes *p)
{
	struct attached a = { .pid = getpid() };
	struct batch *b = calloc(1, sizeof(*b));
	int64_t offset = own_offset();
	uint64_t bare, probed = 0;

	if (!b || offset < 0) {
		free(b);
		return 0;
	}
	b->prog = p->k->skel->progs.mp_free_ent;
	b->offsets[0] = offset;
	b->cookies[0] = MP_COOKIE(MP_FN_FREE, 0, MP_HIT_NONE, 0, 0);
	b->nr = 1;
	mp_kernel_spot(p->k, a.pid, (uint64_t)mp_price_me, b->cookies[0]);
	run_calls();
	bare = run_calls();
	if (!attach_batch(p, &a, b, "/proc/self/exe")) {
		run_calls();
		probed = run_calls();
	}
	release(p, &a);
	free(b);
	return probed > bare ? (probed - bare) / PRICE_CALLS : 0;
}
