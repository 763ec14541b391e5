/* A debugger's view: single steps over the gate, registers that can be put back, system calls. */
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void traced(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	for (int i = 0; i < 3; i++)
		syscall(SYS_getppid);
	_exit(getppid() > 0 ? 9 : 1);
}

static pid_t start(void)
{
	pid_t child = fork();
	int status;

	if (!child)
		traced();
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	return child;
}

static void step_by_step(void)
{
	struct user_regs_struct registers;
	long steps = 0;
	pid_t child = start();
	int status;

	for (;;) {
		CHECK(!ptrace(PTRACE_SINGLESTEP, child, 0, 0));
		CHECK(waitpid(child, &status, 0) == child);
		if (WIFEXITED(status))
			break;
		CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		CHECK(!ptrace(PTRACE_GETREGS, child, 0, &registers));
		CHECK((long)registers.rip > 0);		/* never kernel text */
		CHECK(registers.cs == 0x33 && registers.ss == 0x2b);
		CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
		steps++;
	}
	CHECK(WEXITSTATUS(status) == 9);
	CHECK(steps > 20);
}

static void call_by_call(void)
{
	struct user_regs_struct registers;
	int getppids = 0, status;
	pid_t child = start();

	for (;;) {
		CHECK(!ptrace(PTRACE_SYSCALL, child, 0, 0));
		CHECK(waitpid(child, &status, 0) == child);
		if (WIFEXITED(status))
			break;
		CHECK(!ptrace(PTRACE_GETREGS, child, 0, &registers));
		getppids += registers.orig_rax == SYS_getppid;
	}
	CHECK(WEXITSTATUS(status) == 9);
	CHECK(getppids == 8);	/* four calls, on the way in and on the way out */
}

int main(void)
{
	step_by_step();
	call_by_call();
	puts("right");
	return 0;
}
