/* Handlers and their stacks: other ones, nested ones, none; out of them by a jump. */
#define _GNU_SOURCE
#include "cases.h"

#include <setjmp.h>
#include <stdint.h>
#include <sys/time.h>
#include <ucontext.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

enum { STACK = 65536 };

static char first_stack[STACK], second_stack[STACK];
static volatile int handled, depth, deepest;
static volatile char *volatile nowhere = (char *)8;
static sigjmp_buf back;

static void catch(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	CHECK(!sigaction(number, &action, NULL));
}

static int is_on(const char *stack)
{
	char here;

	return &here > stack && &here < stack + STACK;
}

static void use_stack(char *stack, int flags)
{
	stack_t other = { .ss_sp = stack, .ss_size = STACK, .ss_flags = flags };

	CHECK(!sigaltstack(&other, NULL));
}

static void on_first(int number, siginfo_t *info, void *context)
{
	stack_t now;

	(void)number;
	(void)info;
	(void)context;
	CHECK(is_on(first_stack));
	CHECK(!sigaltstack(NULL, &now));
	CHECK(now.ss_flags == SS_ONSTACK && now.ss_sp == first_stack);
	now.ss_sp = second_stack;
	now.ss_flags = 0;
	CHECK(sigaltstack(&now, NULL) == -1 && errno == EPERM);
	handled++;
}

static void other_stack(void)
{
	stack_t now;

	use_stack(first_stack, 0);
	catch(SIGUSR1, on_first, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK(handled == 1);
	CHECK(!is_on(first_stack));
	CHECK(!sigaltstack(NULL, &now) && now.ss_flags == 0 && now.ss_size == STACK);
}

static void disarmed_inner(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	CHECK(is_on(second_stack));
	handled++;
}

/* The stack is disarmed while its handler runs, so it may choose another, or jump out. */
static void disarmed_outer(int number, siginfo_t *info, void *context)
{
	stack_t now;

	(void)number;
	(void)info;
	(void)context;
	CHECK(is_on(first_stack));
	CHECK(!sigaltstack(NULL, &now) && now.ss_flags == SS_DISABLE);
	use_stack(second_stack, SS_AUTODISARM);
	raise(SIGUSR2);
	handled++;
}

static void disarmed_stack(void)
{
	stack_t now;

	use_stack(first_stack, SS_AUTODISARM);
	catch(SIGUSR1, disarmed_outer, SA_ONSTACK);
	catch(SIGUSR2, disarmed_inner, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK(handled == 2);
	CHECK(!sigaltstack(NULL, &now));
	CHECK(now.ss_sp == first_stack && (unsigned int)now.ss_flags == SS_AUTODISARM);
}

static void nest(int number, siginfo_t *info, void *context)
{
	uint64_t blocked = ((ucontext_t *)context)->uc_sigmask.__val[0];

	(void)info;
	if (++depth > deepest)
		deepest = depth;
	CHECK(!(blocked >> (number - 1) & 1));
	if (number < SIGRTMIN + 20)
		raise(number + 1);
	else
		asm volatile("ud2");
	depth--;
	handled++;
}

static void skip_instruction(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	CHECK(depth == 21);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
	handled++;
}

/* Twenty-one handlers deep, with a fault in the innermost. */
static void nested(void)
{
	for (int i = 0; i <= 20; i++)
		catch(SIGRTMIN + i, nest, 0);
	catch(SIGILL, skip_instruction, 0);
	raise(SIGRTMIN);
	CHECK(deepest == 21 && depth == 0 && handled == 22);
}

static void fault_in_handler(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	(void)context;
	*nowhere = 1;
}

/* The fault's own signal is blocked in its handler: the second fault kills. */
static void fault_twice(void)
{
	catch(SIGSEGV, fault_in_handler, 0);
	*nowhere = 1;
}

static void no_stack_for_handler(void)
{
	catch(SIGUSR1, on_first, 0);
	asm volatile("mov	$0x2000, %%rsp\n\tmov	$39, %%eax\n\t.byte 0x0f, 0x05\n\t"
		     "mov	%%eax, %%edi\n\tmov	$10, %%esi\n\tmov	$62, %%eax\n\t"
		     ".byte 0x0f, 0x05\n\tud2" : : : "memory");
}

static void fault_in_a_handler(void)
{
	CHECK(end_of_doing(fault_twice) == 1000 + SIGSEGV);
	CHECK(end_of_doing(no_stack_for_handler) == 1000 + SIGSEGV);
}

static void jump_back(int number, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	siglongjmp(back, number);
}

/* Out of handlers by siglongjmp, from faults and from a system call that blocks, many times. */
static void jumps_out(void)
{
	struct itimerval soon = { { 0, 0 }, { 0, 1000 } };
	volatile int jumps = 0;
	int pipes[2];
	char byte;

	CHECK(!pipe(pipes));
	use_stack(first_stack, SS_AUTODISARM);
	catch(SIGSEGV, jump_back, SA_ONSTACK);
	catch(SIGALRM, jump_back, SA_ONSTACK);
	for (volatile int i = 0; i < 300; i++) {
		int from = sigsetjmp(back, 1);

		if (from) {
			CHECK(from == (i % 2 ? SIGALRM : SIGSEGV));
			jumps++;
			continue;
		}
		if (i % 2) {
			CHECK(!setitimer(ITIMER_REAL, &soon, NULL));
			read(pipes[0], &byte, 1);
		} else {
			*nowhere = 1;
		}
		CHECK(!"neither fault nor alarm");
	}
	CHECK(jumps == 300);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(other_stack), CASE(disarmed_stack), CASE(nested), CASE(fault_in_a_handler),
		CASE(jumps_out), { 0 },
	};

	return run_cases(cases, argc, argv);
}
