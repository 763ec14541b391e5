"""What a static program opens when it runs: no library of the host, and what it has instead.

The control is gcc's own program, which is dynamic and takes the host's modules.
"""

import os
import subprocess
from pathlib import Path

import pytest
from support.twin import BIN, DEADLINE

from ukcc.cc.toolchain import find_compiler

CHARSETS = Path(__file__).parents[2] / "sysroot" / "glibc" / "charsets"
GCC = find_compiler("gcc", os.environ)

# Says which shared libraries are in its memory.
MAPS = r"""
#include <stdio.h>
#include <string.h>
static void say_libraries(void)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof(line), maps))
        if (strstr(line, ".so"))
            printf("maps: %s", strrchr(line, '/') ? strrchr(line, '/') : line);
    fclose(maps);
}
"""

NAMES = (
    MAPS
    + r"""
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <shadow.h>
#include <unistd.h>
static void *ask(void *unused)
{
    struct addrinfo *found = NULL, hints = { .ai_socktype = SOCK_STREAM };
    struct passwd entry, *who = getpwnam("root");
    char text[4096];
    printf("root %d\n", who ? (int)who->pw_uid : -1);
    printf("nobody at home %d\n", getpwnam("no such user") != NULL);
    printf("again %d\n", getpwnam_r("no such user", &entry, text, sizeof(text), &who));
    printf("group %s\n", getgrgid(0) ? getgrgid(0)->gr_name : "none");
    printf("initgroups %d\n", initgroups("root", 0) ? errno : 0);
    printf("no group %d\n", getgrgid(4242424) != NULL);
    printf("localhost %d\n", getaddrinfo("localhost", "80", &hints, &found));
    printf("service %d\n", getservbyname("http", "tcp") != NULL);
    int count = 0;
    for (setpwent(); getpwent(); count++)
        ;
    endpwent();
    printf("users %d\n", count);
    return NULL;
}
int main(void)
{
    pthread_t thread;
    ask(NULL);
    pthread_create(&thread, NULL, ask, NULL);
    pthread_join(thread, NULL);
    say_libraries();
    return 42;
}
"""
)

# A module that says when it is loaded, and knows nobody.
MODULE = r"""
#include <unistd.h>
__attribute__((constructor)) static void loaded(void) { write(2, "module loaded\n", 14); }
int _nss_marked_getpwnam_r(void) { return 0; }
"""

# Every character of the BMP, and some beyond, there and back again; as checksums.
CONVERSIONS = (
    MAPS
    + r"""
#include <errno.h>
#include <iconv.h>
static unsigned long sum(unsigned long old, const char *text, size_t size)
{
    while (size--)
        old = old * 1099511628211 ^ (unsigned char)*text++;
    return old;
}
static size_t convert(iconv_t how, char *in, size_t in_size, char *out, size_t out_size)
{
    char *end = out;
    if (iconv(how, &in, &in_size, &end, &out_size) != (size_t)-1)
        iconv(how, NULL, NULL, &end, &out_size);
    iconv(how, NULL, NULL, NULL, NULL);
    return end - out;
}
int main(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        iconv_t to = iconv_open(names[i], "UCS-4LE"), from = iconv_open("UCS-4LE", names[i]);
        unsigned long there = 0, back = 0, known = 0;
        if (to == (iconv_t)-1 || from == (iconv_t)-1) {
            printf("%s: %s\n", names[i], errno == EINVAL ? "EINVAL" : "another error");
            continue;
        }
        for (unsigned int c = 1; c < 0x30000; c += c < 0x10000 ? 1 : 7) {
            char middle[64], end[64];
            size_t size = convert(to, (char *)&c, 4, middle, sizeof(middle));
            known += size > 0;
            there = sum(there, middle, size);
            size = convert(from, middle, size, end, sizeof(end));
            back = sum(back, end, size);
        }
        printf("%s: %lu %lx %lx\n", names[i], known, there, back);
        iconv_close(to);
        iconv_close(from);
    }
    say_libraries();
    return 42;
}
"""
)

OTHER_NAMES = [
    *("latin1", "L1", "8859_1", "ISO_8859-15", "windows-1251", "CP1252", "KOI8-R", "greek"),
    *("SHIFT-JIS", "MS_KANJI", "WINDOWS-31J", "EUCJP", "gb2312", "CP936", "BIG5-HKSCS", "CP949"),
    *("UTF16", "UTF-16LE", "UTF-32BE", "UTF-7", "UTF-8", "UCS-2", "ASCII", "cp437", "MAC"),
]
NONE = ["EBCDIC-US", "IBM1388", "ISO-IR-197", "nonsense"]


def own_names() -> "list[str]":
    lines = [line.partition("#")[0].strip() for line in CHARSETS.read_text().splitlines()]
    names = [line for line in lines if line and ":" not in line]
    return [n.replace("ISO8859", "ISO-8859") for n in names]


def build(compiler: "str | Path", where: Path, source: str, *flags: str) -> Path:
    (where / "a.c").write_text(source)
    output = where / f"{Path(compiler).name}-program"
    words = ["-O2", "-w", *flags, "a.c", "-o", output]
    subprocess.run([compiler, *words], cwd=where, check=True, timeout=DEADLINE)
    return output


