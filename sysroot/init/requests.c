// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does what the host asks for while the machine runs, by lines on the virtio
 * port `ukcc.requests` (request.c).  Whatever else comes there is passed over.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int requests = -2;	/* the port by which the host asks; -1: none */
static int taken;		/* has the host passed on all our output? */
static int told;		/* has it told the time? */
static struct timespec told_time;

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
static void send_signal(int sig)
{
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
static void resize(unsigned short rows, unsigned short columns)
{
	struct winsize size = { .ws_row = rows, .ws_col = columns };

	if (size.ws_row && size.ws_col)
		ioctl(STDIN_FILENO, TIOCSWINSZ, &size);
}

static void show_stacks(void)
{
	if (fork() == 0) {
		report_stacks();
		_exit(0);
	}
}

/* The time, once, if the host has told it since the last call. */
int time_was_told(struct timespec *time)
{
	int news = told;

	*time = told_time;
	told = 0;
	return news;
}

static void serve(const struct host_request *request)
{
	switch (request->ask) {
	case ASK_CONTINUE:
		continue_job();
		break;
	case ASK_HOLD:
		hold_still(requests);
		break;
	case ASK_RESIZE:
		resize(request->number[0], request->number[1]);
		break;
	case ASK_RESUMED:
		break;		/* only who holds still waits for it */
	case ASK_SIGNAL:
		send_signal(request->number[0]);
		break;
	case ASK_STACKS:
		show_stacks();
		break;
	case ASK_TAKEN:
		taken = 1;
		break;
	case ASK_TIME:
		told = 1;
		told_time = request->time;
		break;
	}
}

/* To be called when the port is readable. */
void serve_requests(void)
{
	static struct lines lines;
	struct host_request request;
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
		if (add_to_line(&lines, bytes[i]) &&
		    !parse_request(lines.text, &request))
			serve(&request);
}

/* Whether a person sits at the console, whose keys would be signals. */
void signals_are_of(int terminal)
{
	at_terminal = terminal;
}

/*
 * Who gets the signals: the application from now on, with those that came too
 * early; with a `pid` of -1 nobody, since its number may be another's soon.
 */
void signals_go_to(pid_t pid)
{
	int sig;

	application = pid;
	for (sig = 1; sig <= 64; sig++)
		if (early & 1ULL << (sig - 1))
			send_signal(sig);
	early = 0;
}
