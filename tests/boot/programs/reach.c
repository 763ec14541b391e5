/*
 * Tries to reach a server: `tcp|udp ADDRESS PORT`, as often as given. Says for
 * each what came of it: the answer, or why there was none.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static socklen_t parse(const char *address, const char *port, struct sockaddr_storage *to)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	struct sockaddr_in *in = (struct sockaddr_in *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(atoi(port));
		return sizeof(*in);
	}
	inet_pton(AF_INET6, address, &in6->sin6_addr);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(atoi(port));
	return sizeof(*in6);
}

static void reach(const char *kind, const char *address, const char *port)
{
	const struct timeval patience = { .tv_sec = 3 };
	struct sockaddr_storage to;
	socklen_t len = parse(address, port, &to);
	int fd = socket(to.ss_family, strcmp(kind, "udp") ? SOCK_STREAM : SOCK_DGRAM, 0);
	char data[64];
	ssize_t got = -1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!connect(fd, (struct sockaddr *)&to, len) && send(fd, "hello", 5, 0) == 5)
		got = recv(fd, data, sizeof(data), 0);
	if (got >= 0)
		printf("%s %s %.*s\n", kind, address, (int)got, data);
	else
		printf("%s %s %s\n", kind, address, strerror(errno));
	close(fd);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 1; i + 2 < argc; i += 3)
		reach(argv[i], argv[i + 1], argv[i + 2]);
	return 0;
}
