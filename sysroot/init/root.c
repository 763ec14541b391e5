// SPDX-License-Identifier: GPL-2.0-only
/* The file system as a program expects to find it. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Kernel settings that suit a machine with one application (docs/run.md). */
static const char overcommit[] = "/proc/sys/vm/overcommit_memory";

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

static const struct {
	const char *path;
	const char *text;
} etc_files[] = {
	{ "/etc/passwd",
	  "root:x:0:0:root:/:/bin/sh\n"
	  "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" },
	{ "/etc/group",
	  "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n" },
	{ "/etc/nsswitch.conf",
	  "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
	  "services: files\nprotocols: files\nnetworks: files\n" },
};

static int exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* mkdir -p; what is there already is as good. */
int make_directory(const char *path)
{
	char *copy = strdup(path), *slash;

	if (!copy)
		return -1;
	for (slash = strchr(copy + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(copy, 0755);
		*slash = '/';
	}
	free(copy);
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

void mount_system(void)
{
	size_t i;

	umask(022);
	make_directory("/etc");
	make_directory("/var/tmp");
	chmod("/var/tmp", 01777);
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

/* The kernel's own DHCP client leaves resolv.conf's lines in /proc/net/pnp. */
static void resolv_conf_from_dhcp(void)
{
	size_t len;
	char *text = read_file("/proc/net/pnp", &len);
	char *line, *rest, *out, *at;

	if (!text)
		return;
	out = malloc(len + 2);
	if (!out)
		return;
	*out = '\0';
	at = out;
	for (line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "nameserver ", 11) &&
		    strncmp(line, "domain ", 7))
			continue;
		at = append(at, out + len + 2, line);
		at = append(at, out + len + 2, "\n");
	}
	if (*out)
		write_text("/etc/resolv.conf", out);
	free(out);
	free(text);
}

static void resolv_conf_from_settings(const struct settings *settings)
{
	char text[512], *at = text;
	size_t i;

	for (i = 0; i < settings->nr_nameservers; i++) {
		at = append(at, text + sizeof(text), "nameserver ");
		at = append(at, text + sizeof(text), settings->nameserver[i]);
		at = append(at, text + sizeof(text), "\n");
	}
	write_text("/etc/resolv.conf", text);
}

/* Files of the image stay as they are; only the missing ones are written. */
void write_etc(const struct settings *settings, const char *hostname)
{
	char text[512], *at = text;
	const char *end = text + sizeof(text);
	size_t i;

	for (i = 0; i < sizeof(etc_files) / sizeof(*etc_files); i++)
		write_if_absent(etc_files[i].path, etc_files[i].text);

	at = append(at, end, "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ");
	at = append(at, end, hostname);
	append(at, end, "\n");
	write_if_absent("/etc/hosts", text);

	at = append(text, end, hostname);
	append(at, end, "\n");
	write_if_absent("/etc/hostname", text);

	if (settings->nr_nameservers)
		resolv_conf_from_settings(settings);
	else if (!exists("/etc/resolv.conf"))
		resolv_conf_from_dhcp();
	write_if_absent("/etc/resolv.conf", "");
}
