// SPDX-License-Identifier: GPL-2.0-only
/*
 * Standard output and error where nobody sits at a terminal: pipes, as a
 * shell on the host would give them, which init empties into virtio ports.
 * The ports themselves would not do: a program that asks sees a device, and
 * they take no more than 32 KiB of a write.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const char * const ports[NR_OUTPUTS] = { "ukcc.stdout", "ukcc.stderr" };

static struct {
	int from;	/* our end of the pipe */
	int to;		/* the port, or -1: the console has the output */
	int theirs;	/* the application's end; kept open, so no end of file */
	unsigned long sent;	/* bytes */
} relay[NR_OUTPUTS] = { { -1, -1, -1, 0 }, { -1, -1, -1, 0 } };

/* Makes the pipes; an output whose port is missing stays the console's. */
void open_outputs(void)
{
	int i, ends[2];

	for (i = 0; i < NR_OUTPUTS; i++) {
		int port = open_port(ports[i], O_WRONLY);

		if (port < 0) {
			complain("output goes to the console: no port", ports[i], errno);
			continue;
		}
		if (pipe2(ends, O_CLOEXEC)) {
			close(port);
			continue;
		}
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
		relay[i].from = ends[0];
		relay[i].to = port;
		relay[i].theirs = ends[1];
	}
}

/* In the child: descriptors 1 and 2. */
void take_outputs(void)
{
	int i;

	for (i = 0; i < NR_OUTPUTS; i++)
		if (relay[i].to >= 0)
			dup2(relay[i].theirs, STDOUT_FILENO + i);
}

void write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t done = write(fd, at, len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		at += done;
		len -= done;
	}
}

/* Passes on what there is. */
void pass_outputs(void)
{
	static char buffer[65536];
	ssize_t got;
	int i;

	for (i = 0; i < NR_OUTPUTS; i++)
		while (relay[i].to >= 0 &&
		       (got = read(relay[i].from, buffer, sizeof(buffer))) > 0) {
			write_all(relay[i].to, buffer, got);
			relay[i].sent += got;
		}
}

/* Reports how many bytes each output has had; -1 where the console has one. */
int report_sent(const char *kind)
{
	char counts[64] = "", number[24];
	int i;

	for (i = 0; i < NR_OUTPUTS; i++) {
		if (relay[i].to < 0)
			return -1;
		strcat(counts, decimal(relay[i].sent, number));
		strcat(counts, i + 1 < NR_OUTPUTS ? " " : "");
	}
	return send_report(kind, counts);
}

/* Counts from here on. */
void forget_sent(void)
{
	int i;

	for (i = 0; i < NR_OUTPUTS; i++)
		relay[i].sent = 0;
}

/*
 * A write to a port ends when the bytes are queued, and the end of the machine
 * takes from the queue what a slow reader has not taken yet.  So the host says
 * when it has passed on all; a host that knows nothing of it has no such port.
 */
void settle_outputs(void)
{
	if (watch_requests() < 0 || report_sent("sent"))
		return;
	while (!all_is_taken() && watch_requests() >= 0)
		wait_for_news(-1);
}

/* A descriptor that is readable when a child has changed its state. */
static int children(void)
{
	static int fd = -1;
	sigset_t chld;

	if (fd >= 0)
		return fd;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd;
}

/*
 * Waits for output, for a child, for a word of the kernel or of the host, and
 * sees to the last two.  To be called before the first child is made, too, so
 * that no SIGCHLD is missed.
 */
void wait_for_news(int timeout)
{
	struct pollfd news[4 + NR_OUTPUTS] = {
		{ .fd = children(), .events = POLLIN },
		{ .fd = watch_messages(), .events = POLLIN },
		{ .fd = watch_requests(), .events = POLLIN },
		{ .fd = watch_job(), .events = POLLIN },
	};
	struct signalfd_siginfo info;
	int i;

	for (i = 0; i < NR_OUTPUTS; i++) {
		news[4 + i].fd = relay[i].from;
		news[4 + i].events = POLLIN;
	}
	if (poll(news, 4 + NR_OUTPUTS, timeout) <= 0)
		return;
	if (news[0].revents)
		while (read(news[0].fd, &info, sizeof(info)) > 0)
			;
	if (news[1].revents)
		report_killed();
	if (news[2].revents)
		serve_requests();
}
