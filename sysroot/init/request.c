// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lines that come by the port `ukcc.requests`, as data: bytes in, a
 * request out.  docs/architecture.md lists them.
 */
#include "init.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NANOSECONDS	1000000000UL

/* Digits only, up to `most`, then one of the characters in `ends`, or the end. */
static int take_number(const char **text, unsigned long most, const char *ends,
		       unsigned long *number)
{
	const char *at = *text;
	unsigned long n = 0;

	if (*at < '0' || *at > '9')
		return -1;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (n > (most - (*at - '0')) / 10)
			return -1;
		n = 10 * n + (*at - '0');
	}
	if (!*at ? !strchr(ends, '\0') : !*ends || !strchr(ends, *at))
		return -1;
	*text = *at ? at + 1 : at;
	*number = n;
	return 0;
}

/* `SECONDS.NANOSECONDS`, the latter with all its nine digits. */
static int take_time(const char **text, struct timespec *time)
{
	unsigned long seconds, nanoseconds;
	const char *point;

	if (take_number(text, INT64_MAX, ".", &seconds))
		return -1;
	point = *text;
	if (take_number(text, NANOSECONDS - 1, " ", &nanoseconds) ||
	    strspn(point, "0123456789") != 9)
		return -1;
	time->tv_sec = seconds;
	time->tv_nsec = nanoseconds;
	return 0;
}

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? at - digits : -1;
}

static int take_seed(const char **text, unsigned char seed[SEED_BYTES])
{
	size_t i;

	for (i = 0; i < SEED_BYTES; i++, *text += 2) {
		int high = digit((*text)[0]), low;

		if (high < 0)
			return -1;
		low = digit((*text)[1]);
		if (low < 0)
			return -1;
		seed[i] = high << 4 | low;
	}
	return 0;
}

static int take_numbers(const char **text, int count,
			struct host_request *request)
{
	unsigned long number;
	int i;

	for (i = 0; i < count; i++) {
		if (take_number(text, UINT16_MAX, " ", &number))
			return -1;
		request->number[i] = number;
	}
	return 0;
}

static const struct word {
	const char *name;
	enum ask ask;
	int numbers;
	int time;
	int seed;
} words[] = {
	{ "continue",	ASK_CONTINUE,	0, 0, 0 },
	{ "hold",	ASK_HOLD,	0, 0, 0 },
	{ "resize",	ASK_RESIZE,	2, 0, 0 },
	{ "resumed",	ASK_RESUMED,	0, 1, 1 },
	{ "signal",	ASK_SIGNAL,	1, 0, 0 },
	{ "stacks",	ASK_STACKS,	0, 0, 0 },
	{ "taken",	ASK_TAKEN,	0, 0, 0 },
	{ "time",	ASK_TIME,	0, 1, 0 },
};

/* What follows the word, and nothing behind it. */
static int parse_rest(const struct word *word, const char *text,
		      struct host_request *request)
{
	if (take_numbers(&text, word->numbers, request) ||
	    (word->time && take_time(&text, &request->time)) ||
	    (word->seed && take_seed(&text, request->seed)))
		return -1;
	return *text ? -1 : 0;
}

/* The line without its end: 0, or -1 if it is no request. */
int parse_request(const char *line, struct host_request *request)
{
	size_t len = strcspn(line, " "), whole = strlen(line);
	const struct word *word;

	memset(request, 0, sizeof(*request));
	if (whole && line[whole - 1] == ' ')
		return -1;
	for (word = words; word < words + sizeof(words) / sizeof(*words); word++) {
		if (strlen(word->name) != len || memcmp(line, word->name, len))
			continue;
		request->ask = word->ask;
		line += len;
		return parse_rest(word, *line ? line + 1 : line, request);
	}
	return -1;
}

/*
 * Adds a byte.  1 if it ends a line, which is in `lines->text` then; a line
 * that has no room there is no request and is passed over.
 */
int add_to_line(struct lines *lines, char byte)
{
	size_t used = lines->used;

	if (byte != '\n') {
		if (used < sizeof(lines->text))
			lines->text[lines->used++] = byte;
		return 0;
	}
	lines->used = 0;
	if (used == sizeof(lines->text))
		return 0;
	lines->text[used] = '\0';
	return 1;
}
