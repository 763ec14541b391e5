// SPDX-License-Identifier: GPL-2.0-only
/* The file system as a program expects to find it. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Kernel settings that suit a machine with one application (docs/run.md). */
static const char overcommit[] = "/proc/sys/vm/overcommit_memory";
static const char console_level[] = "/proc/sys/kernel/printk";

static const struct {
	const char *type;
	const char *path;
	unsigned long flags;
	const char *options;
} mounts[] = {
	{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "devtmpfs", "/dev", MS_NOSUID, "mode=0755" },
	{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC,
	  "gid=5,mode=0620,ptmxmode=0666" },
	{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777" },
	{ "mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777" },
	{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755" },
};

static const struct {
	const char *target;
	const char *path;
} links[] = {
	{ "/proc/self/fd", "/dev/fd" },
	{ "/proc/self/fd/0", "/dev/stdin" },
	{ "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" },
	{ "/run", "/var/run" },
	{ "/proc/self/mounts", "/etc/mtab" },
};

static int exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* mkdir -p; what is there already is as good. */
int make_directory(const char *path)
{
	char copy[PATH_MAX], *slash;

	if (strlen(path) >= sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(copy, path);
	for (slash = strchr(copy + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(copy, 0755);
		*slash = '/';
	}
	return mkdir(path, 0755) && errno != EEXIST ? -1 : 0;
}

/* Writes a file of the kernel's or a fresh one; failure is not worth a word. */
void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		unlink(path);
	close(fd);
}

/*
 * The console is the application's.  The kernel shows there what is an
 * emergency, a panic above all (level 0 would hide that), unless somebody has
 * asked for more by `loglevel=` and the like: 3 is the configuration's default.
 */
static void keep_kernel_quiet(void)
{
	size_t len;
	char *level = read_file(console_level, &len);

	if (level && level[0] == '3' && level[1] == '\t')
		write_text(console_level, "1\n");
	free(level);
}

void mount_system(void)
{
	size_t i;

	umask(022);
	make_directory("/etc");
	make_directory("/var/tmp");
	chmod("/var/tmp", 01777);
	mkdir("/root", 0700);	/* its owner's home; the image's stays as it is */
	for (i = 0; i < sizeof(mounts) / sizeof(*mounts); i++) {
		make_directory(mounts[i].path);
		/* EBUSY: the kernel has mounted devtmpfs by itself */
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type,
			  mounts[i].flags, mounts[i].options) &&
		    errno != EBUSY && errno != ENODEV)
			complain("cannot mount", mounts[i].path, errno);
	}
	for (i = 0; i < sizeof(links) / sizeof(*links); i++)
		if (symlink(links[i].target, links[i].path) && errno != EEXIST)
			complain("cannot link", links[i].path, errno);
	write_text(overcommit, "1\n");
	keep_kernel_quiet();
}

static void write_if_absent(const char *path, const char *text)
{
	if (!exists(path))
		write_text(path, text);
}

/* stpcpy() that knows where the buffer ends; the text is cut there. */
static char *append(char *at, const char *end, const char *text)
{
	while (*text && at < end - 1)
		*at++ = *text++;
	*at = '\0';
	return at;
}

/* Files of the image stay as they are; only the missing ones are written. */
void write_etc(const struct settings *settings, const char *hostname)
{
	static const struct names nothing;
	char text[512], *at = text;
	const char *end = text + sizeof(text);

	write_etc_files();
	at = append(at, end, "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ");
	at = append(at, end, hostname);
	append(at, end, "\n");
	write_if_absent("/etc/hosts", text);
	add_hosts(settings);

	at = append(text, end, hostname);
	append(at, end, "\n");
	write_if_absent("/etc/hostname", text);

	write_resolv_conf("/etc/resolv.conf", settings, &nothing);
	write_if_absent("/etc/resolv.conf", "");
}
