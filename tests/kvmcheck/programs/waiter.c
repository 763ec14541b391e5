/* For `run -d` and `stop`: says what signal it got, and ends with 40 + its number. */
#include <signal.h>
#include <stdio.h>

int main(void)
{
	sigset_t set;
	int got;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	puts("ready");
	fflush(stdout);
	for (;;) {
		sigwait(&set, &got);
		printf("got %d\n", got);
		fflush(stdout);
		if (got == SIGTERM)
			return 40 + got;
	}
}
