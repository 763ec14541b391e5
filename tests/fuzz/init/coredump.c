// SPDX-License-Identifier: GPL-2.0-only
/*
 * A core as the kernel writes it, of a process that may have made of its
 * memory and its mappings what it liked.  The input: /proc/PID/maps, a NUL, a
 * byte for the length of the core's part in 256 bytes, that part, and words
 * for the memory.
 */
#define read fuzz_read
#define pread fuzz_pread
#define open fuzz_open

#include "target.h"

#include "notes.c"
#include "dump.c"
#include "crash.c"

#define LARGEST_MAP	(64UL << 10)	/* or an input would take seconds */

static const uint8_t *maps, *core, *memory;
static size_t maps_size, core_size, memory_size, core_at;
static size_t announced, written;
static char *maps_text;		/* which init leaves behind */

ssize_t fuzz_read(int fd, void *data, size_t len)
{
	size_t left = core_size - core_at;

	(void)fd;
	len = len < left ? len : left;
	memcpy(data, core + core_at, len);
	core_at += len;
	return len;
}

/* Every page is the same, but what has an odd number is not there. */
ssize_t fuzz_pread(int fd, void *data, size_t len, off_t at)
{
	size_t i;

	(void)fd;
	if (!memory_size || (at / PAGE) % 8 == 7)
		return -1;
	for (i = 0; i < len; i++)
		((uint8_t *)data)[i] = memory[i % memory_size];
	return len;
}

int fuzz_open(const char *path, int flags, ...)
{
	(void)path;
	(void)flags;
	return -1;
}

char *read_file(const char *path, size_t *len)
{
	EXPECT(strstr(path, "/maps"));
	*len = maps_size;
	maps_text = text_of(maps, maps_size);
	return maps_text;
}

char *decimal(unsigned long n, char buffer[24])
{
	char *at = buffer + 23;

	*at = '\0';
	do
		*--at = '0' + n % 10;
	while (n /= 10);
	return at;
}

void begin_report(int port, const char *kind, size_t len)
{
	(void)port;
	EXPECT(kind);
	announced = len;
	written = 0;
}

void write_all(int fd, const void *data, size_t len)
{
	(void)fd;
	EXPECT(data || !len);
	written += len;
}

void complain(const char *what, const char *which, int error)
{
	EXPECT(what && strlen(which) < 512 && !error);
}

int open_reports(void)
{
	return -1;
}

void write_text(const char *path, const char *text)
{
	(void)path;
	(void)text;
}

static void split(const uint8_t *data, size_t len)
{
	const uint8_t *end = len ? memchr(data, '\0', len) : NULL;
	size_t at;

	maps = data;
	maps_size = end ? (size_t)(end - data) : len;
	at = maps_size + 1;
	core_size = at < len ? data[at] * 256UL : 0;
	at = at < len ? at + 1 : len;
	core = data + at;
	core_size = core_size < len - at ? core_size : len - at;
	memory = core + core_size;
	memory_size = len - at - core_size;
	core_at = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct dump dump;
	size_t i;

	split(data, len);
	memset(&dump, 0, sizeof(dump));
	dump.pid = 34;
	dump.mem = -1;
	read_maps(&dump);
	/* the kernel's maps are of whole pages, in order, and below the kernel */
	for (i = 0; i < dump.nr_maps; i++) {
		struct map *map = dump.map + i;

		map->start = map->start & ((1UL << 47) - 1) & -PAGE;
		if (i && map->start < map[-1].end)
			map->start = map[-1].end;
		map->end &= -PAGE;
		if (map->end <= map->start)
			map->end = map->start + PAGE;
		if (map->end - map->start > LARGEST_MAP)
			map->end = map->start + LARGEST_MAP;
	}
	if (!read_notes(0, &dump.notes)) {
		keep_stacks(&dump);
		keep_vdso(&dump);
		EXPECT(dump.nr_pieces <= MAX_PIECES);
		send_dump(&dump, 1, "crash");
		EXPECT(written == announced);
		tell_console(&dump);
	}
	free(dump.notes.data);
	free(dump.map);
	free(maps_text);
	return 0;
}
