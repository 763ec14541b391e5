/* Restart of calls on sockets. */
#define _GNU_SOURCE
#include "restarts.h"

#include <stddef.h>
#include <sys/time.h>
#include <sys/un.h>

static char buffer[1 << 16];

static void put_byte(struct scene *s)
{
	CHECK(write(s->fd[1], "x", 1) == 1);
}

static void pair(struct scene *s)
{
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s->fd));
}

static void full_pair(struct scene *s)
{
	pair(s);
	while (send(s->fd[1], buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
}

static void drain_all(struct scene *s)
{
	while (recv(s->fd[0], buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
}

static void pair_with_timeout(struct scene *s)
{
	struct timeval long_time = { 600, 0 };

	full_pair(s);
	CHECK(!setsockopt(s->fd[1], SOL_SOCKET, SO_RCVTIMEO, &long_time, sizeof(long_time)));
	CHECK(!setsockopt(s->fd[1], SOL_SOCKET, SO_SNDTIMEO, &long_time, sizeof(long_time)));
}

static long do_recv_timed(struct scene *s, site through)
{
	return CALL(through, SYS_recvfrom, s->fd[1], (long)buffer, 5, 0, 0, 0);
}

static long do_send_timed(struct scene *s, site through)
{
	return CALL(through, SYS_sendto, s->fd[1], (long)buffer, 7, 0, 0, 0);
}

static long do_recvfrom(struct scene *s, site through)
{
	return CALL(through, SYS_recvfrom, s->fd[0], (long)buffer, 5, 0, 0, 0);
}

static long do_sendto(struct scene *s, site through)
{
	return CALL(through, SYS_sendto, s->fd[1], (long)buffer, 7, 0, 0, 0);
}

static struct iovec part = { buffer, 7 };
static struct mmsghdr message = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };

static long do_recvmsg(struct scene *s, site through)
{
	return CALL(through, SYS_recvmsg, s->fd[0], (long)&message.msg_hdr, 0);
}

static long do_sendmsg(struct scene *s, site through)
{
	return CALL(through, SYS_sendmsg, s->fd[1], (long)&message.msg_hdr, 0);
}

static long do_recvmmsg(struct scene *s, site through)
{
	return CALL(through, SYS_recvmmsg, s->fd[0], (long)&message, 1, 0, 0);
}

static long do_sendmmsg(struct scene *s, site through)
{
	return CALL(through, SYS_sendmmsg, s->fd[1], (long)&message, 1, 0);
}

static struct sockaddr_un address = { .sun_family = AF_UNIX };
enum { ADDRESS_SIZE = offsetof(struct sockaddr_un, sun_path) + 8 };

static void listener(struct scene *s)
{
	memcpy(address.sun_path, "\0restart", 8);
	s->fd[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	s->fd[1] = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(s->fd[0] >= 0 && s->fd[1] >= 0);
	CHECK(!bind(s->fd[0], (struct sockaddr *)&address, ADDRESS_SIZE));
	CHECK(!listen(s->fd[0], 0));
}

static void full_listener(struct scene *s)
{
	listener(s);
	s->go[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK(!connect(s->go[0], (struct sockaddr *)&address, ADDRESS_SIZE));
}

static long do_accept(struct scene *s, site through)
{
	return CALL(through, SYS_accept, s->fd[0], 0, 0);
}

static long do_accept4(struct scene *s, site through)
{
	return CALL(through, SYS_accept4, s->fd[0], 0, 0, SOCK_CLOEXEC);
}

static long do_connect(struct scene *s, site through)
{
	return CALL(through, SYS_connect, s->fd[1], (long)&address, ADDRESS_SIZE);
}

static void connect_now(struct scene *s)
{
	CHECK(!connect(s->fd[1], (struct sockaddr *)&address, ADDRESS_SIZE));
}

static void accept_now(struct scene *s)
{
	s->go[1] = accept(s->fd[0], NULL, NULL);
	CHECK(s->go[1] >= 0);
}

static void sockets(void)
{
	static const struct row rows[] = {
		{ "recvfrom", pair, do_recvfrom, put_byte, RESTARTS, 1 },
		{ "recvmsg", pair, do_recvmsg, put_byte, RESTARTS, 1 },
		{ "recvmmsg", pair, do_recvmmsg, put_byte, RESTARTS, 1 },
		{ "sendto", full_pair, do_sendto, drain_all, RESTARTS, 7 },
		{ "sendmsg", full_pair, do_sendmsg, drain_all, RESTARTS, 7 },
		{ "sendmmsg", full_pair, do_sendmmsg, drain_all, RESTARTS, 1 },
		{ "accept", listener, do_accept, connect_now, RESTARTS, -1 },
		{ "accept4", listener, do_accept4, connect_now, RESTARTS, -1 },
		{ "connect", full_listener, do_connect, accept_now, RESTARTS, 0 },
		{ "recvfrom, SO_RCVTIMEO", pair_with_timeout, do_recv_timed, NULL, NEVER, 0 },
		{ "sendto, SO_SNDTIMEO", pair_with_timeout, do_send_timed, NULL, NEVER, 0 },
		{ 0 },
	};
	run_rows(rows);
}

int main(int argc, char **argv)
{
	static const struct test_case cases[] = { CASE(sockets), { 0 } };

	return run_cases(cases, argc, argv);
}
