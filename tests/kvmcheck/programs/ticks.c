/* A timer of 1 kHz, by signals: many interrupts and exits in a short time, and a clock that fits. */
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

static volatile sig_atomic_t ticks;

static void tick(int sig)
{
	(void)sig;
	ticks++;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + time.tv_nsec / 1e9;
}

int main(void)
{
	struct itimerval every = { { 0, 1000 }, { 0, 1000 } };
	double began = now(), before = began, time;

	signal(SIGALRM, tick);
	setitimer(ITIMER_REAL, &every, NULL);
	while ((time = now()) < began + 1.5 || ticks < 300) {
		if (time < before)
			return puts("the clock went backwards"), 1;
		before = time;
	}
	/* signals of one number do not queue: a busy host loses some, and none is made up */
	if (ticks > (time - began) * 1000 + 2)
		return printf("%d ticks in %.3f s\n", (int)ticks, time - began), 2;
	puts("right");
	return 33;
}
