/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Part of event.h: what addresses are called, for those who read a trace elsewhere or later. */
#ifndef MALLOCPATH_NAMES_H
#define MALLOCPATH_NAMES_H

/* MP_EV_OBJECT: the content of a file that is mapped to be executed, before the first stack through it. */
struct mp_ev_object {
	struct mp_ev h;
	__u64 ino; /* the file, as in MP_EV_MAP */
	__u32 dev_major;
	__u32 dev_minor;
	__u32 build_id_len;
	__u32 pad;
	__u8 build_id[32];
	char path[]; /* as the process sees it, NUL terminated, padded to 8 */
};
_Static_assert(sizeof(struct mp_ev_object) == 80, "wire format");

/*
 * MP_EV_NAMES: the functions at @offset of a file, put into a trace by mallocpath symbolize. @frames:
 * the innermost first, each: inlined into the next one (1 byte), line (4, 0: not known), bytes from the
 * function's start (8), function and source file, both NUL terminated, empty: not known.
 */
struct mp_ev_names {
	struct mp_ev h;
	__u64 ino;
	__u32 dev_major;
	__u32 dev_minor;
	__u64 offset;
	__u32 is_return; /* @offset is behind a call: they are those that call */
	__u32 nr;        /* of frames */
	__u32 bytes;     /* that they take; then NULs to a multiple of 8 */
	__u32 pad;
	char frames[];
};
_Static_assert(sizeof(struct mp_ev_names) == 64, "wire format");
#define MP_NAMES_FRAMES 63

#endif /* MALLOCPATH_NAMES_H */
