/* For a snapshot: says `ready`, sleeps, and goes by the clocks then. */
#include <stdio.h>
#include <time.h>

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + now.tv_nsec / 1e9;
}

int main(void)
{
	double began, slept;

	puts("ready");
	fflush(stdout);
	began = seconds(CLOCK_MONOTONIC);
	for (int i = 0; i < 20; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	slept = seconds(CLOCK_MONOTONIC) - began;
	/* a snapshot stops the monotonic clock, and sets the other to the host's */
	if (slept < 2 || slept > 600)
		return printf("slept %.2f s\n", slept), 1;
	printf("now %.0f\nright\n", seconds(CLOCK_REALTIME));
	return 55;
}
