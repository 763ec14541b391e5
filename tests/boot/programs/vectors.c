/* Exceptions that an application can raise: the right signal, and nothing else changed. */
#define _GNU_SOURCE
#include "cases.h"
#include "registers.h"

#include <fenv.h>
#include <sys/mman.h>
#include <ucontext.h>

static const char *expected_ip, *resume_at;	/* NULL: anywhere; do not move */
static volatile int signals, last_code, last_error, last_trap;
static void *volatile last_address;
static long last_cs, last_flags;

/* Looks at the frame, then goes on where the probe's text ends. */
static void note(int number, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)number;
	signals++;
	last_code = info->si_code;
	last_address = info->si_addr;
	last_trap = (int)registers[REG_TRAPNO];
	last_error = (int)registers[REG_ERR];
	last_cs = registers[REG_CSGSFS] & 0xffff;
	last_flags = registers[REG_EFL];
	CHECK(!expected_ip || registers[REG_RIP] == (greg_t)expected_ip);
	if (resume_at)
		registers[REG_RIP] = (greg_t)resume_at;
}

static void raise_by(int number, void (*probe)(void), const char *ip, const char *next)
{
	struct sigaction action = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };

	CHECK(!sigaction(number, &action, NULL));
	expected_ip = ip;
	resume_at = next;
	signals = 0;
	probe();
}

/* Runs a probe many times; each time there must be one signal, and every register kept. */
static void expect(int number, int code, int trap, void (*probe)(void), const char *ip,
		   const char *next)
{
	for (uint32_t seed = 0; seed < 50; seed++) {
		mark_registers(seed);
		before.general[RDI] = 0x8000000000000000;	/* not canonical */
		before.general[RBP] = 0x8000000000000000;
		before.general[RDX] = 0;
		before.general[RSI] = 0;
		raise_by(number, probe, ip, next);
		CHECK(signals == 1);
		CHECK(last_code == code);
		CHECK(last_trap == trap);
		CHECK(last_cs == 0x33);
		CHECK_UNCHANGED(0);
		CHECK(FLAGS_KEPT());
	}
}

