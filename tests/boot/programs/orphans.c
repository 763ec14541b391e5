/*
 * An orphaned group of which a member is stopped later, and another one ends: that has not made the
 * group an orphaned one, so nobody is hung up.
 */
#define _GNU_SOURCE
#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t hung_up;

static void on_hangup(int sig)
{
	hung_up = sig;
}

static pid_t member(int *news, pid_t father)
{
	pid_t child = fork();

	if (child)
		return child;
	signal(SIGHUP, on_hangup);
	while (getppid() == father)
		usleep(1000);
	child = getpid();
	CHECK(write(news[1], &child, sizeof(child)) == sizeof(child));
	while (!hung_up)
		pause();
	child = -1;
	CHECK(write(news[1], &child, sizeof(child)) == sizeof(child));
	_exit(0);
}

int main(void)
{
	pid_t leader, first, second;
	int news[2];

	CHECK(!pipe(news));
	leader = fork();
	if (leader == 0) {
		CHECK(!setpgid(0, 0));
		member(news, getpid());
		member(news, getpid());
		_exit(0);
	}
	CHECK(waitpid(leader, NULL, 0) == leader);
	CHECK(read(news[0], &first, sizeof(first)) == sizeof(first));
	CHECK(read(news[0], &second, sizeof(second)) == sizeof(second));
	CHECK(!kill(first, SIGSTOP));
	usleep(100000);
	CHECK(!kill(second, SIGKILL));
	while (!kill(second, 0))
		usleep(1000);
	usleep(100000);
	/* only now somebody hangs up: one word, not two */
	CHECK(!kill(first, SIGCONT));
	usleep(100000);
	close(news[1]);
	second = 0;
	CHECK(!kill(first, SIGKILL));
	CHECK(read(news[0], &second, sizeof(second)) == 0 && second == 0);
	puts("right");
	return 0;
}
