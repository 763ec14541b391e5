// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs a command, the application or a step, with a parent of its own between
 * it and PID 1, as a shell or a container's init would be.
 *
 * To the kernel a process group is orphaned if its members have no parent
 * outside but PID 1.  Ctrl-Z does not stop such a group, reading from the
 * terminal in the background is an error, and when a member ends that PID 1
 * has adopted while another one is stopped, all of them get SIGHUP.
 *
 * The parent only passes on what becomes of its child, so the machine can do
 * without it: an application that kills everybody (kill(-1, SIGKILL)) becomes
 * a child of PID 1.  For the same reason PID 1 stays the session's leader, as
 * the leader's end would hang up the terminal.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
	pid_t parent;	/* 0: there is none, or none any more */
	pid_t child;	/* 0: nothing is run */
	int news;	/* the child's wait statuses, from its parent; or -1 */
	int host_minds;	/* the host continues a child that has stopped */
} job = { .news = -1 };

int is_job_parent(pid_t pid)
{
	return pid > 0 && pid == job.parent;
}

/* The descriptor that has news of the child, or -1. */
int watch_job(void)
{
	return job.news;
}

/* As wait(2) gives it. */
static int status_of(const siginfo_t *info)
{
	enum { DUMPED = 0x80 };	/* as wait(2) has it: not every C library tells */

	switch (info->si_code) {
	case CLD_EXITED:
		return info->si_status << 8;
	case CLD_KILLED:
		return info->si_status;
	case CLD_DUMPED:
		return info->si_status | DUMPED;
	default:
		return info->si_status << 8 | 0x7f;
	}
}

/*
 * Tells of each change, of the end as well, before the kernel forgets it: if
 * this process is killed in between, PID 1 gets to know it by its own wait().
 */
static void tell_changes(pid_t child, int news)
{
	siginfo_t info;
	int status, ended;

	do {
		info.si_pid = 0;
		if (waitid(P_PID, child, &info, WEXITED | WSTOPPED | WNOWAIT)) {
			if (errno == EINTR)
				continue;
			return;
		}
		status = status_of(&info);
		ended = !WIFSTOPPED(status);
		write_all(news, &status, sizeof(status));
		/* a stop may be over, or the child, by now */
		waitid(P_PID, child, &info,
		       ended ? WEXITED : WSTOPPED | WNOHANG);
	} while (!ended);
}

/*
 * No signal but SIGKILL and SIGSTOP does anything to it.  It stays when the
 * child has ended: what the child leaves behind has not lost its session.
 */
static void __attribute__((noreturn)) be_parent(const struct command *command,
						int news)
{
	sigset_t all;
	pid_t child;

	setpgid(0, 0);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	child = fork();
	if (child == 0)
		launch(command);
	if (child < 0)
		child = -errno;
	write_all(news, &child, sizeof(child));
	write_text("/proc/self/oom_score_adj", "-1000");
	syscall(SYS_close_range, 0, news - 1, 0);
	syscall(SYS_close_range, news + 1, UINT_MAX, 0);
	if (child > 0)
		tell_changes(child, news);
	for (;;)
		pause();
}

static void forget_parent(void)
{
	if (job.news >= 0)
		close(job.news);
	job.news = -1;
}

/* Makes both processes; 0, or -1 with errno. */
static int begin(const struct command *command)
{
	int ends[2], error;
	pid_t child = -EIO;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	job.parent = fork();
	if (job.parent == 0)
		be_parent(command, ends[1]);
	error = errno;
	close(ends[1]);
	job.news = ends[0];
	if (job.parent < 0)
		child = -error;
	else
		while (read(job.news, &child, sizeof(child)) < 0 && errno == EINTR)
			;
	fcntl(job.news, F_SETFL, O_NONBLOCK);
	job.child = child > 0 ? child : 0;
	if (child > 0)
		return 0;
	errno = -child;
	return -1;
}

/* What the parent has told of the child: 1, or 0 if there is nothing new. */
static int take_news(int *status)
{
	ssize_t got;

	if (job.news < 0)
		return 0;
	got = read(job.news, status, sizeof(*status));
	if (got == sizeof(*status))
		return 1;
	if (got >= 0 || (errno != EAGAIN && errno != EINTR))
		forget_parent();
	return 0;
}

/* Reaps who has ended: 1 if it was the child, adopted by now, or 0. */
static int reap(int *status)
{
	pid_t pid;

	while ((pid = waitpid(-1, status, WUNTRACED | WNOHANG)) > 0) {
		if (pid == job.child)
			return 1;
		if (pid != job.parent) {
			if (!WIFSTOPPED(*status))
				dhcp_client_ended(pid, *status);
		} else if (WIFSTOPPED(*status)) {
			kill(pid, SIGCONT);
		} else {
			job.parent = 0;
		}
	}
	return 0;
}

/*
 * As a shell continues a job in the foreground: it gets the terminal, or it
 * would stop at once again if it had stopped for want of it.
 */
void continue_job(void)
{
	pid_t group = job.child > 0 ? getpgid(job.child) : -1;

	if (group <= 1)
		return;
	signal(SIGTTOU, SIG_IGN);
	tcsetpgrp(STDIN_FILENO, group);
	kill(-group, SIGCONT);
}

/*
 * A person at the host's terminal gets that back and continues the child
 * later; where nobody is, the terminal's stops are over at once.
 */
static void child_has_stopped(int sig)
{
	char number[24];

	if (job.host_minds && !send_report("stopped", decimal(sig, number)))
		return;
	if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
		continue_job();
}

/*
 * Runs the command to its end, reaps every process and passes the outputs on;
 * `started` is told of its process.  Returns the wait status, or -1 with errno
 * if there could be no such process.
 */
int run_job(const struct command *command, void (*started)(pid_t pid))
{
	int status;

	if (begin(command))
		return -1;
	job.host_minds = command->settings->stops_for_host;
	if (started)
		started(job.child);
	for (;;) {
		if (!take_news(&status) && !reap(&status)) {
			wait_for_news(-1);
			pass_outputs();
		} else if (WIFSTOPPED(status)) {
			child_has_stopped(WSTOPSIG(status));
		} else {
			break;
		}
	}
	job.child = 0;
	forget_parent();
	return status;
}

/* Ends the parent of a command that has ended. */
void leave_job(void)
{
	if (job.parent > 0) {
		kill(job.parent, SIGKILL);
		waitpid(job.parent, NULL, 0);
	}
	job.parent = 0;
}