#define EXPECT(number, code, trap, probe)					\
	expect(number, code, trap, probe, probe##_begin, probe##_end)
#define EXPECT_BEHIND(number, code, trap, probe)				\
	expect(number, code, trap, probe, probe##_end, NULL)

PROBE(divide, "	div	%rsi");
PROBE(divide_small, "	idivb	%dl");
PROBE(breakpoint, "	int3");
PROBE(debug_trap, "	.byte 0xf1");
PROBE(overflow, "	int	$4");
PROBE(undefined, "	ud2");
PROBE(undefined_short, "	.byte 0x06");
PROBE(no_canonical_load, "	movb	(%rdi), %r15b");
PROBE(no_canonical_stack, "	movb	(%rbp), %r15b");
PROBE(wild_selector, "	mov	wild(%rip), %ds");
PROBE(unmapped_load, "	mov	(%rsi), %r15");
PROBE(unmapped_store, "	mov	%r15, (%rdx)");

static const uint16_t wild __attribute__((used)) = 0xfff8;

static int is_emulated(void)
{
	unsigned int eax, name[3];

	__cpuid(0x40000000, eax, name[0], name[1], name[2]);
	return !memcmp(name, "TCGTCGTCGTCG", sizeof(name));
}

static void divide_error(void)
{
	EXPECT(SIGFPE, FPE_INTDIV, 0, divide);
	EXPECT(SIGFPE, FPE_INTDIV, 0, divide_small);
}

static void breakpoint_trap(void)
{
	EXPECT_BEHIND(SIGTRAP, SI_KERNEL, 3, breakpoint);
	if (!is_emulated())	/* TCG does not know the instruction */
		EXPECT_BEHIND(SIGTRAP, TRAP_BRKPT, 1, debug_trap);
}

static void overflow_trap(void)
{
	EXPECT_BEHIND(SIGSEGV, SI_KERNEL, 4, overflow);
}

static void invalid_opcode(void)
{
	EXPECT(SIGILL, ILL_ILLOPN, 6, undefined);
	EXPECT(SIGILL, ILL_ILLOPN, 6, undefined_short);
}

static void general_protection(void)
{
	EXPECT(SIGSEGV, SI_KERNEL, 13, no_canonical_load);
	CHECK(last_error == 0 && !last_address);
	EXPECT(SIGSEGV, SI_KERNEL, 13, wild_selector);
	CHECK(last_error == 0xfff8);
}

static void stack_segment(void)
{
	/* TCG raises #GP instead. */
	if (is_emulated())
		EXPECT(SIGSEGV, SI_KERNEL, 13, no_canonical_stack);
	else
		EXPECT(SIGBUS, SI_KERNEL, 12, no_canonical_stack);
}

static void page_fault(void)
{
	EXPECT(SIGSEGV, SEGV_MAPERR, 14, unmapped_load);
	CHECK(last_error == 4 && !last_address);	/* by the application, read, not there */
	EXPECT(SIGSEGV, SEGV_MAPERR, 14, unmapped_store);
	CHECK(last_error == 6);
}

/* Steps over two instructions and a taken jump. The handler's own code is not stepped. */
PROBE(stepped, "	lea	-128(%rsp), %rsp\n	pushfq\n	orl	$0x100, (%rsp)\n	popfq\n"
	       "	nop\n"
	       "	jmp	1f\n	nop\n1:	pushfq\n	andl	$~0x100, (%rsp)\n	popfq\n"
	       "	lea	128(%rsp), %rsp");

static void single_step(void)
{
	for (uint32_t seed = 0; seed < 50; seed++) {
		mark_registers(seed);
		raise_by(SIGTRAP, stepped, NULL, NULL);
		CHECK(signals == 5 || signals == 6);	/* nop jmp pushfq andl popfq */
		CHECK(last_code == TRAP_TRACE || last_code == TRAP_BRKPT);
		CHECK(last_trap == 1);
		CHECK_UNCHANGED(0);
	}
}

PROBE(stepped_call, "	lea	-128(%rsp), %rsp\n	pushfq\n	orl	$0x100, (%rsp)\n	popfq\n"
		    "	syscall\n"
		    "	pushfq\n	andl	$~0x100, (%rsp)\n	popfq\n"
		    "	lea	128(%rsp), %rsp");
PROBE(stepped_raw, "	lea	-128(%rsp), %rsp\n	pushfq\n	orl	$0x100, (%rsp)\n	popfq\n"
		   "	.byte 0x0f, 0x05\n"
		   "	pushfq\n	andl	$~0x100, (%rsp)\n	popfq\n"
		   "	lea	128(%rsp), %rsp");

/* Steps into, through and out of a system call: no step ends in the kernel's text. */
static void see_application(int number, siginfo_t *info, void *context)
{
	note(number, info, context);
	CHECK(((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] > 0);
}

static void single_step_over_a_call(void)
{
	struct sigaction action = { .sa_sigaction = see_application, .sa_flags = SA_SIGINFO };

	CHECK(!sigaction(SIGTRAP, &action, NULL));
	expected_ip = resume_at = NULL;
	for (uint32_t seed = 0; seed < 50; seed++) {
		mark_registers(seed);
		before.general[RAX] = SYS_getpid;
		signals = 0;
		if (seed % 2)
			stepped_raw();
		else
			stepped_call();
		CHECK(signals >= 3 && signals < 20);
		CHECK((pid_t)after.general[RAX] == getpid());
		CHECK_UNCHANGED(CLOBBERED_BY_SYSCALL);
	}
}

static const uint16_t unmasked_x87 __attribute__((used)) = 0x37b;	/* all but ZE masked */
static const uint32_t unmasked_sse __attribute__((used)) = 0x1d80;
static const uint32_t sse_default __attribute__((used)) = 0x1f80;
static uint32_t sse_state __attribute__((used));
static const double divisor_zero __attribute__((used));

PROBE(x87_error, "	fninit\n	fldcw	unmasked_x87(%rip)\n	fld1\n	fldz\n	fdivrp\n"
		 "	.globl	x87_waits\nx87_waits:	fwait");
extern const char x87_waits[];

static void clear_x87(int number, siginfo_t *info, void *context)
{
	note(number, info, context);
	((ucontext_t *)context)->uc_mcontext.fpregs->cwd = 0x37f;
	((ucontext_t *)context)->uc_mcontext.fpregs->swd = 0;
}

static void x87_exception(void)
{
	struct sigaction action = { .sa_sigaction = clear_x87, .sa_flags = SA_SIGINFO };

	CHECK(!sigaction(SIGFPE, &action, NULL));
	for (uint32_t seed = 0; seed < 50; seed++) {
		mark_registers(seed);
		expected_ip = x87_waits;
		resume_at = NULL;
		signals = 0;
		x87_error();
		CHECK(signals == 1 && last_code == FPE_FLTDIV && last_trap == 16);
		CHECK_UNCHANGED(0);
	}
}

PROBE(sse_error, "	ldmxcsr	unmasked_sse(%rip)\n	.globl	sse_divides\n"
		 "sse_divides:	divsd	divisor_zero(%rip), %xmm0\n	stmxcsr	sse_state(%rip)\n"
		 "	ldmxcsr	sse_default(%rip)");
extern const char sse_divides[];

static void sse_exception(void)
{
	static const double one = 1;

	for (uint32_t seed = 0; seed < 50; seed++) {
		mark_registers(seed);
		memcpy(before.vectors[0], &one, sizeof(one));
		sse_state = 0;
		raise_by(SIGFPE, sse_error, sse_divides, sse_error_end);
		asm volatile("ldmxcsr %0" : : "m"(sse_default));
		if (is_emulated()) {
			/* TCG notes the exception and never raises it. */
			CHECK(!signals && sse_state & 4);
			memcpy(after.vectors[0], before.vectors[0], sizeof(one));
			CHECK_UNCHANGED(0);
			continue;
		}
		CHECK(signals == 1 && last_code == FPE_FLTDIV && last_trap == 19);
		CHECK_UNCHANGED(0);
	}
}

/* AC asks ring 3 for #AC and means nothing in ring 0; either way it is kept and harmless. */
PROBE(misaligned, "	lea	-128(%rsp), %rsp\n	pushfq\n	orl	$0x40000, (%rsp)\n	popfq\n"
		  "	.globl	misaligned_load\nmisaligned_load:	mov	-7(%rsp), %eax\n"
		  "	.globl	misaligned_next\nmisaligned_next:	pushfq\n"
		  "	andl	$~0x40000, (%rsp)\n	popfq\n	lea	128(%rsp), %rsp");
extern const char misaligned_load[], misaligned_next[];

static void alignment_check(void)
{
	for (uint32_t seed = 0; seed < 50; seed++) {
		mark_registers(seed);
		raise_by(SIGBUS, misaligned, misaligned_load, misaligned_next);
		CHECK(signals == (in_kernel ? 0 : 1));
		CHECK(in_kernel || (last_code == BUS_ADRALN && last_trap == 17));
		CHECK_UNCHANGED(1u << RAX);
	}
}

/* The direction flag is clear in a handler and set again behind it. */
PROBE(backwards, "	std\n	.globl	backwards_fault\nbackwards_fault:	ud2\n"
		 "	.globl	backwards_next\nbackwards_next:");
extern const char backwards_fault[], backwards_next[];

static void direction_flag(void)
{
	mark_registers(1);
	raise_by(SIGILL, backwards, backwards_fault, backwards_next);
	CHECK(signals == 1);
	CHECK(last_flags & 0x400);
	CHECK(after.flags & 0x400);
	CHECK_UNCHANGED(0);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(divide_error), CASE(breakpoint_trap), CASE(overflow_trap), CASE(invalid_opcode),
		CASE(general_protection), CASE(stack_segment), CASE(page_fault), CASE(single_step),
		CASE(single_step_over_a_call), CASE(x87_exception), CASE(sse_exception),
		CASE(alignment_check), CASE(direction_flag), { 0 },
	};

	return run_cases(cases, argc, argv);
}
