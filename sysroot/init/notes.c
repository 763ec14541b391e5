// SPDX-License-Identifier: GPL-2.0-only
/* The notes of an ELF core, as the generic ABI lays them out. */
#include "dump.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/*
 * Copies the data, for in a core they are aligned to 4 bytes only.  0, or -1
 * without memory.
 */
int add_note(struct notes *notes, const char *name, int type,
	     const void *data, size_t len)
{
	size_t head = sizeof(Elf64_Nhdr) + padded(strlen(name) + 1);
	size_t needed = notes->len + head + padded(len);
	Elf64_Nhdr *note;
	char *grown;

	if (needed > notes->room) {
		grown = realloc(notes->data, 2 * needed);
		if (!grown)
			return -1;
		notes->data = grown;
		notes->room = 2 * needed;
	}
	note = (Elf64_Nhdr *)(notes->data + notes->len);
	memset(note, 0, needed - notes->len);
	note->n_namesz = strlen(name) + 1;
	note->n_descsz = len;
	note->n_type = type;
	strcpy((char *)(note + 1), name);
	memcpy((char *)note + head, data, len);
	notes->len = needed;
	return 0;
}

/*
 * What the note at *at says, its type and length, and *at moved behind it;
 * NULL behind the last one.
 */
char *next_note(struct notes *notes, size_t *at, int *type, size_t *len)
{
	Elf64_Nhdr *note = (Elf64_Nhdr *)(notes->data + *at);
	size_t body = *at + sizeof(*note);

	if (body > notes->len)
		return NULL;
	body += padded(note->n_namesz);
	if (body + padded(note->n_descsz) > notes->len)
		return NULL;
	*at = body + padded(note->n_descsz);
	*type = note->n_type;
	*len = note->n_descsz;
	return notes->data + body;
}
