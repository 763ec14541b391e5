/*
 * %rsp as a general register, as long as nothing uses it for a stack: what is in it
 * stays there over interrupts, or the thread is told by SIGSEGV. It never changes
 * without a word.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

#define SIGN	(1ul << 63)
#define USER_SS	0x2b

static const uint64_t kept_values[] = {
	0x00007000deadbee0, 0x123456789abcdef0, 0x7fffffffffffffff, 0x0000800000000000, 1,
};

/* Bit 63 is set, and no address of the kernel's: one ring cannot keep these. */
static const uint64_t refused_values[] = {
	0x8000000000000000, 0xdeadbeefcafef00d, 0xffff7ffffffffff0,
};

static volatile long *turns;	/* counted by another process on this CPU */
static uint64_t expected;	/* in %rsp, by a handler */

extern const char wild_begin[], wild_end[];

/*
 * Keeps `value` in %rsp until the other process had the CPU, so until an interrupt
 * has come. Returns what was in %rsp then.
 */
__attribute__((noinline, noclone)) static uint64_t keep(uint64_t value)
{
	uint64_t after;

	asm volatile("movq	%%rsp, %%r12\n\t"
		     "movq	(%[turns]), %%r13\n\t"
		     "movq	%[value], %%rsp\n"
		     "wild_begin:\n"
		     "1:	cmpq	(%[turns]), %%r13\n\t"
		     "je	1b\n\t"
		     "movq	%%rsp, %[after]\n\t"
		     "wild_end:\n\t"
		     "movq	%%r12, %%rsp"
		     : [after] "=&r"(after)
		     : [value] "r"(value), [turns] "r"(turns)
		     : "r12", "r13", "memory", "cc");
	return after;
}

/* On a stack of its own; `expected` is what it must be shown. An alarm may come too early. */
static void note(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (number == SIGALRM && (registers[REG_RIP] < (greg_t)wild_begin ||
				  registers[REG_RIP] > (greg_t)wild_end))
		return;
	CHECK((uint64_t)registers[REG_RSP] == expected);
	CHECK((uint64_t)registers[REG_CSGSFS] >> 48 == USER_SS);
	CHECK(number != SIGSEGV || info->si_code == SI_KERNEL);
	_exit(78);
}

static void catch(int number)
{
	static char memory[64 << 10];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO | SA_ONSTACK };

	CHECK(!sigaltstack(&stack, NULL));
	CHECK(!sigaction(number, &action, NULL));
}

/* How a child ends that keeps the value: its status, or 1000 + its signal. */
static int end_of(void (*act)(uint64_t), uint64_t value)
{
	pid_t child = fork();
	int status;

	if (!child) {
		act(value);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* No signal may come in the meantime: there is no stack for a handler. */
static void with_signals_blocked(uint64_t value)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int i = 0; i < 5; i++)
		CHECK(keep(value) == value);
}

static void with_an_alarm(uint64_t value)
{
	expected = value;
	catch(SIGALRM);
	ualarm(20000, 20000);
	for (;;)
		CHECK(keep(value) == value);
}

static void with_a_handler(uint64_t value)
{
	expected = value & ~SIGN;
	catch(SIGSEGV);
	for (;;)
		keep(value);
}

int main(int argc, char **argv)
{
	int in_kernel = argc > 1 && !strcmp(argv[1], "kernel");
	cpu_set_t one;
	pid_t other;

	turns = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(turns != MAP_FAILED);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK(!sched_setaffinity(0, sizeof(one), &one));
	other = fork();
	while (!other)
		++*turns;

	for (size_t i = 0; i < sizeof(kept_values) / sizeof(*kept_values); i++) {
		CHECK(end_of(with_signals_blocked, kept_values[i]) == 0);
		CHECK(end_of(with_an_alarm, kept_values[i]) == 78);
	}
	for (size_t i = 0; i < sizeof(refused_values) / sizeof(*refused_values); i++) {
		int end = end_of(with_signals_blocked, refused_values[i]);

		CHECK(end == (in_kernel ? 1000 + SIGSEGV : 0));
		if (in_kernel)
			CHECK(end_of(with_a_handler, refused_values[i]) == 78);
	}
	CHECK(!kill(other, SIGKILL));
	CHECK(waitpid(other, NULL, 0) == other);
	puts("right");
	return 0;
}
