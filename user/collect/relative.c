// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/relative.h"

/* Entries read at once. */
#define BATCH 512
/* Bounds for hostile files: libc has some thousands, a browser half a million. */
#define MAX_ENTRIES (4ULL << 20)

struct walk {
	const struct mp_elf *e;
	mp_relative_fn fn;
	void *ctx;
};

/* Where the table of tag @at is in the file, and how many entries of @size bytes it has. */
static uint64_t find_table(const struct mp_elf *e, int64_t at, int64_t bytes, uint64_t size,
			   uint64_t *offset)
{
	uint64_t vaddr, len, avail;

	if (!mp_elf__tag(e, at, &vaddr) || !mp_elf__tag(e, bytes, &len) ||
	    mp_elf__offset(e, vaddr, 0, offset, &avail))
		return 0;
	if (len > avail)
		len = avail;
	return len / size < MAX_ENTRIES ? len / size : MAX_ENTRIES;
}

static int walk_rela(const struct walk *w, uint64_t offset, uint64_t nr)
{
	Elf64_Rela rela[BATCH];

	for (uint64_t i = 0; i < nr; i += BATCH) {
		size_t want = nr - i < BATCH ? nr - i : BATCH;
		size_t got = mp_elf__read(w->e, offset + i * sizeof(rela[0]), rela,
					  want * sizeof(rela[0])) /
			     sizeof(rela[0]);

		for (size_t k = 0; k < got; k++) {
			int ret = 0;

			if (ELF64_R_TYPE(rela[k].r_info) == R_X86_64_RELATIVE)
				ret = w->fn(w->ctx, rela[k].r_offset, (uint64_t)rela[k].r_addend);
			if (ret)
				return ret;
		}
		if (got < want)
			return 0;
	}
	return 0;
}

/* DT_RELR keeps the value in the word itself. */
static int give_in_place(const struct walk *w, uint64_t slot)
{
	uint64_t offset, avail, value;

	if (mp_elf__offset(w->e, slot, 0, &offset, &avail) || avail < sizeof(value) ||
	    mp_elf__read(w->e, offset, &value, sizeof(value)) != sizeof(value))
		return 0;
	return w->fn(w->ctx, slot, value);
}

/*
 * An even entry is the address of a word and sets the place behind it; an odd one is a bitmap of the
 * 63 words from that place on (ELF gABI, "Relative relocation table").
 */
static int give_relr(const struct walk *w, uint64_t entry, uint64_t *place)
{
	int ret;

	if (!(entry & 1)) {
		*place = entry + 8;
		return give_in_place(w, entry);
	}
	for (unsigned int bit = 1; bit < 64; bit++) {
		ret = entry >> bit & 1 ? give_in_place(w, *place + (bit - 1) * 8ULL) : 0;
		if (ret)
			return ret;
	}
	*place += 63 * 8;
	return 0;
}

static int walk_relr(const struct walk *w, uint64_t offset, uint64_t nr)
{
	uint64_t entries[BATCH], place = 0;

	for (uint64_t i = 0; i < nr; i += BATCH) {
		size_t want = nr - i < BATCH ? nr - i : BATCH;
		size_t got = mp_elf__read(w->e, offset + i * 8, entries, want * 8) / 8;

		for (size_t k = 0; k < got; k++) {
			int ret = give_relr(w, entries[k], &place);

			if (ret)
				return ret;
		}
		if (got < want)
			return 0;
	}
	return 0;
}

static int walk_words(const struct walk *w, uint64_t vaddr, uint64_t offset, uint64_t len)
{
	uint64_t words[BATCH];

	for (uint64_t at = 0; at < len; at += sizeof(words)) {
		size_t got = mp_elf__read(w->e, offset + at, words, sizeof(words)) / 8;

		for (size_t k = 0; k < got && at + k * 8 + 8 <= len; k++) {
			uint64_t value = words[k];
			int ret = 0;

			if (value >= vaddr && value - vaddr < len)
				ret = w->fn(w->ctx, vaddr + at + k * 8, value);
			if (ret)
				return ret;
		}
		if (got < BATCH)
			return 0;
	}
	return 0;
}

/* Words are aligned in memory, where the segment begins at @vaddr. */
static int walk_segments(const struct walk *w)
{
	uint64_t vaddr, offset, len;
	int ret = 0;

	for (size_t i = 0; !ret && mp_elf__writable(w->e, i, &vaddr, &offset, &len); i++) {
		uint64_t skip = -vaddr & 7;

		if (len > skip && len / 8 < MAX_ENTRIES)
			ret = walk_words(w, vaddr + skip, offset + skip, len - skip);
	}
	return ret;
}

int mp_relative_walk(const struct mp_elf *e, mp_relative_fn fn, void *ctx)
{
	struct walk w = { e, fn, ctx };
	uint64_t rela_at = 0, relr_at = 0;
	uint64_t nr_rela = find_table(e, DT_RELA, DT_RELASZ, sizeof(Elf64_Rela), &rela_at);
	uint64_t nr_relr = find_table(e, DT_RELR, DT_RELRSZ, 8, &relr_at);
	int ret;

	if (!nr_rela && !nr_relr)
		return walk_segments(&w);
	ret = walk_rela(&w, rela_at, nr_rela);
	return ret ? ret : walk_relr(&w, relr_at, nr_relr);
}
