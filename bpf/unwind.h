/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The compact form of an object's .eh_frame: an array of __u64, written by collect/unwind_table.c
 * and searched by the BPF programs. x86-64 only.
 *
 *   entry[0 .. n_index)       one for each MP_UNWIND_BUCKET bytes from the object's base:
 *                             first row | end row << 32, both counted from entry[n_index]
 *   entry[n_index .. )        the rows, by rising address: rule << 32 | at
 *
 * at: bytes from the base to the first instruction the rule holds for; it holds to the next row.
 * The row in force at an address is the last of its bucket's [first, end) whose "at" is not above
 * it: there always is one, as the row in force where a bucket begins is counted in.
 */
#ifndef MALLOCPATH_UNWIND_H
#define MALLOCPATH_UNWIND_H

#ifndef __bpf__
#include <linux/types.h>
#endif

/*
 * How to find the CFA (the caller's rsp after its call returned). The return address lies at
 * CFA - 8 in RSP, RBP, DEREF, PLT and SAVED.
 */
enum mp_unwind_kind {
	MP_UNWIND_NONE = 0,        /* no unwind information: not in a function the object knows */
	MP_UNWIND_RSP = 1,         /* CFA = rsp + offset */
	MP_UNWIND_RBP = 2,         /* CFA = rbp + offset */
	MP_UNWIND_DEREF = 3,       /* CFA = *(rbp + offset), offset signed: a realigned stack */
	MP_UNWIND_PLT = 4,         /* CFA = rsp + 8, + 8 if (pc & 15) >= words */
	MP_UNWIND_SIGNAL = 5,      /* rsp points at the ucontext of an rt_sigframe */
	MP_UNWIND_END = 6,         /* outermost: there is no return address */
	MP_UNWIND_UNSUPPORTED = 7, /* there is a rule, this form cannot hold it */
	MP_UNWIND_SAVED = 8, /* CFA = *(rsp + offset) + 8, offset signed: OpenSSL's assembly */
	MP_UNWIND_KINDS,
};

/*
 * A rule: bits 0-3 kind, 4-24 offset in words of 8 bytes, 25-31 where the caller's rbp is. Frames of
 * a MiB exist (redis-server), rbp is saved within ten words of the CFA (30 million rows of Debian).
 */
#define MP_UNWIND_WORDS_SHIFT 4
#define MP_UNWIND_RBP_SHIFT   25
#define MP_UNWIND_WORDS_MAX   ((1 << (MP_UNWIND_RBP_SHIFT - MP_UNWIND_WORDS_SHIFT)) - 1)
#define MP_UNWIND_RBP_MAX     ((1 << (32 - MP_UNWIND_RBP_SHIFT)) - 1)
/* What is added to a field whose value has a sign. */
#define MP_UNWIND_WORDS_BIAS (1 << 20)
#define MP_UNWIND_RBP_BIAS   (1 << 6)
#define MP_UNWIND_RULE(kind, words, rbp)                           \
	((__u32)(kind) | (__u32)(words) << MP_UNWIND_WORDS_SHIFT | \
	 (__u32)(rbp) << MP_UNWIND_RBP_SHIFT)

static inline __u32 mp_unwind_kind(__u32 rule)
{
	return rule & ((1 << MP_UNWIND_WORDS_SHIFT) - 1);
}

static inline __u32 mp_unwind_words(__u32 rule)
{
	return rule >> MP_UNWIND_WORDS_SHIFT & MP_UNWIND_WORDS_MAX;
}

/* Bytes to add to rsp or rbp; of RSP, RBP, DEREF and SAVED. */
static inline __s64 mp_unwind_offset(__u32 rule)
{
	__u32 kind = mp_unwind_kind(rule);
	__s64 words = mp_unwind_words(rule);

	if (kind == MP_UNWIND_DEREF || kind == MP_UNWIND_SAVED)
		words -= MP_UNWIND_WORDS_BIAS;
	return 8 * words;
}

/* 0: the caller's rbp is still in rbp. */
static inline __u32 mp_unwind_rbp(__u32 rule)
{
	return rule >> MP_UNWIND_RBP_SHIFT;
}

/* Where it was saved otherwise: bytes to add to the CFA, for DEREF to rbp as it is here. */
static inline __s64 mp_unwind_rbp_offset(__u32 rule)
{
	__s64 words = mp_unwind_rbp(rule);

	return 8 * (mp_unwind_kind(rule) == MP_UNWIND_DEREF ? words - MP_UNWIND_RBP_BIAS : -words);
}

/*
 * SIGNAL: bytes from rsp to the interrupted registers: struct ucontext's uc_mcontext at 40, in it
 * struct sigcontext_64 (kernel: arch/x86/include/uapi/asm/sigcontext.h).
 */
#define MP_UNWIND_SIGNAL_RBP 120
#define MP_UNWIND_SIGNAL_RSP 160
#define MP_UNWIND_SIGNAL_RIP 168

#define MP_UNWIND_ROW(rule, at) ((__u64)(rule) << 32 | (__u32)(at))

static inline __u32 mp_unwind_at(__u64 row)
{
	return (__u32)row;
}

static inline __u32 mp_unwind_rule(__u64 row)
{
	return row >> 32;
}

#define MP_UNWIND_BUCKET_SHIFT 10
#define MP_UNWIND_BUCKET       (1 << MP_UNWIND_BUCKET_SHIFT)
/* Halvings that leave one row of a bucket's: there are at most as many as bytes in it. */
#define MP_UNWIND_STEPS MP_UNWIND_BUCKET_SHIFT

#define MP_UNWIND_INDEX(first, end) ((__u64)(end) << 32 | (__u32)(first))

static inline __u32 mp_unwind_first(__u64 index)
{
	return (__u32)index;
}

static inline __u32 mp_unwind_end(__u64 index)
{
	return index >> 32;
}

#endif
