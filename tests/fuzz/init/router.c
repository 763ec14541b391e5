// SPDX-License-Identifier: GPL-2.0-only
/* A router's announcement: as the kernel passes it on, and its option alone. */
#define recvfrom fuzz_recvfrom

#include "target.h"

#include "announced.c"

static const uint8_t *message;
static size_t message_size;

/* The first byte of the input says who the sender is: 0 for the kernel. */
ssize_t fuzz_recvfrom(int fd, void *data, size_t room, int flags,
		      struct sockaddr *from, socklen_t *size)
{
	struct sockaddr_nl sender = { .nl_family = AF_NETLINK };
	size_t len = message_size - 1 < room ? message_size - 1 : room;

	(void)fd;
	(void)flags;
	sender.nl_pid = message[0];
	EXPECT(*size >= sizeof(sender));
	memcpy(from, &sender, sizeof(sender));
	*size = sizeof(sender);
	memcpy(data, message + 1, len);
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct announced announced = { .count = 0 };
	int index;

	if (!parse_announced(data, len, &announced))
		EXPECT(announced.count <= MAX_NAMESERVERS);
	if (!len)
		return 0;
	message = data;
	message_size = len;
	EXPECT(take_announcement(&announced, &index) == 0);
	EXPECT(announced.count <= MAX_NAMESERVERS);
	EXPECT(!data[0] || !announced.count);
	return 0;
}
