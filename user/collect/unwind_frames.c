// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/unwind_frames.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>

/* --- where it is */

static int find_by_section(struct mp_frames *f, Elf *elf)
{
	Elf_Scn *scn = NULL;
	const char *name;
	GElf_Shdr sh;
	size_t strings;

	if (elf_getshdrstrndx(elf, &strings))
		return -ENODATA;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || !(sh.sh_flags & SHF_ALLOC) ||
		    (sh.sh_type != SHT_PROGBITS && sh.sh_type != SHT_X86_64_UNWIND))
			continue;
		name = elf_strptr(elf, strings, sh.sh_name);
		if (!name || strcmp(name, ".eh_frame"))
			continue;
		f->data = elf_rawdata(scn, NULL);
		f->address = sh.sh_addr;
		if (f->data && f->data->d_buf && f->data->d_size)
			return 0;
	}
	return -ENODATA;
}

/* The bytes of the file that are loaded at @address, to their segment's end. */
static Elf_Data *loaded_at(Elf *elf, uint64_t address)
{
	GElf_Phdr ph;
	size_t nr;

	if (elf_getphdrnum(elf, &nr))
		return NULL;
	for (size_t i = 0; i < nr && gelf_getphdr(elf, i, &ph); i++) {
		uint64_t skip = address - ph.p_vaddr;

		if (ph.p_type == PT_LOAD && address >= ph.p_vaddr && skip < ph.p_filesz &&
		    ph.p_offset <= INT64_MAX - skip)
			return elf_getdata_rawchunk(elf, ph.p_offset + skip, ph.p_filesz - skip,
						    ELF_T_BYTE);
	}
	return NULL;
}

/* .eh_frame_hdr (LSB): version, three encodings, then the address of .eh_frame in the first. */
static int find_by_header(struct mp_frames *f, Elf *elf)
{
	GElf_Phdr ph = { 0 };
	struct mp_cursor c;
	Elf_Data *hdr;
	uint8_t encoding;
	size_t nr, i;

	if (elf_getphdrnum(elf, &nr))
		return -ENODATA;
	for (i = 0; i < nr && gelf_getphdr(elf, i, &ph); i++)
		if (ph.p_type == PT_GNU_EH_FRAME)
			break;
	if (i >= nr || ph.p_type != PT_GNU_EH_FRAME)
		return -ENODATA;
	hdr = loaded_at(elf, ph.p_vaddr);
	if (!hdr || !hdr->d_buf)
		return -ENODATA;
	c = (struct mp_cursor){ hdr->d_buf, (uint8_t *)hdr->d_buf + hdr->d_size, false };
	if (mp_cursor_fixed(&c, 1) != 1)
		return -ENODATA;
	encoding = mp_cursor_fixed(&c, 1);
	mp_cursor_fixed(&c, 2);
	f->address = mp_cursor_pointer(&c, encoding, ph.p_vaddr + 4, ph.p_vaddr);
	f->data = c.bad ? NULL : loaded_at(elf, f->address);
	f->ends_at_zero = true;
	return f->data && f->data->d_buf && f->data->d_size ? 0 : -ENODATA;
}

/* --- entries */

/* Room for one more of @size bytes in an array of @nr. */
static int grow(void *array, size_t nr, size_t *room, size_t size)
{
	size_t more = *room ? *room * 2 : 64;
	void *p;

	if (nr < *room)
		return 0;
	p = reallocarray(*(void **)array, more, size);
	if (!p)
		return -ENOMEM;
	*(void **)array = p;
	*room = more;
	return 0;
}

static uint64_t address_of(const struct mp_frames *f, const uint8_t *p)
{
	return f->address + (uint64_t)(p - (const uint8_t *)f->data->d_buf);
}

/* The augmentation's letters and, in the same order, their data. False: not understood. */
static bool read_augmentation(const struct mp_frames *f, const Dwarf_CIE *d, struct mp_cfa_cie *cie)
{
	struct mp_cursor c = { d->augmentation_data, d->augmentation_data, false };
	const char *letter = d->augmentation;
	uint8_t encoding;

	cie->encoding = DW_EH_PE_absptr;
	if (!*letter)
		return true;
	if (*letter != 'z' || !d->augmentation_data)
		return false;
	c.end += d->augmentation_data_size;
	cie->augmented = true;
	while (*++letter && !c.bad) {
		switch (*letter) {
		case 'R':
			cie->encoding = mp_cursor_fixed(&c, 1);
			break;
		case 'L':
			mp_cursor_fixed(&c, 1);
			break;
		case 'P':
			encoding = mp_cursor_fixed(&c, 1);
			mp_cursor_pointer(&c, encoding & 0x0f, address_of(f, c.p), 0);
			break;
		case 'S':
			cie->signal = true;
			break;
		default:
			return false;
		}
	}
	return !c.bad;
}

