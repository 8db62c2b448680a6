// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Places in libc's own code to put breakpoints on, from its debug file: for tests/tiers/truth.c.
 *
 * usage: places DEBUG-FILE LIBC WHAT=FUNCTION | WHAT=FILE:LINE ...
 *
 * Prints a line a place: address, bytes of the instruction there, where in it a rip-relative
 * displacement stands (0: nowhere), bytes pushed since the function's entry, the instruction's bytes,
 * WHAT. Of a function it is the first instruction that is no push, jump or nop: probes are put on
 * those. Also "text START END malloc.c". A place that cannot be had is an error.
 */
#include <Zydis/Zydis.h>
#include <elfutils/libdw.h>
#include <err.h>
#include <fcntl.h>
#include <gelf.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Dwarf *debug;
static int libc_fd;
static ZydisDecoder decoder;
static Dwarf_Die unit; /* of malloc.c */

static void find_unit(void)
{
	Dwarf_Off off = 0, next;
	size_t head;

	for (; !dwarf_nextcu(debug, off, &next, &head, NULL, NULL, NULL); off = next) {
		const char *name;

		if (!dwarf_offdie(debug, off + head, &unit))
			continue;
		name = dwarf_diename(&unit);
		if (name && (!strcmp(name, "malloc.c") || strstr(name, "/malloc.c")))
			return;
	}
	errx(1, "the debug file has no malloc.c");
}

static uint64_t symbol(const char *name)
{
	Elf *elf = dwarf_getelf(debug);
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	GElf_Sym sym;

	while ((scn = elf_nextscn(elf, scn))) {
		Elf_Data *data;

		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_SYMTAB)
			continue;
		data = elf_getdata(scn, NULL);
		for (int i = 0; gelf_getsym(data, i, &sym); i++) {
			const char *n = elf_strptr(elf, sh.sh_link, sym.st_name);

			/* compilers append .constprop.0 and the like to their variants */
			if (GELF_ST_TYPE(sym.st_info) == STT_FUNC && n &&
			    !strncmp(n, name, strlen(name)) &&
			    (!n[strlen(name)] || n[strlen(name)] == '.'))
				return sym.st_value;
		}
	}
	errx(1, "libc has no function %s", name);
}

/* Of malloc.c's own code the part with the functions that matter; the rest is elsewhere. */
static void print_text(void)
{
	uint64_t inside = symbol("_int_malloc");
	Dwarf_Addr base, start, end;
	ptrdiff_t off = 0;

	while ((off = dwarf_ranges(&unit, off, &base, &start, &end)) > 0)
		if (inside >= start && inside < end) {
			printf("text %#" PRIx64 " %#" PRIx64 "\n", start, end);
			return;
		}
	errx(1, "malloc.c has no code");
}

/* libc's text is mapped as it is in the file; segments before the data have address == offset. */
static void read_code(uint64_t at, uint8_t *buf, size_t len)
{
	if (pread(libc_fd, buf, len, (off_t)at) != (ssize_t)len)
		errx(1, "libc has no code at %#" PRIx64, at);
}

static void decode(uint64_t at, uint8_t *buf, ZydisDecodedInstruction *i)
{
	read_code(at, buf, 16);
	if (ZYAN_FAILED(ZydisDecoderDecodeInstruction(&decoder, NULL, buf, 16, i)))
		errx(1, "no instruction at %#" PRIx64, at);
}

/* What cannot be executed in another place; truth.c sees to conditional jumps. */
static bool is_bound(const ZydisDecodedInstruction *i)
{
	return i->meta.category == ZYDIS_CATEGORY_CALL ||
	       i->meta.category == ZYDIS_CATEGORY_UNCOND_BR ||
	       i->meta.category == ZYDIS_CATEGORY_RET;
}

static void print_place(uint64_t at, int pushed, const char *what)
{
	ZydisDecodedInstruction i;
	uint8_t code[16];
	int rip = 0;

	decode(at, code, &i);
	if (is_bound(&i))
		errx(1, "%s: there is a branch at %#" PRIx64, what, at);
	if ((i.attributes & ZYDIS_ATTRIB_HAS_MODRM) && i.raw.modrm.mod == 0 && i.raw.modrm.rm == 5)
		rip = i.raw.disp.offset;
	printf("%#" PRIx64 " %d %d %d ", at, i.length, rip, pushed);
	for (int n = 0; n < i.length; n++)
		printf("%02x", code[n]);
	printf(" %s\n", what);
}

static void place_function(const char *name, const char *what)
{
	uint64_t at = symbol(name);
	ZydisDecodedInstruction i;
	uint8_t code[16];
	int pushed = 0;

	for (;;) {
		decode(at, code, &i);
		if (i.mnemonic == ZYDIS_MNEMONIC_PUSH)
			pushed += 8;
		else if (i.meta.category != ZYDIS_CATEGORY_NOP &&
			 i.meta.category != ZYDIS_CATEGORY_UNCOND_BR &&
			 i.mnemonic != ZYDIS_MNEMONIC_ENDBR64)
			break;
		at += i.length;
		if (i.meta.category == ZYDIS_CATEGORY_UNCOND_BR && i.raw.imm[0].is_relative)
			at += (uint64_t)i.raw.imm[0].value.s;
	}
	print_place(at, pushed, what);
}

static void place_line(const char *file, int number, const char *what)
{
	Dwarf_Lines *lines;
	uint64_t last = 0;
	size_t nr, found = 0;

	if (dwarf_getsrclines(&unit, &lines, &nr))
		errx(1, "malloc.c has no lines");
	for (size_t n = 0; n < nr; n++) {
		Dwarf_Line *l = dwarf_onesrcline(lines, n);
		const char *name = dwarf_linesrc(l, NULL, NULL);
		Dwarf_Addr at;
		bool begins;
		int no;

		if (dwarf_lineno(l, &no) || no != number || dwarf_lineaddr(l, &at) ||
		    dwarf_linebeginstatement(l, &begins) || !begins || at == last)
			continue;
		name = name && strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
		if (!name || strcmp(name, file))
			continue;
		print_place(last = at, 0, what);
		found++;
	}
	if (!found)
		errx(1, "no statement begins at %s:%d", file, number);
}

static void place(char *arg)
{
	char *where = strchr(arg, '='), *line;

	if (!where)
		errx(2, "%s: WHAT=WHERE is wanted", arg);
	*where++ = 0;
	line = strchr(where, ':');
	if (!line) {
		place_function(where, arg);
		return;
	}
	*line++ = 0;
	place_line(where, atoi(line), arg);
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3)
		errx(2, "usage: places DEBUG-FILE LIBC WHAT=WHERE...");
	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	fd = open(argv[1], O_RDONLY);
	libc_fd = open(argv[2], O_RDONLY);
	debug = fd < 0 ? NULL : dwarf_begin(fd, DWARF_C_READ);
	if (!debug || libc_fd < 0)
		errx(1, "%s or %s cannot be read", argv[1], argv[2]);
	find_unit();
	print_text();
	for (int i = 3; i < argc; i++)
		place(argv[i]);
	return 0;
}
