"""GCC's command line, point by point: uk-gcc leaves what gcc leaves.

Each line is run twice, see `twin.py`; `./x` in it says that the program works.
"""

from pathlib import Path

import pytest
from support.twin import assert_same, both

LIBRARY = "$CC -c a.c b.c; uk-ar rcs libb.a b.o; "
LTO = "$CC -flto -O2 "

COMPILING = {
    "object": "$CC -c one.c",
    "object, several": "$CC -c a.c b.c",
    "object, several, -o": "$CC -c a.c b.c -o x.o",
    "object, joined -o": "$CC -c one.c -oone.obj",
    "object, --output": "$CC -c one.c --output=p.o; $CC -c one.c --output q.o",
    "object, null": "$CC -c one.c -o /dev/null",
    "object, full": "$CC -c one.c -o /dev/full",
    "object, no directory": "$CC -c one.c -o /nonexistent/x.o",
    "object, directory": "mkdir d; $CC -c one.c -o d",
    "object, not writable": "$CC -c one.c -o /proc/x.o",
    "debug": "$CC -g -O2 -c one.c; $CC -g3 -c one.c -o 3.o",
    "debug, DWARF 4": "$CC -gdwarf-4 -c one.c",
    "debug, assembler": "$CC -g -c s.S t.s",
    "debug, map": "$CC -g -ffile-prefix-map=$PWD=/src -c one.c",
    "debug, split": "$CC -g -gsplit-dwarf -c one.c",
    "debug, compressed": "$CC -g -gz -c one.c",
    "assembler": "$CC -S one.c",
    "assembler, stdout": "$CC -S -o - one.c",
    "assembler, Intel": "$CC -S -masm=intel -fverbose-asm one.c",
    "preprocess": "$CC -E one.c",
    "preprocess, file": "$CC -E one.c -o one.i; $CC -c one.i",
    "preprocess, C++": "$CC -E -x c++ one.c -o one.ii; $CC -c one.ii",
    "preprocess, macros": "$CC -E -dM - </dev/null",
    "preprocess, macros, C++": "$CC -E -dM -x c++ - </dev/null",
    "preprocess, full": "$CC -E one.c >/dev/full",
    "preprocess, no reader": "yes '#include <stdio.h>' | head -9999 | $CC -E - | true",
    "syntax": "$CC -fsyntax-only one.c; $CC --syntax-only bad.c",
    "assembly files": "$CC -c t.s s.S",
    "assembly from a pipe": "$CC -c -x assembler-with-cpp -o x.o - <s.S",
    "assembler's words": "$CC -Wa,--noexecstack,-mrelax-relocations=no -c t.s",
    "assembler's words, one by one": "$CC -Xassembler --defsym -Xassembler q=1 -c t.s",
    "assembler's words, wrong": "$CC -Wa,--nosuch -c t.s",
    "preprocessor's words": "$CC -Wp,-MD,x.d,-DQ=1 -Xpreprocessor -DR=2 -E useh.c",
    "include": "$CC -include h.h -imacros h.h -I . -isystem . -c one.c",
    "precompiled header": "$CC h.h && rm h.h && $CC -c useh.c",
    "precompiled header, -o": "$CC -x c-header h.h -o h.h.gch",
    "dependencies": "$CC -MD -c useh.c",
    "dependencies, own": "$CC -MMD -MF q.d -MT 'a b' -MQ 'c$d' -MP -c useh.c",
    "dependencies, automake": "$CC -MT u.o -MMD -MP -MF .deps.Tpo -c -o u.o useh.c",
    "dependencies, only": "$CC -M useh.c; $CC -MM useh.c -o dep",
    "dependencies, missing": "echo '#include \"gen.h\"' >g.c; $CC -MM -MG g.c; $CC -MM g.c",
    "dependencies, -Wp": "$CC -Wp,-MMD,dep,-MT,target -c useh.c",
    "dependencies, environment": "DEPENDENCIES_OUTPUT=dep $CC -c useh.c",
    "native": "$CC -march=native -O2 -c one.c",
    "other ABI": "$CC -m32 -S one.c; $CC -m32 -c t.s; $CC -m32 one.c -o x",
    "other ABI, long": "$CC --machine=32 -S t.s one.c; $CC --machine-32 -c t.s",
    "language": "$CC -c -x c one.c -x none t.s",
    "language, standard input": "$CC -c -x c - -o x.o <one.c",
    "language, unknown": "$CC -x nolang one.c",
    "standard input without a language": "$CC - <one.c; $CC - <&-",
    "empty file": "$CC -c -x c /dev/null -o n.o",
    "warnings": "$CC -Wall -c warn.c",
    "warnings as errors": "$CC -Wall -Werror -c warn.c",
    "wrong source": "$CC -c bad.c one.c",
    "wrong source, colours": "$CC -fdiagnostics-color=always -c bad.c",
    "wrong source, JSON": "$CC -fdiagnostics-format=json -c bad.c",
    "wrong source, C locale": "LC_ALL=C $CC -c bad.c",
    "unknown option": "$CC -nosuch one.c; $CC --nosuch one.c; $CC -fnosuch -c one.c",
    "missing value": "$CC one.c -o; $CC -c -x; $CC one.c -Xlinker; $CC -c one.c -include",
    "missing file": "$CC nosuch.c; $CC -c nosuch.c one.c; $CC one.c nosuch.o",
    "no file": "$CC; $CC -c; $CC -o x; $CC -x c; $CC -O2 -L.",
    "other root": "$CC --sysroot=/nonexistent -c one.c; $CC -isysroot /nonexistent -c one.c",
    "dumps": "$CC -fdump-tree-optimized -fstack-usage -O2 -c one.c; $CC -H -c useh.c",
    "dumps, named": "$CC -dumpdir q- -dumpbase r -c one.c -save-temps; $CC -aux-info p -c a.c",
    "inline assembly of the sysroot's kind": "$CC -c nested.c -o /dev/null -Wa,-W",
    "empty environment": "env -i $CC -c one.c",
    "closed input": "$CC -c one.c <&-",
    "closed output": "$CC -c one.c >&-; $CC -E one.c >&-; $CC --version >&-",
    "closed errors": "$CC -c one.c 2>&-; $CC -c bad.c 2>&-; $CC nosuch.c 2>&-",
    "one's own file": "$CC -c one.c -o one.c; $CC one.c -o one.c",
}

