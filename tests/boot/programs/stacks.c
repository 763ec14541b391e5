/* Stacks that grow, overflow, or are no stacks at all: a signal, never the kernel's trouble. */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

__attribute__((noinline, optimize("O0"))) static long grow(int depth)
{
	volatile char page[4096];

	page[0] = depth;
	return depth ? grow(depth - 1) + page[0] * 0 + 1 : 0;
}

static void overflow(void)
{
	struct rlimit limit = { 8 << 20, RLIM_INFINITY };

	setrlimit(RLIMIT_STACK, &limit);
	grow(100000);
}

static void wild_high(void)
{
	asm volatile("movabs $0x8000000000000000, %%rsp\n\tpush %%rax" : : : "memory");
}

static void wild_low(void)
{
	asm volatile("mov $0x1000, %%rsp\n\tpush %%rax" : : : "memory");
}

static void wild_middle(void)
{
	asm volatile("movabs $0x0000900000000000, %%rsp\n\tpush %%rax" : : : "memory");
}

static void null_write(void)
{
	volatile int *volatile nowhere = (volatile int *)8;

	*nowhere = 1;
}

static void null_jump(void)
{
	((void (*)(void))0)();
}

static void kernel_text_write(void)
{
	*(volatile char *)0xffffffff80200100 = 1;
}

static void undefined_instruction(void)
{
	asm volatile("ud2");
}

static int signal_of(void (*bad)(void))
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (!child) {
		bad();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static char other_stack[65536];
static volatile sig_atomic_t on_other;

static void handler(int number)
{
	char here;

	(void)number;
	on_other = &here > other_stack && &here < other_stack + sizeof(other_stack);
}

static void overflow_with_other_stack(void)
{
	stack_t other = { .ss_sp = other_stack, .ss_size = sizeof(other_stack) };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESETHAND };

	CHECK(!sigaltstack(&other, NULL));
	CHECK(!sigaction(SIGSEGV, &action, NULL));
	overflow();
}

int main(void)
{
	CHECK(grow(1500) == 1500);	/* 6 MiB of the usual 8 */
	CHECK(signal_of(overflow) == SIGSEGV);
	CHECK(signal_of(overflow_with_other_stack) == SIGSEGV);
	CHECK(signal_of(wild_low) == SIGSEGV);
	CHECK(signal_of(wild_high) == SIGSEGV || signal_of(wild_high) == SIGBUS);
	CHECK(signal_of(wild_middle) == SIGSEGV || signal_of(wild_middle) == SIGBUS);
	CHECK(signal_of(null_write) == SIGSEGV);
	CHECK(signal_of(null_jump) == SIGSEGV);
	CHECK(signal_of(kernel_text_write) == SIGSEGV);
	CHECK(signal_of(undefined_instruction) == SIGILL);
	CHECK(signal_of(abort) == SIGABRT);
	puts("right");
	return 0;
}
