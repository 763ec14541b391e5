/*
 * A program of many cases: each runs in a process of its own, within a deadline, and has a name.
 *
 *	const struct test_case cases[] = { CASE(one), CASE(other), { 0 } };
 *	int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
 *
 * The first argument is `process` or `kernel`, further ones choose cases. `right` comes at the
 * end, when every case has returned.
 */
#ifndef CASES_H
#define CASES_H
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { CASE_SECONDS = 200 };	/* far more than any takes, on a slow machine too */

struct test_case {
	const char *name;
	void (*run)(void);
};

#define CASE(name) { #name, name }

static int in_kernel;	/* whether this is the unikernel */

/* A system call by a site of the assembler's macro, and one by the bare instruction. */
typedef long (*site)(long number, long a, long b, long c, long d, long e, long f);

#define DEFINE_SITE(name, instruction)						\
	__attribute__((noinline, unused)) static long name(long number, long a, long b, long c, \
							   long d, long e, long f)	\
	{									\
		register long r10 asm("r10") = d;				\
		register long r8 asm("r8") = e;					\
		register long r9 asm("r9") = f;					\
										\
		asm volatile(instruction : "+a"(number)				\
			     : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)	\
			     : "rcx", "r11", "memory", "cc");			\
		return number;							\
	}

DEFINE_SITE(gated_call, "syscall")
DEFINE_SITE(raw_call, ".byte 0x0f, 0x05")

#define CALL(site, number, ...) call_by(site, number, (long[6]){ __VA_ARGS__ })

__attribute__((unused)) static long call_by(site through, long number, const long *a)
{
	return through(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

__attribute__((unused)) static void sleep_ms(long ms)
{
	struct timespec rest = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&rest, &rest) && errno == EINTR)
		;
}

/* The end of a process as one number: its status, or 1000 + the signal that killed it. */
__attribute__((unused)) static int end_of(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What becomes of a process that does `bad`. */
__attribute__((unused)) static int end_of_doing(void (*bad)(void))
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		bad();
		_exit(0);
	}
	return end_of(child);
}

static void run_case(const struct test_case *test)
{
	int status = 0, waits = CASE_SECONDS * 200;
	pid_t child;

	fflush(stdout);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		test->run();
		exit(0);
	}
	while (!waitpid(child, &status, WNOHANG) && waits--)
		sleep_ms(5);
	if (waits < 0) {
		printf("%s: no end after %d s\n", test->name, CASE_SECONDS);
		kill(child, SIGKILL);
		exit(1);
	}
	if (status) {
		printf("%s: ended with %s %d\n", test->name,
		       WIFSIGNALED(status) ? "signal" : "status",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		exit(1);
	}
	printf("%s\n", test->name);
}

static int run_cases(const struct test_case *test, int argc, char **argv)
{
	in_kernel = argc > 1 && !strcmp(argv[1], "kernel");
	for (; test->run; test++) {
		int chosen = argc < 3;

		for (int i = 2; i < argc; i++)
			chosen |= !strcmp(argv[i], test->name);
		if (chosen)
			run_case(test);
	}
	puts("right");
	return 0;
}
#endif