QUESTIONS = {
    "machine": "$CC -dumpmachine",
    "version": "$CC -dumpversion; $CC -dumpfullversion",
    "version, long": "$CC --version; $CC one.c --version; $CC -fversion",
    "specs": "$CC -dumpspecs",
    "help": "$CC --help; $CC --help=common; $CC --target-help | head",
    "help, settings": "$CC -Q -O3 --help=optimizers; $CC -Q --help=target -march=native",
    "completion": "$CC --completion=-flto",
    "libraries": "$CC -print-multi-lib; $CC -print-multi-directory; $CC -print-multiarch",
    "libgcc": "$CC -print-libgcc-file-name; $CC --print-file-name=crtbegin.o",
    "nothing found": "$CC -print-file-name=nosuch; $CC -print-prog-name=nosuch",
    "programs": "$CC -print-prog-name=ld; $CC --print-prog-name cc1",
    "sysroot": "$CC -print-sysroot",
    "full": "$CC --version >/dev/full",
}

RESPONSE_FILES = {
    "words": "echo \"-DA='b c' one.c -o x\" >r; $CC @r && ./x",
    "nested": "echo '-O2 @s' >r; echo '-o x one.c' >s; $CC @r && ./x",
    "quotes and escapes": r"""printf -- '-DQ=\\"z\\" a\\ b.c "-DR=1 2" -E' >r; """
    "cp one.c 'a b.c'; $CC @r",
    "lines of Windows": "printf 'one.c\\r\\n-o\\r\\nx\\r\\n' >r; $CC @r && ./x",
    "an open quote": "printf 'one.c -o \"un' >r; $CC @r",
    "an open escape": "printf 'one.c -o b\\\\' >r; $CC @r",
    "a NUL": "printf 'one.c\\0-nosuch' >r; $CC @r",
    "empty": ": >r; $CC @r; $CC @r one.c -o x && ./x",
    "missing": "$CC @nosuch; $CC @nosuch one.c",
    "a directory": "$CC @.",
    "opened": "cp b.c 'sp b.c'; echo \"a.c -Wl,-Bdynamic 'sp b.c'\" >r; $CC @r -o x && ./x",
    "not UTF-8": "n=$(printf 'bad\\377.c'); cp one.c $n; echo $n -Wl,-Bdynamic >r;"
    " $CC @r && ./a.out",
    "for the linker": LIBRARY + "echo a.o libb.a >r; $CC -Wl,@r -o x && ./x",
}

