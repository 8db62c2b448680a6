/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the allocator rooms need from an x86-64 ELF file, read the way the dynamic linker reads it
 * (program headers and dynamic segment; sections only for .symtab). Files are hostile: every offset
 * is checked, every table is bounded, nothing is mapped (a truncated file cannot raise SIGBUS).
 */
#ifndef MP_COLLECT_ELF_H
#define MP_COLLECT_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mp_elf;

/* Opens the ELF in @fd (kept by the caller). 0, -ENOEXEC (not a 64-bit x86 ELF object), -ENOMEM. */
int mp_elf__open(int fd, struct mp_elf **out);
void mp_elf__close(struct mp_elf *e);

struct mp_elf_symbol {
	const char *name;
	uint64_t value, size;
	uint8_t type, bind; /* STT_*, STB_* */
	bool exported;      /* from the dynamic symbol table */
};

/* A non-zero return stops the walk and is handed back. Only defined symbols are given. */
typedef int (*mp_elf_symbol_fn)(void *ctx, const struct mp_elf_symbol *sym);
/* The dynamic symbols first, then .symtab if there is one. */
int mp_elf__symbols(struct mp_elf *e, mp_elf_symbol_fn fn, void *ctx);

/* Relocations that put the address of symbol @name into a word at ELF address @slot. */
typedef int (*mp_elf_reloc_fn)(void *ctx, const char *name, uint64_t slot);
int mp_elf__relocs(struct mp_elf *e, mp_elf_reloc_fn fn, void *ctx);

/*
 * File offset of ELF address @vaddr in a segment with all of @flags (PF_X, 0: any), and the bytes
 * from there to the segment's end in the file.
 */
int mp_elf__offset(const struct mp_elf *e, uint64_t vaddr, uint32_t flags, uint64_t *offset,
		   uint64_t *avail);
/*
 * The @index-th writable segment: its ELF address, where it is in the file, and its bytes there. False:
 * there are no more.
 */
bool mp_elf__writable(const struct mp_elf *e, size_t index, uint64_t *vaddr, uint64_t *offset,
		      uint64_t *len);
/* Run-time address minus ELF address, given that file offset @offset is mapped at @start. */
int mp_elf__bias(const struct mp_elf *e, uint64_t start, uint64_t offset, uint64_t *bias);
/* ELF address of the dynamic segment; 0: none, the object is static. */
uint64_t mp_elf__dynamic(const struct mp_elf *e);
/* Value of a dynamic tag; false if it is not there. */
bool mp_elf__tag(const struct mp_elf *e, int64_t tag, uint64_t *value);
/* ELF address of that value: the dynamic linker changes some at run time. */
bool mp_elf__tag_slot(const struct mp_elf *e, int64_t tag, uint64_t *slot);
/* The NT_GNU_BUILD_ID note; returns its length in bytes, at most @size, 0: none. */
uint32_t mp_elf__build_id(struct mp_elf *e, uint8_t *id, uint32_t size);
/*
 * Calls @fn with the content of the segments that are not writable, in overlapping pieces (each NUL
 * terminated), until it returns non-zero, which is handed back.
 */
typedef int (*mp_elf_rodata_fn)(void *ctx, const char *data, size_t len);
int mp_elf__rodata(struct mp_elf *e, mp_elf_rodata_fn fn, void *ctx);
/* Reads at most @len bytes at file offset @offset; the number read, short at the end of the file. */
size_t mp_elf__read(const struct mp_elf *e, uint64_t offset, void *buf, size_t len);

#endif
