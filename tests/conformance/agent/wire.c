// SPDX-License-Identifier: GPL-2.0-only
/* Frames, and the command that a sequence of them makes. */
#include "agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int read_whole(int fd, void *data, size_t size)
{
	char *at = data;

	while (size) {
		ssize_t got = read(fd, at, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return -1;
		at += got;
		size -= got;
	}
	return 0;
}

static int write_whole(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size) {
		ssize_t put = send(fd, at, size, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		at += put;
		size -= put;
	}
	return 0;
}

int read_frame(int fd, struct frame *frame)
{
	frame->data = NULL;
	if (read_whole(fd, &frame->type, 1) ||
	    read_whole(fd, &frame->size, sizeof(frame->size)))
		return -1;
	if (frame->size > FRAME_MAX)
		return -1;
	frame->data = malloc(frame->size + 1);
	if (!frame->data)
		return -1;
	frame->data[frame->size] = '\0';
	return read_whole(fd, frame->data, frame->size);
}

int write_frame(int fd, uint8_t type, const void *data, size_t size)
{
	char head[5] = { type };
	uint32_t length = size;

	memcpy(head + 1, &length, sizeof(length));
	return write_whole(fd, head, sizeof(head)) ||
			       write_whole(fd, data, size) ?
		       -1 :
		       0;
}

/* Entries that end with a NUL each, to a list that ends with NULL. */
static char **words(char *data, size_t size)
{
	size_t count = 0, i;
	char **list, *at = data;

	for (i = 0; i < size; i++)
		count += data[i] == '\0';
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return NULL;
	for (i = 0; i < count; i++) {
		list[i] = at;
		at += strlen(at) + 1;
	}
	return list;
}

static uint32_t number(const struct frame *frame)
{
	uint32_t value = 0;

	if (frame->size == sizeof(value))
		memcpy(&value, frame->data, sizeof(value));
	return value;
}

/* Reads up to FRAME_GO.  The memory stays: a connection is one process. */
int read_command(int fd, struct command *command)
{
	struct frame frame;

	memset(command, 0, sizeof(*command));
	command->directory = "/";
	command->mask = 022;
	for (;;) {
		if (read_frame(fd, &frame))
			return -1;
		switch (frame.type) {
		case FRAME_ARGUMENTS:
			command->arguments = words(frame.data, frame.size);
			break;
		case FRAME_ENVIRONMENT:
			command->environment = words(frame.data, frame.size);
			break;
		case FRAME_DIRECTORY:
			command->directory = frame.data;
			break;
		case FRAME_UMASK:
			command->mask = number(&frame);
			break;
		case FRAME_LIMITS:
			command->limits = (struct limit *)frame.data;
			command->nr_limits = frame.size / sizeof(struct limit);
			break;
		case FRAME_DEADLINE:
			command->deadline = number(&frame);
			break;
		case FRAME_JOINED:
			command->joined = 1;
			break;
		case FRAME_STDIN_FILE:
			command->input = frame.data;
			break;
		case FRAME_GO:
			return command->arguments && command->arguments[0] &&
					       command->environment ?
				       0 :
				       -1;
		default:
			return -1;
		}
	}
}
