// SPDX-License-Identifier: GPL-2.0-or-later
#include "collect/elf.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bounds of what is read at once: an unstripped browser has 300 MB of symbols and names. */
#define MAX_TABLE   (512ULL << 20)
#define MAX_PHDRS   512
#define MAX_DYNAMIC 4096
#define MAX_NOTES   (64ULL << 10)
#define MAX_RODATA  (64ULL << 20)

struct mp_elf {
	Elf *elf;
	int fd;
	uint64_t file_size;
	Elf64_Phdr *phdrs;
	size_t nr_phdrs;
	Elf64_Dyn *dyn;
	size_t nr_dyn;
	uint64_t dynamic;
};

struct table { /* of symbols, with their names; both owned */
	Elf64_Sym *syms;
	size_t nr;
	char *names;
	size_t names_len;
};

size_t mp_elf__read(const struct mp_elf *e, uint64_t offset, void *buf, size_t len)
{
	size_t done = 0;

	if (offset >= e->file_size)
		return 0;
	while (done < len) {
		ssize_t n = pread(e->fd, (char *)buf + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

/* @len bytes at @offset in a fresh buffer with a NUL behind; NULL if they are not all there. */
static void *read_chunk(const struct mp_elf *e, uint64_t offset, uint64_t len)
{
	char *buf;

	if (!len || len > MAX_TABLE || offset > e->file_size || len > e->file_size - offset)
		return NULL;
	buf = malloc(len + 1);
	if (!buf)
		return NULL;
	if (mp_elf__read(e, offset, buf, len) != len) {
		free(buf);
		return NULL;
	}
	buf[len] = '\0';
	return buf;
}

int mp_elf__offset(const struct mp_elf *e, uint64_t vaddr, uint32_t flags, uint64_t *offset,
		   uint64_t *avail)
{
	for (size_t i = 0; i < e->nr_phdrs; i++) {
		const Elf64_Phdr *p = &e->phdrs[i];

		if (p->p_type != PT_LOAD || vaddr < p->p_vaddr || vaddr - p->p_vaddr >= p->p_filesz)
			continue;
		if (p->p_offset > e->file_size || (p->p_flags & flags) != flags)
			continue;
		*offset = p->p_offset + (vaddr - p->p_vaddr);
		*avail = p->p_filesz - (vaddr - p->p_vaddr);
		return 0;
	}
	return -ENOENT;
}

bool mp_elf__writable(const struct mp_elf *e, size_t index, uint64_t *vaddr, uint64_t *offset,
		      uint64_t *len)
{
	for (size_t i = 0; i < e->nr_phdrs; i++) {
		const Elf64_Phdr *p = &e->phdrs[i];

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_W) || index--)
			continue;
		*vaddr = p->p_vaddr;
		*offset = p->p_offset;
		*len = p->p_filesz;
		return true;
	}
	return false;
}

int mp_elf__bias(const struct mp_elf *e, uint64_t start, uint64_t offset, uint64_t *bias)
{
	for (size_t i = 0; i < e->nr_phdrs; i++) {
		const Elf64_Phdr *p = &e->phdrs[i];
		uint64_t first = p->p_offset & ~4095ULL; /* mappings begin at page bounds */

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || offset < first)
			continue;
		if (offset - first >= p->p_filesz + (p->p_offset - first))
			continue;
		*bias = start - offset + p->p_offset - p->p_vaddr;
		return 0;
	}
	return -ENOENT;
}

uint64_t mp_elf__dynamic(const struct mp_elf *e)
{
	return e->dynamic;
}

bool mp_elf__tag(const struct mp_elf *e, int64_t tag, uint64_t *value)
{
	for (size_t i = 0; i < e->nr_dyn; i++) {
		if (e->dyn[i].d_tag != tag)
			continue;
		*value = e->dyn[i].d_un.d_val;
		return true;
	}
	return false;
}

bool mp_elf__tag_slot(const struct mp_elf *e, int64_t tag, uint64_t *slot)
{
	for (size_t i = 0; i < e->nr_dyn; i++) {
		if (e->dyn[i].d_tag != tag)
			continue;
		*slot = e->dynamic + i * sizeof(Elf64_Dyn) + offsetof(Elf64_Dyn, d_un);
		return true;
	}
	return false;
}

