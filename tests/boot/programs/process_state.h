#ifndef PROCESS_STATE_H
#define PROCESS_STATE_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

/* The state letter of /proc/PID/stat. */
static char state_of(pid_t pid)
{
	char path[32], text[256] = "", *after;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	CHECK(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	after = strrchr(text, ')');
	CHECK(after);
	return after[2];
}

#endif
