// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/glibc_file.h"

#include <errno.h>
#include <string.h>

#include "collect/relative.h"

/*
 * struct malloc_state ends: void *bins[254]; unsigned int binmap[4]; next; next_free;
 * attached_threads; system_mem; max_system_mem. Before bins: top, last_remainder; before those, where
 * there are any, ten fastbins (malloc.c, unchanged since 2.26 but for the fastbins, which 2.43 has not).
 */
#define BINS_BYTES     (254 * 8)
#define BINMAP_BYTES   16
#define FASTBINS_BYTES (10 * 8)
#define STATE_HEAD     8 /* mutex, flags */
/* where `next` can be: the two shapes known lie between */
#define NEXT_LEAST     2048
#define NEXT_MOST      2304
#define NR_TCACHE_BINS 64 /* sizes of small chunks, TCACHE_MAX_BINS */

struct arena_search {
	uint64_t arena; /* ELF address, of the first found */
	uint64_t next;
	unsigned int found;
};

/* `next` of main_arena is initialised with the address of main_arena. */
static int take_word(void *ctx, uint64_t slot, uint64_t value)
{
	struct arena_search *s = ctx;

	if (slot < value || slot - value < NEXT_LEAST || slot - value > NEXT_MOST)
		return 0;
	s->arena = value;
	s->next = slot - value;
	s->found++;
	return 0;
}

static int shape_arena(uint64_t next, struct mp_glibc_layout *at)
{
	at->next = (uint16_t)next;
	at->bins = (uint16_t)(next - BINMAP_BYTES - BINS_BYTES);
	at->last_remainder = at->bins - 8;
	at->top = at->bins - 16;
	at->system_mem = (uint16_t)(next + 24);
	if (at->top == STATE_HEAD)
		at->fastbins = MP_GLIBC_NONE;
	else if (at->top == STATE_HEAD + 8 + FASTBINS_BYTES) /* and have_fastchunks, padded */
		at->fastbins = STATE_HEAD + 8;
	else
		return -EBADMSG;
	/* The release that lost the fastbins also counts an mmapped chunk's size without its header. */
	at->mmapped_size_less_16 = at->fastbins == MP_GLIBC_NONE;
	return 0;
}

static int find_arena(const struct mp_elf *e, struct mp_glibc_file *out, const char **why)
{
	struct arena_search s = { 0 };

	mp_relative_walk(e, take_word, &s);
	*why = "no word that points to its own arena (main_arena)";
	if (!s.found)
		return -EBADMSG;
	*why = "several words that could be main_arena's list";
	if (s.found > 1)
		return -EBADMSG;
	*why = "the arena has a shape that is not known";
	out->main_arena = s.arena;
	return shape_arena(s.next, &out->at);
}

/* ---- mp_: a struct of parameters whose initial values are known ----------------------------- */

static bool read_at(const struct mp_elf *e, uint64_t vaddr, void *buf, size_t len)
{
	uint64_t offset, avail;

	return !mp_elf__offset(e, vaddr, 0, &offset, &avail) && avail >= len &&
	       mp_elf__read(e, offset, buf, len) == len;
}

/*
 * struct malloc_par begins with trim_threshold, top_pad, mmap_threshold (128 KiB each) and arena_test
 * (8), arena_max. Then come parameters for huge pages, if any, and n_mmaps, n_mmaps_max (65536),
 * max_n_mmaps, no_dyn_threshold (int each); mmapped_mem, max_mmapped_mem, sbrk_base, tcache_bins (64).
 */
static bool shape_parameters(const uint8_t *p, size_t len, struct mp_glibc_layout *at)
{
	uint64_t head[4], bins;
	uint32_t most = 0;
	size_t n;

	memcpy(head, p, sizeof(head));
	if (head[0] != 128 << 10 || head[1] != 128 << 10 || head[2] != 128 << 10 || head[3] != 8)
		return false;
	for (n = 44; n + 56 <= len; n += 4) {
		memcpy(&most, p + n, sizeof(most));
		if (most == 65536)
			break;
	}
	if (n + 56 > len)
		return false;
	at->mp_trim_threshold = 0;
	at->mp_top_pad = 8;
	at->mp_mmap_threshold = 16;
	at->mp_n_mmaps = (uint16_t)(n - 4);
	at->mp_n_mmaps_max = (uint16_t)n;
	at->mp_no_dyn_threshold = (uint16_t)(n + 8);
	at->mp_mmapped_mem = (uint16_t)((n + 12 + 7) & ~7UL);
	at->mp_sbrk_base = at->mp_mmapped_mem + 16;
	at->mp_tcache_bins = at->mp_sbrk_base + 8;
	/* hp_pagesize and an int of flags come right before n_mmaps, thp_pagesize before those */
	at->mp_hp_pagesize = n - 4 >= 40 + 16 ? (uint16_t)(n - 4 - 12) : MP_GLIBC_NONE;
	memcpy(&bins, p + at->mp_tcache_bins, sizeof(bins));
	return bins == NR_TCACHE_BINS;
}