static int read_phdrs(struct mp_elf *e)
{
	size_t n;

	if (elf_getphdrnum(e->elf, &n) || !n || n > MAX_PHDRS)
		return -ENOEXEC;
	e->phdrs = calloc(n, sizeof(*e->phdrs));
	if (!e->phdrs)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!gelf_getphdr(e->elf, (int)i, &e->phdrs[i]))
			return -ENOEXEC;
	e->nr_phdrs = n;
	return 0;
}

static void read_dynamic(struct mp_elf *e)
{
	for (size_t i = 0; i < e->nr_phdrs; i++) {
		const Elf64_Phdr *p = &e->phdrs[i];
		size_t n = p->p_filesz / sizeof(Elf64_Dyn);

		if (p->p_type != PT_DYNAMIC)
			continue;
		e->dynamic = p->p_vaddr;
		if (n > MAX_DYNAMIC)
			n = MAX_DYNAMIC;
		e->dyn = read_chunk(e, p->p_offset, n * sizeof(Elf64_Dyn));
		if (!e->dyn)
			return;
		while (e->nr_dyn < n && e->dyn[e->nr_dyn].d_tag != DT_NULL)
			e->nr_dyn++;
		return;
	}
}

static bool is_x86_64(Elf *elf)
{
	GElf_Ehdr eh;

	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &eh))
		return false;
	return eh.e_ident[EI_CLASS] == ELFCLASS64 && eh.e_ident[EI_DATA] == ELFDATA2LSB &&
	       eh.e_machine == EM_X86_64 && (eh.e_type == ET_EXEC || eh.e_type == ET_DYN);
}

int mp_elf__open(int fd, struct mp_elf **out)
{
	struct mp_elf *e;
	struct stat st;
	int err;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || elf_version(EV_CURRENT) == EV_NONE)
		return -ENOEXEC;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->fd = fd;
	e->file_size = (uint64_t)st.st_size;
	e->elf = elf_begin(fd, ELF_C_READ, NULL);
	err = is_x86_64(e->elf) ? read_phdrs(e) : -ENOEXEC;
	if (err) {
		mp_elf__close(e);
		return err;
	}
	read_dynamic(e);
	*out = e;
	return 0;
}

void mp_elf__close(struct mp_elf *e)
{
	if (!e)
		return;
	elf_end(e->elf);
	free(e->phdrs);
	free(e->dyn);
	free(e);
}

/* Number of dynamic symbols as DT_GNU_HASH implies it: one behind the last chain's end. */
static uint64_t gnu_hash_count(const struct mp_elf *e, uint64_t vaddr)
{
	struct {
		uint32_t nbuckets, symoffset, bloom_size, bloom_shift;
	} head;
	uint64_t offset, avail, pos, last = 0;
	uint32_t *words;
	uint64_t nr_words, i;

	if (mp_elf__offset(e, vaddr, 0, &offset, &avail) || avail < sizeof(head) ||
	    mp_elf__read(e, offset, &head, sizeof(head)) != sizeof(head))
		return 0;
	pos = sizeof(head) + 8ULL * head.bloom_size;
	if (offset >= e->file_size)
		return 0;
	if (avail > e->file_size - offset)
		avail = e->file_size - offset;
	if (pos >= avail || 4ULL * head.nbuckets > avail - pos)
		return 0;
	words = read_chunk(e, offset + pos, (avail - pos) & ~3ULL);
	if (!words)
		return 0;
	nr_words = (avail - pos) / 4;
	for (i = 0; i < head.nbuckets; i++)
		if (words[i] > last)
			last = words[i];
	if (last < head.symoffset) {
		free(words);
		return head.symoffset;
	}
	for (i = head.nbuckets + (last - head.symoffset); i < nr_words; i++, last++)
		if (words[i] & 1)
			break;
	free(words);
	return last + 1;
}