def run(program: "Path | list[str | Path]", *words: str, **environ: str) -> "tuple[int, str, str]":
    command = program if isinstance(program, list) else [program]
    done = subprocess.run(
        [*command, *words],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    return done.returncode, done.stdout, done.stderr


def without_libraries(text: str) -> str:
    return "".join(s for s in text.splitlines(keepends=True) if not s.startswith("maps: "))


# Name service

SWITCH = {
    "as ever": "passwd: files\ngroup: files\nhosts: files dns\n",
    "a module": "passwd: files marked\ngroup: files marked\nhosts: files marked dns\n",
    "a module first": "passwd: marked files\ngroup: marked [!UNAVAIL=return] files\n"
    "hosts: marked files\n",
    "compat": "passwd: compat\ngroup: compat\nshadow: compat\nhosts: files\n",
    "compat and a module": "passwd: compat marked\ngroup: compat marked\nhosts: files\n",
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> "dict[str, Path]":
    where = tmp_path_factory.mktemp("names")
    ours = build(BIN / "uk-gcc", where, NAMES, "-pthread", "-static")
    return {"real": build(GCC, where, NAMES, "-pthread"), "ours": ours}


@pytest.mark.parametrize("kind", SWITCH)
def test_name_service(names: "dict[str, Path]", tmp_path: Path, kind: str) -> None:
    """In a mount name space that has another /etc/nsswitch.conf."""
    inside = ["unshare", "-m", "sh", "-ec", 'mount --bind "$0" /etc/nsswitch.conf; exec "$@"']
    (tmp_path / "conf").write_text(SWITCH[kind])
    if run([*inside, str(tmp_path / "conf"), "true"])[0]:
        pytest.skip("no mount name spaces can be made here")
    (tmp_path / "m.c").write_text(MODULE)
    module = ["-shared", "-fPIC", "m.c", "-o", "libnss_marked.so.2"]
    subprocess.run([GCC, "-w", *module], cwd=tmp_path, check=True)
    command = [*inside, str(tmp_path / "conf")]
    # The control has no module there: what ours does is what gcc's does where it is missing.
    status, real, _ = run([*command, names["real"]])
    assert status == 42
    ours = run([*command, names["ours"]], LD_LIBRARY_PATH=str(tmp_path))
    assert ours == (42, without_libraries(real), "")


def test_name_service_as_this_host_has_it(names: "dict[str, Path]") -> None:
    """Whatever /etc/nsswitch.conf says: no crash, and what the files say."""
    status, text, complaint = run(names["ours"])
    assert (status, complaint) == (42, "")
    assert text.startswith("root 0\nnobody at home 0\nagain 0\ngroup root\ninitgroups ")
    assert "maps: " not in text


# Character sets


@pytest.mark.parametrize("kind", ["-static", "-static-pie"])
def test_character_sets(tmp_path: Path, kind: str) -> None:
    real = build(GCC, tmp_path, CONVERSIONS)
    ours = build(BIN / "uk-gcc", tmp_path, CONVERSIONS, kind)
    wanted = [*own_names(), *OTHER_NAMES]
    status, text, _ = run(real, *wanted)
    assert status == 42 and "EINVAL" not in text
    assert run(ours, *wanted) == (42, without_libraries(text), "")


def test_other_character_sets_are_not_supported(tmp_path: Path) -> None:
    """None is taken from the host, wherever it is said to be."""
    program = build(BIN / "uk-gcc", tmp_path, CONVERSIONS, "-static")
    for path in ({}, {"GCONV_PATH": "/usr/lib/x86_64-linux-gnu/gconv"}):
        status, text, _ = run(program, *NONE, **path)
        assert (status, text) == (42, "".join(f"{name}: EINVAL\n" for name in NONE))


def test_who_converts_nothing_carries_no_character_set(tmp_path: Path) -> None:
    source = '#include <locale.h>\nint main(void) { return !setlocale(LC_ALL, ""); }\n'
    program = build(BIN / "uk-gcc", tmp_path, source, "-static")
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    assert "uk_gconv_iso8859_1" not in symbols
    assert " T _dl_open\n" not in symbols


def test_iostreams_alone_bring_no_character_set(tmp_path: Path) -> None:
    """libstdc++ refers to iconv_open(), for message catalogs."""
    source = '#include <iostream>\nint main() { std::cout << "hi" << std::endl; }\n'
    program = build(BIN / "uk-g++", tmp_path, source, "-x", "c++", "-static")
    symbols = subprocess.run(["nm", program], capture_output=True, text=True, check=True).stdout
    assert " T iconv_open\n" in symbols
    assert "uk_gconv_iso8859_1" not in symbols


def test_a_static_program_that_opens_libraries_still_does(tmp_path: Path) -> None:
    """Who says -static and dlopen has what glibc gives him."""
    source = '#include <dlfcn.h>\nint main(void) { return dlopen("./m.so", 2) ? 42 : 1; }\n'
    program = build(BIN / "uk-gcc", tmp_path, source, "-static")
    (tmp_path / "m.c").write_text("int x;\n")
    library = ["-shared", "-fPIC", "-nostdlib", "m.c", "-o", "m.so"]
    subprocess.run([GCC, *library], cwd=tmp_path, check=True)
    assert subprocess.run([program], cwd=tmp_path, timeout=DEADLINE).returncode == 42
