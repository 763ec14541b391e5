/* Every kind of stop around redirected calls: registers are right, and what was read may be put back. */
#include "marked.h"

#include <stdint.h>

#define CALL_STOP	(SIGTRAP | 0x80)
#define EVENT(name)	(SIGTRAP | PTRACE_EVENT_##name << 8)

enum {
	OPTIONS = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK |
		  PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
		  PTRACE_O_TRACEEXIT | PTRACE_O_TRACEVFORKDONE,
};

static char *self;
static volatile sig_atomic_t handled;

static void handler(int signal)
{
	CHECK(signal == SIGUSR1);
	handled++;
}

/* kill() of oneself: the signal is there when the gate's call returns, so its frame is made whole. */
static void is_signalled(void)
{
	signal(SIGUSR1, handler);
	CHECK(CALL(SYS_kill, getpid(), SIGUSR1, 3, 4, 5, 6) == 0);
	if (!handled)
		_exit(8);
	CHECK(handled == 1);
	CHECK(CALL(SYS_kill, getpid(), SIGSTOP, 3, 4, 5, 6) == 0);
	_exit(9);
}

static void check_behind_the_call(pid_t child, long result, long second)
{
	const long six[6] = { child, second, 3, 4, 5, 6 };
	struct user_regs_struct registers = registers_of(child);

	CHECK(registers.rip == (unsigned long)marked_end && (long)registers.rax == result);
	check_marks(&registers, six);
	put_back(child);
}

static void signals(void)
{
	siginfo_t info;
	pid_t child = traced_child(is_signalled, PTRACE_O_EXITKILL);

	go_on(PTRACE_CONT, child, 0);
	wait_stop(child, SIGUSR1);
	check_behind_the_call(child, 0, SIGUSR1);
	CHECK(!ptrace(PTRACE_GETSIGINFO, child, 0, &info));
	CHECK(info.si_pid == child && info.si_code == SI_USER);
	go_on(PTRACE_CONT, child, SIGUSR1);
	wait_stop(child, SIGSTOP);
	check_behind_the_call(child, 0, SIGSTOP);
	/* the signal is given, then the group stops */
	go_on(PTRACE_CONT, child, SIGSTOP);
	wait_stop(child, SIGSTOP);
	CHECK(ptrace(PTRACE_GETSIGINFO, child, 0, &info) < 0 && errno == EINVAL);
	check_behind_the_call(child, 0, SIGSTOP);
	go_on(PTRACE_CONT, child, 0);
	wait_exit(child, 9);
}

/* The tracer swallows the signal: the handler must not run. */
static void swallowed(void)
{
	pid_t child = traced_child(is_signalled, PTRACE_O_EXITKILL);

	go_on(PTRACE_CONT, child, 0);
	wait_stop(child, SIGUSR1);
	go_on(PTRACE_CONT, child, 0);
	wait_exit(child, 8);
}

