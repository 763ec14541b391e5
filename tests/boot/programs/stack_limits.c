/* Stacks that grow in any step, their guards, and stack pointers that are none. */
#define _GNU_SOURCE
#include "cases.h"
#include "registers.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <ucontext.h>

static volatile int handled, on_other;
static void *volatile address;
static volatile uint64_t wild;	/* a stack pointer to try */
static volatile unsigned long stack_pointer;
static char other[65536];

static void tick(int number)
{
	(void)number;
	handled++;
}

/* Each touches the stack far below rsp's page, in one big step. */
static __attribute__((noinline)) void step_down(size_t size)
{
	volatile char *far = __builtin_alloca(size);

	far[0] = (char)size;
	CHECK(far[0] == (char)size);
}

static void big_steps(void)
{
	for (size_t size = 8192; size < 6u << 20; size += 777 * 1024 + 1)
		step_down(size);
}

/*
 * rsp points into pages that are not there yet, and the code touches none of them: the timer's
 * interrupts and then its signal's frame hit a stack that has no page.
 */
static void interrupt_on_absent_page(void)
{
	struct itimerval fast = { { 0, 400 }, { 0, 400 } };

	signal(SIGALRM, tick);
	CHECK(!setitimer(ITIMER_REAL, &fast, NULL));
	for (long below = 65536; below < 5 << 20; below += 65536) {
		asm volatile("mov	%%rsp, %%r12\n\tsub	%0, %%rsp\n\t"
			     "mov	$600000, %%ecx\n1:\tdec	%%ecx\n\tjnz	1b\n\t"
			     "mov	%%r12, %%rsp"
			     : : "r"(below) : "r12", "rcx", "memory", "cc");
	}
	CHECK(handled > 10);
}

/* The same with a call: it must not need the stack at all, by the gate or the trap. */
static void call_on_absent_page(void)
{
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(none != MAP_FAILED);
	for (int i = 0; i < 2000; i++) {
		long gated = SYS_getpid, raw = SYS_getpid;

		asm volatile("mov	%%rsp, %%r12\n\tlea	2048(%2), %%rsp\n\t"
			     "syscall\n\tmov	%%rax, %%r13\n\tmov	%1, %%rax\n\t"
			     ".byte 0x0f, 0x05\n\tmov	%%r12, %%rsp\n\tmov %%rax, %1"
			     : "+a"(gated), "+&r"(raw) : "r"(none)
			     : "rcx", "r11", "r12", "r13", "memory", "cc");
		asm volatile("" : : : "memory");
		CHECK(raw == getpid());
	}
}

static void note_overflow(int number, siginfo_t *info, void *context)
{
	char here;

	CHECK(number == SIGSEGV);
	on_other = &here > other && &here < other + sizeof(other);
	address = info->si_addr;
	stack_pointer = (unsigned long)((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
	/* An overflow's fault is near the stack pointer. */
	CHECK(wild || (unsigned long)address - stack_pointer + 65536 < 131072);
	_exit(on_other ? 21 : 22);
}

static void use_other_stack(void)
{
	stack_t stack = { .ss_sp = other, .ss_size = sizeof(other) };
	struct sigaction action = {
		.sa_sigaction = note_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK,
	};

	CHECK(!sigaltstack(&stack, NULL));
	CHECK(!sigaction(SIGSEGV, &action, NULL));
}

__attribute__((noinline, optimize("O0"))) static long recurse(long depth)
{
	volatile char page[3000];

	page[0] = (char)depth;
	return depth < 0 ? 0 : recurse(depth + 1) + page[0];
}

static void overflow_main(void)
{
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };

	CHECK(!setrlimit(RLIMIT_STACK, &limit));
	use_other_stack();
	_exit((int)recurse(0));
}

static void *overflow_here(void *unused)
{
	use_other_stack();
	recurse(0);
	return unused;
}

static void overflow_thread(void)
{
	pthread_attr_t small;
	pthread_t thread;

	pthread_attr_init(&small);
	CHECK(!pthread_attr_setstacksize(&small, 65536));
	CHECK(!pthread_attr_setguardsize(&small, 65536));
	CHECK(!pthread_create(&thread, &small, overflow_here, NULL));
	pthread_join(thread, NULL);
}

static void overflow(void)
{
	for (int i = 0; i < 3; i++) {
		CHECK(end_of_doing(overflow_main) == 21);
		CHECK(end_of_doing(overflow_thread) == 21);
	}
}

/* With each of these in rsp: a push, a call by both ways, or only a wait for an interrupt. */
static const uint64_t wild_values[] = {
	8, 0x1000, 0x00007fffffffff00, 0x0000800000000000, 0x0000900000000000,
	0x8000000000000000, 0xffff7fffffffffff,
};
static void push_wild(void)
{
	asm volatile("mov %0, %%rsp\n\tpush %%rax" : : "r"(wild) : "memory");
}

static void trap_wild(void)
{
	asm volatile("mov %0, %%rsp\n\tud2" : : "r"(wild) : "memory");
}

static void signal_wild(void)
{
	struct itimerval soon = { { 0, 0 }, { 0, 5000 } };

	signal(SIGALRM, tick);
	setitimer(ITIMER_REAL, &soon, NULL);
	asm volatile("mov %0, %%rsp\n1:\tjmp 1b" : : "r"(wild) : "memory");
}

static void trap_wild_caught(void)
{
	use_other_stack();
	signal(SIGILL, tick);	/* its frame finds no stack */
	trap_wild();
}

static void wild_pointers(void)
{
	for (size_t i = 0; i < sizeof(wild_values) / sizeof(*wild_values); i++) {
		int end;

		wild = wild_values[i];
		end = end_of_doing(push_wild);
		CHECK(end == 1000 + SIGSEGV || end == 1000 + SIGBUS);
		CHECK(end_of_doing(trap_wild) == 1000 + SIGILL);
		CHECK(end_of_doing(signal_wild) == 1000 + SIGSEGV);
		end = end_of_doing(trap_wild_caught);
		CHECK(end == 1000 + SIGSEGV || end == 21);
	}
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(big_steps), CASE(interrupt_on_absent_page), CASE(call_on_absent_page),
		CASE(overflow), CASE(wild_pointers), { 0 },
	};

	return run_cases(cases, argc, argv);
}
