"""Static or dynamic, a program does what gcc's does. Each row once did not, or is the like of one.

A row's line runs with $CC as gcc and as uk-gcc; status and both streams must agree. The last column
says how uk-gcc must have linked `m`: a static program where a dynamic one is needed may agree by
luck, and one that is dynamic without need is a burden.
"""

import pytest
from support import twin

LIBRARIES = (
    "for l in a b; do $CC -fPIC -c $l.c && $CC -shared $l.o -o lib$l.so && ar rc lib$l.a $l.o"
)
TWO = f"{LIBRARIES}; done; $CC m.c -L. -la -lb -Wl,-rpath,$PWD -o m && ./m"
ONE = f"{LIBRARIES}; break; done; $CC m.c -L. -la -Wl,-rpath,$PWD -o m && ./m"

CALLS = "int one(void), two(void); int main(void) { return one() * 10 + two(); }\n"
ASKS = "#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <stdio.h>\n"

ROWS = {
    # Private names of two libraries, hidden by the compiler: the first would serve both.
    "hidden helpers": (
        {
            "a.c": '__attribute__((visibility("hidden"))) int h(void) { return 1; }\n'
            "int one(void) { return h(); }\n",
            "b.c": '__attribute__((visibility("hidden"))) int h(void) { return 2; }\n'
            "int two(void) { return h(); }\n",
            "m.c": CALLS,
        },
        TWO,
        "dynamic",
    ),
    "a library's name that the program has, too": (
        {
            "a.c": "int h(void); int one(void) { return h(); } int h(void) { return 1; }\n",
            "m.c": "int h(void) { return 7; } int one(void); int main(void) { return one(); }\n",
        },
        ONE,
        "dynamic",
    ),
    "a library's name that glibc has, too": (
        {
            "a.c": "int warn(int x) { return x; } int one(void) { return warn(3); }\n",
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        ONE,
        "dynamic",
    ),
    "a member that registers itself": (
        {
            "a.c": "int n; int one(void) { return n; }\n",
            "r.c": "extern int n; __attribute__((constructor)) static void r(void) { n = 4; }\n",
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "$CC -fPIC -c a.c r.c && $CC -shared a.o r.o -o liba.so && ar rc liba.a a.o r.o;"
        "$CC m.c -L. -la -Wl,-rpath,$PWD -o m && ./m",
        "dynamic",
    ),
    "members that are gathered in a section": (
        {
            "a.c": "extern int __start_set[], __stop_set[];\n"
            "int one(void) { return __stop_set - __start_set; }\n",
            "r.c": '__attribute__((section("set"), used)) static int member = 1;\n',
            "s.c": '__attribute__((section("set"), used)) int kept = 1;\n',
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "$CC -fPIC -c a.c r.c s.c && $CC -shared a.o r.o s.o -o liba.so;"
        "ar rc liba.a a.o r.o s.o;"
        "$CC m.c -L. -la -Wl,-rpath,$PWD -o m && ./m",
        "dynamic",
    ),
    "-init of a library": (
        {
            "a.c": "int n; void begin(void) { n = 6; } int one(void) { return n; }\n",
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "$CC -fPIC -c a.c && $CC -shared a.o -Wl,-init,begin -o liba.so && ar rc liba.a a.o;"
        "$CC m.c -L. -la -Wl,-rpath,$PWD -o m && ./m",
        "dynamic",
    ),
    "a weak reference of a library into another": (
        {
            "a.c": "int two(void) __attribute__((weak));\n"
            "int one(void) { return two ? two() : 9; }\n",
            "b.c": "int other(void) { return 1; }\n",
            "t.c": "int two(void) { return 2; }\n",
            "m.c": "int one(void), other(void); int main(void) { return one() * 10 + other(); }\n",
        },
        "$CC -fPIC -c a.c b.c t.c && $CC -shared a.o -o liba.so && $CC -shared b.o t.o -o libb.so;"
        "ar rc liba.a a.o; ar rc libb.a b.o t.o; $CC m.c -L. -la -lb -Wl,-rpath,$PWD -o m && ./m",
        "dynamic",
    ),
    "an archive that is older": (
        {
            "a.c": "int one(void) { return 2; }\n",
            "old.c": "int one(void) { return 1; }\n",
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "$CC -c old.c && ar rc liba.a old.o && touch -d '1 hour ago' liba.a;"
        "$CC -shared -fPIC a.c -o liba.so && $CC m.c -L. -la -Wl,-rpath,$PWD -o m && ./m",
        "dynamic",
    ),
    "an archive of other code": (
        {
            "a.c": "int one(void) { return 2; } int more(void) { return 3; }\n",
            "old.c": "int one(void) { return 1; }\n",
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "$CC -shared -fPIC a.c -o liba.so && $CC -c old.c && ar rc liba.a old.o;"
        "$CC m.c -L. -la -Wl,-rpath,$PWD -o m && ./m",
        "dynamic",
    ),
    "a shared library before an archive in a later directory": (
        {
            "a.c": "int one(void) { return 2; }\n",
            "old.c": "int one(void) { return 1; }\n",
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "mkdir s t; $CC -shared -fPIC a.c -o s/liba.so && $CC -c old.c && ar rc t/liba.a old.o;"
        "$CC m.c -Ls -Lt -la -Wl,-rpath,$PWD/s -o m && ./m",
        "dynamic",
    ),
    "-Bsymbolic": (
        {
            "a.c": "int h(void) { return 1; } int one(void) { return h(); }\n",
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "$CC -fPIC -c a.c && $CC -shared -Wl,-Bsymbolic a.o -o liba.so && ar rc liba.a a.o;"
        "$CC m.c -L. -la -Wl,-rpath,$PWD -o m && ./m",
        "dynamic",
    ),
    "an archive that the loader's calls are in": (
        {
            "a.c": ASKS + 'int one(void) { return dlsym(RTLD_DEFAULT, "one") != 0; }\n',
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "$CC -c a.c && ar rc liba.a a.o && $CC -rdynamic m.c liba.a -o m && ./m",
        "dynamic",
    ),
    "a library whose archive is the same, as far as anybody can see": (
        {
            "a.c": "int one(void) { return 3; }\n",
            "b.c": "int one(void); int two(void) { return one() + 1; }\n",
            "m.c": CALLS,
        },
        TWO,
        "dynamic",
    ),
    "an archive of objects that were compiled for it": (
        {
            "a.c": "#ifdef SHARED\nint one(void) { return 3; }\n#else\n"
            "int one(void) { return 4; }\n#endif\n",
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "$CC -DSHARED -fPIC -shared a.c -o liba.so && $CC -c a.c && ar rc liba.a a.o;"
        "$CC m.c -L. -la -Wl,-rpath,$PWD -o m && ./m",
        "dynamic",
    ),
    "a library with a soname of glibc's": (
        {
            "a.c": "#include <stdio.h>\n"
            '__attribute__((constructor)) static void c(void) { puts("a"); }\n',
            "m.c": "int main(void) { return 2; }\n",
        },
        "$CC -fPIC -shared a.c -Wl,-soname,libutil.so.1 -o libutil.so.1;"
        "$CC m.c -Wl,--no-as-needed ./libutil.so.1 -Wl,-rpath,$PWD -o m && ./m",
        "dynamic",
    ),
    "a member of an archive that only the static link takes": (
        {
            "a.c": "int one(void) { return 3; }\n",
            "n.c": "#include <stdio.h>\n#include <stdlib.h>\nint taken = 1;\n"
            "void free(void *p) {} void *calloc(size_t a, size_t b) { return 0; }\n"
            "void *realloc(void *p, size_t n) { return 0; }\n"
            "void *malloc(size_t n) { static char h[1 << 16]; static size_t a; a += (n + 31) & -16;"
            " return h + a - ((n + 15) & -16); }\n"
            '__attribute__((destructor)) static void d(void) { puts("taken"); }\n',
            "m.c": "#include <stdio.h>\nint one(void);\n"
            'int main(void) { printf("%d\\n", one()); return 0; }\n',
        },
        "$CC -c a.c n.c && ar rc libn.a a.o n.o;"
        "$CC m.c -Wl,--start-group -L. -ln -lc -Wl,--end-group -o m && ./m",
        "dynamic",
    ),
    "a hidden function that libc itself would call": (
        {
            "m.c": "#include <stdio.h>\n#include <time.h>\n"
            '__attribute__((visibility("hidden"))) char *getenv(const char *n)'
            ' { return "XXX-5"; }\n'
            "int main(void) { time_t t = 0; return localtime(&t)->tm_hour; }\n"
        },
        "unset TZ; $CC m.c -o m && ./m && $CC -s m.c -o m; ./m",
        "dynamic",
    ),
    "a static function of such a name": (
        {
            "m.c": "static int warn(int x) { return x; }\n"
            "int main(int c, char **v) { volatile int n = 6; return warn(n); }\n"
        },
        "$CC -O0 m.c -o m && ./m",
        "static",
    ),
    "--wrap": (
        {
            "m.c": "#include <stdlib.h>\n#include <string.h>\nint n; void *__real_malloc(size_t);\n"
            "void *__wrap_malloc(size_t s) { n++; return __real_malloc(s); }\n"
            'int main(void) { free(strdup("x")); return n; }\n'
        },
        "$CC -fno-builtin m.c -Wl,--wrap=malloc -o m && ./m",
        "dynamic",
    ),
    "an entry point of its own": (
        {
            "m.c": "#include <stdio.h>\n#include <stdlib.h>\n"
            '__attribute__((force_align_arg_pointer)) void begin(void) { puts("b"); exit(3); }\n'
            "int main(void) { return 1; }\n"
        },
        "$CC m.c -Wl,-e,begin -o m && ./m",
        "dynamic",
    ),
    "an ifunc whose resolver calls libc": (
        {
            "m.c": "#include <string.h>\nstatic int fast(void) { return 2; }\n"
            "static int slow(void) { return 3; }\n"
            'static void *pick(void) { return strcmp("a", "b") ? fast : slow; }\n'
            'int work(void) __attribute__((ifunc("pick")));\nint main(void) { return work(); }\n'
        },
        "$CC -O0 -fno-builtin m.c -o m && ./m",
        "dynamic",
    ),
    "OpenMP before main": (
        {
            "m.c": "#include <omp.h>\nint n; __attribute__((constructor)) static void f(void)"
            " { n = omp_get_max_threads(); }\nint main(void) { return n; }\n"
        },
        "export OMP_NUM_THREADS=3; $CC -fopenmp m.c -o m && ./m",
        "dynamic",
    ),
    "exceptions before main": (
        {
            "m.cc": "#include <stdexcept>\nstruct C { int v; C() { try { throw std::runtime_error"
            '("x"); } catch (std::exception &) { v = 7; } } };\n'
            "__attribute__((init_priority(200))) C c;\nint main() { return c.v; }\n"
        },
        "$CC m.cc -lstdc++ -o m && ./m",
        "static",
    ),
    "a source that can be read only once": (
        {"m.c": "int main(void) { return 12; }\n"},
        "$CC -x c <(cat m.c) -o m && ./m",
        "dynamic",
    ),
    "an include that can be read only once": (
        {"m.c": '#include "/dev/stdin"\n', "n.c": "int main(void) { return 12; }\n"},
        "cat n.c | $CC m.c -o m && ./m",
        "static",  # what the first link has compiled, the second has
    ),
    "an archive of the build's own": (
        {
            "a.c": "int one(void) { return 3; }\n",
            "m.c": "int one(void); int main(void) { return one(); }\n",
        },
        "$CC -c a.c && ar rc liba.a a.o && $CC m.c -L. -la -o m && ./m",
        "static",
    ),
    "dladdr": (
        {
            "m.c": ASKS + "int main(void) { Dl_info i; return !dladdr((void *)puts, &i)"
            " || !i.dli_sname; }\n"
        },
        "$CC m.c -o m && ./m",
        "dynamic",
    ),
    "backtrace_symbols": (
        {
            "m.c": "#include <execinfo.h>\n#include <string.h>\n"
            "int main(void) { void *p[9]; int n = backtrace(p, 9);"
            ' return !strstr(backtrace_symbols(p, n)[0], "main"); }\n'
        },
        "$CC -rdynamic m.c -o m && ./m",
        "dynamic",
    ),
    "dl_iterate_phdr": (
        {
            "m.c": "#define _GNU_SOURCE\n#include <link.h>\n"
            "static int count(struct dl_phdr_info *i, size_t s, void *n)"
            " { ++*(int *)n; return 0; }\n"
            "int main(void) { int n = 0; dl_iterate_phdr(count, &n); return n; }\n"
        },
        "$CC m.c -o m && ./m",
        "dynamic",
    ),
    "iconv": (
        {
            "m.c": '#include <iconv.h>\nint main(void) { return iconv_open("ISO-8859-15", "UTF-8")'
            " == (iconv_t)-1; }\n"
        },
        "$CC m.c -o m && ./m",
        "static",
    ),
    "a weak reference to the loader's call": (
        {
            "m.c": "void *dlsym(void *, const char *) __attribute__((weak));\n"
            "int main(void) { return dlsym != 0; }\n"
        },
        "$CC m.c -o m && ./m",
        "dynamic",
    ),
    "a weak reference to the dynamic section": (
        {
            "m.c": "extern char _DYNAMIC[] __attribute__((weak));\n"
            "int main(void) { return _DYNAMIC ? 3 : 4; }\n"
        },
        "$CC m.c -o m && ./m",
        "dynamic",
    ),
    "a weak reference to the dynamic section, optimised at the link, without symbols": (
        {
            "m.c": "extern char _DYNAMIC[] __attribute__((weak));\n"
            "int main(void) { return _DYNAMIC ? 3 : 4; }\n"
        },
        "$CC -O2 -flto -s m.c -o m && ./m",
        "dynamic",
    ),
    "a weak reference to the dynamic section, which a static PIE has": (
        {
            "m.c": "extern char _DYNAMIC[] __attribute__((weak));\n"
            "int main(void) { return _DYNAMIC ? 3 : 4; }\n"
        },
        "$CC -pie -fPIE m.c -o m && ./m",
        "static",
    ),
    "weak references to what only the static libraries have": (
        {
            "m.c": "extern char _dl_phdr[] __attribute__((weak));\n"
            "extern char __register_frame_info[] __attribute__((weak));\n"
            "int main(void) { return (_dl_phdr ? 2 : 0) | (__register_frame_info ? 1 : 0); }\n"
        },
        "$CC m.c -o m && ./m",
        "dynamic",
    ),
    "a weak reference that nothing fills": (
        {"m.c": "int nowhere(void) __attribute__((weak));int main(void) { return !nowhere; }\n"},
        "$CC m.c -o m && ./m",
        "static",
    ),
    "another member of an archive, by lld": (
        {
            "r.c": "int n; int getopt(int c, char *const *v, const char *s) { return 5; }\n"
            "__attribute__((constructor)) static void r(void) { n = 4; }\n",
            "m.c": "#define _GNU_SOURCE\n#include <getopt.h>\n"
            'int main(int c, char **v) { return getopt_long(c, v, "", 0, 0) + 2; }\n',
        },
        "$CC -c r.c && ar rcs libr.a r.o && $CC -fuse-ld=lld m.c -L. -lr -o m && ./m",
        "dynamic",
    ),
    "a weak reference that is filled all the same": (
        {
            "m.c": "int puts(const char *) __attribute__((weak)); int printf(const char *, ...);\n"
            'int main(void) { printf("%s", ""); return puts ? puts("there"), 5 : 6; }\n'
        },
        "$CC -fno-builtin m.c -o m && ./m",
        None,
    ),
    "a name that libc itself calls": (
        {
            "m.c": "#include <stdio.h>\n#include <time.h>\n"
            'char *getenv(const char *name) { return "XXX-5"; }\n'
            "int main(void) { time_t t = 0; return localtime(&t)->tm_hour; }\n"
        },
        "unset TZ; $CC m.c -o m && ./m",
        "dynamic",
    ),
    "an own malloc": (
        {
            "m.c": "#include <stddef.h>\n#include <string.h>\n"
            "static char heap[1 << 20]; size_t at;\n"
            "void *malloc(size_t n)"
            " { at += (n + 31) & -16; return heap + at - ((n + 15) & -16); }\n"
            "void free(void *p) {} void *calloc(size_t a, size_t b) { return malloc(a * b); }\n"
            "void *realloc(void *p, size_t n) { return memcpy(malloc(n), p, n); }\n"
            'int main(void) { size_t b = at; strdup("x"); return at - b; }\n'
        },
        "$CC -fno-builtin m.c -o m && ./m",
        "static",
    ),
    "a definition that a member of libc.a brings along, too": (
        {
            "m.c": "#include <getopt.h>\nint optind = 1, opterr, optopt; char *optarg;\n"
            "int getopt(int c, char *const *v, const char *s) { return 5; }\n"
            'int main(int c, char **v) { return getopt(c, v, "") + getopt_long(c, v, "", 0, 0); }\n'
        },
        "$CC m.c -o m && ./m",
        "dynamic",
    ),
    "a version of a symbol that only the shared libc has": (
        {
            "m.c": "#include <string.h>\n"
            '__asm__(".symver memcpy, memcpy@GLIBC_2.2.5");\n'
            "int main(int c, char **v) { char b[9]; memcpy(b, v[0], c); return b[0]; }\n"
        },
        "$CC -fno-builtin m.c -o m && ./m",
        "dynamic",
    ),
    "definitions that are allowed twice": (
        {
            "m.c": "#include <getopt.h>\nint optind = 1, opterr, optopt; char *optarg;\n"
            "int getopt(int c, char *const *v, const char *s) { return 5; }\n"
            'int main(int c, char **v) { return getopt(c, v, "") + getopt_long(c, v, "", 0, 0); }\n'
        },
        "$CC m.c -Wl,-z,muldefs -o m && ./m",
        "dynamic",
    ),
    "a symbol that nobody has, by permission": (
        {"m.c": "int nobody(void); int main(int c, char **v) { return c > 1 ? nobody() : 3; }\n"},
        "$CC -no-pie m.c -Wl,--unresolved-symbols=ignore-all -o m && ./m",
        "dynamic",
    ),
    "-fini": (
        {"m.c": "#include <unistd.h>\nvoid end(void) { _exit(8); } int main(void) { return 1; }\n"},
        "$CC m.c -Wl,-fini=end -o m && ./m",
        "dynamic",
    ),
    "warnings are errors, and nothing is stripped but symbols": (
        {"m.c": "#include <netdb.h>\nint main(void) { return !getservbyname; }\n"},
        "$CC -s m.c -Wl,--fatal-warnings -o m && ./m",
        "static",
    ),
    "standard input is read for both links": (
        {"m.c": "int main(void) { return 12; }\n"},
        "$CC -x c - -o m < m.c && ./m",
        "static",
    ),
    "a compiler's warning is said once": (
        {"m.c": "int main(void) { int unused; return 2; }\n"},
        "$CC -Wall m.c -o m; ./m",
        "static",
    ),
    "what is missing is said in the user's language": (
        {"m.c": "int nobody(void); int main(void) { return nobody(); }\n"},
        "LC_ALL=C.UTF-8 LANGUAGE=fr $CC -c m.c && LC_ALL=C.UTF-8 LANGUAGE=fr $CC m.o -o m",
        None,
    ),
}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_same_meaning(row, tmp_path):
    files, line, linkage = ROWS[row]
    real, ours = twin.both(line, tmp_path, files=files)
    assert ours[:3] == real[:3]
    if linkage:
        headers = twin.shell("readelf -lW m", tmp_path / "ours").stdout
        assert (b"INTERP" in headers) == (linkage == "dynamic")


def test_the_user_chooses(tmp_path):
    (tmp_path / "m.c").write_text("int main(void) { return 0; }\n")
    for chosen in ("static", "dynamic"):
        done = twin.shell("uk-gcc m.c -o m && readelf -lW m", tmp_path, UKCC_LINK=chosen)
        assert (done.returncode, done.stderr) == (0, b"")
        assert (b"INTERP" in done.stdout) == (chosen == "dynamic")
    done = twin.shell("uk-gcc m.c -o m", tmp_path, UKCC_LINK="both")
    assert done.returncode == 1
    assert (
        done.stderr == b"uk-gcc: error: UKCC_LINK is 'both'; say static or dynamic, or unset it\n"
    )
