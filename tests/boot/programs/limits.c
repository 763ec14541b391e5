/* What the application must not be given in one ring is refused, cleanly. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

#define ARCH_SET_GS 0x1001
#define KERNEL_HALF 0xffff888000100000ul

static void wild_return(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP] = (greg_t)KERNEL_HALF;
}

int main(int argc, char **argv)
{
	int in_kernel = argc > 1 && !strcmp(argv[1], "kernel"), status;
	static long anything;
	pid_t child;

	if (in_kernel) {
		CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, &anything) == -1 && errno == EPERM);
		CHECK(syscall(SYS_clone, SIGCHLD, KERNEL_HALF, 0, 0, 0) == -1 && errno == EINVAL);
	}
	child = fork();
	if (!child) {
		struct sigaction action = { .sa_sigaction = wild_return, .sa_flags = SA_SIGINFO };

		sigaction(SIGUSR1, &action, NULL);
		raise(SIGUSR1);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS));
	CHECK(getpid() > 0);
	puts("right");
	return 0;
}
