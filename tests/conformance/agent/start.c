// SPDX-License-Identifier: GPL-2.0-only
/* The child that becomes the command. */
#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A soft limit above the hard one is the hard one. */
static void set_limits(const struct command *command)
{
	size_t i;

	for (i = 0; i < command->nr_limits; i++) {
		struct limit wanted = command->limits[i];
		struct rlimit limit;

		if (getrlimit(wanted.resource, &limit))
			continue;
		limit.rlim_cur = wanted.soft < limit.rlim_max ? wanted.soft :
								limit.rlim_max;
		setrlimit(wanted.resource, &limit);
	}
}

static void reset_signals(void)
{
	sigset_t none;
	int sig;

	for (sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void be_mortal(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "0", 1) < 0)
		errno = 0; /* where it may not be changed it was 0 before */
	close(fd);
}

/* Never returns; the reason goes up the pipe, which an exec closes. */
static void become(const struct command *command, const int streams[3],
		   int reason)
{
	struct failure failure = { 0, 0 };
	int i;

	setsid();
	be_mortal();
	/* above the standard ones first: they may overlap */
	for (i = 0; i < 3; i++)
		if (dup2(streams[i], i) < 0)
			goto failed;
	umask(command->mask);
	set_limits(command);
	failure.at_directory = 1;
	if (chdir(command->directory))
		goto failed;
	failure.at_directory = 0;
	reset_signals();
	execvpe(command->arguments[0], command->arguments,
		command->environment);
failed:
	failure.error = errno;
	if (write(reason, &failure, sizeof(failure)) < 0)
		_exit(126);
	_exit(127);
}

/* A pipe whose ends are above the standard streams. */
static int high_pipe(int ends[2])
{
	int low[2], i;

	if (pipe2(low, O_CLOEXEC))
		return -1;
	for (i = 0; i < 2; i++) {
		ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 3);
		close(low[i]);
	}
	return ends[0] < 0 || ends[1] < 0 ? -1 : 0;
}

/*
 * The child's streams, and our ends of them.  fds[0] is -1 when a file is the
 * input, fds[2] when standard error goes where standard output goes.
 */
static int open_streams(const struct command *command, int streams[3],
			int fds[3])
{
	int in[2], out[2], err[2];

	fds[0] = fds[2] = -1;
	if (command->input) {
		int low = open(command->input, O_RDONLY | O_CLOEXEC);

		if (low < 0)
			return -1;
		streams[0] = fcntl(low, F_DUPFD_CLOEXEC, 3);
		close(low);
	} else {
		if (high_pipe(in))
			return -1;
		streams[0] = in[0];
		fds[0] = in[1];
	}
	if (high_pipe(out))
		return -1;
	fds[1] = out[0];
	streams[1] = out[1];
	if (command->joined) {
		streams[2] = fcntl(out[1], F_DUPFD_CLOEXEC, 3);
		return streams[2] < 0 ? -1 : 0;
	}
	if (high_pipe(err))
		return -1;
	fds[2] = err[0];
	streams[2] = err[1];
	return 0;
}

pid_t start(const struct command *command, int fds[3], struct failure *failure)
{
	int streams[3], reason[2];
	pid_t child;
	ssize_t got;

	failure->at_directory = 0;
	if (open_streams(command, streams, fds) || high_pipe(reason))
		goto failed;
	child = fork();
	if (child < 0)
		goto failed;
	if (child == 0)
		become(command, streams, reason[1]);
	close(reason[1]);
	close(streams[0]);
	close(streams[1]);
	close(streams[2]);
	do
		got = read(reason[0], failure, sizeof(*failure));
	while (got < 0 && errno == EINTR);
	close(reason[0]);
	if (got != sizeof(*failure))
		return child;
	waitpid(child, NULL, 0);
	return -1;

failed:
	failure->error = errno;
	return -1;
}