static int add_cie(struct mp_frames *f, uint64_t offset, const Dwarf_CIE *d)
{
	struct mp_frames_cie *new;

	if (grow(&f->cies, f->nr_cies, &f->cies_room, sizeof(*f->cies)))
		return -ENOMEM;
	new = &f->cies[f->nr_cies++];
	memset(new, 0, sizeof(*new));
	new->offset = offset;
	new->cie.code_align = d->code_alignment_factor;
	new->cie.data_align = d->data_alignment_factor;
	new->cie.usable = read_augmentation(f, d, &new->cie) &&
			  d->return_address_register == 16; /* rip */
	mp_cfa_cie_run(&new->cie, d->initial_instructions, d->initial_instructions_end);
	return 0;
}

static int compare_cie(const void *key, const void *cie)
{
	const struct mp_frames_cie *c = cie;
	uint64_t offset = *(const uint64_t *)key;

	return offset < c->offset ? -1 : offset > c->offset;
}

static int add_fde(struct mp_frames *f, const Dwarf_FDE *d)
{
	struct mp_cursor c = { d->start, d->end, false };
	const struct mp_frames_cie *cie;
	struct mp_frames_fde new = { 0 };
	uint64_t offset = d->CIE_pointer, size;

	/* in .eh_frame a CIE stands before its FDEs */
	if (!f->nr_cies || d->start > d->end)
		goto unreadable;
	cie = bsearch(&offset, f->cies, f->nr_cies, sizeof(*f->cies), compare_cie);
	if (!cie)
		goto unreadable;
	new.begin = mp_cursor_pointer(&c, cie->cie.encoding, address_of(f, c.p), 0);
	size = mp_cursor_pointer(&c, cie->cie.encoding & 0x0f, 0, 0);
	if (__builtin_add_overflow(new.begin, size, &new.end))
		goto unreadable;
	if (cie->cie.augmented) {
		size = mp_cursor_uleb(&c);
		if (size > (size_t)(c.end - c.p))
			goto unreadable;
		c.p += size;
	}
	if (c.bad)
		goto unreadable;
	new.program = c.p;
	new.program_end = c.end;
	new.cie = cie - f->cies;
	new.order = f->nr_fdes;
	if (grow(&f->fdes, f->nr_fdes, &f->fdes_room, sizeof(*f->fdes)))
		return -ENOMEM;
	f->fdes[f->nr_fdes++] = new;
	return 0;
unreadable:
	f->nr_unreadable++;
	return 0;
}

static int compare_fde(const void *one, const void *other)
{
	const struct mp_frames_fde *a = one, *b = other;

	if (a->begin != b->begin)
		return a->begin < b->begin ? -1 : 1;
	if (a->end != b->end)
		return a->end < b->end ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static bool zero_at(const Elf_Data *data, uint64_t offset)
{
	uint32_t length;

	if (data->d_size - offset < sizeof(length))
		return false;
	memcpy(&length, (const uint8_t *)data->d_buf + offset, sizeof(length));
	return !length;
}

static int read_entries(struct mp_frames *f, Elf *elf)
{
	const unsigned char *ident = (const unsigned char *)elf_getident(elf, NULL);
	Dwarf_Off offset = 0, next;
	Dwarf_CFI_Entry entry;
	int err = 0, got;

	while (!err && offset < f->data->d_size) {
		if (zero_at(f->data, offset)) {
			if (f->ends_at_zero)
				break;
			offset += 4;
			continue;
		}
		next = offset;
		got = dwarf_next_cfi(ident, (Elf_Data *)f->data, true, offset, &next, &entry);
		if (got < 0)
			f->nr_unreadable++;
		else if (!got && dwarf_cfi_cie_p(&entry))
			err = add_cie(f, offset, &entry.cie);
		else if (!got)
			err = add_fde(f, &entry.fde);
		if (got > 0 || next <= offset)
			break; /* the end, or a length that leads nowhere */
		offset = next;
	}
	return err;
}

int mp_frames_read(struct mp_frames *f, Elf *elf)
{
	int err;

	memset(f, 0, sizeof(*f));
	err = find_by_section(f, elf);
	if (err)
		err = find_by_header(f, elf);
	if (!err)
		err = read_entries(f, elf);
	if (err) {
		mp_frames_clear(f);
		return err;
	}
	if (f->nr_fdes)
		qsort(f->fdes, f->nr_fdes, sizeof(*f->fdes), compare_fde);
	return 0;
}

void mp_frames_clear(struct mp_frames *f)
{
	free(f->cies);
	free(f->fdes);
	memset(f, 0, sizeof(*f));
}
