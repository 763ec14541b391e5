// SPDX-License-Identifier: 0BSD
/* libuk_charsets.a: those of the file `charsets`, and the data base that glibc finds them by. */
#include <stddef.h>

#include "static_gconv.h"

#define CHARSET(name, convert, init, end) extern int convert(), init() HIDDEN;
#define CHARSET_END(end) extern int end() HIDDEN;
#include "charsets.h"
#undef CHARSET
#undef CHARSET_END

#define CHARSET(name, convert, init, end) { name, convert, init, end },
#define CHARSET_END(end)

const struct uk_charset uk_charsets[] = {
#include "charsets.h"
	{ NULL }
};

__asm__(".pushsection .rodata.uk_charsets_cache, \"a\"\n"
	".p2align 3\n"
	"uk_charsets_cache: .incbin \"gconv-modules.cache\"\n"
	"uk_charsets_cache_end:\n"
	".globl uk_charsets_cache, uk_charsets_cache_end\n"
	".popsection\n");
