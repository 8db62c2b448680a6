// SPDX-License-Identifier: GPL-2.0-or-later
#include "trace/pack.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "../bpf/event.h"

#define WORDS     16 /* of 8 bytes; a longer event is rare and stands as it is */
#define KINDS     255
#define HASH_BITS 10

/* The last event of one type and size. */
struct kind {
	uint32_t head; /* its first four bytes: type and size */
	uint32_t nr;   /* words */
	uint64_t word[WORDS];
};

/* A difference of either sign as a number that is small if it is: 0, -1, 1, -2, ... */
static uint64_t zigzag(uint64_t d)
{
	return d << 1 ^ (uint64_t)((int64_t)d >> 63);
}

static uint64_t unzigzag(uint64_t z)
{
	return z >> 1 ^ -(z & 1);
}

static unsigned int bytes_of(uint64_t z)
{
	return z ? (64 - __builtin_clzll(z) + 7) / 8 : 0;
}

static uint32_t head_of(const uint8_t *event)
{
	uint32_t head;

	memcpy(&head, event, sizeof(head));
	return head;
}

static size_t size_of(uint32_t head)
{
	struct mp_ev ev;

	memcpy(&ev, &head, sizeof(head));
	return ev.size;
}

/* The lengths of all words, four bits each, then their bytes. */
static uint8_t *put_words(struct kind *k, const uint8_t *event, uint8_t *out)
{
	uint8_t *lengths = out;

	out += (k->nr + 1) / 2;
	memset(lengths, 0, out - lengths);
	for (uint32_t i = 0; i < k->nr; i++) {
		uint64_t word, z;
		unsigned int n;

		memcpy(&word, event + 8 * i, sizeof(word));
		z = zigzag(word - k->word[i]);
		k->word[i] = word;
		n = bytes_of(z);
		memcpy(out, &z, sizeof(z)); /* what is beyond @n is written over */
		out += n;
		lengths[i / 2] |= n << (i & 1 ? 4 : 0);
	}
	return out;
}

/* Both sides make the same kinds in the same order. */
static bool remember(struct kind *kinds, unsigned int *nr, const uint8_t *event, size_t size)
{
	struct kind *k = &kinds[*nr];

	if (size > sizeof(k->word) || *nr == KINDS)
		return false;
	k->head = head_of(event);
	k->nr = size / 8;
	memcpy(k->word, event, size);
	++*nr;
	return true;
}

size_t mp_pack(const void *events, size_t len, void *packed)
{
	uint8_t known[1 << HASH_BITS] = { 0 }, *out = packed; /* kinds by hash, counted from 1 */
	const uint8_t *at = events, *end = at + len;
	struct kind kinds[KINDS];
	unsigned int nr = 0;

	while (at < end) {
		uint32_t head = head_of(at);
		uint8_t *k = &known[head * 0x9e3779b1U >> (32 - HASH_BITS)];
		size_t size = size_of(head);

		if (*k && kinds[*k - 1].head == head) {
			*out++ = *k;
			out = put_words(&kinds[*k - 1], at, out);
		} else {
			*out++ = 0;
			memcpy(out, at, size);
			out += size;
			if (remember(kinds, &nr, at, size))
				*k = nr;
		}
		at += size;
	}
	return out - (uint8_t *)packed;
}

/*
 * Puts the next event of kind @k at @out and returns where its words end; false in *@good: it was none.
 * What is missing behind the last packed byte is read as zeros, of which there are as many as an event
 * can take.
 */
static const uint8_t *get_words(struct kind *k, const uint8_t *in, uint8_t *out, bool *good)
{
	static const uint64_t masks[16] = {
		0,          0xff,         0xffff,         0xffffff,
		0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff,
		UINT64_MAX,
	};
	uint32_t i, nr = k->nr;
	uint64_t lengths;

	_Static_assert(WORDS == 16, "lengths in one word");
	memcpy(&lengths, in, sizeof(lengths));
	if (nr < WORDS)
		lengths &= (1ULL << 4 * nr) - 1;
	/* more than 8 is none */
	*good = !(lengths >> 3 & (lengths | lengths >> 1 | lengths >> 2) & 0x1111111111111111);
	if (!*good)
		return in;
	in += (nr + 1) / 2;
	for (i = 0; i < nr; i++, lengths >>= 4) {
		uint64_t z, word = k->word[i];

		memcpy(&z, in, sizeof(z));
		word += unzigzag(z & masks[lengths & 15]);
		k->word[i] = word;
		memcpy(out + 8 * i, &word, sizeof(word));
		in += lengths & 15;
	}
	*good = head_of(out) == k->head;
	return in;
}

int64_t mp_unpack(const void *packed, size_t len, void *events, size_t room)
{
	const uint8_t *in = packed, *end = in + len;
	uint8_t *out = events, *out_end = out + room;
	struct kind kinds[KINDS];
	unsigned int nr = 0;

	_Static_assert(1 + WORDS / 2 + 8 * WORDS + 8 <= MP_UNPACK_SLACK, "the most that is read");
	while (in < end) {
		unsigned int i = *in++;
		size_t size;
		bool good;

		if (i > nr)
			return -EBADMSG;
		if (i) {
			size = 8 * (size_t)kinds[i - 1].nr;
			if (size > (size_t)(out_end - out))
				return -EBADMSG;
			in = get_words(&kinds[i - 1], in, out, &good);
			if (!good || in > end)
				return -EBADMSG;
		} else {
			size = end - in >= 4 ? size_of(head_of(in)) : 0;
			if (size < sizeof(struct mp_ev) || size % 8 || size > (size_t)(end - in) ||
			    size > (size_t)(out_end - out))
				return -EBADMSG;
			memcpy(out, in, size);
			remember(kinds, &nr, in, size);
			in += size;
		}
		out += size;
	}
	return out - (uint8_t *)events;
}
