/*
 * A hardware breakpoint of a tracer is met each time, also when the processor has left the guest in
 * between, which CPUID makes it do.
 */
#include <cpuid.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HITS = 40 };

extern const char marked[];
static volatile long count;

static void child(void)
{
	unsigned int a, b, c, d;

	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGSTOP);
	for (;;) {
		count++;
		__cpuid(0, a, b, c, d);
		asm volatile(".globl marked\nmarked:\tnop" ::: "memory");
	}
}

int main(void)
{
	size_t debug = offsetof(struct user, u_debugreg);
	pid_t pid = fork();
	int status;

	if (pid == 0)
		child();
	waitpid(pid, &status, 0);
	if (ptrace(PTRACE_POKEUSER, pid, debug, marked) ||
	    ptrace(PTRACE_POKEUSER, pid, debug + 7 * sizeof(long), 1))
		return puts("no debug registers"), 1;
	for (long hits = 1; hits <= HITS; hits++) {
		struct user_regs_struct registers;
		long seen;

		ptrace(PTRACE_CONT, pid, NULL, NULL);
		waitpid(pid, &status, 0);
		ptrace(PTRACE_GETREGS, pid, NULL, &registers);
		seen = ptrace(PTRACE_PEEKDATA, pid, &count, NULL);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP ||
		    registers.rip != (unsigned long)marked || seen != hits)
			return printf("status %x at %llx: hit %ld of %ld\n", status,
				      registers.rip, hits, seen), 2;
	}
	kill(pid, SIGKILL);
	puts("right");
	return 0;
}
