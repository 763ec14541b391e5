/* fork, wait, and a read that hundreds of signals interrupt and that goes on. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t ticks;

static void tick(int number)
{
	(void)number;
	ticks++;
}

int main(void)
{
	struct sigaction action = { .sa_handler = tick, .sa_flags = SA_RESTART };
	struct itimerval fast = { { 0, 2000 }, { 0, 2000 } }, off = { { 0, 0 }, { 0, 0 } };
	int pipes[2], status;
	char word[6] = "";
	pid_t child;

	CHECK(!pipe(pipes));
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		struct timespec pause = { 0, 700000000 };

		nanosleep(&pause, NULL);
		CHECK(write(pipes[1], "hello", 5) == 5);
		_exit(7);
	}
	CHECK(!sigaction(SIGALRM, &action, NULL));
	CHECK(!setitimer(ITIMER_REAL, &fast, NULL));
	CHECK(read(pipes[0], word, 5) == 5);
	CHECK(!strcmp(word, "hello"));
	CHECK(ticks > 10);

	/* Without SA_RESTART the same read must give up. */
	action.sa_flags = 0;
	CHECK(!sigaction(SIGALRM, &action, NULL));
	CHECK(read(pipes[0], word, 5) == -1 && errno == EINTR);

	CHECK(!setitimer(ITIMER_REAL, &off, NULL));
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	puts("right");
	return 0;
}
