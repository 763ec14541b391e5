/*
 * Job control and orphans, as a shell's child sees them: our process group is not an orphaned one, and
 * that of somebody whose parent has gone is. Needs a controlling terminal, with our group in its foreground.
 */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int terminal;
static volatile sig_atomic_t hung_up;

static void on_hangup(int sig)
{
	hung_up = sig;
}

static int status_of(pid_t child, int options)
{
	int status;

	CHECK(waitpid(child, &status, options) == child);
	return status;
}

static void is_stopped(pid_t child, int sig)
{
	int status = status_of(child, WUNTRACED);

	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == sig);
}

static void ends_well(pid_t child)
{
	CHECK(status_of(child, 0) == 0);
}

/* A child, in a group of its own if that is wanted. */
static pid_t start(void (*what)(void), int own_group)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		if (own_group)
			CHECK(!setpgid(0, 0));
		what();
		_exit(0);
	}
	if (own_group)
		CHECK(!setpgid(child, child) || errno == EACCES);
	return child;
}

static void our_parent(int in_machine)
{
	CHECK(getppid() > 1 || !in_machine);
	CHECK(getpgid(getppid()) != getpgrp());
	CHECK(getsid(getppid()) == getsid(0));
	CHECK(getpgrp() == getpid() && getsid(0) != getpid());
	CHECK(tcgetpgrp(terminal) == getpgrp());
	CHECK(tcgetsid(terminal) == getsid(0));
}

static void stop_by_tstp(void)
{
	raise(SIGTSTP);
}

/* Stopping by SIGTSTP is not for orphaned groups: ours is none, nor is a child's. */
static void tstp(void)
{
	for (int own = 0; own < 2; own++) {
		pid_t child = start(stop_by_tstp, own);

		is_stopped(child, SIGTSTP);
		CHECK(!kill(child, SIGCONT));
		ends_well(child);
	}
}

static void read_terminal(void)
{
	char byte;

	(void)!read(terminal, &byte, 1);
}

static void write_terminal(void)
{
	CHECK(write(terminal, "\r", 1) == 1);
}

static void set_terminal(void)
{
	struct termios mode;

	CHECK(!tcgetattr(terminal, &mode));
	CHECK(!tcsetattr(terminal, TCSANOW, &mode));
}

static void give_terminal(pid_t group)
{
	signal(SIGTTOU, SIG_IGN);
	CHECK(!tcsetpgrp(terminal, group));
	signal(SIGTTOU, SIG_DFL);
}

/* What a group in the background does to the terminal stops it. */
static void background(void)
{
	struct termios mode, strict;
	pid_t child = start(read_terminal, 1);

	is_stopped(child, SIGTTIN);
	CHECK(!kill(child, SIGKILL));
	CHECK(WTERMSIG(status_of(child, 0)) == SIGKILL);

	CHECK(!tcgetattr(terminal, &mode));
	strict = mode;
	strict.c_lflag |= TOSTOP;
	CHECK(!tcsetattr(terminal, TCSANOW, &strict));
	child = start(write_terminal, 1);
	is_stopped(child, SIGTTOU);
	give_terminal(child);
	CHECK(!kill(child, SIGCONT));
	ends_well(child);
	give_terminal(getpgrp());
	CHECK(!tcsetattr(terminal, TCSANOW, &mode));

	child = start(set_terminal, 1);
	is_stopped(child, SIGTTOU);
	give_terminal(child);
	CHECK(!kill(child, SIGCONT));
	ends_well(child);
	give_terminal(getpgrp());
}

/* We ourselves in the background: stopped, until who looks after us gives us the terminal. */
static void background_ourselves(void)
{
	pid_t child = start((void (*)(void))pause, 1);

	give_terminal(child);
	set_terminal();
	CHECK(tcgetpgrp(terminal) == getpgrp());
	CHECK(!kill(child, SIGKILL) && status_of(child, 0) == SIGKILL);
}

/* An orphan that ends does nothing to a group that is none, with somebody stopped in it. */
static void adopted_member_ends(void)
{
	int ends[2];
	pid_t stopped, between;
	char byte;

	signal(SIGHUP, on_hangup);
	stopped = start((void (*)(void))pause, 0);
	CHECK(!kill(stopped, SIGSTOP));
	is_stopped(stopped, SIGSTOP);
	CHECK(!pipe(ends));
	between = fork();
	if (between == 0) {
		pid_t father = getpid();

		if (fork() == 0) {
			while (getppid() == father)
				usleep(1000);
			_exit(0);
		}
		_exit(0);
	}
	ends_well(between);
	close(ends[1]);
	CHECK(read(ends[0], &byte, 1) == 0);	/* the orphan has ended, too */
	close(ends[0]);
	usleep(50000);
	CHECK(!hung_up);
	CHECK(!kill(stopped, SIGKILL) && status_of(stopped, 0) == SIGKILL);
	signal(SIGHUP, SIG_DFL);
}

static int news[2];

/* In a new group: a process that is stopped loses its only tie to the session with us. */
static void leave_a_stopped_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		signal(SIGHUP, on_hangup);
		raise(SIGSTOP);
		CHECK(write(news[1], hung_up ? "h" : "-", 1) == 1);
		_exit(0);
	}
	is_stopped(child, SIGSTOP);
}

static void orphaned_group(void)
{
	char byte = 0;

	CHECK(!pipe(news));
	ends_well(start(leave_a_stopped_child, 1));
	CHECK(read(news[0], &byte, 1) == 1 && byte == 'h');
}

/* In an orphaned group the terminal's signals do not stop, and reading is an error. */
static void use_terminal_as_orphan(void)
{
	pid_t father = getpid();
	char byte;

	if (fork() == 0) {
		while (getppid() == father)
			usleep(1000);
		raise(SIGTSTP);
		CHECK(read(terminal, &byte, 1) < 0 && errno == EIO);
		byte = getppid() == 1 ? '1' : '+';
		CHECK(write(news[1], &byte, 1) == 1);
		_exit(0);
	}
}

static void orphan(int in_machine)
{
	char byte = 0;

	CHECK(!pipe(news));
	ends_well(start(use_terminal_as_orphan, 1));
	CHECK(read(news[0], &byte, 1) == 1);
	CHECK(byte == '1' || !in_machine);
}

int main(int argc, char **argv)
{
	int in_machine = argc > 1 && !strcmp(argv[1], "kernel");

	terminal = open("/dev/tty", O_RDWR | O_CLOEXEC);
	CHECK(terminal >= 0);
	our_parent(in_machine);
	tstp();
	background();
	background_ourselves();
	adopted_member_ends();
	orphaned_group();
	orphan(in_machine);
	puts("right");
	return 0;
}
