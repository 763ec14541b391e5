/* Threads by the thousand, mutexes whose owners die, priority inheritance, cancellation. */
#define _GNU_SOURCE
#include "cases.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>

enum { MANY = 2000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int arrived, released;
static long total;
static __thread long mine = 7;
static __thread char buffer[100];

/* All are alive at once: each waits until the last has come. */
static void *meet(void *number)
{
	CHECK(mine == 7 && !buffer[99]);
	mine += (long)number;
	CHECK(!pthread_mutex_lock(&lock));
	if (++arrived == MANY)
		CHECK(!pthread_cond_broadcast(&changed));
	while (arrived < MANY)
		CHECK(!pthread_cond_wait(&changed, &lock));
	released++;
	total += mine;
	CHECK(!pthread_mutex_unlock(&lock));
	CHECK(mine == 7 + (long)number);
	return &mine;
}

static void many_threads(void)
{
	static pthread_t threads[MANY];
	pthread_attr_t small;

	pthread_attr_init(&small);
	CHECK(!pthread_attr_setstacksize(&small, 32768));
	for (long i = 0; i < MANY; i++)
		CHECK(!pthread_create(&threads[i], &small, meet, (void *)i));
	for (long i = 0; i < MANY; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(released == MANY);
	CHECK(total == 7l * MANY + (long)MANY * (MANY - 1) / 2);
	CHECK(mine == 7);
}

/* A few thousand more, one after the other: nothing of them stays. */
static void *nothing(void *given)
{
	return given;
}

static void many_in_turn(void)
{
	for (long i = 0; i < 3000; i++) {
		pthread_t thread;
		void *result;

		CHECK(!pthread_create(&thread, NULL, nothing, (void *)i));
		CHECK(!pthread_join(thread, &result) && result == (void *)i);
	}
}

/* A mutex in shared memory, with the attributes. */
static pthread_mutex_t *shared_mutex(int robust, int protocol)
{
	pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutexattr_t attributes;

	CHECK(mutex != MAP_FAILED);
	pthread_mutexattr_init(&attributes);
	CHECK(!pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED));
	CHECK(!pthread_mutexattr_setrobust(&attributes, robust));
	CHECK(!pthread_mutexattr_setprotocol(&attributes, protocol));
	CHECK(!pthread_mutex_init(mutex, &attributes));
	return mutex;
}

/* The owner is killed while others wait for the mutex in the kernel. */
static void owner_dies(int protocol)
{
	pthread_mutex_t *mutex = shared_mutex(PTHREAD_MUTEX_ROBUST, protocol);
	int pipes[2], result;
	pid_t owner;
	char byte;

	CHECK(!pipe(pipes));
	for (int i = 0; i < 20; i++) {
		owner = fork();
		if (!owner) {
			CHECK(!pthread_mutex_lock(mutex));
			CHECK(write(pipes[1], "x", 1) == 1);
			if (i % 2)
				_exit(0);
			pause();
		}
		CHECK(read(pipes[0], &byte, 1) == 1);
		if (i % 2 == 0) {
			CHECK(pthread_mutex_trylock(mutex) == EBUSY);
			CHECK(!kill(owner, SIGKILL));
		}
		result = pthread_mutex_lock(mutex);
		CHECK(result == EOWNERDEAD);
		CHECK(!pthread_mutex_consistent(mutex));
		CHECK(!pthread_mutex_unlock(mutex));
		end_of(owner);
	}
	CHECK(!pthread_mutex_lock(mutex));
}

static void robust_mutex(void)
{
	owner_dies(PTHREAD_PRIO_NONE);
}

static void robust_pi_mutex(void)
{
	owner_dies(PTHREAD_PRIO_INHERIT);
}

static pthread_mutex_t *counted;
static long count;

static void *count_up(void *unused)
{
	for (int i = 0; i < 2000; i++) {
		CHECK(!pthread_mutex_lock(counted));
		long seen = count;
		if (i % 64 == 0)
			sched_yield();
		count = seen + 1;
		CHECK(!pthread_mutex_unlock(counted));
	}
	return unused;
}

static void count_with(int protocol)
{
	pthread_t threads[8];

	counted = shared_mutex(PTHREAD_MUTEX_STALLED, protocol);
	for (int i = 0; i < 8; i++)
		CHECK(!pthread_create(&threads[i], NULL, count_up, NULL));
	for (int i = 0; i < 8; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(count == 16000);
}

static void contended_mutex(void)
{
	count_with(PTHREAD_PRIO_NONE);
}

static void contended_pi_mutex(void)
{
	count_with(PTHREAD_PRIO_INHERIT);
}

/* A ball between two processes by process-shared condition and semaphore. */
static void ping_pong(void)
{
	struct { sem_t ping, pong; long ball; } *table = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
							      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child;

	CHECK(!sem_init(&table->ping, 1, 0) && !sem_init(&table->pong, 1, 0));
	child = fork();
	for (int i = 0; i < 1000; i++) {
		if (!child) {
			CHECK(!sem_wait(&table->ping));
			table->ball++;
			CHECK(!sem_post(&table->pong));
		} else {
			CHECK(!sem_post(&table->ping));
			CHECK(!sem_wait(&table->pong));
			CHECK(table->ball == i + 1);
		}
	}
	if (!child)
		_exit(4);
	CHECK(end_of(child) == 4);
}

/* Cancelled in a call: by unwinding from the site, through frames that want to clean up. */
static int pipes[2], cleaned;
static volatile int begun;

static void clean(void *word)
{
	CHECK(word == &cleaned);
	cleaned++;
}

__attribute__((noinline)) static long blocked(int depth)
{
	long result;
	char byte;

	pthread_cleanup_push(clean, &cleaned);
	begun = !depth;
	result = depth ? blocked(depth - 1) : read(pipes[0], &byte, 1);
	pthread_cleanup_pop(0);
	return result;
}

static void *block(void *unused)
{
	pthread_cleanup_push(clean, &cleaned);
	blocked(3);
	pthread_cleanup_pop(0);
	return unused;
}

static void *spin_for_ever(void *unused)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cleanup_push(clean, &cleaned);
	for (volatile long i = 0;; i++)
		begun = 1;
	pthread_cleanup_pop(0);
	return unused;
}

/* Makes calls that are no cancellation points: hit in the gate, from time to time. */
static void *call_for_ever(void *unused)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_cleanup_push(clean, &cleaned);
	for (begun = 1;;)
		gated_call(SYS_getppid, 0, 0, 0, 0, 0, 0);
	pthread_cleanup_pop(0);
	return unused;
}

static void cancel(void *(*run)(void *), int cleanups)
{
	CHECK(!pipe(pipes));
	for (int i = 0; i < 16; i++) {
		pthread_t thread;
		void *result;

		cleaned = begun = 0;
		CHECK(!pthread_create(&thread, NULL, run, NULL));
		while (!begun)
			sched_yield();
		sleep_ms(i % 4);
		CHECK(!pthread_cancel(thread));
		CHECK(!pthread_join(thread, &result));
		CHECK(result == PTHREAD_CANCELED);
		CHECK(cleaned == cleanups);
	}
}

static void cancelled_in_a_call(void)
{
	cancel(block, 5);
}

static void cancelled_anywhere(void)
{
	cancel(spin_for_ever, 1);
	cancel(call_for_ever, 1);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(many_threads), CASE(many_in_turn), CASE(robust_mutex), CASE(robust_pi_mutex),
		CASE(contended_mutex), CASE(contended_pi_mutex), CASE(ping_pong),
		CASE(cancelled_in_a_call), CASE(cancelled_anywhere), { 0 },
	};

	return run_cases(cases, argc, argv);
}
