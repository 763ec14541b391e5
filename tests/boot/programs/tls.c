/* Thread-local data of a library that is opened late, in threads that were there before. */
#define _GNU_SOURCE
#include "cases.h"

#include <dlfcn.h>
#include <pthread.h>

static const char *library;
static long (*count)(long by);
static pthread_barrier_t loaded;
static __thread long own = 3;
static pthread_key_t key;
static int ended;

static void at_end(void *value)
{
	CHECK(*(long *)value == own);
	__atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
}

static void *use(void *number)
{
	long by = (long)number;

	own += by;
	CHECK(!pthread_setspecific(key, &own));
	pthread_barrier_wait(&loaded);
	for (long i = 1; i <= 200; i++) {
		CHECK(count(by) == 1000 + i * by);
		CHECK(own == 3 + by);
		sched_yield();
	}
	return number;
}

static void opened_late(void)
{
	pthread_t threads[16];
	void *handle;
	long *shown;

	CHECK(!pthread_key_create(&key, at_end));
	CHECK(!pthread_barrier_init(&loaded, NULL, 17));
	for (long i = 0; i < 16; i++)
		CHECK(!pthread_create(&threads[i], NULL, use, (void *)i));
	handle = dlopen(library, RTLD_NOW);
	if (!handle)
		puts(dlerror());
	CHECK(handle);
	count = (long (*)(long))dlsym(handle, "count");
	shown = dlsym(handle, "shown");
	CHECK(count && shown);
	pthread_barrier_wait(&loaded);
	for (long i = 0; i < 16; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(ended == 16 && *shown == 5 && count(1) == 1001 && *shown == 6);
	CHECK(!dlclose(handle));
}

static void opened_again(void)
{
	for (int i = 0; i < 20; i++) {
		void *handle = dlopen(library, RTLD_NOW);

		CHECK(handle);
		count = (long (*)(long))dlsym(handle, "count");
		CHECK(count(1) == 1001);
		CHECK(!dlclose(handle));
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = { CASE(opened_late), CASE(opened_again), { 0 } };

	CHECK(argc > 2);
	library = argv[2];
	return run_cases(cases, 2, argv);
}