static uint64_t count_dynamic_symbols(const struct mp_elf *e)
{
	uint64_t vaddr, offset, avail;
	uint32_t head[2]; /* nbucket, nchain: one chain entry a symbol */

	if (mp_elf__tag(e, DT_HASH, &vaddr)) {
		if (mp_elf__offset(e, vaddr, 0, &offset, &avail) ||
		    mp_elf__read(e, offset, head, sizeof(head)) != sizeof(head))
			return 0;
		return head[1];
	}
	if (mp_elf__tag(e, DT_GNU_HASH, &vaddr))
		return gnu_hash_count(e, vaddr);
	return 0;
}

static void table_free(struct table *t)
{
	free(t->syms);
	free(t->names);
	memset(t, 0, sizeof(*t));
}

/* @nr_syms 0: unknown, as many as lie before the names (that is where linkers put those). */
static int read_dynamic_table(const struct mp_elf *e, struct table *t)
{
	uint64_t sym, str, len, offset, avail, nr;

	if (!mp_elf__tag(e, DT_SYMTAB, &sym) || !mp_elf__tag(e, DT_STRTAB, &str) ||
	    !mp_elf__tag(e, DT_STRSZ, &len))
		return -ENOENT;
	nr = count_dynamic_symbols(e);
	if (mp_elf__offset(e, str, 0, &offset, &avail) || len > avail)
		return -ENOENT;
	t->names = read_chunk(e, offset, len);
	t->names_len = len;
	if (mp_elf__offset(e, sym, 0, &offset, &avail))
		goto fail;
	/* Objects that only import have symbols that no hash chain reaches. */
	if (str > sym && (str - sym) / sizeof(Elf64_Sym) > nr)
		nr = (str - sym) / sizeof(Elf64_Sym);
	if (nr > avail / sizeof(Elf64_Sym))
		nr = avail / sizeof(Elf64_Sym);
	t->syms = read_chunk(e, offset, nr * sizeof(Elf64_Sym));
	t->nr = nr;
	if (t->names && t->syms)
		return 0;
fail:
	table_free(t);
	return -ENOENT;
}

static int read_static_table(const struct mp_elf *e, struct table *t)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr sh, names;

	while ((scn = elf_nextscn(e->elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_SYMTAB)
			continue;
		scn = elf_getscn(e->elf, sh.sh_link);
		if (!scn || !gelf_getshdr(scn, &names) || names.sh_type != SHT_STRTAB)
			return -ENOENT;
		t->nr = sh.sh_size / sizeof(Elf64_Sym);
		t->syms = read_chunk(e, sh.sh_offset, t->nr * sizeof(Elf64_Sym));
		t->names = read_chunk(e, names.sh_offset, names.sh_size);
		t->names_len = names.sh_size;
		if (t->syms && t->names)
			return 0;
		table_free(t);
		return -ENOENT;
	}
	return -ENOENT;
}

static int walk_table(const struct table *t, bool exported, mp_elf_symbol_fn fn, void *ctx)
{
	for (size_t i = 1; i < t->nr; i++) {
		const Elf64_Sym *s = &t->syms[i];
		struct mp_elf_symbol sym = {
			.value = s->st_value,
			.size = s->st_size,
			.type = ELF64_ST_TYPE(s->st_info),
			.bind = ELF64_ST_BIND(s->st_info),
			.exported = exported,
		};
		int ret;

		/* the names' buffer ends in a NUL of ours, so a name in bounds is a string */
		if (s->st_shndx == SHN_UNDEF || s->st_name >= t->names_len)
			continue;
		sym.name = t->names + s->st_name;
		ret = fn(ctx, &sym);
		if (ret)
			return ret;
	}
	return 0;
}

int mp_elf__symbols(struct mp_elf *e, mp_elf_symbol_fn fn, void *ctx)
{
	struct table t = { 0 };
	int ret = 0;

	if (!read_dynamic_table(e, &t)) {
		ret = walk_table(&t, true, fn, ctx);
		table_free(&t);
	}
	if (!ret && !read_static_table(e, &t)) {
		ret = walk_table(&t, false, fn, ctx);
		table_free(&t);
	}
	return ret;
}

