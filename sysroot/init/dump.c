// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which memory an unwinder needs, and how it goes to the host.  Nothing is
 * copied but a page at a time, so a process of any size costs the same.
 */
#include "dump.h"
#include "init.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE		4096UL
#define RED_ZONE	128UL	/* below the stack pointer, System V ABI */

/*
 * How far above the stack pointer its mapping may begin: a function with a
 * large frame moves the pointer past the guard before it touches anything.
 */
#define LONGEST_JUMP	(64UL << 20)

/*
 * The word of a signal frame that holds cs, gs, fs and ss (struct sigcontext
 * of asm/sigcontext.h): the same in every frame.  The stack pointer of what
 * was interrupted is three words below.
 */
#define SELECTORS	0x002b000000000033UL
#define WORDS_BELOW	3

/* Reads /proc/PID/maps; its text stays, the paths point into it. */
static void read_maps(struct dump *dump)
{
	char path[64] = "/proc/", number[24];
	size_t len, lines = 1;
	char *text, *line, *next, *at;

	strcat(path, decimal(dump->pid, number));
	strcat(path, "/maps");
	text = read_file(path, &len);
	if (!text)
		return;
	for (at = text; *at; at++)
		lines += *at == '\n';
	dump->map = calloc(lines, sizeof(*dump->map));
	for (line = text; dump->map && *line; line = next) {
		struct map *map = dump->map + dump->nr_maps;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		/* start-end perms offset device inode   path */
		map->start = strtoul(line, &at, 16);
		if (*at++ != '-')
			continue;
		map->end = strtoul(at, &at, 16);
		if (strlen(at) < 6)
			continue;
		map->writable = at[2] == 'w';
		map->offset = strtoul(at + 6, &at, 16);
		map->path = at + strcspn(at, "/[");
		dump->nr_maps++;
	}
}

/* -1 if the process has gone. */
int open_dump(struct dump *dump, pid_t pid)
{
	char path[64] = "/proc/", number[24];

	memset(dump, 0, sizeof(*dump));
	dump->pid = pid;
	strcat(path, decimal(pid, number));
	strcat(path, "/mem");
	dump->mem = open(path, O_RDONLY | O_CLOEXEC);
	if (dump->mem < 0)
		return -1;
	read_maps(dump);
	return 0;
}

void close_dump(struct dump *dump)
{
	close(dump->mem);
	free(dump->notes.data);
	/* the maps' text is small, and whoever dumps ends soon */
	free(dump->map);
}

/* Appends a piece as far as no other one has it already. */
static void keep(struct dump *dump, unsigned long start, unsigned long end)
{
	size_t i;

	for (i = 0; i < dump->nr_pieces; i++) {
		const struct piece *other = dump->piece + i;

		if (start >= other->start && start < other->end)
			start = other->end;
		if (start < other->start && end > other->start)
			end = other->start;
	}
	if (start >= end || dump->nr_pieces == MAX_PIECES)
		return;
	dump->piece[dump->nr_pieces].start = start;
	dump->piece[dump->nr_pieces++].end = end;
}

/* The bytes of a page; zeros where there is nothing to read. */
static void read_page(const struct dump *dump, unsigned long addr, char *page)
{
	if (pread(dump->mem, page, PAGE, addr) != (ssize_t)PAGE)
		memset(page, 0, PAGE);
}

/* The stacks below the signal frames in a piece. */
static void keep_interrupted(struct dump *dump, struct piece piece, size_t limit)
{
	static unsigned long word[WORDS_BELOW + PAGE / 8];
	unsigned long addr;
	size_t i;

	for (addr = piece.start; addr < piece.end; addr += PAGE) {
		read_page(dump, addr, (char *)(word + WORDS_BELOW));
		for (i = WORDS_BELOW; i < WORDS_BELOW + PAGE / 8; i++)
			if (word[i] == SELECTORS)
				keep_stack(dump, word[i - WORDS_BELOW], limit);
		memcpy(word, word + PAGE / 8, WORDS_BELOW * 8);
	}
}

/* Keeps up to `limit` bytes of a stack, and of those it was switched from. */
void keep_stack(struct dump *dump, unsigned long sp, size_t limit)
{
	unsigned long start = (sp - RED_ZONE) & -PAGE, end;
	size_t i, before = dump->nr_pieces;
	const struct map *map;

	for (i = 0; i < dump->nr_maps && dump->map[i].end <= start; i++)
		;
	map = dump->map + i;
	/* the guard below a stack is a mapping, too, but not to be written to */
	while (i < dump->nr_maps && !map->writable) {
		map++;
		i++;
	}
	if (sp < RED_ZONE || i == dump->nr_maps ||
	    (map->start > start && map->start - start > LONGEST_JUMP))
		return;
	if (start < map->start)
		start = map->start;
	end = map->end - start > limit ? start + limit : map->end;
	keep(dump, start, end);
	if (dump->nr_pieces > before)
		keep_interrupted(dump, dump->piece[before], limit);
}

/* Its code is in no file that the host has. */
void keep_vdso(struct dump *dump)
{
	size_t i;

	for (i = 0; i < dump->nr_maps; i++)
		if (!strcmp(dump->map[i].path, "[vdso]"))
			keep(dump, dump->map[i].start, dump->map[i].end);
}

static void send_headers(const struct dump *dump, int port, size_t notes_at)
{
	Elf64_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
			     ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_phoff = sizeof(header), .e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = dump->nr_pieces + 1,
	};
	Elf64_Phdr segment = {
		.p_type = PT_NOTE, .p_offset = notes_at,
		.p_filesz = dump->notes.len, .p_align = 4,
	};
	size_t at = notes_at + dump->notes.len, i;

	write_all(port, &header, sizeof(header));
	write_all(port, &segment, sizeof(segment));
	for (i = 0; i < dump->nr_pieces; i++) {
		size_t size = dump->piece[i].end - dump->piece[i].start;

		segment = (Elf64_Phdr){
			.p_type = PT_LOAD, .p_flags = PF_R | PF_W,
			.p_offset = at, .p_vaddr = dump->piece[i].start,
			.p_filesz = size, .p_memsz = size, .p_align = 1,
		};
		write_all(port, &segment, sizeof(segment));
		at += size;
	}
}

/* The core as one report of this kind. */
void send_dump(struct dump *dump, int port, const char *kind)
{
	size_t notes_at = sizeof(Elf64_Ehdr) +
			  (dump->nr_pieces + 1) * sizeof(Elf64_Phdr);
	size_t total = notes_at + dump->notes.len, i;
	static char page[PAGE];
	unsigned long addr;

	for (i = 0; i < dump->nr_pieces; i++)
		total += dump->piece[i].end - dump->piece[i].start;
	begin_report(port, kind, total);
	send_headers(dump, port, notes_at);
	write_all(port, dump->notes.data, dump->notes.len);
	for (i = 0; i < dump->nr_pieces; i++)
		for (addr = dump->piece[i].start; addr < dump->piece[i].end;
		     addr += PAGE) {
			read_page(dump, addr, page);
			write_all(port, page, PAGE);
		}
}
