/* SPDX-License-Identifier: GPL-2.0-only */
/* What the targets in C have in common. */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A property that does not hold is a finding. */
#define EXPECT(what) do { if (!(what)) broken(#what, __FILE__, __LINE__); } while (0)

/* In the words of the sanitizers, which fuzz/engine.py reads. */
static inline void broken(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: runtime error: not so: %s\n", file, line, what);
	abort();
}

/* The bytes and a NUL behind them, as read_file() gives them; to be freed. */
static inline char *text_of(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);

	if (len)
		memcpy(text, data, len);
	text[len] = '\0';
	return text;
}

#endif
