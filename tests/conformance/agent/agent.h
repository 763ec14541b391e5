/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef AGENT_H
#define AGENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The wire: frames in both directions.  A frame is a type (one byte), the
 * length of what follows (four bytes, little-endian), and so many bytes.
 * tests/conformance/wire.py is the other end, and says what each type is for.
 */
enum {
	/* from the host */
	FRAME_ARGUMENTS = 'a',
	FRAME_ENVIRONMENT = 'v',
	FRAME_DIRECTORY = 'd',
	FRAME_UMASK = 'm',
	FRAME_LIMITS = 'l',
	FRAME_DEADLINE = 't',
	FRAME_JOINED = 'j',
	FRAME_STDIN_FILE = 'p',
	FRAME_GO = 'g',
	FRAME_STDIN = 'i',
	/* from the guest */
	FRAME_HELLO = 'h',
	FRAME_STDOUT = 'o',
	FRAME_STDERR = 'e',
	FRAME_FAILED = 'f',
	FRAME_ENDED = 'x',
};

#define FRAME_MAX (8 << 20)

struct frame {
	uint8_t type;
	uint32_t size;
	char *data; /* with a NUL behind it */
};

struct limit {
	uint32_t resource;
	uint64_t soft;
} __attribute__((packed));

/* One command, as the host asked for it. */
struct command {
	char **arguments;
	char **environment;
	char *directory;
	char *input; /* a file for standard input; NULL: what the host sends */
	mode_t mask;
	struct limit *limits;
	size_t nr_limits;
	uint32_t deadline; /* seconds; 0: none */
	int joined; /* standard error goes where standard output goes */
};

/* wire.c: 0, or -1 when the other end is gone or says what nobody does */
int read_frame(int fd, struct frame *frame);
int write_frame(int fd, uint8_t type, const void *data, size_t size);
int read_command(int fd, struct command *command);

/* Why a command did not start. */
struct failure {
	uint32_t error; /* an errno */
	uint32_t at_directory; /* its directory is what was not there */
};

/* start.c: the process, or -1 and why; its streams' other ends in fds */
pid_t start(const struct command *command, int fds[3], struct failure *failure);

/* serve.c: one connection, from the first frame to the last */
void serve(int connection);

/* family.c */
void adopt_orphans(void);
void end_family(pid_t leader);

#endif