LINKING = {
    "a.out": "$CC one.c; ./a.out",
    "several sources": "$CC a.c b.c -o x; ./x",
    "-o": "$CC one.c -ox; ./x; $CC -o y one.c; ./y; $CC one.c -o z -o zz",
    "-o, odd": "$CC one.c -o -; $CC one.c -o ''",
    "-o of the linker": "$CC one.c -o x -Wl,-o,y; $CC one.c -Xlinker -oz; $CC one.c -Wl,--output=q",
    "standard input": "$CC -x c - -o x <one.c; ./x",
    "-pipe": "$CC -pipe one.c -o x; ./x",
    "-save-temps": "$CC -save-temps one.c -o x; ./x",
    "-save-temps=obj": "mkdir d; $CC -save-temps=obj one.c -o d/x;"
    " $CC -save-temps=cwd b.c a.c -o x",
    "-MD": "$CC -MD useh.c -o x; $CC -MMD useh.c; ./x",
    "all kinds of input": "$CC -c b.c; $CC -E a.c >a.i; echo >e.s; cp e.s e.S;"
    " $CC a.i b.o e.s e.S; ./a.out",
    "archive": LIBRARY + "$CC a.o libb.a -o x; ./x",
    "-L -l": LIBRARY + "$CC a.o -L. -lb -o x; ./x; $CC a.o -L . -l b -o y; ./y",
    "-l:": LIBRARY + "$CC a.o -L. -l:libb.a -o x; ./x",
    "order of archives": LIBRARY + "$CC libb.a a.o; $CC -L. -lb a.o",
    "order of -L": LIBRARY
    + "mkdir d; echo >d/libb.a; $CC a.o -Ld -L. -lb; $CC a.o -L. -Ld -lb; ./a.out",
    "whole archive": LIBRARY
    + "$CC a.o -Wl,--whole-archive libb.a -Wl,--no-whole-archive -o x; ./x",
    "group": LIBRARY + "$CC a.o -Wl,--start-group libb.a -lm -Wl,--end-group -o x; ./x",
    "words in order": LIBRARY + "$CC -Wl,-L. a.o -Xlinker -lb -Wl,--defsym -Wl,q=1 -o x; ./x",
    "words, --for-linker": LIBRARY + "$CC a.o --for-linker=-L. --for-linker -lb -o x; ./x",
    "missing library": "$CC one.c -lnosuch",
    "a script as a library": "echo 'INPUT(-lm)' >libq.a; $CC one.c -L. -lq -o x; ./x",
    "-specs": "echo '*link: + --defsym=q=1' >s; $CC -specs=s one.c -o x; ./x; $CC -specs=no one.c",
    "-specs of Debian": "echo '*self_spec: + %{!shared:%{!r:-pie}}' >s;"
    " $CC -specs=s one.c -o x; ./x",
    "-B": "$CC -B. one.c -o x; ./x; $CC -B /nonexistent/ one.c -o y; ./y",
    "-B, a linker": "mkdir g; ln -s $(command -v ld.gold) g/ld; $CC -Bg/ one.c; ./a.out;"
    " readelf -n a.out | grep -c gold",
    "--sysroot": "$CC --sysroot=/ one.c -o x; ./x",
    "environment": "COMPILER_PATH=/no LIBRARY_PATH=/usr/lib/x86_64-linux-gnu $CC one.c; ./a.out",
    "-nostdlib": "$CC -nostdlib one.c 2>/dev/null; $CC -nostdlib -static -ffreestanding -emain t.s",
    "-nostartfiles": "$CC -nostartfiles -static -Wl,-emain t.s -o x",
    "-nodefaultlibs": "$CC -nodefaultlibs -static one.c -Wl,--start-group -lc -lgcc -lgcc_eh"
    " -Wl,--end-group; ./a.out",
    "-nolibc": "$CC -nolibc one.c -o x 2>/dev/null; echo $?",
    "-ffreestanding": "$CC -ffreestanding one.c -o x; ./x; $CC --freestanding one.c",
    "-static": "$CC -static one.c -o x; ./x",
    "-static-pie": "$CC -static-pie one.c -o x; ./x",
    "-pie": "$CC -fPIE -pie one.c -o x; ./x; $CC -no-pie one.c -o y; ./y",
    "-static -pie": "$CC -fPIE -static -pie one.c -o x; ./x; readelf -h x | grep Type;"
    " $CC -pie --static one.c; ./a.out; $CC -static -static-pie one.c 2>/dev/null; echo $?",
    "-pie, parts": "$CC -fPIE -c one.c; $CC -pie one.o -o x; ./x; $CC -Wl,-pie one.o; ./a.out",
    "-shared": "$CC -shared -fPIC b.c -o libb.so; $CC -Wl,-shared -fPIC b.c -nostdlib -o c.so",
    "-shared, used": "$CC -shared -fPIC b.c -o libb.so; gcc a.c ./libb.so -o x; ./x",
    "-r": "$CC -r a.c b.c -o r.o; $CC r.o -o x; ./x",
    "-r of the linker": "$CC -Wl,-r -nostdlib a.c b.c -o r.o; $CC r.o; ./a.out",
    "-rdynamic": "$CC -rdynamic one.c -o x; ./x; $CC -Wl,-export-dynamic one.c; ./a.out",
    "LTO": LTO + "a.c b.c -o x; ./x",
    "LTO, jobs": "$CC -flto=auto a.c b.c -o x; ./x; $CC -flto=2 a.c b.c -o y; ./y",
    "LTO, jobs of make": "printf 'x:\\n\\t+$(CC) -O2 -flto=jobserver a.c b.c -o x\\n' >Makefile;"
    " make -s -j2; ./x",
    "LTO, one partition": LTO + "-flto-partition=none -fwhole-program a.c b.c -o x; ./x",
    "LTO, fat objects": LTO
    + "-ffat-lto-objects -c a.c b.c; $CC -flto a.o b.o; ./a.out; $CC -fno-lto a.o b.o; ./a.out",
    "LTO, archive": LTO + "-c a.c b.c; uk-ar rcs libb.a b.o; $CC -flto a.o libb.a; ./a.out",
    "LTO, archive, gcc-ar": LTO
    + "-c a.c b.c; uk-gcc-ar rc libb.a b.o; uk-gcc-ranlib libb.a; uk-gcc-nm libb.a;"
    " $CC -flto a.o -L. -lb; ./a.out",
    "LTO, -r": LTO + "-r a.c b.c -o r.o; $CC r.o; ./a.out",
    "LTO, without the plugin": "$CC -flto -fno-use-linker-plugin one.c -o x; ./x",
    "gold": "$CC -fuse-ld=gold one.c -o x; ./x",
    "bfd": "$CC -fuse-ld=bfd one.c -o x; ./x",
    "no such linker": "$CC -fuse-ld=lld one.c; $CC -fuse-ld=nosuch one.c",
    "script": "ld --verbose | sed '1,/^====/d;/^====/,$d' >s; $CC -T s one.c; ./a.out;"
    " $CC -Wl,-T,s one.c; ./a.out; $CC -Tnosuch one.c",
    "addresses": "$CC -static -no-pie -Ttext 0x30000000 -Tbss=0x50000000 one.c; ./a.out",
    "build id": "$CC -Wl,--build-id=0x1234 one.c; readelf -n a.out | grep ID",
    "map": "$CC -Wl,-Map=x.map one.c -o x; ./x; $CC -Wl,--dependency-file=x.dep one.c",
    "--gc-sections": "$CC -ffunction-sections -Wl,--gc-sections -Wl,-O1 one.c -o x; ./x",
    "-s": "$CC -s one.c -o x; ./x; nm x",
    "-g3": "$CC -g3 one.c -o x; ./x",
    "-gsplit-dwarf": "$CC -g -gsplit-dwarf -gz one.c -o x; ./x",
    "linker options": "$CC -z now -z relro -u foo -Wl,-rpath,/x -Wl,-soname,x one.c -o x; ./x",
    "linker says": "$CC -Wl,--wrap=printf one.c; $CC -Wl,--nosuch one.c",
    "coverage": "$CC --coverage one.c -o x; ./x; uk-gcov -n x-one.gcda | tail -n 2",
    "coverage, parts": "$CC -fprofile-arcs -ftest-coverage -c a.c b.c; $CC --coverage a.o b.o;"
    " ./a.out",
    "coverage, elsewhere": "$CC -fprofile-dir=pd --coverage one.c -o x; ./x; ls pd | wc -l",
    "profile": "$CC -fprofile-generate one.c -o x; ./x; $CC -fprofile-use one.c -o x; ./x",
    "-pg": "$CC -pg one.c -o x; ./x; uk-gprof -b x | head -n 1",
    "-fopenmp": "$CC -fopenmp one.c -o x; ./x; $CC -fopenacc one.c; ./a.out",
    "-pthread": "$CC -pthread one.c -o x; ./x; $CC one.c -lpthread -lm -ldl -lrt; ./a.out",
    "-fno-plt": "$CC -fno-plt one.c -o x; ./x",
    "executable stack": "$CC nested.c -o x; ./x; readelf -lW x | grep -c 'STACK.*RWE'",
    "-static-libgcc": "$CC -static-libgcc one.c; ./a.out; $CC -shared-libgcc one.c; ./a.out",
    "start files by options": "$CC -Ofast -mpc32 one.c -lm; ./a.out; $CC -fsplit-stack one.c;"
    " ./a.out",
    "undefined behaviour": "$CC -fsanitize=undefined one.c -o x; ./x",
    "spaces": "mkdir 'a b'; cp one.c 'a b/c d.c'; $CC 'a b/c d.c' -o 'a b/e f'; 'a b/e f'",
    "non-ASCII": "n=$(printf 'caf\\303\\251'); cp one.c $n.c; $CC $n.c -MD -o $n; ./$n",
    "not UTF-8": "n=$(printf 'bad\\377'); cp one.c $n.c; $CC $n.c -MD -o $n; ./$n",
    "another directory": "mkdir -p d/e; cd d/e; $CC ../../one.c -o ../x; ../x",
    "no directory": "$CC one.c -o /nonexistent/x",
    "not writable": "$CC one.c -o /proc/x",
    "directory": "mkdir d; $CC one.c -o d",
    "full": "$CC one.c -o /dev/full; ulimit -f 8; $CC one.c -static -o x; rm x",
    "symbolic link": "$CC b.c -shared -o old; ln -s old x; $CC one.c -o x; ./x; ls -l x | cut -c1",
    "hard link": "echo old >old; ln old x; $CC one.c -o x; ./x; cat old",
    "permissions": "umask 027; $CC one.c -o x; stat -c %a x",
    "temporary files": "mkdir t; TMPDIR=$PWD/t $CC one.c -o x; ls t; TMPDIR=/nonexistent $CC one.c",
    "closed descriptors": "$CC one.c -o x <&- >&- 2>&-; ./x; $CC bad.c 2>&-",
    "ignored interrupts": "trap '' INT; $CC one.c -o x; ./x",
    "Python's variables": "echo 'raise SystemExit(1)' >re.py; cp re.py json.py; cp re.py struct.py;"
    " cp re.py enum.py; cp re.py signal.py;"
    " PYTHONPATH=. $CC one.c -o x; ./x",
    "a wrong source": "$CC bad.c one.c -o x; $CC -Wall -Werror warn.c -o x",
}