static int walk_relocs(const struct mp_elf *e, const struct table *t, uint64_t vaddr, uint64_t size,
		       mp_elf_reloc_fn fn, void *ctx)
{
	uint64_t offset, avail;
	Elf64_Rela *rela;
	int ret = 0;

	if (mp_elf__offset(e, vaddr, 0, &offset, &avail) || size > avail)
		return 0;
	rela = read_chunk(e, offset, size);
	if (!rela)
		return 0;
	for (size_t i = 0; !ret && i < size / sizeof(*rela); i++) {
		uint64_t sym = ELF64_R_SYM(rela[i].r_info);
		uint32_t type = ELF64_R_TYPE(rela[i].r_info);

		if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT &&
		    (type != R_X86_64_64 || rela[i].r_addend))
			continue;
		if (sym >= t->nr || t->syms[sym].st_name >= t->names_len)
			continue;
		ret = fn(ctx, t->names + t->syms[sym].st_name, rela[i].r_offset);
	}
	free(rela);
	return ret;
}

int mp_elf__relocs(struct mp_elf *e, mp_elf_reloc_fn fn, void *ctx)
{
	static const int64_t tags[][2] = { { DT_JMPREL, DT_PLTRELSZ }, { DT_RELA, DT_RELASZ } };
	struct table t = { 0 };
	int ret = 0;

	if (read_dynamic_table(e, &t))
		return 0;
	for (size_t i = 0; !ret && i < 2; i++) {
		uint64_t vaddr, size;

		if (mp_elf__tag(e, tags[i][0], &vaddr) && mp_elf__tag(e, tags[i][1], &size))
			ret = walk_relocs(e, &t, vaddr, size, fn, ctx);
	}
	table_free(&t);
	return ret;
}

/* The build id among the @len bytes of notes at @p (4-byte aligned entries, ELF gABI). */
static uint32_t find_build_id(const uint8_t *p, size_t len, uint8_t *id, uint32_t size)
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		size_t name, desc;

		memcpy(&n, p + at, sizeof(n));
		name = at + sizeof(n);
		if (n.n_namesz > len - name)
			return 0;
		desc = name + ((n.n_namesz + 3ULL) & ~3ULL);
		if (desc > len || n.n_descsz > len - desc)
			return 0;
		if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && !memcmp(p + name, "GNU", 4)) {
			if (n.n_descsz < size)
				size = n.n_descsz;
			memcpy(id, p + desc, size);
			return size;
		}
		at = desc + ((n.n_descsz + 3ULL) & ~3ULL);
		if (at > len)
			return 0;
	}
	return 0;
}

uint32_t mp_elf__build_id(struct mp_elf *e, uint8_t *id, uint32_t size)
{
	for (size_t i = 0; i < e->nr_phdrs; i++) {
		const Elf64_Phdr *p = &e->phdrs[i];
		uint8_t *notes;
		uint32_t n;

		if (p->p_type != PT_NOTE || p->p_filesz > MAX_NOTES)
			continue;
		notes = read_chunk(e, p->p_offset, p->p_filesz);
		if (!notes)
			continue;
		n = find_build_id(notes, p->p_filesz, id, size);
		free(notes);
		if (n)
			return n;
	}
	return 0;
}

int mp_elf__rodata(struct mp_elf *e, mp_elf_rodata_fn fn, void *ctx)
{
	const size_t piece = 1 << 20, overlap = 256;
	char *buf = malloc(piece + 1);
	uint64_t budget = MAX_RODATA;
	int ret = 0;

	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; !ret && i < e->nr_phdrs; i++) {
		const Elf64_Phdr *p = &e->phdrs[i];
		uint64_t at = 0;

		if (p->p_type != PT_LOAD || (p->p_flags & PF_W))
			continue;
		while (!ret && at < p->p_filesz && budget >= piece) {
			size_t want = p->p_filesz - at < piece ? p->p_filesz - at : piece;
			size_t n = mp_elf__read(e, p->p_offset + at, buf, want);

			buf[n] = '\0';
			ret = n ? fn(ctx, buf, n) : 0;
			budget -= piece;
			if (n < piece)
				break;
			at += piece - overlap;
		}
	}
	free(buf);
	return ret;
}
