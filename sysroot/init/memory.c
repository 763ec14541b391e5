// SPDX-License-Identifier: GPL-2.0-only
/* Whom the kernel has killed for lack of memory, from its own messages. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char killed[] = "Out of memory: Killed process ";

static int messages = -1;	/* /dev/kmsg, which gives a message a read */

/* A descriptor that is readable when the kernel has said something. */
int watch_messages(void)
{
	static int asked;

	if (asked++)
		return messages;
	messages = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	lseek(messages, 0, SEEK_END);	/* what was said at boot is old */
	return messages;
}

/*
 * Tells the host of every process that was killed for lack of memory:
 * "Killed process 45 (app) total-vm:…kB, anon-rss:…kB, …".
 */
void report_killed(void)
{
	char line[2048], *at;
	ssize_t got;

	if (messages < 0)
		return;
	for (;;) {
		got = read(messages, line, sizeof(line) - 1);
		/* EPIPE: messages were lost between; the next one is there */
		if (got < 0 && (errno == EPIPE || errno == EINTR))
			continue;
		if (got <= 0)
			return;
		line[got] = '\0';
		line[strcspn(line, "\n")] = '\0';
		at = strstr(line, killed);
		if (!at)
			continue;
		if (send_report("memory", at))
			complain("the kernel says:", at, 0);
	}
}
