/* seccomp's filters see redirected calls: each action, and a filter that another thread sets. */
#include "marked.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <ucontext.h>

/* The call that filters are about; glibc makes none of it by itself. */
#define SUBJECT	SYS_getpriority
#define SECCOMP_STOP	(SIGTRAP | PTRACE_EVENT_SECCOMP << 8)

static const long six[6] = { PRIO_PROCESS, 0, 3, 4, 5, 6 };

/* Installs a filter with that action on SUBJECT, all else allowed; a descriptor or 0, or an error. */
static long filter(unsigned int action, unsigned int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SUBJECT, 0, 3),
		/* by its arguments, too: the third is 3 */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(*code), code };

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static long subject(void)
{
	return marked_call(SUBJECT, six);
}

/* The same with another third argument, which no filter is about. */
static long other(void)
{
	return CALL(SUBJECT, PRIO_PROCESS, 0, 33, 4, 5, 6);
}

static int in_child(void (*body)(void))
{
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		body();
		CHECK(other() == 20);
		_exit(9);
	}
	return wait_for(child);
}

static void has_errno(void)
{
	pid_t child;

	CHECK(subject() == 20);
	CHECK(!filter(SECCOMP_RET_ERRNO | EXDEV, 0));
	for (int i = 0; i < 3; i++)
		CHECK(subject() == -EXDEV);
	/* children inherit it */
	child = fork();
	if (!child)
		_exit(subject() == -EXDEV ? 4 : 5);
	wait_exit(child, 4);
}

static volatile int trapped;

static void on_trap(int signal, siginfo_t *info, void *context)
{
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;

	CHECK(signal == SIGSYS && info->si_code == 1 /* SYS_SECCOMP */);
	CHECK(info->si_call_addr == marked_end && info->si_syscall == SUBJECT);
	CHECK(info->si_arch == AUDIT_ARCH_X86_64 && info->si_errno == 123);
	CHECK(registers[REG_RIP] == (long)marked_end && registers[REG_RAX] == SUBJECT);
	CHECK(registers[REG_RDI] == six[0] && registers[REG_RSI] == six[1]);
	CHECK(registers[REG_RDX] == six[2] && registers[REG_R10] == six[3]);
	CHECK(registers[REG_R8] == six[4] && registers[REG_R9] == six[5]);
	CHECK(registers[REG_RBX] == MARK_RBX && registers[REG_RBP] == MARK_RBP);
	CHECK(registers[REG_R12] == MARK_R12 && registers[REG_R15] == MARK_R15);
	/* as a sandbox does: its own answer */
	registers[REG_RAX] = 4711;
	trapped++;
}

static void has_trap(void)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	CHECK(!sigaction(SIGSYS, &action, NULL));
	CHECK(!filter(SECCOMP_RET_TRAP | 123, 0));
	for (int i = 1; i <= 3; i++)
		CHECK(subject() == 4711 && trapped == i);
}

static void is_killed(void)
{
	CHECK(!filter(SECCOMP_RET_KILL_PROCESS, 0));
	subject();
}

static void *is_killed_alone(void *unused)
{
	CHECK(!filter(SECCOMP_RET_KILL_THREAD, 0));
	subject();
	_exit(8);
	return unused;
}

static void loses_a_thread(void)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, is_killed_alone, NULL));
	CHECK(!pthread_join(thread, NULL));
	CHECK(subject() == 20);
}

/* Makes calls by the gate while another thread sets the filter for all. */
static pthread_barrier_t both;
static volatile int is_set;

static void *calls_all_the_time(void *unused)
{
	long result;

	CHECK(subject() == 20);
	pthread_barrier_wait(&both);
	do
		result = subject();
	while (result == 20 && !is_set);
	/* it may have been set behind the last call, but not behind this one */
	CHECK(subject() == -EXDEV);
	return unused;
}

static void for_all_threads(void)
{
	pthread_t thread;

	CHECK(!pthread_barrier_init(&both, NULL, 2));
	CHECK(!pthread_create(&thread, NULL, calls_all_the_time, NULL));
	pthread_barrier_wait(&both);
	CHECK(!filter(SECCOMP_RET_ERRNO | EXDEV, SECCOMP_FILTER_FLAG_TSYNC));
	is_set = 1;
	CHECK(!pthread_join(thread, NULL));
	CHECK(subject() == -EXDEV);
}

static int listener;

static void *answers(void *unused)
{
	struct seccomp_notif request;
	struct seccomp_notif_resp response;

	for (int i = 0; i < 2; i++) {
		memset(&request, 0, sizeof(request));
		CHECK(!ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request));
		CHECK(request.data.nr == SUBJECT && request.data.arch == AUDIT_ARCH_X86_64);
		CHECK(request.data.instruction_pointer == (unsigned long)marked_end);
		for (int n = 0; n < 6; n++)
			CHECK((long)request.data.args[n] == six[n]);
		memset(&response, 0, sizeof(response));
		response.id = request.id;
		if (i)
			response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		else
			response.val = 4712;
		CHECK(!ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response));
	}
	return unused;
}

static void asks_another(void)
{
	pthread_t thread;

	listener = filter(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	CHECK(listener > 0);
	CHECK(!pthread_create(&thread, NULL, answers, NULL));
	CHECK(subject() == 4712);
	CHECK(subject() == 20);
	CHECK(!pthread_join(thread, NULL));
}

static void is_traced(void)
{
	CHECK(!filter(SECCOMP_RET_TRACE | 0x1234, 0));
	CHECK(subject() == 4713);
	CHECK(subject() == 20);
	_exit(9);
}

/* The tracer is asked: it answers the first call itself, and lets the second one through. */
static void asks_the_tracer(void)
{
	pid_t child = traced_child(is_traced, PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP);
	struct user_regs_struct registers;
	unsigned long data;

	for (int i = 0; i < 2; i++) {
		go_on(PTRACE_CONT, child, 0);
		wait_stop(child, SECCOMP_STOP);
		registers = registers_of(child);
		CHECK(registers.orig_rax == SUBJECT && registers.rip == (unsigned long)marked_end);
		check_marks(&registers, six);
		CHECK(!ptrace(PTRACE_GETEVENTMSG, child, 0, &data) && data == 0x1234);
		put_back(child);
		if (i)
			break;
		registers.orig_rax = -1;
		registers.rax = 4713;
		CHECK(!ptrace(PTRACE_SETREGS, child, 0, &registers));
	}
	go_on(PTRACE_CONT, child, 0);
	wait_exit(child, 9);
}

int main(void)
{
	int status;

	CHECK(WEXITSTATUS(in_child(has_errno)) == 9);
	CHECK(WEXITSTATUS(in_child(has_trap)) == 9);
	status = in_child(is_killed);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	CHECK(WEXITSTATUS(in_child(loses_a_thread)) == 9);
	CHECK(WEXITSTATUS(in_child(for_all_threads)) == 9);
	CHECK(WEXITSTATUS(in_child(asks_another)) == 9);
	asks_the_tracer();
	puts("right");
	return 0;
}
