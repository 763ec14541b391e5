// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reports to the host while the run goes on: `UKCC1 KIND BYTES`, a line, and
 * that many bytes.  docs/architecture.md lists the kinds.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* One process at a time has the port; the next one waits this long for it. */
#define PATIENCE	1000	/* of 10 ms */

/* The port, or -1 where there is none. */
int open_reports(void)
{
	const struct timespec a_while = { .tv_nsec = 10 * 1000 * 1000 };
	int fd, tries = PATIENCE;

	while ((fd = open_port("ukcc.reports", O_WRONLY)) < 0 &&
	       errno == EBUSY && tries--)
		nanosleep(&a_while, NULL);
	return fd;
}

void begin_report(int port, const char *kind, size_t len)
{
	char line[64] = "UKCC1 ", number[24];

	strncat(line, kind, 24);
	strcat(line, " ");
	strcat(line, decimal(len, number));
	strcat(line, "\n");
	write_all(port, line, strlen(line));
}

/* A whole report; -1 without a port. */
int send_report(const char *kind, const char *text)
{
	int port = open_reports();

	if (port < 0)
		return -1;
	begin_report(port, kind, strlen(text));
	write_all(port, text, strlen(text));
	close(port);
	return 0;
}

static int requests = -2;	/* the port by which the host asks; -1: none */

int watch_requests(void)
{
	if (requests == -2)
		requests = open_port("ukcc.requests", O_RDONLY | O_NONBLOCK);
	return requests;
}

static int taken;

/* Has the host passed on all that settle_outputs() told it of? */
int all_is_taken(void)
{
	return taken;
}

/* The host wants the stacks, or says that it has taken all output. */
void serve_requests(void)
{
	char words[64];
	ssize_t got = read(requests, words, sizeof(words) - 1);

	if (got <= 0) {
		close(requests);
		requests = -1;
		return;
	}
	words[got] = '\0';
	if (strstr(words, "taken"))
		taken = 1;
	if (strstr(words, "hold"))
		hold_still(requests);
	if (strstr(words, "stacks") && fork() == 0) {
		report_stacks();
		_exit(0);
	}
}
