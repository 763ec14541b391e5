/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A trimmed ELF core: all notes, and of the memory what an unwinder reads,
 * the stacks.  Goes to the host by the port for reports.
 */
#ifndef UK_DUMP_H
#define UK_DUMP_H

#include <stddef.h>
#include <sys/types.h>

#define MAX_PIECES	256

/* A stretch of the process's memory; page-aligned. */
struct piece {
	unsigned long start;
	unsigned long end;
};

/* One line of /proc/PID/maps. */
struct map {
	unsigned long start;
	unsigned long end;
	unsigned long offset;		/* in the file, bytes */
	int writable;
	const char *path;		/* "" where there is none */
};

/* Notes as an ELF core has them. */
struct notes {
	char *data;
	size_t len;
	size_t room;
};

struct dump {
	pid_t pid;
	int mem;			/* /proc/PID/mem */
	struct notes notes;
	struct map *map;
	size_t nr_maps;
	struct piece piece[MAX_PIECES];
	size_t nr_pieces;
};

/* dump.c */
int open_dump(struct dump *dump, pid_t pid);
void close_dump(struct dump *dump);
void keep_stack(struct dump *dump, unsigned long sp, size_t limit);
void keep_vdso(struct dump *dump);
void send_dump(struct dump *dump, int port, const char *kind);

/* notes.c */
int add_note(struct notes *notes, const char *name, int type,
	     const void *data, size_t len);
char *next_note(struct notes *notes, size_t *at, int *type, size_t *len);

#endif