@pytest.mark.parametrize("line", COMPILING.values(), ids=COMPILING)
def test_compiling(line: str, tmp_path: Path) -> None:
    assert_same(*both(line, tmp_path))


@pytest.mark.parametrize("line", QUESTIONS.values(), ids=QUESTIONS)
def test_questions(line: str, tmp_path: Path) -> None:
    assert_same(*both(line, tmp_path))


@pytest.mark.parametrize("line", RESPONSE_FILES.values(), ids=RESPONSE_FILES)
def test_response_files(line: str, tmp_path: Path) -> None:
    assert_same(*both(line, tmp_path))


@pytest.mark.parametrize("line", LINKING.values(), ids=LINKING)
def test_linking(line: str, tmp_path: Path) -> None:
    assert_same(*both(line, tmp_path))


CPLUSPLUS = {
    "program": "$CC one.cc -o x; ./x",
    "parts": "$CC -c -O2 -g one.cc; $CC one.o; ./a.out",
    "C sources": "$CC -c b.c; $CC -x c -c one.c -o c.o; $CC c.o -o x; ./x",
    "standard input": "$CC -x c++ - -o x <one.cc; ./x",
    "-static-libstdc++": "$CC -static-libstdc++ -static-libgcc one.cc; ./a.out",
    "-nostdlib++": "$CC -nodefaultlibs one.cc 2>/dev/null; echo $?",
    "precompiled header": "cp h.h q.hpp; $CC q.hpp && rm q.hpp && $CC -include q.hpp -c b.c",
    "-shared": "$CC -shared -fPIC b.c -o b.so",
}


@pytest.mark.parametrize("line", CPLUSPLUS.values(), ids=CPLUSPLUS)
def test_cplusplus(line: str, tmp_path: Path) -> None:
    assert_same(*both(line, tmp_path, "g++"))


def test_cpp(tmp_path: Path) -> None:
    line = "$CC one.c; $CC one.c out.i; $CC -dM - </dev/null; $CC -MM useh.c; $CC nosuch.c"
    assert_same(*both(line, tmp_path, "cpp"))
