/*
 * Two threads make calls, faults and signals, with marked registers and red
 * zones, while the host injects NMIs; ends when enough of them have come.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define PAGES 16

static atomic_int done, signals;
static pid_t parent;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

/* NMIs that the CPUs have taken, from the line `NMI:  n  n  Non-maskable interrupts`. */
static long nmis(void)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char line[256], *at;
	long sum = 0;

	CHECK(file);
	while (fgets(line, sizeof(line), file)) {
		if ((at = strstr(line, "NMI:"))) {
			at += 4;
			for (char *next; ; at = next) {
				long n = strtol(at, &next, 10);

				if (next == at)
					break;
				sum += n;
			}
		}
	}
	fclose(file);
	return sum;
}

/* 0 if what lies below the stack pointer is still there after a long loop. */
static long red_zone(long mark)
{
	long wrong;

	asm volatile("movq %1, -8(%%rsp)\n\t"
		     "movq %1, -64(%%rsp)\n\t"
		     "movq %1, -128(%%rsp)\n\t"
		     "movl $2000, %%ecx\n"
		     "1:	decl %%ecx\n\t"
		     "jnz 1b\n\t"
		     "movq %1, %0\n\t"
		     "xorq -8(%%rsp), %0\n\t"
		     "movq -64(%%rsp), %%rcx\n\t"
		     "xorq %1, %%rcx\n\t"
		     "orq %%rcx, %0\n\t"
		     "movq -128(%%rsp), %%rcx\n\t"
		     "xorq %1, %%rcx\n\t"
		     "orq %%rcx, %0"
		     : "=&r"(wrong) : "r"(mark) : "rcx", "memory", "cc");
	return wrong;
}

static void *work(void *name)
{
	for (long round = 1; !done; round++) {
		char *pages = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		CHECK(pages != MAP_FAILED);
		for (int i = 0; i < PAGES; i++) {
			pages[i * 4096] = (char)round;
			CHECK(getppid() == parent);
			CHECK(!red_zone(round * 0x0101010101010101));
		}
		for (int i = 0; i < PAGES; i++)
			CHECK(pages[i * 4096] == (char)round);
		CHECK(!munmap(pages, PAGES * 4096));
		raise(SIGUSR1);
	}
	return name;
}

int main(int argc, char **argv)
{
	long least = argc > 2 ? atol(argv[2]) : 0;
	pthread_t thread[2];

	parent = getppid();
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&thread[i], NULL, work, NULL));
	puts("ready");
	fflush(stdout);
	do {
		usleep(100000);
	} while (nmis() < least);
	done = 1;
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(thread[i], NULL));
	CHECK(signals > 0);
	puts("right");
	return 0;
}
