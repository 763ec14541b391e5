/* Signals nested in handlers, in faults, in system calls; vector registers kept throughout. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static sigjmp_buf back;
static volatile sig_atomic_t depth, deepest, ticks;

static void nested(int number)
{
	double scratch = number;

	ticks++;
	if (++depth > deepest)
		deepest = depth;
	if (depth < 5)
		raise(SIGUSR1);
	for (int i = 0; i < 50; i++)
		scratch = scratch * 1.5 + 1;
	CHECK(scratch > 0);
	depth--;
}

static void recover(int number)
{
	siglongjmp(back, number);
}

int main(void)
{
	struct sigaction action = { .sa_handler = nested, .sa_flags = SA_NODEFER };
	struct itimerval fast = { { 0, 2000 }, { 0, 2000 } }, off = { { 0, 0 }, { 0, 0 } };
	volatile double sum = 0;
	int status;

	CHECK(!sigaction(SIGUSR1, &action, NULL));
	CHECK(!sigaction(SIGALRM, &action, NULL));
	raise(SIGUSR1);
	CHECK(deepest == 5);

	CHECK(!setitimer(ITIMER_REAL, &fast, NULL));
	for (int i = 0; i < 3000000; i++)
		sum += 0.5;
	CHECK(!setitimer(ITIMER_REAL, &off, NULL));
	CHECK(sum == 1500000);

	signal(SIGSEGV, recover);
	for (int i = 0; i < 100; i++)
		if (!sigsetjmp(back, 1))
			*(volatile int *)0 = i;

	if (!fork()) {
		signal(SIGTERM, SIG_DFL);
		kill(getpid(), SIGTERM);
		_exit(0);
	}
	CHECK(wait(&status) > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	puts("right");
	return 0;
}
