/* Tracers that come while a thread is blocked in a redirected call, and that go, or die. */
#include "marked.h"
#include "process_state.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#define STOP_EVENT	(PTRACE_EVENT_STOP << 8)
#define CALL_STOP	(SIGTRAP | 0x80)

static int ends[2];
static int *word;	/* shared; a futex, and what a child has to say */

static void reads(void)
{
	static char data[2];

	CHECK(CALL(SYS_read, ends[0], (long)data, 2, 4, 5, 6) == 2);
	CHECK(data[0] == 'o' && data[1] == 'k');
}

/* Restarted by the kernel's own restart_syscall(), with what is left of the time. */
static void sleeps(void)
{
	struct timespec before, after, nap = { 2, 0 };
	long took;

	clock_gettime(CLOCK_MONOTONIC, &before);
	CHECK(CALL(SYS_nanosleep, (long)&nap, 0, 3, 4, 5, 6) == 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	took = (after.tv_sec - before.tv_sec) * 1000000000 + after.tv_nsec - before.tv_nsec;
	CHECK(took >= 2000000000);
}

static void waits(void)
{
	CHECK(CALL(SYS_futex, (long)word, FUTEX_WAIT, 0, 0, 0, 0) == 0);
}

static void wake_reader(void)
{
	CHECK(write(ends[1], "ok", 2) == 2);
}

static void wake_waiter(void)
{
	while (syscall(SYS_futex, word, FUTEX_WAKE, 1, 0, 0, 0) != 1)
		usleep(1000);
}

static void nobody(void)
{
}

static const struct blocked {
	void (*body)(void);
	void (*wake)(void);
	long number;
} kinds[] = {
	{ reads, wake_reader, SYS_read },
	{ sleeps, nobody, SYS_nanosleep },
	{ waits, wake_waiter, SYS_futex },
};

static pid_t start(const struct blocked *kind)
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		kind->body();
		_exit(9);
	}
	return child;
}

static int is_call(long found, const struct blocked *kind)
{
	/* what a nanosleep() that was interrupted goes on with */
	return found == kind->number || (found == SYS_restart_syscall && kind->body == sleeps);
}

/* Until /proc says that it waits in that call, which it has made at the marked place. */
static void wait_until_blocked(pid_t child, const struct blocked *kind)
{
	char path[64], text[256];
	int fd, len;

	snprintf(path, sizeof(path), "/proc/%d/syscall", child);
	for (;;) {
		unsigned long stack, place;
		long number;

		/*
		 * While a tracer's PTRACE_CONT wakes it up, /proc/PID/syscall still shows the
		 * call that it was stopped in, though it is on its way to make that call again.
		 */
		if (state_of(child) != 'S') {
			usleep(1000);
			continue;
		}
		fd = open(path, O_RDONLY);
		CHECK(fd >= 0);
		len = read(fd, text, sizeof(text) - 1);
		CHECK(len > 0);
		text[len] = '\0';
		close(fd);
		if (sscanf(text, "%ld %*x %*x %*x %*x %*x %*x %lx %lx", &number, &stack, &place) == 3 &&
		    is_call(number, kind) && place == (unsigned long)marked_end)
			break;
		usleep(1000);
	}
}

static void wake(const struct blocked *kind, pid_t child)
{
	wait_until_blocked(child, kind);
	kind->wake();
	wait_exit(child, 9);
}

/* Its registers, in the middle of a call that is to be restarted. */
static void look(pid_t child, const struct blocked *kind)
{
	struct user_regs_struct registers = registers_of(child);

	CHECK(is_call(registers.orig_rax, kind));
	CHECK(registers.rip == (unsigned long)marked_end);
	CHECK((long)registers.rax < 0 && (long)registers.rax >= -516);
	check_place(&registers);
	CHECK(registers.rbx == MARK_RBX && registers.rbp == MARK_RBP);
	CHECK(registers.r12 == MARK_R12 && registers.r13 == MARK_R13);
	CHECK(registers.r14 == MARK_R14 && registers.r15 == MARK_R15);
	put_back(child);
}

static void seized(const struct blocked *kind)
{
	pid_t child = start(kind);

	wait_until_blocked(child, kind);
	CHECK(!ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD));
	for (int i = 0; i < 3; i++) {
		CHECK(!ptrace(PTRACE_INTERRUPT, child, 0, 0));
		wait_stop(child, SIGTRAP | STOP_EVENT);
		look(child, kind);
		go_on(PTRACE_CONT, child, 0);
		wait_until_blocked(child, kind);
	}
	CHECK(!ptrace(PTRACE_INTERRUPT, child, 0, 0));
	wait_stop(child, SIGTRAP | STOP_EVENT);
	CHECK(!ptrace(PTRACE_DETACH, child, 0, 0));
	wake(kind, child);
}

static void attached(const struct blocked *kind)
{
	pid_t child = start(kind);

	wait_until_blocked(child, kind);
	CHECK(!ptrace(PTRACE_ATTACH, child, 0, 0));
	wait_stop(child, SIGSTOP);
	look(child, kind);
	/* the call again, from its beginning or by restart_syscall() */
	CHECK(!ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
	go_on(PTRACE_SYSCALL, child, 0);
	wait_stop(child, CALL_STOP);
	CHECK(registers_of(child).rip == (unsigned long)marked_end);
	CHECK(is_call(registers_of(child).orig_rax, kind));
	CHECK(!ptrace(PTRACE_DETACH, child, 0, 0));
	wake(kind, child);
}

/* The tracer ends without a word; the traced process goes on, or ends with it. */
static void tracer_dies(const struct blocked *kind, long options)
{
	pid_t child = start(kind), tracer;
	int status;

	wait_until_blocked(child, kind);
	tracer = fork();
	CHECK(tracer >= 0);
	if (!tracer) {
		CHECK(!ptrace(PTRACE_SEIZE, child, 0, options));
		CHECK(!ptrace(PTRACE_INTERRUPT, child, 0, 0));
		wait_stop(child, SIGTRAP | STOP_EVENT);
		look(child, kind);
		kill(getpid(), SIGKILL);
	}
	status = wait_for(tracer);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	if (!options) {
		wake(kind, child);
		return;
	}
	status = wait_for(child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
	CHECK(!pipe(ends));
	word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(word != MAP_FAILED);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		seized(&kinds[i]);
		attached(&kinds[i]);
		tracer_dies(&kinds[i], 0);
		tracer_dies(&kinds[i], PTRACE_O_EXITKILL);
	}
	puts("right");
	return 0;
}
