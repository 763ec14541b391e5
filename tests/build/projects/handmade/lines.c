#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

/* The number of lines that a stream has, or -1. */
long count_lines(FILE *in)
{
	char *line = NULL;
	size_t room = 0;
	long count = 0;

	if (!in)
		return -1;
	while (getline(&line, &room, in) >= 0)
		count++;
	free(line);
	return count;
}
