// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tries to change a directory that the host shares read-only, in every way
 * there is, as root, after it has mounted it anew to write: the guest's own
 * refusal is not what is tested.  Says what came of each; the host looks
 * whether anything has changed.
 *
 * argv: the mount point; the type and the options of the mount.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static void told(const char *what, int result)
{
	printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "made");
}

static void try_write(const char *what, int fd)
{
	told(what, fd < 0 ? fd : (int)write(fd, "written", 7));
	if (fd >= 0)
		close(fd);
}

static int map_and_write(int flags)
{
	int fd = open("file", flags);
	char *at;

	if (fd < 0)
		return -1;
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return -1;
	memcpy(at, "mapped", 6);
	return msync(at, 4096, MS_SYNC);
}

static int again_by_proc(void)
{
	int fd = open("file", O_RDONLY), result;
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	result = open(path, O_RDWR);
	close(fd);
	return result;
}

static int bind_socket(void)
{
	struct sockaddr_un place = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), result;

	strcpy(place.sun_path, "socket");
	result = bind(fd, (struct sockaddr *)&place, sizeof(place));
	close(fd);
	return result;
}

static int set_flags(void)
{
	int fd = open("file", O_RDONLY), result, flags = FS_NODUMP_FL;

	result = ioctl(fd, FS_IOC_SETFLAGS, &flags);
	close(fd);
	return result;
}

static int allocate(void)
{
	int fd = open("file", O_RDWR);

	return fd < 0 ? fd : fallocate(fd, 0, 0, 1 << 20);
}

static void change_files(void)
{
	const struct timespec times[2] = { { 1, 1 }, { 2, 2 } };
	const struct timeval old[2] = { { 3, 3 }, { 4, 4 } };

	try_write("write", open("file", O_WRONLY));
	try_write("read and write", open("file", O_RDWR));
	try_write("append", open("file", O_WRONLY | O_APPEND));
	try_write("open to truncate", open("file", O_WRONLY | O_TRUNC));
	try_write("read to truncate", open("file", O_RDONLY | O_TRUNC));
	try_write("direct", open("file", O_WRONLY | O_DIRECT));
	try_write("by /proc", again_by_proc());
	try_write("pipe", open("pipe", O_RDWR | O_NONBLOCK));
	told("truncate", truncate("file", 1));
	told("allocate", allocate());
	told("map", map_and_write(O_RDWR));
	told("map what is read", map_and_write(O_RDONLY));
	told("chmod", chmod("file", 0777));
	told("chmod of the directory", chmod(".", 0777));
	told("chown", chown("file", 7, 7));
	told("chown of the link", lchown("link", 7, 7));
	told("times", utimensat(AT_FDCWD, "file", times, 0));
	told("old times", utimes("file", old));
	told("times of the link", lutimes("link", old));
	told("attribute", setxattr("file", "user.new", "x", 1, 0));
	told("attribute gone", removexattr("file", "user.name"));
	told("label", setxattr("file", "security.selinux", "x", 1, 0));
	told("access list", removexattr("file", "system.posix_acl_access"));
	told("flags", set_flags());
}

static void change_names(void)
{
	try_write("create", open("new", O_WRONLY | O_CREAT, 0666));
	try_write("create anew", open("new", O_RDWR | O_CREAT | O_EXCL, 0666));
	try_write("create nameless", open(".", O_RDWR | O_TMPFILE, 0666));
	try_write("create below", open("below/new", O_RDWR | O_CREAT, 0666));
	try_write("write below", open("below/file", O_RDWR));
	told("mknod", mknod("new", S_IFREG | 0666, 0));
	told("mkfifo", mkfifo("new", 0666));
	told("device", mknod("new", S_IFCHR | 0666, makedev(1, 3)));
	told("socket", bind_socket());
	told("mkdir", mkdir("new", 0777));
	told("mkdir below", mkdir("below/new", 0777));
	told("symlink", symlink("file", "new"));
	told("link", link("file", "new"));
	told("rename", rename("file", "new"));
	told("rename over", rename("file", "other"));
	told("rename of a directory", rename("directory", "new"));
	told("exchange", renameat2(AT_FDCWD, "file", AT_FDCWD, "other", RENAME_EXCHANGE));
	told("whiteout", renameat2(AT_FDCWD, "file", AT_FDCWD, "new", RENAME_WHITEOUT));
	told("rmdir", rmdir("directory"));
	told("unlink", unlink("file"));
	told("unlink below", unlink("below/file"));
	told("unlink of the link", unlink("link"));
}

int main(int argc, char **argv)
{
	char content[64] = "";
	int fd;

	if (argc != 4 || umount(argv[1]) ||
	    mount("share0", argv[1], argv[2], 0, *argv[3] ? argv[3] : NULL) ||
	    chdir(argv[1]))
		return 1;
	fd = open("file", O_RDONLY);
	if (fd < 0 || read(fd, content, sizeof(content) - 1) < 0)
		return 2;
	close(fd);
	change_files();
	change_names();
	printf("all, and the file has %s", content);
	return 0;
}
