// SPDX-License-Identifier: GPL-2.0-only
/* What a command leaves behind is found, ended and reaped. */
#define _GNU_SOURCE
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 500 /* of 20 ms: what does not die in 10 s stays */

/* Orphans become children of this process, wherever they have gone. */
void adopt_orphans(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* The parent's process id out of /proc/PID/stat, or -1. */
static pid_t parent_of(const char *pid)
{
	char path[64], text[512], *end;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size <= 0)
		return -1;
	text[size] = '\0';
	/* `PID (NAME) STATE PARENT …`, and a name may hold anything */
	end = strrchr(text, ')');
	return end && strlen(end) > 4 ? atoi(end + 4) : -1;
}

static void kill_children(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	pid_t self = getpid();

	if (!processes)
		return;
	while ((entry = readdir(processes)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    parent_of(entry->d_name) == self)
			kill(atoi(entry->d_name), SIGKILL);
	closedir(processes);
}

/* Grandchildren are ours as soon as their parent has gone. */
void end_family(pid_t leader)
{
	struct timespec pause = { 0, 20 * 1000 * 1000 };
	int round;

	kill(-leader, SIGKILL);
	for (round = 0; round < ROUNDS; round++) {
		pid_t pid;

		kill_children();
		while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0)
			continue;
		if (pid < 0 && errno == ECHILD)
			return;
		nanosleep(&pause, NULL);
	}
}
