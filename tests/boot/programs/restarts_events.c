/* Restart of calls that wait for signals, events and time. */
#define _GNU_SOURCE
#include "restarts.h"

#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

static const struct timespec moment = { 1, 500000000 };

static long do_pause(struct scene *s, site through)
{
	(void)s;
	return CALL(through, SYS_pause, 0);
}

/* For calls that nothing but a signal ends. */
static void interrupt(struct scene *s)
{
	CHECK(!kill(s->victim, SIGUSR1));
}

static const uint64_t no_signals, some_signal = 1ull << (SIGUSR2 - 1);

static long do_sigsuspend(struct scene *s, site through)
{
	(void)s;
	return CALL(through, SYS_rt_sigsuspend, (long)&no_signals, 8);
}

static long do_sigtimedwait(struct scene *s, site through)
{
	(void)s;
	return CALL(through, SYS_rt_sigtimedwait, (long)&some_signal, 0, 0, 8);
}

static void pipes(struct scene *s)
{
	CHECK(!pipe(s->fd));
}

static void put_byte(struct scene *s)
{
	CHECK(write(s->fd[1], "x", 1) == 1);
}

static long do_poll(struct scene *s, site through)
{
	struct pollfd one = { s->fd[0], POLLIN, 0 };

	return CALL(through, SYS_poll, (long)&one, 1, -1);
}

static long do_poll_timed(struct scene *s, site through)
{
	struct pollfd one = { s->fd[0], POLLIN, 0 };

	return CALL(through, SYS_poll, (long)&one, 1, 600000);
}

static long do_ppoll(struct scene *s, site through)
{
	struct pollfd one = { s->fd[0], POLLIN, 0 };

	return CALL(through, SYS_ppoll, (long)&one, 1, 0, 0, 8);
}

static long do_select(struct scene *s, site through)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(s->fd[0], &set);
	return CALL(through, SYS_select, s->fd[0] + 1, (long)&set, 0, 0, 0);
}

static long do_pselect(struct scene *s, site through)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(s->fd[0], &set);
	return CALL(through, SYS_pselect6, s->fd[0] + 1, (long)&set, 0, 0, 0, 0);
}

static long epoll(struct scene *s, site through, long number)
{
	struct epoll_event event = { .events = EPOLLIN };
	int all = epoll_create1(0);

	CHECK(all >= 0 && !epoll_ctl(all, EPOLL_CTL_ADD, s->fd[0], &event));
	return CALL(through, number, all, (long)&event, 1, -1, 0, 8);
}

static long do_epoll_wait(struct scene *s, site through)
{
	return epoll(s, through, SYS_epoll_wait);
}

static long do_epoll_pwait(struct scene *s, site through)
{
	return epoll(s, through, SYS_epoll_pwait);
}

static long do_getevents(struct scene *s, site through)
{
	aio_context_t context = 0;
	struct io_event event;

	(void)s;
	CHECK(!syscall(SYS_io_setup, 1, &context));
	return CALL(through, SYS_io_getevents, context, 1, 1, (long)&event, 0);
}

static long do_uring_enter(struct scene *s, site through)
{
	struct io_uring_params params = { 0 };
	long ring = syscall(SYS_io_uring_setup, 4, &params);

	(void)s;
	CHECK(ring >= 0);
	return CALL(through, SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, 0, 0);
}

/* These end by themselves when they go on. */
static long do_nanosleep(struct scene *s, site through)
{
	struct timespec left = { -1, -1 };
	long result = CALL(through, SYS_nanosleep, (long)&moment, (long)&left);

	(void)s;
	CHECK(!result || (left.tv_sec >= 0 && left.tv_sec < 2));
	return result;
}

static long do_clock_nanosleep(struct scene *s, site through)
{
	(void)s;
	return CALL(through, SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&moment, 0);
}

static long do_sleep_until(struct scene *s, site through)
{
	struct timespec end;

	(void)s;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 2;
	return CALL(through, SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, (long)&end, 0);
}

static void nothing(struct scene *s)
{
	(void)s;
}

static void events(void)
{
	static const struct row rows[] = {
		{ "pause", NULL, do_pause, interrupt, TIMED, -EINTR },
		{ "sigsuspend", NULL, do_sigsuspend, interrupt, TIMED, -EINTR },
		{ "sigtimedwait", NULL, do_sigtimedwait, NULL, NEVER, 0 },
		{ "poll", pipes, do_poll, put_byte, TIMED, 1 },
		{ "poll, timeout", pipes, do_poll_timed, put_byte, TIMED, 1 },
		{ "ppoll", pipes, do_ppoll, put_byte, TIMED, 1 },
		{ "select", pipes, do_select, put_byte, TIMED, 1 },
		{ "pselect", pipes, do_pselect, put_byte, TIMED, 1 },
		{ "epoll_wait", pipes, do_epoll_wait, put_byte, NEVER, 1 },
		{ "epoll_pwait", pipes, do_epoll_pwait, put_byte, NEVER, 1 },
		{ "io_getevents", NULL, do_getevents, NULL, NEVER, 0 },
		{ "io_uring_enter", NULL, do_uring_enter, NULL, NEVER, 0 },
		{ 0 },
	};
	run_rows(rows);
}

static void time_passes(void)
{
	static const struct row rows[] = {
		{ "nanosleep", NULL, do_nanosleep, nothing, TIMED, 0 },
		{ "clock_nanosleep", NULL, do_clock_nanosleep, nothing, TIMED, 0 },
		{ "clock_nanosleep, absolute", NULL, do_sleep_until, nothing, TIMED, 0 },
		{ 0 },
	};
	run_rows(rows);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = { CASE(events), CASE(time_passes), { 0 } };

	return run_cases(cases, argc, argv);
}