static void makes_children(void)
{
	long forked = CALL(SYS_fork, 1, 2, 3, 4, 5, 6);
	int status;

	if (!forked)
		_exit(3);
	CHECK(forked > 0 && waitpid(forked, &status, 0) == forked && WEXITSTATUS(status) == 3);
	forked = CALL(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
	if (!forked)
		_exit(4);
	CHECK(forked > 0 && waitpid(forked, &status, 0) == forked && WEXITSTATUS(status) == 4);
	forked = vfork();
	if (!forked) {
		execl(self, self, "exec", NULL);
		_exit(5);
	}
	CHECK(forked > 0 && waitpid(forked, &status, 0) == forked && WEXITSTATUS(status) == 7);
	_exit(9);
}

/* Puts the registers back at every stop of a family, counts the kinds, and lets nothing out. */
static void family(int how)
{
	int events[16] = { 0 }, status, calls = 0, ended = 0, marked = 0, first_signals = 0;
	pid_t child = traced_child(makes_children, OPTIONS), pid = child;

	go_on(how, child, 0);
	for (;;) {
		struct user_regs_struct registers;
		long signal = 0;
		int event;

		pid = waitpid(-1, &status, __WALL);
		if (pid < 0 && errno == ECHILD)
			break;
		CHECK(pid > 0);
		if (WIFEXITED(status)) {
			int code = WEXITSTATUS(status);

			CHECK(code == (pid == child ? 9 : code) && (code != 1 && code != 100));
			ended++;
			continue;
		}
		CHECK(WIFSTOPPED(status));
		registers = registers_of(pid);
		CHECK((long)registers.rip > 0 && (long)registers.rsp > 0);
		CHECK(registers.cs == 0x33 && registers.ss == 0x2b);
		event = status >> 16;
		events[event & 15]++;
		if (registers.rip == (unsigned long)marked_end) {
			CHECK(registers.rbx == MARK_RBX && registers.rbp == MARK_RBP);
			CHECK(registers.r12 == MARK_R12 && registers.r15 == MARK_R15);
			marked++;
		}
		put_back(pid);
		if (status >> 8 == CALL_STOP)
			calls++;
		else if (status >> 8 == SIGSTOP)
			first_signals++;	/* of a new child */
		else if (!event && WSTOPSIG(status) != SIGTRAP)
			signal = WSTOPSIG(status);
		go_on(how, pid, signal);
	}
	CHECK(ended == 4 && first_signals == 3);
	CHECK(events[PTRACE_EVENT_FORK] == 2 && events[PTRACE_EVENT_VFORK] == 1);
	CHECK(events[PTRACE_EVENT_EXEC] == 1 && events[PTRACE_EVENT_VFORK_DONE] == 1);
	CHECK(events[PTRACE_EVENT_EXIT] == 4);
	/* of fork and of clone: the event, the child's first stop; and the call's stops */
	CHECK(marked >= (how == PTRACE_SYSCALL ? 8 : 4));
	CHECK(how == PTRACE_SYSCALL ? calls > 30 : !calls);
}

static void uses_vectors(void)
{
	static const long double one = 1;
	long result, sum;

	__asm__ volatile("movq %2, %%xmm7; mov %3, %%eax; syscall; movq %%xmm7, %1"
			 : "=&a"(result), "=r"(sum)
			 : "r"(0x7777777777777777), "i"(SYS_getppid)
			 : "rcx", "r11", "xmm7", "memory");
	CHECK(result == getppid() && sum == 0x1234567812345678);
	CHECK(one + one == 2);
	_exit(9);
}

/* NT_X86_XSTATE: what is in xmm7 at a call's stop, and what the tracer makes of it. */
static void vectors(void)
{
	static uint8_t state[16384] __attribute__((aligned(64)));
	struct iovec area = { state, sizeof(state) };
	const size_t xmm7 = 160 + 7 * 16;	/* FXSAVE's layout */
	uint64_t value;
	pid_t child = traced_child(uses_vectors, OPTIONS & ~PTRACE_O_TRACEEXIT);

	do {
		go_on(PTRACE_SYSCALL, child, 0);
		wait_stop(child, CALL_STOP);
	} while (registers_of(child).orig_rax != SYS_getppid);
	CHECK(!ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &area));
	memcpy(&value, state + xmm7, sizeof(value));
	CHECK(area.iov_len >= 576 && value == 0x7777777777777777);
	value = 0x1234567812345678;
	memcpy(state + xmm7, &value, sizeof(value));
	CHECK(!ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &area));
	go_on(PTRACE_CONT, child, 0);
	wait_exit(child, 9);
}

int main(int argc, char **argv)
{
	self = "/proc/self/exe";
	if (argc > 1 && !strcmp(argv[1], "exec"))
		return 7;
	signals();
	swallowed();
	family(PTRACE_CONT);
	family(PTRACE_SYSCALL);
	vectors();
	puts("right");
	return 0;
}
