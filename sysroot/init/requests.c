// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the host asks for while the machine runs: words on the virtio port
 * `ukcc.requests`, a line each.  docs/architecture.md lists them.  Whatever
 * else comes there is passed over.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MOST_NUMBERS	2

static int requests = -2;	/* the port by which the host asks; -1: none */
static int taken;		/* has the host passed on all our output? */

static pid_t application;	/* 0: not yet; -1: it has ended */
static int at_terminal;		/* does a person sit at the console? */
static uint64_t early;		/* signals that came before it, by bits */

int watch_requests(void)
{
	if (requests == -2)
		requests = open_port("ukcc.requests", O_RDONLY | O_NONBLOCK);
	return requests;
}

/* Has the host passed on all that settle_outputs() told it of? */
int all_is_taken(void)
{
	return taken;
}

static int is_of_the_keyboard(int sig)
{
	return sig == SIGINT || sig == SIGQUIT || sig == SIGTSTP;
}

/*
 * To the application; what a keyboard could have sent goes where it would
 * have gone from there, to the foreground job.
 */
static void send_signal(const unsigned short *number)
{
	int sig = number[0];
	pid_t job = -1;

	if (sig < 1 || sig > 64)
		return;
	if (application == 0)
		early |= 1ULL << (sig - 1);
	if (application <= 0)
		return;
	if (at_terminal && is_of_the_keyboard(sig))
		job = tcgetpgrp(STDIN_FILENO);
	kill(job > 1 ? -job : application, sig);
}

/* The kernel tells the foreground job by SIGWINCH. */
static void resize(const unsigned short *number)
{
	struct winsize size = { .ws_row = number[0], .ws_col = number[1] };

	if (size.ws_row && size.ws_col)
		ioctl(STDIN_FILENO, TIOCSWINSZ, &size);
}

static void show_stacks(const unsigned short *number)
{
	(void)number;
	if (fork() == 0) {
		report_stacks();
		_exit(0);
	}
}

static void note_taken(const unsigned short *number)
{
	(void)number;
	taken = 1;
}

static void stand_still(const unsigned short *number)
{
	(void)number;
	hold_still(requests);
}

static const struct word {
	const char *name;
	int numbers;		/* that follow it */
	void (*act)(const unsigned short *number);
} words[] = {
	{ "hold",	0, stand_still },
	{ "resize",	2, resize },
	{ "signal",	1, send_signal },
	{ "stacks",	0, show_stacks },
	{ "taken",	0, note_taken },
};

/* The line is `name` and just as many numbers as it takes: 0, or -1. */
static int match(const struct word *word, char *line, unsigned short *number)
{
	char *name, *part, *rest, *end;
	unsigned long n;
	int i;

	name = strtok_r(line, " ", &rest);
	if (!name || strcmp(name, word->name))
		return -1;
	for (i = 0; i < word->numbers; i++) {
		part = strtok_r(NULL, " ", &rest);
		if (!part || *part < '0' || *part > '9')
			return -1;
		n = strtoul(part, &end, 10);
		if (*end || n > UINT16_MAX)
			return -1;
		number[i] = n;
	}
	return strtok_r(NULL, " ", &rest) ? -1 : 0;
}

static void serve_line(const char *line)
{
	unsigned short number[MOST_NUMBERS] = { 0 };
	const struct word *word;
	char copy[64];

	for (word = words; word < words + sizeof(words) / sizeof(*words); word++) {
		strcpy(copy, line);
		if (match(word, copy, number))
			continue;
		word->act(number);
		return;
	}
}

/* The bytes of the port as lines; a line that is too long is no line of ours. */
static void take_byte(char c)
{
	static char line[64];
	static size_t used;

	if (c != '\n') {
		if (used < sizeof(line))
			line[used++] = c;
		return;
	}
	if (used < sizeof(line)) {
		line[used] = '\0';
		serve_line(line);
	}
	used = 0;
}

/* To be called when the port is readable. */
void serve_requests(void)
{
	char bytes[256];
	ssize_t got, i;

	got = read(requests, bytes, sizeof(bytes));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		close(requests);
		requests = -1;
		return;
	}
	for (i = 0; i < got; i++)
		take_byte(bytes[i]);
}

/*
 * Who gets the signals: the application from now on, with those that came too
 * early; with a `pid` of -1 nobody, since its number may be another's soon.
 */
void signals_go_to(pid_t pid, int terminal)
{
	unsigned short sig;

	application = pid;
	at_terminal = terminal;
	for (sig = 1; sig <= 64; sig++)
		if (early & 1ULL << (sig - 1))
			send_signal(&sig);
	early = 0;
}
