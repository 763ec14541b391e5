// SPDX-License-Identifier: 0BSD
/*
 * What glibc finds when a static program opens a character set (static-modules.sh says why).
 *
 * The functions stand in for what gconv_dl.c and gconv_cache.c call: they have its arguments, and a
 * module is whatever address uk_gconv_open() returns.
 */
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "static_gconv.h"

/* Programs that do not call iconv_open() do without libuk_charsets.a. */
#pragma weak uk_charsets
#pragma weak uk_charsets_cache
#pragma weak uk_charsets_cache_end

/* Character sets: those of static_charsets.c, in programs that call iconv_open(). */

HIDDEN void *uk_gconv_open(const char *path, int mode)
{
	const char *base = strrchr(path, '/');
	const struct uk_charset *set = uk_charsets;

	base = base ? base + 1 : path;
	for (; set && set->name; set++) {
		size_t length = strlen(set->name);

		if (!strncmp(base, set->name, length) && !strcmp(base + length, ".so"))
			return (void *)set;
	}
	return NULL;
}

HIDDEN void *uk_gconv_symbol(void *module, const char *name)
{
	const struct uk_charset *set = module;

	if (!strcmp(name, "gconv"))
		return set->convert;
	return strcmp(name, "gconv_init") ? set->end : set->init;
}

HIDDEN int uk_gconv_close(void *module)
{
	return 0;
}

/* The data base of character sets, which gconv_cache.c maps from a file. */

HIDDEN int uk_cache_open(const char *path, int flags, int mode)
{
	return uk_charsets ? INT_MAX : -1;	/* stands for a descriptor */
}

HIDDEN int uk_cache_stat(int fd, struct stat *status)
{
	status->st_size = uk_charsets_cache_end - uk_charsets_cache;
	return 0;
}

HIDDEN void *uk_cache_map(void *address, size_t size, int protection, int flags, int fd, long offset)
{
	return (void *)uk_charsets_cache;
}

HIDDEN int uk_cache_unmap(void *address, size_t size)
{
	return 0;
}

HIDDEN int uk_cache_close(int fd)
{
	return 0;
}