/* malloc compares with tcache_bins, or with tcache_max_bytes right behind. */
static int find_parameters(const struct mp_elf *e, const struct mp_glibc_code *code,
			   struct mp_glibc_file *out, const char **why)
{
	uint8_t image[160];

	for (size_t v = 0; v < code->nr_vars; v++)
		for (uint64_t into = 72; into <= 128; into += 8) {
			uint64_t base = code->vars[v] - into;

			if (!read_at(e, base, image, sizeof(image)) ||
			    !shape_parameters(image, sizeof(image), &out->at))
				continue;
			if (into != out->at.mp_tcache_bins && into != out->at.mp_tcache_bins + 8U)
				continue;
			out->mp = base;
			return 0;
		}
	*why = "malloc reads no variable that lies in the allocator's parameters (mp_)";
	return -EBADMSG;
}

/* ---- what the code tells ------------------------------------------------------------------- */

/* From the function and those it jumps to: later versions keep the slow path in one of its own. */
static int read_code(const struct mp_elf *e, struct mp_glibc_code_at f, struct mp_glibc_code *code)
{
	int err = mp_glibc_code_add(e, f.value, f.size, code);

	for (size_t n = 0; !err && n < code->nr_jumps; n++)
		err = mp_glibc_code_add(e, code->jumps[n], 0, code);
	return err == -ENOENT ? 0 : err;
}

static int shape_tcache(const struct mp_glibc_code *code, struct mp_glibc_file *out,
			const char **why)
{
	struct mp_glibc_layout *at = &out->at;
	uint32_t nr;

	*why = "malloc loads no two words of thread-local storage (tcache, thread_arena)";
	if (code->nr_tls < 2)
		return -EBADMSG;
	out->tcache = code->tls[0];
	out->thread_arena = code->tls[1];
	*why = "malloc does not look into a thread cache of a known shape";
	if (code->counts != 0 || code->entries <= 0 || code->entries % 8)
		return -EBADMSG;
	nr = (uint32_t)code->entries / 2; /* the counts, two bytes each, come first */
	if (nr < NR_TCACHE_BINS || nr > 2 * NR_TCACHE_BINS)
		return -EBADMSG;
	at->tcache_counts = 0;
	at->tcache_entries = (uint16_t)code->entries;
	at->tcache_bins = (uint16_t)nr;
	/* The release that added sizes beyond the small ones began to count free places. */
	at->counts_down = nr > NR_TCACHE_BINS;
	return 0;
}

/* Fills @out->at.calloc_tcache: some versions only see to it that there is a thread cache. */
static int read_calloc(const struct mp_elf *e, struct mp_glibc_code_at f, struct mp_glibc_file *out)
{
	struct mp_glibc_code code;
	int err;

	if (!f.value)
		return 0;
	mp_glibc_code_init(&code);
	code.tls[0] = out->tcache;
	code.nr_tls = 1;
	err = mp_glibc_code_add(e, f.value, f.size, &code);
	out->at.calloc_tcache = code.entries == out->at.tcache_entries;
	return err == -ENOENT ? 0 : err;
}

int mp_glibc_read_file(const struct mp_elf *e, struct mp_glibc_code_at malloc_at,
		       struct mp_glibc_code_at calloc_at, struct mp_glibc_file *out,
		       const char **why)
{
	struct mp_glibc_code code;
	int err;

	memset(out, 0, sizeof(*out));
	err = find_arena(e, out, why);
	if (err)
		return err;
	mp_glibc_code_init(&code);
	err = read_code(e, malloc_at, &code);
	if (!err)
		err = shape_tcache(&code, out, why);
	if (!err)
		err = find_parameters(e, &code, out, why);
	if (!err)
		err = read_calloc(e, calloc_at, out);
	out->at.fd_mangled = code.shifts_12;
	out->at.hooked = code.calls_pointer;
	return err;
}
