/* fork, vfork, posix_spawn, clone3 and exec, and the copies of memory that they make. */
#define _GNU_SOURCE
#include "cases.h"
#include "registers.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>

extern char **environ;

enum { PAGE = 4096, PAGES = 256 };

static volatile int shared_word;

/* Copies: parent and child see their own pages, while threads of the parent write to theirs. */
static char *copied;
static volatile int over;

static void *keep_writing(void *number)
{
	char mine = (char)(long)number;

	while (!over)
		for (int i = (int)(long)number; i < PAGES; i += 4) {
			copied[i * PAGE]++;
			CHECK(copied[i * PAGE + 1] == mine);
		}
	return number;
}

static void copies_with_threads(void)
{
	pthread_t threads[4];

	copied = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(copied != MAP_FAILED);
	for (int i = 0; i < PAGES; i++)
		copied[i * PAGE + 1] = (char)(i % 4);
	for (long i = 0; i < 4; i++)
		CHECK(!pthread_create(&threads[i], NULL, keep_writing, (void *)i));
	for (int round = 0; round < 30; round++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (!child) {
			char seen[PAGES];

			for (int i = 0; i < PAGES; i++)
				seen[i] = copied[i * PAGE];
			sched_yield();
			for (int i = 0; i < PAGES; i++)
				if (seen[i] != copied[i * PAGE] || copied[i * PAGE + 1] != i % 4)
					_exit(1);
			memset(copied, 0x55, PAGES * PAGE);
			_exit(9);
		}
		CHECK(end_of(child) == 9);
	}
	over = 1;
	for (long i = 0; i < 4; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

/* The child runs on the parent's stack and memory, and the parent waits. */
static void vforks(void)
{
	for (volatile int i = 0; i < 200; i++) {
		volatile int here = 1;
		pid_t child = vfork();

		if (!child) {
			here = 2;
			shared_word = i;
			_exit(i % 100);
		}
		CHECK(here == 2 && shared_word == i);
		CHECK(end_of(child) == i % 100);
	}
}

static char *const child_words[] = { "child", "exec", "a b", "", NULL };
static char *const child_environ[] = { "WORD=of the parent", NULL };

/* What an executed copy of this program does: checks what it was given. */
static int as_child(int argc, char **argv)
{
	const char *word = getenv("WORD");

	CHECK(argc == 4 && !strcmp(argv[2], "a b") && !argv[3][0]);
	CHECK(word && !strcmp(word, "of the parent"));
	CHECK(shared_word == 0);
	return 33;
}

static void spawns(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t child;

		CHECK(!posix_spawn(&child, "/proc/self/exe", NULL, NULL, child_words, child_environ));
		CHECK(end_of(child) == 33);
	}
	pid_t child;

	CHECK(posix_spawn(&child, "/no/such/program", NULL, NULL, child_words, environ) == ENOENT);
}

static void execs(void)
{
	int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	CHECK(program >= 0);
	for (int way = 0; way < 6; way++) {
		pid_t child = way % 2 ? vfork() : fork();

		if (!child) {
			if (way < 2)
				execve("/proc/self/exe", child_words, child_environ);
			else if (way < 4)
				fexecve(program, child_words, child_environ);
			else
				syscall(SYS_execveat, program, "", child_words, child_environ,
					AT_EMPTY_PATH);
			_exit(1);
		}
		CHECK(end_of(child) == 33);
	}
}

static void *exec_here(void *unused)
{
	execve("/proc/self/exe", child_words, child_environ);
	return unused;
}

static void *wait_here(void *unused)
{
	pause();
	return unused;
}

/* From a thread that is not the first: the others end and the process goes on as the program. */
static void exec_among_threads(void)
{
	pthread_t thread;

	for (int i = 0; i < 10; i++)
		CHECK(!pthread_create(&thread, NULL, wait_here, NULL));
	CHECK(!pthread_create(&thread, NULL, exec_here, NULL));
	pthread_join(thread, NULL);
}

static void exec_of_a_thread(void)
{
	for (int i = 0; i < 5; i++)
		CHECK(end_of_doing(exec_among_threads) == 33);
}

static void clone3_as_fork(void)
{
	int pidfd = -1;
	struct clone_args arguments = {
		.flags = CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_PARENT_SETTID,
		.pidfd = (uintptr_t)&pidfd, .child_tid = (uintptr_t)&shared_word,
		.parent_tid = (uintptr_t)&shared_word, .exit_signal = SIGCHLD,
	};
	struct pollfd end;
	siginfo_t info;

	for (int way = 0; way < 2; way++) {
		site through = way ? raw_call : gated_call;
		pid_t child = (pid_t)CALL(through, SYS_clone3, (long)&arguments, sizeof(arguments));

		CHECK(child >= 0);
		if (!child)
			_exit(shared_word == getpid() ? 12 : 1);
		CHECK(shared_word == child);
		end = (struct pollfd){ pidfd, POLLIN, 0 };
		CHECK(poll(&end, 1, -1) == 1);
		CHECK(!waitid(P_PIDFD, pidfd, &info, WEXITED) && info.si_status == 12);
		close(pidfd);
	}
}

/* A thread made by hand: clone3 with a stack and a thread pointer, both of which it must have. */
static char stack[65536] __attribute__((aligned(4096)));
static uint64_t thread_block[64] __attribute__((used));
static volatile uint64_t seen_pointer, seen_stack;
static volatile uint32_t alive;

static void clone3_as_thread(void)
{
	for (int way = 0; way < 20; way++) {
		struct clone_args arguments = {
			.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
				 CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
				 CLONE_CHILD_CLEARTID,
			.stack = (uintptr_t)stack, .stack_size = sizeof(stack),
			.tls = (uintptr_t)thread_block, .parent_tid = (uintptr_t)&alive,
			.child_tid = (uintptr_t)&alive,
		};
		long result = SYS_clone3;

		thread_block[0] = (uintptr_t)thread_block;
		seen_pointer = seen_stack = 0;
		/* The child writes down what it has, and ends by the raw exit. */
		asm volatile("syscall\n\ttest	%%rax, %%rax\n\tjnz	1f\n\t"
			     "mov	%%fs:0, %%rbx\n\tmov	%%rbx, %1\n\t"
			     "mov	%%rsp, %2\n\tpush	$60\n\tpop	%%rax\n\t"
			     "xor	%%edi, %%edi\n\tsyscall\n1:"
			     : "+a"(result), "=m"(seen_pointer), "=m"(seen_stack)
			     : "D"(&arguments), "S"(sizeof(arguments))
			     : "rbx", "rcx", "r11", "memory", "cc");
		CHECK(result > 0);
		while (alive)
			syscall(SYS_futex, &alive, FUTEX_WAIT, result, NULL, NULL, 0);
		CHECK(seen_pointer == (uintptr_t)thread_block);
		CHECK(seen_stack == (uintptr_t)stack + sizeof(stack));
	}
}

/*
 * The child compares the registers that C keeps with those of its parent before it pushes
 * anything, since a child of vfork uses its parent's stack, and ends with their number.
 */
asm(	"	.macro	compare register, at\n"
	"	cmp	%fs:before@tpoff + \\at, %\\register\n	je	1f\n	inc	%edi\n1:\n"
	"	.endm\n");
PROBE(child_compares,
      "	syscall\n	test	%eax, %eax\n	jnz	2f\n	xor	%edi, %edi\n"
      "	compare	rbx, 8\n	compare	rbp, 48\n	compare	r12, 88\n"
      "	compare	r13, 96\n	compare	r14, 104\n	compare	r15, 112\n"
      "	mov	$60, %eax\n	.byte 0x0f, 0x05\n2:");

static void registers_of_children(void)
{
	static struct clone_args arguments = { .exit_signal = SIGCHLD };
	static const long numbers[] = { SYS_fork, SYS_vfork, SYS_clone, SYS_clone3 };

	for (uint32_t seed = 0; seed < 100; seed++) {
		mark_registers(seed);
		before.general[RAX] = (uint64_t)numbers[seed % 4];
		before.general[RDI] = before.general[RAX] == SYS_clone ? SIGCHLD :
				      (uint64_t)(uintptr_t)&arguments;
		before.general[RSI] = before.general[RAX] == SYS_clone ? 0 : sizeof(arguments);
		child_compares();
		CHECK_UNCHANGED(CLOBBERED_BY_SYSCALL);
		CHECK(end_of((pid_t)after.general[RAX]) == 0);
	}
}

static void refused(void)
{
	struct clone_args arguments = { .exit_signal = SIGCHLD, .stack = (uintptr_t)stack };

	CHECK(syscall(SYS_clone3, &arguments, sizeof(arguments)) == -1 && errno == EINVAL);
	CHECK(syscall(SYS_clone3, 0x0000900000000000, sizeof(arguments)) == -1 && errno == EFAULT);
	arguments.stack = 0xffff888000100000;
	arguments.stack_size = 4096;
	CHECK(syscall(SYS_clone3, &arguments, sizeof(arguments)) == -1);
	CHECK(errno == EINVAL || errno == EFAULT);
	CHECK(syscall(SYS_execve, 8, child_words, environ) == -1 && errno == EFAULT);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(copies_with_threads), CASE(vforks), CASE(spawns), CASE(execs),
		CASE(exec_of_a_thread), CASE(clone3_as_fork), CASE(clone3_as_thread),
		CASE(registers_of_children), CASE(refused),
		{ 0 },
	};

	if (argc > 1 && !strcmp(argv[1], "exec"))
		return as_child(argc, argv);
	return run_cases(cases, argc, argv);
}
