"""Loaders of the host that read an image's headers, each in its own way, and a program for them."""

PROGRAM = r"""
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#ifdef PLUGINS
#include <dlfcn.h>
void *plugin(const char *name) { return dlopen(name, RTLD_NOW); }
#endif
#ifdef BIG
char big[1ul << 30];
#endif
extern const ElfW(Ehdr) __ehdr_start;
static __thread int tls = 7;

static int first(struct dl_phdr_info *info, size_t size, void *phdr)
{
    (void)size;
    *(const void **)phdr = info->dlpi_phdr;
    return 1;
}

int main(int argc, char **argv)
{
    const char *table = (const char *)&__ehdr_start + __ehdr_start.e_phoff;
    const void *seen = NULL;

    dl_iterate_phdr(first, &seen);
    printf("%d %d %d %s\n", table == (const char *)getauxval(AT_PHDR), table == seen, tls, argv[1]);
    return 42;
}
"""

LOADERS = {
    "Linux": [],
    "valgrind": ["valgrind", "-q"],
    "qemu-user": ["qemu-x86_64"],
}
