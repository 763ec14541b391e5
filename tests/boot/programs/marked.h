/*
 * A redirected system call at a known place, with a known value in every register that it has to
 * keep; and what a tracer needs to look at it.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define MARK_RBX	0x1b1b1b1b1b1b1b1b
#define MARK_RBP	0x2b2b2b2b2b2b2b2b
#define MARK_R12	0x3c3c3c3c3c3c3c3c
#define MARK_R13	0x4d4d4d4d4d4d4d4d
#define MARK_R14	0x5e5e5e5e5e5e5e5e
#define MARK_R15	0x6f6f6f6f6f6f6f6f

/*
 * marked_call(number, arguments): rdi is the number, rsi points to six arguments.  Between
 * marked_site and marked_end rbx, rbp and r12-r15 have their marks.  One that was lost is an
 * illegal instruction.
 */
long marked_call(long number, const long arguments[6]);
extern const char marked_site[], marked_end[];

#define STRING(x)	STRING_(x)
#define STRING_(x)	#x
#define LOSE(reg, mark)	"movabs $" STRING(mark) ", %r11; cmp %r11, %" reg "; jne 1f;"

__asm__(".pushsection .text\n"
	".globl marked_call, marked_site, marked_end\n"
	".type marked_call, @function\n"
	"marked_call:\n"
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"	mov %rdi, %rax; mov %rsi, %r11\n"
	"	mov (%r11), %rdi; mov 8(%r11), %rsi; mov 16(%r11), %rdx\n"
	"	mov 24(%r11), %r10; mov 32(%r11), %r8; mov 40(%r11), %r9\n"
	"	movabs $" STRING(MARK_RBX) ", %rbx; movabs $" STRING(MARK_RBP) ", %rbp\n"
	"	movabs $" STRING(MARK_R12) ", %r12; movabs $" STRING(MARK_R13) ", %r13\n"
	"	movabs $" STRING(MARK_R14) ", %r14; movabs $" STRING(MARK_R15) ", %r15\n"
	"marked_site:\n"
	"	syscall\n"
	"marked_end:\n"
	LOSE("rbx", MARK_RBX) LOSE("rbp", MARK_RBP) LOSE("r12", MARK_R12) "\n"
	LOSE("r13", MARK_R13) LOSE("r14", MARK_R14) LOSE("r15", MARK_R15) "\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n"
	"1:	ud2\n"
	".size marked_call, . - marked_call\n"
	".popsection\n");

#define CALL(number, ...)	marked_call(number, (const long[6]){ __VA_ARGS__ })

static inline struct user_regs_struct registers_of(pid_t child)
{
	struct user_regs_struct registers;

	CHECK(!ptrace(PTRACE_GETREGS, child, 0, &registers));
	return registers;
}

/* Where a thread of the application may be: never in kernel text, always in ring 3's selectors. */
static inline void check_place(const struct user_regs_struct *registers)
{
	CHECK((long)registers->rip > 0 && (long)registers->rsp > 0);
	CHECK(registers->cs == 0x33 && registers->ss == 0x2b);
	CHECK((registers->eflags & 0x200) && !(registers->eflags & 0x100));
}

/* Everything that a call keeps is what marked_call() put there. */
static inline void check_marks(const struct user_regs_struct *registers, const long arguments[6])
{
	check_place(registers);
	CHECK(registers->rbx == MARK_RBX && registers->rbp == MARK_RBP);
	CHECK(registers->r12 == MARK_R12 && registers->r13 == MARK_R13);
	CHECK(registers->r14 == MARK_R14 && registers->r15 == MARK_R15);
	CHECK((long)registers->rdi == arguments[0] && (long)registers->rsi == arguments[1]);
	CHECK((long)registers->rdx == arguments[2] && (long)registers->r10 == arguments[3]);
	CHECK((long)registers->r8 == arguments[4] && (long)registers->r9 == arguments[5]);
}

/* What GETREGS gave may be put back, and reads the same again. */
static inline void put_back(pid_t child)
{
	struct user_regs_struct before = registers_of(child), after;

	CHECK(!ptrace(PTRACE_SETREGS, child, 0, &before));
	after = registers_of(child);
	CHECK(!memcmp(&before, &after, sizeof(before)));
}

static inline int wait_for(pid_t child)
{
	int status;
	pid_t pid;

	do
		pid = waitpid(child, &status, __WALL);
	while (pid < 0 && errno == EINTR);
	CHECK(pid == child);
	return status;
}

/* Waits for a stop by that signal, with what ptrace(2) adds to it from bit 8 on. */
static inline void wait_stop(pid_t child, int what)
{
	int status = wait_for(child);

	if (!WIFSTOPPED(status) || status >> 8 != what)
		printf("status %#x, not a stop by %#x\n", status, what);
	CHECK(WIFSTOPPED(status) && status >> 8 == what);
}

static inline void wait_exit(pid_t child, int code)
{
	int status = wait_for(child);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
		printf("status %#x, not exit %d\n", status, code);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

/* A child that runs `body` under us, stopped before its first step. */
static inline pid_t traced_child(void (*body)(void), long options)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		body();
		_exit(100);
	}
	wait_stop(child, SIGSTOP);
	CHECK(!ptrace(PTRACE_SETOPTIONS, child, 0, options));
	return child;
}

static inline void go_on(int how, pid_t child, long signal)
{
	CHECK(!ptrace(how, child, 0, signal));
}
