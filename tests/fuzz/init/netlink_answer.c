// SPDX-License-Identifier: GPL-2.0-only
/* The kernel's answers to what is asked by netlink, and what is asked. */
#define socket fuzz_socket
#define send fuzz_send
#define recv fuzz_recv
#define close fuzz_close

#include "target.h"

#include "netlink.c"

static const uint8_t *answer;
static size_t answer_size;
static int is_open;

int fuzz_socket(int domain, int type, int protocol)
{
	(void)domain;
	(void)type;
	(void)protocol;
	is_open = 1;
	return 99;
}

int fuzz_close(int fd)
{
	(void)fd;
	is_open = 0;
	return 0;
}

ssize_t fuzz_send(int fd, const void *data, size_t len, int flags)
{
	const struct nlmsghdr *head = data;

	(void)fd;
	(void)flags;
	EXPECT(is_open && len == head->nlmsg_len && len <= sizeof(struct request));
	return len;
}

ssize_t fuzz_recv(int fd, void *data, size_t room, int flags)
{
	size_t len = answer_size < room ? answer_size : room;

	(void)fd;
	(void)flags;
	memcpy(data, answer, len);
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ip ip = { .family = AF_INET6, .bits = 64 };
	int failed;

	answer = data;
	answer_size = len;
	failed = link_up(2);
	EXPECT(failed == 0 || (failed == -1 && errno));
	EXPECT(link_mtu(2, 1400) == failed);
	EXPECT(add_address(2, &ip) == failed && remove_address(2, &ip) == failed);
	EXPECT(add_default_route(2, &ip, 1) == failed);
	ip.family = AF_INET;
	ip.bits = len % 33;
	EXPECT(add_address(2, &ip) == failed && !is_open);
	return 0;
}
