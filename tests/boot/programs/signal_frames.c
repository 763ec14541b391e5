/* Handlers: their stacks, what they change in the frame, how they leave, what goes wrong in them. */
#define _GNU_SOURCE
#include "cases.h"
#include "registers.h"

#include <setjmp.h>
#include <stddef.h>
#include <sys/mman.h>
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

PROBE(interrupted, "	ud2\n	.globl	elsewhere\nelsewhere:	nop");
extern const char elsewhere[];

/* Puts new values into every register of the frame, by way of `before`. */
static void change_all(int number, siginfo_t *info, void *context)
{
	static const int slots[SLOTS] = {
		REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RBP, REG_R8, REG_R9,
		REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};
	ucontext_t *frame = context;
	uint64_t kept[RED_ZONE];

	(void)number;
	(void)info;
	CHECK(frame->uc_mcontext.gregs[REG_RIP] == (greg_t)interrupted_begin);
	memcpy(kept, before.red_zone, sizeof(kept));
	mark_registers(1000 + handled++);
	memcpy(before.red_zone, kept, sizeof(kept));
	for (int i = 0; i < SLOTS; i++)
		frame->uc_mcontext.gregs[slots[i]] = (greg_t)before.general[i];
	for (int i = 0; i < VECTORS; i++) {
		memcpy(&frame->uc_mcontext.fpregs->_xmm[i], before.vectors[i], 16);
		/* The upper halves lie behind the legacy area and the header of 64 bytes. */
		if (probes_have_avx)
			memcpy((char *)frame->uc_mcontext.fpregs + 576 + 16 * i,
			       before.vectors[i] + 16, 16);
	}
	frame->uc_mcontext.gregs[REG_EFL] ^= 0x8d5;	/* all arithmetic flags */
	frame->uc_mcontext.gregs[REG_RIP] = (greg_t)elsewhere;
}

static void changed_frame(void)
{
	catch(SIGILL, change_all, 0);
	for (uint32_t seed = 0; seed < 50; seed++) {
		uint64_t flags = (mark_registers(seed), before.general[RAX] >> 8 & 0xd5);

		interrupted();
		CHECK(handled == (int)seed + 1);
		CHECK_UNCHANGED(0);
		CHECK((after.flags & 0xd5) == (flags ^ 0xd5));
		CHECK(after.flags & 0x200);
	}
}

/* What ring 3 may not have, sigreturn does not give: CS and SS stay; IF, IOPL, VM are not set. */
static void ask_too_much(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)number;
	(void)info;
	registers[REG_EFL] &= ~0x200;
	registers[REG_EFL] |= 0x3000 | 0x20000 | 0x4000 | 0x100000;
	handled++;
}

static void forbidden_flags(void)
{
	uint64_t flags;

	catch(SIGUSR1, ask_too_much, 0);
	raise(SIGUSR1);
	asm volatile("pushfq\n\tpopq %0" : "=r"(flags));
	CHECK(handled == 1);
	CHECK(flags & 0x200);
	CHECK(!(flags & (0x3000 | 0x20000 | 0x4000 | 0x100000)));
	CHECK(getpid() > 0);
}

static volatile greg_t wild_value;
static volatile int wild_register;

static void wild_frame(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[wild_register] = wild_value;
}

static void return_wild(void)
{
	catch(SIGUSR1, wild_frame, 0);
	raise(SIGUSR1);
}

/* Stack pointers that are none, and instruction pointers where nothing can run. */
static void wild_returns(void)
{
	static const uint64_t values[] = {
		8, 0x0000700000000001, 0x0000900000000000, 0x8000000000000000, 0xffff888000100000,
		0xffffffffffffffff,
	};

	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		int end;

		wild_value = (greg_t)values[i];
		wild_register = REG_RSP;
		end = end_of_doing(return_wild);
		CHECK(end == 1000 + SIGSEGV || end == 1000 + SIGBUS);
		wild_register = REG_RIP;
		CHECK(end_of_doing(return_wild) == 1000 + SIGSEGV);
	}
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
		CASE(changed_frame), CASE(forbidden_flags), CASE(wild_returns), CASE(jumps_out), { 0 },
	};

	return run_cases(cases, argc, argv);
}
