/* What passes between processes: queues, semaphores, memory, descriptors. */
#define _GNU_SOURCE
#include "cases.h"

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/pidfd.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/uio.h>

static void posix_queue(void)
{
	struct mq_attr attributes = { .mq_maxmsg = 4, .mq_msgsize = 16 };
	char name[32], text[16];
	unsigned int priority;
	mqd_t queue;
	pid_t child;

	snprintf(name, sizeof(name), "/ipc-%d", getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
	CHECK(queue >= 0);
	child = fork();
	if (!child) {
		for (unsigned int i = 0; i < 100; i++) {
			snprintf(text, sizeof(text), "%u", i);
			CHECK(!mq_send(queue, text, sizeof(text), 5));
		}
		_exit(7);
	}
	for (int i = 0; i < 100; i++) {
		CHECK(mq_receive(queue, text, sizeof(text), &priority) == 16);
		CHECK(atoi(text) == i && priority == 5);
	}
	CHECK(end_of(child) == 7);
	CHECK(!mq_send(queue, "low", 4, 1) && !mq_send(queue, "high", 5, 9));
	CHECK(mq_receive(queue, text, sizeof(text), &priority) == 5 && priority == 9);
	CHECK(!mq_unlink(name));
}

static void sysv_queue(void)
{
	struct { long type; char text[8]; } letter;
	int queue = msgget(IPC_PRIVATE, 0600);
	pid_t child = fork();

	CHECK(queue >= 0);
	if (!child) {
		for (int i = 0; i < 50; i++) {
			letter.type = 1 + i % 2;
			letter.text[0] = (char)i;
			CHECK(!msgsnd(queue, &letter, 8, 0));
		}
		_exit(0);
	}
	for (int i = 0; i < 25; i++) {
		CHECK(msgrcv(queue, &letter, 8, 2, 0) == 8 && letter.text[0] == 2 * i + 1);
		CHECK(msgrcv(queue, &letter, 8, 1, 0) == 8 && letter.text[0] == 2 * i);
	}
	CHECK(!end_of(child) && !msgctl(queue, IPC_RMID, NULL));
}

/* A counter in SysV memory under a SysV semaphore that a killed process gives back. */
static void sysv_memory_and_semaphore(void)
{
	struct sembuf take = { 0, -1, SEM_UNDO }, give = { 0, 1, SEM_UNDO };
	int memory = shmget(IPC_PRIVATE, 8192, 0600), lock = semget(IPC_PRIVATE, 1, 0600);
	volatile long *counter = shmat(memory, NULL, 0);
	pid_t children[4], holder;

	CHECK(counter != (void *)-1 && !semctl(lock, 0, SETVAL, 1));
	for (int i = 0; i < 4; i++) {
		children[i] = fork();
		if (!children[i]) {
			for (int round = 0; round < 500; round++) {
				CHECK(!semop(lock, &take, 1));
				long seen = *counter;
				if (round % 32 == 0)
					syscall(SYS_sched_yield);
				*counter = seen + 1;
				CHECK(!semop(lock, &give, 1));
			}
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++)
		CHECK(!end_of(children[i]));
	CHECK(*counter == 2000);
	holder = fork();
	if (!holder) {
		CHECK(!semop(lock, &take, 1));
		raise(SIGKILL);
	}
	CHECK(end_of(holder) == 1000 + SIGKILL);
	CHECK(!semop(lock, &take, 1));
	CHECK(!shmdt((void *)counter) && !shmctl(memory, IPC_RMID, NULL));
	CHECK(!semctl(lock, 0, IPC_RMID));
}

static void sealed_memory(void)
{
	int file = memfd_create("sealed", MFD_ALLOW_SEALING);
	char *at, path[64], text[8] = "";
	int again;

	CHECK(file >= 0 && write(file, "sealed", 6) == 6);
	CHECK(!fcntl(file, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
	CHECK(write(file, "x", 1) == -1 && errno == EPERM);
	CHECK(ftruncate(file, 1) == -1 && errno == EPERM);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	CHECK(at == MAP_FAILED && errno == EPERM);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	again = open(path, O_RDONLY);
	CHECK(again >= 0 && read(again, text, 6) == 6 && !strcmp(text, "sealed"));
}

static void process_descriptor(void)
{
	int pipes[2], process, stolen;
	siginfo_t info;
	pid_t child;

	CHECK(!pipe(pipes));
	child = fork();
	if (!child) {
		close(pipes[0]);
		pause();
	}
	process = pidfd_open(child, 0);
	CHECK(process >= 0);
	struct pollfd end = { process, POLLIN, 0 };
	CHECK(poll(&end, 1, 0) == 0);
	stolen = pidfd_getfd(process, pipes[1], 0);
	if (stolen >= 0)
		CHECK(write(stolen, "x", 1) == 1);
	else
		CHECK(!in_kernel && errno == EPERM);
	CHECK(!pidfd_send_signal(process, SIGTERM, NULL, 0));
	CHECK(poll(&end, 1, 20000) == 1);
	CHECK(!waitid(P_PIDFD, process, &info, WEXITED));
	CHECK(info.si_code == CLD_KILLED && info.si_status == SIGTERM && info.si_pid == child);
	CHECK(pidfd_send_signal(process, 0, NULL, 0) == -1 && errno == ESRCH);
}

/* A descriptor travels over a socket, and memory between address spaces. */
static void passed_on(void)
{
	union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	char byte = 'b', there[32] = "the parent's", here[32] = "";
	struct iovec part = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int pair[2], pipes[2], got;
	pid_t child;

	CHECK(!socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	child = fork();
	if (!child) {
		struct iovec from = { there, 32 }, to = { here, 32 };

		CHECK(!pipe(pipes));
		control.header = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int)),
		};
		memcpy(CMSG_DATA(&control.header), &pipes[0], sizeof(int));
		CHECK(sendmsg(pair[1], &message, 0) == 1);
		CHECK(write(pipes[1], "through", 7) == 7);
		memset(there, 0, sizeof(there));
		if (in_kernel) {
			CHECK(process_vm_readv(getppid(), &to, 1, &from, 1, 0) == 32);
			CHECK(!strcmp(here, "the parent's"));
		}
		_exit(5);
	}
	CHECK(recvmsg(pair[0], &message, 0) == 1);
	memcpy(&got, CMSG_DATA(&control.header), sizeof(int));
	CHECK(read(got, here, 7) == 7 && !strcmp(here, "through"));
	CHECK(end_of(child) == 5);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = {
		CASE(posix_queue), CASE(sysv_queue), CASE(sysv_memory_and_semaphore),
		CASE(sealed_memory), CASE(process_descriptor), CASE(passed_on), { 0 },
	};

	return run_cases(cases, argc, argv);
}
