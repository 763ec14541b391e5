// SPDX-License-Identifier: GPL-2.0-only
/*
 * The program's file when it is no longer what was packed: `ukcc run` sends
 * it as it is on the host, without the kernel and whatever else nobody reads
 * in the machine.  Here its bytes go to their own offsets, with holes between
 * them, so that what the program knows of its file by offset or from its end
 * holds.  Runs as well in a Linux process.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A run of the file's bytes. */
struct extent {
	off_t offset;
	off_t len;
};

static int write_zeros(int fd, off_t start, off_t end)
{
	static const char zeros[1 << 12];

	while (start < end) {
		size_t part = end - start < (off_t)sizeof(zeros) ?
			      (size_t)(end - start) : sizeof(zeros);

		errno = EIO;
		if (pwrite(fd, zeros, part, start) != (ssize_t)part)
			return -1;
		start += part;
	}
	return 0;
}

/* On a file system without holes (ramfs) zeros are what they read as. */
static int make_hole(int fd, off_t start, off_t end)
{
	if (start >= end)
		return 0;
	if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		       start, end - start))
		return 0;
	return errno == EOPNOTSUPP ? write_zeros(fd, start, end) : -1;
}

/*
 * Moves towards the end of the file, what lies last first.  What has been
 * moved is given back at once, as the memory may not be enough for both.
 */
static int move_up(int fd, off_t from, off_t to, off_t len)
{
	static char buffer[1 << 16];

	if (from == to)
		return 0;
	while (len > 0) {
		size_t part = len < (off_t)sizeof(buffer) ? (size_t)len :
							    sizeof(buffer);
		ssize_t n = (ssize_t)part;

		len -= n;
		errno = EIO;	/* what fewer bytes than wanted mean here */
		if (pread(fd, buffer, part, from + len) != n ||
		    pwrite(fd, buffer, part, to + len) != n)
			return -1;
		if (make_hole(fd, from + len,
			      from + len + n < to + len ? from + len + n :
							  to + len))
			return -1;
	}
	return 0;
}

/* `OFFSET LENGTH` behind the end of the one before, within the file. */
static int parse_extent(const char *text, off_t floor, off_t size,
			struct extent *extent)
{
	char *end;

	errno = EINVAL;
	extent->offset = strtoll(text, &end, 10);
	if (end == text || *end != ' ')
		return -1;
	text = end + 1;
	extent->len = strtoll(text, &end, 10);
	if (end == text || *end || extent->offset < floor ||
	    extent->len < 0 || extent->offset > size ||
	    extent->len > size - extent->offset)
		return -1;
	return 0;
}

static int spread(int fd, off_t size, const struct extent *extent,
		  size_t count, off_t packed)
{
	const off_t written = packed;	/* behind it there are holes already */
	off_t end = written;
	size_t i;

	errno = EINVAL;
	if (lseek(fd, 0, SEEK_END) != packed)
		return -1;
	if (ftruncate(fd, size))
		return -1;
	for (i = count; i-- > 0;) {
		packed -= extent[i].len;
		if (move_up(fd, packed, extent[i].offset, extent[i].len))
			return -1;
	}
	for (i = count; i-- > 0;) {
		if (make_hole(fd, extent[i].offset + extent[i].len, end))
			return -1;
		if (extent[i].offset < written)
			end = extent[i].offset;
	}
	return make_hole(fd, 0, end);
}

/*
 * words: the file's path, its whole size, and its extents in ascending order;
 * the file has them one behind the other.  0, or -1 with errno.
 */
int spread_file(char **words)
{
	struct extent *extent;
	size_t count = 0, i;
	off_t packed = 0, size;
	char *end;
	int fd, ret = -1;

	errno = EINVAL;
	if (!words[0] || !words[1])
		return -1;
	size = strtoll(words[1], &end, 10);
	if (end == words[1] || *end || size < 0)
		return -1;
	while (words[2 + count])
		count++;
	extent = calloc(count + 1, sizeof(*extent));
	if (!extent)
		return -1;
	for (i = 0; i < count; i++) {
		off_t floor = i ? extent[i - 1].offset + extent[i - 1].len : 0;

		if (parse_extent(words[2 + i], floor, size, &extent[i]))
			goto out;
		packed += extent[i].len;
	}
	fd = open(words[0], O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		ret = spread(fd, size, extent, count, packed);
		close(fd);
	}
out:
	free(extent);
	return ret;
}

/* As /.uk/extents says, where there is one.  0, or -1 after a word on it. */
int spread_program(void)
{
	static const char list[] = "/.uk/extents";
	size_t len;
	char *data = read_file(list, &len);
	char **words;
	int ret;

	if (!data)
		return 0;
	words = split_entries(data, len);
	ret = words ? spread_file(words) : -1;
	if (ret)
		complain("the program's file cannot be put together:",
			 words && words[0] ? words[0] : list, errno);
	unlink(list);
	return ret;
}
