/*
 * What glibc finds when a static program opens a module (static-modules.sh says why).
 *
 * The functions stand in for __libc_dlopen_mode(), __libc_dlsym() and __libc_dlclose() of one
 * caller each: they have its arguments, and a module is whatever address _open() returns.
 */
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "static_modules.h"

/* Programs that do not call iconv_open() have no character sets. */
#pragma weak uk_charsets
#pragma weak uk_charsets_cache
#pragma weak uk_charsets_cache_end

HIDDEN int uk_module_close(void *module)
{
	return 0;
}

/* IDNA: names that are not ASCII cannot be looked up, as where libidn2 is not installed. */

HIDDEN void *uk_idn_open(const char *name, int mode)
{
	return NULL;
}

HIDDEN void *uk_idn_symbol(void *module, const char *name, const char *version)
{
	return NULL;
}

/*
 * Name service: `files` and `dns` are in libc and never get here. `compat` is `files` with lines
 * that refer to NIS, and still the first word of many an old nsswitch.conf.
 */

static const char *const nss_names[] = {
#define DEFINE_NSS_FUNCTION(name) #name,
#include "function.def"
};

#define NSS_FUNCTIONS (sizeof(nss_names) / sizeof(nss_names[0]))

HIDDEN void __nss_files_functions(void *functions[]);

HIDDEN void *uk_nss_open(const char *name, int mode)
{
	return strncmp(name, "libnss_compat.so.", 17) ? NULL : (void *)nss_names;
}

HIDDEN void *uk_nss_symbol(void *module, const char *name)
{
	void *functions[NSS_FUNCTIONS];

	name += strlen("_nss_compat_");
	__nss_files_functions(functions);
	for (size_t i = 0; i < NSS_FUNCTIONS; i++)
		if (!strcmp(name, nss_names[i]))
			return functions[i];
	return NULL;
}

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
