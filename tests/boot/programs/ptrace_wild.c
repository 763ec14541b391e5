/* Registers that point into the kernel: refused, or the thread's own SIGSEGV; never the machine's end. */
#include "marked.h"

static const unsigned long wild[] = {
	0xffffffff80200000,	/* kernel text */
	0xffff888000000000,	/* the kernel's data */
	0x8000000000000000,	/* no address at all */
	0x0000800000000000,	/* the first that is none */
};

static void body(void)
{
	CHECK(CALL(SYS_getppid, 1, 2, 3, 4, 5, 6) == getppid());
	_exit(9);
}

/* A stop in a system call, whose frame is the gate's own, or before the first step. */
static pid_t stopped(int in_call)
{
	pid_t child = traced_child(body, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD);

	while (in_call) {
		go_on(PTRACE_SYSCALL, child, 0);
		wait_stop(child, SIGTRAP | 0x80);
		if (registers_of(child).rip == (unsigned long)marked_end)
			break;
	}
	return child;
}

static void stack(unsigned long value, int in_call)
{
	pid_t child = stopped(in_call);
	struct user_regs_struct before = registers_of(child), registers = before;
	size_t at = offsetof(struct user, regs.rsp);

	registers.rsp = value;
	if (ptrace(PTRACE_SETREGS, child, 0, &registers)) {
		CHECK(errno == EIO);
		CHECK(ptrace(PTRACE_POKEUSER, child, at, value) && errno == EIO);
		registers = registers_of(child);
		CHECK(!memcmp(&registers, &before, sizeof(before)));
	} else {	/* another Linux takes it */
		CHECK(!ptrace(PTRACE_SETREGS, child, 0, &before));
	}
	go_on(PTRACE_CONT, child, 0);
	wait_exit(child, 9);
}

static void instruction(unsigned long value, int in_call)
{
	pid_t child = stopped(in_call);
	struct user_regs_struct before = registers_of(child), registers = before;
	int status;

	registers.rip = value;
	if (ptrace(PTRACE_SETREGS, child, 0, &registers)) {
		CHECK(errno == EIO);
		go_on(PTRACE_CONT, child, 0);
		wait_exit(child, 9);
		return;
	}
	go_on(PTRACE_CONT, child, 0);
	status = wait_for(child);
	/* the call that was stopped comes first: its second stop is not asked for */
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSEGV);
	CHECK(registers_of(child).rip == value);
	before.orig_rax = -1;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &before));
	go_on(PTRACE_KILL, child, 0);
	status = wait_for(child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* The GS base is the kernel's: ptrace refuses one as arch_prctl() does. */
static void gs_base(int in_kernel)
{
	pid_t child = stopped(0);
	struct user_regs_struct registers = registers_of(child);
	size_t at = offsetof(struct user, regs.gs_base);
	long refused;

	registers.gs_base = (unsigned long)&child;
	refused = ptrace(PTRACE_SETREGS, child, 0, &registers);
	CHECK(in_kernel ? refused && errno == EIO : !refused);
	CHECK(!ptrace(PTRACE_POKEUSER, child, at, 0));
	go_on(PTRACE_KILL, child, 0);
	wait_for(child);
}

int main(int argc, char **argv)
{
	size_t i;
	int in_call;

	gs_base(argc > 1 && !strcmp(argv[1], "kernel"));

	for (i = 0; i < sizeof(wild) / sizeof(*wild); i++) {
		for (in_call = 0; in_call <= 1; in_call++) {
			printf("%#lx %d\n", wild[i], in_call);
			fflush(stdout);
			stack(wild[i], in_call);
			instruction(wild[i], in_call);
		}
	}
	puts("right");
	return 0;
}
