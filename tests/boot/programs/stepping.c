/*
 * Single steps and breakpoints while signals rain: a program that steps itself by the trap flag,
 * and one that a tracer steps while timers interrupt it wherever it is, the gate's first and last
 * instructions too.
 */
#include "marked.h"

#include <sys/time.h>
#include <ucontext.h>

enum { STEPS = 30000, HITS = 300 };

static volatile long steps, alarms, calls;

/* In a handler: where a signal may find the application. */
static void check_context(void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	CHECK(registers[REG_RIP] > 0 && registers[REG_RSP] > 0);
}

static void on_step(int signal, siginfo_t *info, void *context)
{
	/* as a process: hypervisors lose a bit of DR6 now and then, and Linux takes it for ICEBP */
	CHECK(signal == SIGTRAP &&
	      (info->si_code == TRAP_TRACE || info->si_code == TRAP_BRKPT));
	check_context(context);
	steps++;
}

/* The flag comes by popf and goes by popf; a redirected call in between. */
static void steps_itself(void)
{
	struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
	const long trap = 0x100;
	long parent = getppid();

	CHECK(!sigaction(SIGTRAP, &action, NULL));
	for (int i = 0; i < 200; i++) {
		long before = steps, result;

		__asm__ volatile("pushf; orq %2, (%%rsp); popf\n"
				 "mov %3, %%eax\n"
				 "syscall\n"
				 "pushf; xorq %2, (%%rsp); popf"
				 : "=&a"(result), "+m"(steps)
				 : "r"(trap), "i"(SYS_getppid)
				 : "rcx", "r11", "cc", "memory");
		CHECK(result == parent);
		/* mov, three of the site, the call with the pushf behind it, xorq, popf */
		CHECK(steps - before >= 7 && steps - before < 20);
	}
	signal(SIGTRAP, SIG_DFL);
}

/*
 * The next alarm, in 3 ms; in more where a step takes so long that the last one came before the
 * program had got on by one call, or it would never leave the handler.
 */
static void set_alarm(void)
{
	static long before = -1;
	static struct itimerval next = { .it_value = { 0, 3000 } };

	if (calls == before && next.it_value.tv_usec < 500000)
		next.it_value.tv_usec *= 2;
	before = calls;
	CHECK(!setitimer(ITIMER_REAL, &next, NULL));
}

static void on_alarm(int signal, siginfo_t *info, void *context)
{
	CHECK(signal == SIGALRM && info->si_code == SI_KERNEL);
	check_context(context);
	CHECK(getppid() > 0);
	alarms++;
	set_alarm();
}

static void under_alarms(void)
{
	struct sigaction action = { .sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO };
	long parent = getppid();

	CHECK(!sigaction(SIGALRM, &action, NULL));
	set_alarm();
	for (;;) {
		CHECK(CALL(SYS_getppid, 1, 2, 3, 4, 5, 6) == parent);
		calls++;
	}
}

/* Each step's place is the application's; signals go on to where they belong. */
static void stepped(void)
{
	pid_t child = traced_child(under_alarms, PTRACE_O_EXITKILL);
	long signal = 0, alarms_seen = 0, traps = 0;

	while (traps < STEPS) {
		struct user_regs_struct registers;
		int status;

		go_on(PTRACE_SINGLESTEP, child, signal);
		status = wait_for(child);
		CHECK(WIFSTOPPED(status));
		registers = registers_of(child);
		check_place(&registers);
		signal = WSTOPSIG(status) == SIGALRM ? SIGALRM : 0;
		CHECK(signal || WSTOPSIG(status) == SIGTRAP);
		alarms_seen += signal != 0;
		traps += !signal;
	}
	CHECK(alarms_seen > 0);
	CHECK(ptrace(PTRACE_PEEKDATA, child, &calls, 0) > 0);
	CHECK(!kill(child, SIGKILL));
	wait_for(child);
}

/* A breakpoint behind the call, by a debug register: each call comes by it, with its result. */
static void watched(void)
{
	static const long six[6] = { 1, 2, 3, 4, 5, 6 };
	pid_t child = traced_child(under_alarms, PTRACE_O_EXITKILL);
	size_t debug = offsetof(struct user, u_debugreg);
	long signal = 0, hits = 0;

	CHECK(!ptrace(PTRACE_POKEUSER, child, debug, marked_end));
	CHECK(!ptrace(PTRACE_POKEUSER, child, debug + 7 * sizeof(long), 1));
	while (hits < HITS) {
		struct user_regs_struct registers;
		int status;

		go_on(PTRACE_CONT, child, signal);
		status = wait_for(child);
		CHECK(WIFSTOPPED(status));
		registers = registers_of(child);
		check_place(&registers);
		signal = WSTOPSIG(status) == SIGALRM ? SIGALRM : 0;
		if (signal)
			continue;
		CHECK(WSTOPSIG(status) == SIGTRAP && registers.rip == (unsigned long)marked_end);
		CHECK((long)registers.rax == getpid());
		check_marks(&registers, six);
		hits++;
		/* a signal may come before the instruction, which is then met again */
		CHECK(ptrace(PTRACE_PEEKDATA, child, &calls, 0) < hits);
	}
	CHECK(!kill(child, SIGKILL));
	wait_for(child);
}

int main(void)
{
	steps_itself();
	stepped();
	watched();
	puts("right");
	return 0;
}
