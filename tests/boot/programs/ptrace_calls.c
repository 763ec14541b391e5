/* Stops at redirected system calls: what a tracer sees there, and what it may change. */
#include "marked.h"

#include <sys/resource.h>

#define CALL_STOP	(SIGTRAP | 0x80)	/* by PTRACE_O_TRACESYSGOOD */

enum { OPTIONS = PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD };

/* getpriority() of nobody: an error, which glibc's own calls would never make. */
static const long six[6] = {
	0, 0x12345678, 0x1111222233334444, 0x2222333344445555,
	0x3333444455556666, 0x4444555566667777,
};
static long expected;

static void calls(void)
{
	CHECK(marked_call(SYS_getpriority, six) == expected);
	_exit(9);
}

/* Goes on until the marked call begins. */
static struct user_regs_struct to_marked_call(pid_t child, int how)
{
	struct user_regs_struct registers;

	for (;;) {
		go_on(how, child, 0);
		wait_stop(child, CALL_STOP);
		registers = registers_of(child);
		if (registers.orig_rax == SYS_getpriority && registers.rsi == six[1])
			break;
		if (how == PTRACE_SYSCALL)
			continue;
		/* SYSEMU has swallowed another call, _exit() at most */
		CHECK(0);
	}
	CHECK(registers.rip == (unsigned long)marked_end);
	CHECK((long)registers.rax == -ENOSYS);
	check_marks(&registers, six);
	put_back(child);
	return registers;
}

static struct __ptrace_syscall_info info_of(pid_t child)
{
	struct __ptrace_syscall_info info;

	CHECK(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info) > 0);
	return info;
}

/* On to the way out, which is at the same place, and shows the result. */
static void to_result(pid_t child, long result)
{
	struct user_regs_struct registers;
	struct __ptrace_syscall_info info;

	go_on(PTRACE_SYSCALL, child, 0);
	wait_stop(child, CALL_STOP);
	registers = registers_of(child);
	CHECK(registers.rip == (unsigned long)marked_end);
	CHECK((long)registers.rax == result);
	info = info_of(child);
	CHECK(info.op == PTRACE_SYSCALL_INFO_EXIT && info.exit.rval == result);
	CHECK(info.exit.is_error == (result < 0 && result > -4096));
}

static void ends_well(pid_t child)
{
	go_on(PTRACE_CONT, child, 0);
	wait_exit(child, 9);
}

static void looks(void)
{
	struct __ptrace_syscall_info info;
	struct user_regs_struct registers;
	pid_t child;

	expected = -ESRCH;
	child = traced_child(calls, OPTIONS);
	registers = to_marked_call(child, PTRACE_SYSCALL);
	info = info_of(child);
	CHECK(info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == SYS_getpriority);
	CHECK(info.arch == 0xc000003e);		/* AUDIT_ARCH_X86_64 */
	CHECK(info.instruction_pointer == (unsigned long)marked_end);
	CHECK(info.stack_pointer == registers.rsp);
	for (int i = 0; i < 6; i++)
		CHECK((long)info.entry.args[i] == six[i]);
	to_result(child, -ESRCH);
	registers = registers_of(child);
	check_marks(&registers, six);
	put_back(child);
	ends_well(child);
}

/* Another number and another argument: the call that is made is that one. */
static void changes_the_call(void)
{
	struct user_regs_struct registers;
	pid_t child;

	expected = getpid();
	child = traced_child(calls, OPTIONS);
	registers = to_marked_call(child, PTRACE_SYSCALL);
	registers.orig_rax = SYS_getppid;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
	to_result(child, getpid());
	ends_well(child);

	expected = 20 - getpriority(PRIO_PROCESS, 0);
	child = traced_child(calls, OPTIONS);
	registers = to_marked_call(child, PTRACE_SYSCALL);
	registers.rsi = 0;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
	to_result(child, expected);
	registers = registers_of(child);
	CHECK(registers.rsi == 0);
	ends_well(child);
}

/* No call at all, with a result of the tracer's. */
static void skips_the_call(void)
{
	struct user_regs_struct registers;
	pid_t child;

	expected = -ENOSYS;
	child = traced_child(calls, OPTIONS);
	registers = to_marked_call(child, PTRACE_SYSCALL);
	registers.orig_rax = -1;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
	to_result(child, -ENOSYS);
	ends_well(child);

	expected = 4711;
	child = traced_child(calls, OPTIONS);
	registers = to_marked_call(child, PTRACE_SYSCALL);
	to_result(child, -ESRCH);
	registers = registers_of(child);
	registers.rax = 4711;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
	ends_well(child);

	/* one way in, no way out */
	expected = 815;
	child = traced_child(calls, OPTIONS);
	registers = to_marked_call(child, PTRACE_SYSEMU);
	registers.rax = 815;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
	ends_well(child);

	expected = 816;
	child = traced_child(calls, OPTIONS);
	registers = to_marked_call(child, PTRACE_SYSEMU);
	registers.rax = 816;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
	go_on(PTRACE_SYSEMU_SINGLESTEP, child, 0);
	wait_stop(child, SIGTRAP);
	registers = registers_of(child);
	CHECK(registers.rax == 816 && registers.rip > (unsigned long)marked_end);
	ends_well(child);
}

/* The tracer makes the thread do another call first, by the literal instruction. */
static void injects_a_call(void)
{
	struct user_regs_struct before, registers;
	pid_t child;

	expected = -ESRCH;
	child = traced_child(calls, OPTIONS);
	before = to_marked_call(child, PTRACE_SYSCALL);
	registers = before;
	registers.orig_rax = SYS_getppid;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
	to_result(child, getpid());
	/* and back: the instruction is the one in front of the site's end */
	before.rip = (unsigned long)marked_end - 2;
	before.rax = SYS_getpriority;
	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &before));
	to_marked_call(child, PTRACE_SYSCALL);
	to_result(child, -ESRCH);
	ends_well(child);
}

int main(void)
{
	looks();
	changes_the_call();
	skips_the_call();
	injects_a_call();
	puts("right");
	return 0;
}
