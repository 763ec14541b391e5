/* Restart of calls that wait for processes, futexes and queues. */
#define _GNU_SOURCE
#include "restarts.h"

#include <linux/futex.h>
#include <mqueue.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>

static const struct timespec minutes = { 600, 0 };

/* The victim's own child, which ends when it gets a byte. */
static void start_third(struct scene *s)
{
	pid_t third = fork();

	CHECK(third >= 0);
	if (!third) {
		char byte;

		_exit(read(s->go[0], &byte, 1) == 1 ? 3 : 1);
	}
	s->third = third;
}

static void pipe_to_third(struct scene *s)
{
	CHECK(!pipe(s->go));
}

static void end_third(struct scene *s)
{
	CHECK(write(s->go[1], "x", 1) == 1);
	s->third = 0;
}

static long do_wait4(struct scene *s, site through)
{
	long result;
	int status = 0;

	start_third(s);
	result = CALL(through, SYS_wait4, -1, (long)&status, 0, 0);
	return result < 0 ? result : WEXITSTATUS(status);
}

static long do_waitid(struct scene *s, site through)
{
	siginfo_t info = { 0 };
	long result;

	start_third(s);
	result = CALL(through, SYS_waitid, P_PID, s->third, (long)&info, WEXITED, 0);
	return result < 0 ? result : info.si_status;
}

static void wake(struct scene *s)
{
	s->futex = 1;
	CHECK(syscall(SYS_futex, &s->futex, FUTEX_WAKE, 1, NULL, NULL, 0) == 1);
}

static long do_futex(struct scene *s, site through)
{
	return CALL(through, SYS_futex, (long)&s->futex, FUTEX_WAIT, 0, 0);
}

static long do_futex_bitset(struct scene *s, site through)
{
	return CALL(through, SYS_futex, (long)&s->futex, FUTEX_WAIT_BITSET, 0, 0, 0, -1);
}

static long do_futex_timed(struct scene *s, site through)
{
	return CALL(through, SYS_futex, (long)&s->futex, FUTEX_WAIT, 0, (long)&minutes);
}

static void hold_pi_futex(struct scene *s)
{
	s->futex = syscall(SYS_gettid);
}

static long do_lock_pi(struct scene *s, site through)
{
	return CALL(through, SYS_futex, (long)&s->futex, FUTEX_LOCK_PI, 0, 0);
}

static void unlock_pi(struct scene *s)
{
	CHECK(!syscall(SYS_futex, &s->futex, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
}

static void queue(struct scene *s)
{
	struct mq_attr one = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	char name[32];

	snprintf(name, sizeof(name), "/restart-%d", getpid());
	s->fd[0] = mq_open(name, O_RDWR | O_CREAT, 0600, &one);
	CHECK(s->fd[0] >= 0);
	CHECK(!mq_unlink(name));
}

static void full_queue(struct scene *s)
{
	queue(s);
	CHECK(!mq_send(s->fd[0], "12345678", 8, 0));
}

static void fill_queue(struct scene *s)
{
	CHECK(!mq_send(s->fd[0], "12345", 5, 0));
}

static void empty_queue(struct scene *s)
{
	char text[8];

	CHECK(mq_receive(s->fd[0], text, 8, NULL) == 8);
}

static long do_mq_receive(struct scene *s, site through)
{
	char text[8];

	return CALL(through, SYS_mq_timedreceive, s->fd[0], (long)text, 8, 0, 0);
}

static long do_mq_send(struct scene *s, site through)
{
	return CALL(through, SYS_mq_timedsend, s->fd[0], (long)"12", 2, 0, 0);
}

static struct { long type; char text[4]; } letter = { 1, "abc" };

/* SysV objects outlive processes: each call has its own and removes it again. */
static long do_msgrcv(struct scene *s, site through)
{
	long result;

	s->id = msgget(IPC_PRIVATE, 0600);
	result = CALL(through, SYS_msgrcv, s->id, (long)&letter, 4, 0, 0);
	CHECK(!msgctl(s->id, IPC_RMID, NULL));
	return result;
}

static void send_letter(struct scene *s)
{
	CHECK(!msgsnd(s->id, &letter, 3, 0));
}

static long do_msgsnd(struct scene *s, site through)
{
	long result;

	s->id = msgget(IPC_PRIVATE, 0600);
	while (!msgsnd(s->id, &letter, 4, IPC_NOWAIT))
		;
	result = CALL(through, SYS_msgsnd, s->id, (long)&letter, 4, 0);
	CHECK(!msgctl(s->id, IPC_RMID, NULL));
	return result;
}

static void take_letters(struct scene *s)
{
	while (msgrcv(s->id, &letter, 4, 0, IPC_NOWAIT) >= 0)
		;
}

static long semaphore(site through, long number)
{
	struct sembuf take = { 0, -1, 0 };
	int id = semget(IPC_PRIVATE, 1, 0600);
	long result = CALL(through, number, id, (long)&take, 1, 0);

	CHECK(!semctl(id, 0, IPC_RMID));
	return result;
}

static long do_semop(struct scene *s, site through)
{
	(void)s;
	return semaphore(through, SYS_semop);
}

static long do_semtimedop(struct scene *s, site through)
{
	(void)s;
	return semaphore(through, SYS_semtimedop);
}

static void processes_and_futexes(void)
{
	static const struct row rows[] = {
		{ "wait4", pipe_to_third, do_wait4, end_third, RESTARTS, 3 },
		{ "waitid", pipe_to_third, do_waitid, end_third, RESTARTS, 3 },
		{ "FUTEX_WAIT", NULL, do_futex, wake, RESTARTS, 0 },
		{ "FUTEX_WAIT_BITSET", NULL, do_futex_bitset, wake, RESTARTS, 0 },
		{ "FUTEX_WAIT, timeout", NULL, do_futex_timed, wake, TIMED, 0 },
		{ "FUTEX_LOCK_PI", hold_pi_futex, do_lock_pi, unlock_pi, ALWAYS, 0 },
		{ 0 },
	};
	run_rows(rows);
}

static void queues(void)
{
	static const struct row rows[] = {
		{ "mq_receive", queue, do_mq_receive, fill_queue, RESTARTS, 5 },
		{ "mq_send", full_queue, do_mq_send, empty_queue, RESTARTS, 0 },
		{ "msgrcv", NULL, do_msgrcv, send_letter, TIMED, 3 },
		{ "msgsnd", NULL, do_msgsnd, take_letters, TIMED, 0 },
		{ "semop", NULL, do_semop, NULL, NEVER, 0 },
		{ "semtimedop", NULL, do_semtimedop, NULL, NEVER, 0 },
		{ 0 },
	};
	run_rows(rows);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = { CASE(processes_and_futexes), CASE(queues), { 0 } };

	return run_cases(cases, argc, argv);
}
