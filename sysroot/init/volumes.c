// SPDX-License-Identifier: GPL-2.0-only
/* Directories of the host and disks: mounted before main, left at the end. */
#include "init.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE	500	/* of 10 ms, until killed processes are gone */

/*
 * 9p: nothing is cached but mappings, so the host and the guest see each
 * other's writes, and none waits in the guest.  cache=mmap alone would also
 * write back late, and what another descriptor wrote before through one with
 * O_APPEND, which the host would append.
 *
 * ext4: a file system that is found broken is not written to any more.
 */
static const struct {
	const char *type;
	const char *options;
	const char *problem;
} kinds[] = {
	{ "9p",
	  "trans=virtio,version=9p2000.L,msize=262144,cache=mmap,directio",
	  "cannot mount the host's directory at" },
	{ "virtiofs", NULL, "cannot mount the host's directory at" },
	{ "ext4", "errors=remount-ro", "cannot mount the disk at" },
};

static const struct share *mounted[MAX_MOUNTS];
static size_t nr_mounted;

static int mount_volume(const struct share *share)
{
	unsigned long flags = MS_NODEV | MS_NOSUID;
	size_t kind = 0;

	if (share->readonly)
		flags |= MS_RDONLY;
	while (strcmp(kinds[kind].type, share->type))
		kind++;
	if (make_directory(share->path) ||
	    mount(share->tag, share->path, share->type, flags,
		  kinds[kind].options)) {
		complain(kinds[kind].problem, share->path, errno);
		return -1;
	}
	mounted[nr_mounted++] = share;
	return 0;
}

/* In the order of their lines.  -1 when one is missing; the others are there. */
int mount_volumes(const struct settings *settings)
{
	int missing = 0;
	size_t i;

	for (i = 0; i < settings->nr_shares; i++)
		missing |= mount_volume(&settings->share[i]);
	return missing;
}

/* The root read-only, and what has to be writable beside it. */
void protect_root(void)
{
	if (mount("tmpfs", "/var/tmp", "tmpfs", MS_NOSUID | MS_NODEV,
		  "mode=1777"))
		complain("cannot mount", "/var/tmp", errno);
	/* of the mount, not of the file system, which knows no such option */
	if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
		complain("cannot make read-only:", "/", errno);
}

/* Nobody is left that writes.  One that the kernel cannot end is not waited for. */
static void end_processes(void)
{
	const struct timespec a_while = { .tv_nsec = 10 * 1000 * 1000 };
	int tries = PATIENCE;
	pid_t pid;

	kill(-1, SIGKILL);
	do {
		pid = waitpid(-1, NULL, WNOHANG);
		if (pid == 0)
			nanosleep(&a_while, NULL);
	} while (pid > 0 || (pid == 0 && --tries));
}

/*
 * The last mounted first.  What is busy, with a mount of the application's own
 * on it, becomes read-only: that writes all of it and marks it clean as well.
 */
void leave_volumes(void)
{
	if (nr_mounted)
		end_processes();
	while (nr_mounted) {
		const struct share *share = mounted[--nr_mounted];

		if (umount2(share->path, 0) == 0 || share->readonly)
			continue;
		sync();
		if (mount(NULL, share->path, NULL, MS_REMOUNT | MS_RDONLY, NULL))
			complain("cannot unmount", share->path, errno);
	}
}
