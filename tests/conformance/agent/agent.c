// SPDX-License-Identifier: GPL-2.0-only
/*
 * The application of a machine that runs other people's tests: takes commands
 * from the host over TCP, one a connection, several at a time, and runs each
 * as a process of its own.
 *
 *     agent PORT [PATH=TARGET]...
 *
 * PATH=TARGET makes a symbolic link before the first command.  Built by
 * `uk-gcc -static` from all the .c files here; as a Linux process it does the
 * same, on the loopback interface alone.
 */
#define _GNU_SOURCE
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* In a machine, where init has left the program's name, the network is the host's alone. */
static int listen_at(const char *port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(atoi(port)),
		.sin_addr.s_addr =
			htonl(access("/.uk/program", F_OK) ? INADDR_LOOPBACK : INADDR_ANY),
	};
	int one = 1;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (listener < 0)
		fail("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)))
		fail("bind");
	if (listen(listener, 64))
		fail("listen");
	return listener;
}

static void make_link(const char *word)
{
	char path[256];
	const char *target = strchr(word, '=');

	if (!target || target - word >= (long)sizeof(path)) {
		fprintf(stderr, "agent: %s: not PATH=TARGET\n", word);
		exit(2);
	}
	memcpy(path, word, target - word);
	path[target - word] = '\0';
	if (symlink(target + 1, path) && errno != EEXIST)
		fail(path);
}

/* A test that wants all memory must not take us with it. */
static void be_immortal(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "-1000", 5) < 0)
		perror("agent: oom_score_adj"); /* unprivileged, as a process */
	close(fd);
}

int main(int argc, char **argv)
{
	int listener, i, one = 1;

	if (argc < 2) {
		fprintf(stderr, "usage: agent PORT [PATH=TARGET]...\n");
		return 2;
	}
	for (i = 2; i < argc; i++)
		make_link(argv[i]);
	be_immortal();
	listener = listen_at(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	for (;;) {
		int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
		if (connection < 0)
			continue;
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one,
			   sizeof(one));
		if (fork() == 0) {
			close(listener);
			serve(connection);
			exit(0);
		}
		close(connection);
	}
}
