/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files of the tree inside of the program. */
#ifndef MP_VIEW_EMBED_H
#define MP_VIEW_EMBED_H

/* Defines the string @name: the file @path, from the top of the tree, where make(1) runs. */
#define MP_EMBED(name, path)                                                              \
	extern const char name[] __attribute__((visibility("hidden")));                   \
	__asm__(".pushsection .rodata\n.globl " #name "\n.hidden " #name "\n.type " #name \
		", @object\n" #name ":\n.incbin \"" path "\"\n.byte 0\n.size " #name      \
		", . - " #name "\n.popsection\n")

#endif
