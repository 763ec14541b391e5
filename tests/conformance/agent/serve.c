// SPDX-License-Identifier: GPL-2.0-only
/* One connection: a command, its streams, its end. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 5000 /* milliseconds for the host to hang up */

static const char hello[] = "ukcc agent 1";

/* Standard input on its way to the command. */
struct input {
	char *data;
	size_t at, size;
	int ended;
};

enum { HOST, CHILD, OUT, ERR, IN, NR_EVENTS };

struct job {
	int connection;
	int fds[3];
	int child_fd; /* readable when the command has ended */
	pid_t child;
	struct input input;
	struct timespec deadline;
	int has_deadline;
};

static struct pollfd wish(int fd, short events)
{
	return (struct pollfd){ .fd = fd, .events = events };
}

static void close_stream(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Passes on what is there; closes the stream at its end.  -1: no host. */
static int pass_output(struct job *job, int stream)
{
	char data[65536];
	ssize_t got = read(job->fds[stream], data, sizeof(data));

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (got <= 0) {
		close_stream(&job->fds[stream]);
		return 0;
	}
	return write_frame(job->connection,
			   stream == 1 ? FRAME_STDOUT : FRAME_STDERR, data,
			   got);
}

/* Another piece of standard input; an empty one is its end. */
static int take_input(struct job *job)
{
	struct input *input = &job->input;
	struct frame frame;

	if (read_frame(job->connection, &frame) || frame.type != FRAME_STDIN)
		return -1;
	free(input->data);
	input->data = frame.data;
	/* nobody reads it when the command's end is closed */
	input->at = job->fds[0] < 0 ? frame.size : 0;
	input->size = frame.size;
	if (!frame.size) {
		input->ended = 1;
		close_stream(&job->fds[0]);
	}
	return 0;
}

static void give_input(struct job *job)
{
	struct input *input = &job->input;
	ssize_t put = write(job->fds[0], input->data + input->at,
			    input->size - input->at);

	if (put >= 0)
		input->at += put;
	else if (errno != EINTR && errno != EAGAIN) {
		input->at = input->size; /* nobody reads it */
		close_stream(&job->fds[0]);
	}
}

static int milliseconds_left(const struct job *job)
{
	struct timespec now;
	long left;

	if (!job->has_deadline)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &now);
	left = (job->deadline.tv_sec - now.tv_sec) * 1000 +
	       (job->deadline.tv_nsec - now.tv_nsec) / 1000000;
	return left < 0 ? 0 : left;
}

/* Until the command ends.  0; 1 when its time is over; -1 without a host. */
static int attend(struct job *job)
{
	for (;;) {
		int pending = job->input.at < job->input.size;
		struct pollfd events[NR_EVENTS] = {
			[HOST] = wish(pending ? -1 : job->connection, POLLIN),
			[CHILD] = wish(job->child_fd, POLLIN),
			[OUT] = wish(job->fds[1], POLLIN),
			[ERR] = wish(job->fds[2], POLLIN),
			[IN] = wish(pending ? job->fds[0] : -1, POLLOUT),
		};
		int left = milliseconds_left(job);
		int ready = left ? poll(events, NR_EVENTS, left) : 0;

		if (ready < 0 && errno != EINTR)
			return -1;
		if (ready == 0)
			return 1;
		if (ready < 0)
			continue;
		if (events[OUT].revents && pass_output(job, 1))
			return -1;
		if (events[ERR].revents && pass_output(job, 2))
			return -1;
		if (events[IN].revents)
			give_input(job);
		if (events[HOST].revents && take_input(job))
			return -1;
		if (events[CHILD].revents)
			return 0;
	}
}

/* What is still in the pipes; nobody holds their other ends any more. */
static void drain(struct job *job)
{
	int stream;

	for (stream = 1; stream < 3; stream++) {
		while (job->fds[stream] >= 0) {
			struct pollfd event = wish(job->fds[stream], POLLIN);

			if (poll(&event, 1, 0) <= 0 || pass_output(job, stream))
				break;
		}
	}
}

static void set_deadline(struct job *job, uint32_t seconds)
{
	job->has_deadline = seconds != 0;
	clock_gettime(CLOCK_MONOTONIC, &job->deadline);
	job->deadline.tv_sec += seconds;
}

/*
 * The wait status as it is, and whether we ended it.  The status is taken
 * before the family is reaped, which would take it away.
 */
static void finish(struct job *job, int timed_out)
{
	uint32_t answer[2] = { 0, timed_out };
	int status = 0;

	if (timed_out)
		kill(-job->child, SIGKILL);
	while (waitpid(job->child, &status, __WALL) < 0 && errno == EINTR)
		continue;
	answer[0] = status;
	end_family(job->child);
	drain(job);
	write_frame(job->connection, FRAME_ENDED, answer, sizeof(answer));
}

/*
 * Until the host hangs up, or a while: to close with bytes unread is a reset,
 * which would take what the host has not read yet.
 */
static void take_leave(int connection)
{
	struct pollfd event = wish(connection, POLLIN);
	char data[4096];

	shutdown(connection, SHUT_WR);
	while (poll(&event, 1, PATIENCE) > 0 &&
	       read(connection, data, sizeof(data)) > 0)
		continue;
}

void serve(int connection)
{
	struct job job = { .connection = connection };
	struct command command;
	struct failure failure;
	int outcome;

	write_frame(connection, FRAME_HELLO, hello, strlen(hello));
	if (read_command(connection, &command))
		return;
	adopt_orphans();
	job.child = start(&command, job.fds, &failure);
	if (job.child < 0) {
		write_frame(connection, FRAME_FAILED, &failure,
			    sizeof(failure));
		take_leave(connection);
		return;
	}
	if (job.fds[0] >= 0)
		fcntl(job.fds[0], F_SETFL, O_NONBLOCK);
	job.child_fd = syscall(SYS_pidfd_open, job.child, 0);
	set_deadline(&job, command.deadline);
	outcome = attend(&job);
	if (outcome < 0)
		end_family(job.child);
	else
		finish(&job, outcome);
	take_leave(connection);
}
