// SPDX-License-Identifier: 0BSD
/*
 * What glibc finds when a static program opens a module for names (static-modules.sh says why).
 *
 * The functions stand in for __libc_dlopen_mode(), __libc_dlsym() and __libc_dlclose() of one
 * caller each: they have its arguments, and a module is whatever address _open() returns.
 */
#include <stddef.h>
#include <string.h>

#define HIDDEN __attribute__((visibility("hidden")))

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

HIDDEN int uk_names_close(void *module)
{
	return 0;
}
