// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the parts of the program's file belong.  The input: numbers as in
 * /.uk/extents, parted by NULs, two NULs, and the parts.
 */
#define _GNU_SOURCE

#include "target.h"

#include "config.c"
#include "sparse.c"

#include <stdio.h>
#include <sys/mman.h>

#define LARGEST	(1L << 20)	/* or a test's file has a hole of petabytes */

void complain(const char *what, const char *which, int error)
{
	EXPECT(what && which && error);
}

static int file_of(const uint8_t *data, size_t len)
{
	int fd = memfd_create("parts", MFD_CLOEXEC);

	EXPECT(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = len ? memmem(data, len, "\0\0", 2) : NULL;
	size_t size = end ? (size_t)(end - data) + 1 : len;
	char *text = text_of(data, size), *words[66], path[32];
	char **given = split_entries(text, size);
	off_t whole;
	size_t i;
	int fd;

	fd = end ? file_of(end + 2, len - size - 1) : file_of(data, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	words[0] = path;
	for (i = 0; given[i] && i < 64; i++)
		words[i + 1] = given[i];
	words[i + 1] = NULL;
	if (i && strtoll(words[1], NULL, 10) <= LARGEST && !spread_file(words)) {
		whole = strtoll(words[1], NULL, 10);
		EXPECT(lseek(fd, 0, SEEK_END) == whole);
	}
	close(fd);
	free(given);
	free(text);
	return 0;
}
