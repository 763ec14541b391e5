/* Threads that fork, sleep, lock and compute in floating point, all at once. */
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { THREADS = 16, ROUNDS = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long total;
static __thread long mine;

static void *work(void *argument)
{
	long number = (long)argument;
	double sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		struct timespec nap = { 0, 100000 };
		int status;
		pid_t child = fork();

		if (!child)
			_exit(number + 1);
		for (int i = 1; i < 2000; i++)
			sum += 1.0 / i;
		nanosleep(&nap, NULL);
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == number + 1);
		pthread_mutex_lock(&lock);
		total++;
		pthread_mutex_unlock(&lock);
		mine++;
	}
	CHECK(mine == ROUNDS);
	CHECK(sum > ROUNDS * 8.177 && sum < ROUNDS * 8.179);
	return argument;
}

int main(void)
{
	pthread_t threads[THREADS];

	for (long i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (long i = 0; i < THREADS; i++) {
		void *result;

		CHECK(!pthread_join(threads[i], &result));
		CHECK(result == (void *)i);
	}
	CHECK(total == THREADS * ROUNDS);
	puts("right");
	return 0;
}
