/* SPDX-License-Identifier: 0BSD */
/* Between static_gconv.c, which every static program has, and static_charsets.c. */
#define HIDDEN __attribute__((visibility("hidden")))

/* A module of glibc's iconvdata: the name of its file without ".so", and its functions. */
struct uk_charset {
	const char *name;
	void *convert;
	void *init;
	void *end;
};

/* The last one has no name. */
extern const struct uk_charset uk_charsets[] HIDDEN;

/* glibc's data base of them, which it calls a cache (iconv/gconv_cache.c). */
extern const char uk_charsets_cache[] HIDDEN;
extern const char uk_charsets_cache_end[] HIDDEN;
