/* What a handler changes in its frame, sigreturn puts into place, or refuses. */
#define _GNU_SOURCE
#include "cases.h"
#include "registers.h"

#include <ucontext.h>

static volatile int handled;

static void catch(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	CHECK(!sigaction(number, &action, NULL));
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

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(changed_frame), CASE(forbidden_flags), CASE(wild_returns), { 0 },
	};

	return run_cases(cases, argc, argv);
}
