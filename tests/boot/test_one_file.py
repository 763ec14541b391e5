"""One file, two lives: the same words and status, as a process and as a machine; and its tools."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Boot, Build

from ukcc.sysroot import kernels
from ukcc.vm.hypervisor.board import Q35_WORDS

HELLO = '#include <stdio.h>\nint main(int c,char**v){printf("hi %d %s\\n",c,v[1]);return 42;}\n'

# Exceptions over threads, static constructors, iostreams, thread-local objects with destructors.
CXX = r"""
#include <future>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Early {
	std::map<std::string, int> table{{"one", 1}};
	~Early() { std::cout << "destructor" << std::endl; }
} early;

thread_local std::string mine = "untouched";

static int work(int n)
{
	mine += std::to_string(n);
	if (n % 2)
		throw std::runtime_error("odd " + std::to_string(n));
	return n;
}

int main()
{
	std::vector<std::future<int>> jobs;
	int sum = 0, caught = 0;

	for (int i = 0; i < 20; i++)
		jobs.push_back(std::async(std::launch::async, work, i));
	for (auto &job : jobs) {
		try {
			sum += job.get();
		} catch (const std::runtime_error &error) {
			caught += std::string(error.what()).rfind("odd ", 0) == 0;
		}
	}
	std::cout << sum << " " << caught << " " << early.table.at("one") << " " << mine << "\n";
	return sum == 90 && caught == 10 ? 33 : 1;
}
"""


# Code in slots of 16 bytes, and a blob of code that is copied before it runs.
CODE_AS_DATA = r"""
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern char slots[], blob[];
asm(".text\n.balign 16\nslots:\n.set n, 0\n.rept 128\n"
    "mov $n, %eax\n syscall\n ret\n .balign 16\n.set n, n + 1\n.endr\n"
    ".data\nblob: mov $39, %eax\n syscall\n ret\n.text\n");

int main(void)
{
	char *copy = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long (*copied)(void) = memcpy(copy, blob, 8), (*slot)(void) = (void *)(slots + 39 * 16);

	printf("%d %d\n", copied() == getpid(), slot() == getpid());
	return 42;
}
"""

# Name service and character sets without a module.
MODULES = r"""
#include <grp.h>
#include <iconv.h>
#include <netdb.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

static void convert(const char *name)
{
	iconv_t how = iconv_open(name, "UTF-8");
	char in[] = "Gr\xc3\xbc\xc3\x9f", out[16], *from = in, *to = out;
	size_t left = strlen(in), room = sizeof(out);

	if (how == (iconv_t)-1) {
		printf("%s: unknown\n", name);
		return;
	}
	printf("%s:", name);
	if (iconv(how, &from, &left, &to, &room) == (size_t)-1)
		printf(" impossible after %zd", from - in);
	for (char *c = out; c < to; c++)
		printf(" %02x", (unsigned char)*c);
	puts("");
}

int main(void)
{
	struct addrinfo *found;

	printf("%d %d", getpwnam("root")->pw_uid, getpwnam("no such user") != NULL);
	printf(" %d\n", getgrgid(4242424) != NULL);
	printf("%d\n", getaddrinfo("localhost", "80", NULL, &found));
	convert("ISO-8859-1");
	convert("UTF-16LE");
	convert("SHIFT_JIS");
	convert("EBCDIC-US");
	return 42;
}
"""
CONVERTED = (
    b"0 0 0\n0\nISO-8859-1: 47 72 fc df\nUTF-16LE: 47 00 72 00 fc 00 df 00\n"
    b"SHIFT_JIS: impossible after 2 47 72\nEBCDIC-US: unknown\n"
)


@pytest.fixture(scope="session")
def hello(build_image: Build) -> Path:
    return build_image(HELLO, name="h")


def run(*argv: "str | Path") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, timeout=120)


def both_lives(image: Path, boot: Boot, *args: str) -> "tuple[int, bytes]":
    process = subprocess.run([image, *args], capture_output=True)
    machine = boot(image, *args)
    status = process.returncode if process.returncode >= 0 else 128 - process.returncode
    assert (machine.status, machine.stdout) == (status, process.stdout)
    return status, process.stdout


def test_hello(hello: Path, boot: Boot) -> None:
    assert both_lives(hello, boot, "x") == (42, b"hi 2 x\n")


def test_static_pie(build_image: Build, boot: Boot) -> None:
    image = build_image(HELLO, "-fPIE", "-pie", name="pie")
    assert b"DYN" in subprocess.run(["readelf", "-h", image], capture_output=True).stdout
    assert both_lives(image, boot, "x") == (42, b"hi 2 x\n")


def test_cxx(build_image: Build, boot: Boot) -> None:
    image = build_image(CXX, "-pthread", name="cxx", language="c++")
    assert both_lives(image, boot) == (33, b"90 10 1 untouched\ndestructor\n")


def test_code_that_is_data(build_image: Build, boot: Boot) -> None:
    assert both_lives(build_image(CODE_AS_DATA, "-w", name="code"), boot) == (42, b"1 1\n")


def test_names_and_character_sets(build_image: Build, boot: Boot) -> None:
    image = build_image(MODULES, "-w", "-static", name="modules")
    assert both_lives(image, boot) == (42, CONVERTED)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("abort();", 134),
        ("raise(SIGSEGV);", 139),
        ("raise(SIGKILL);", 137),
        ("raise(SIGTERM);", 143),
    ],
)
def test_signals(build_image: Build, boot: Boot, body: str, status: int) -> None:
    source = f"#include <signal.h>\n#include <stdlib.h>\nint main(void) {{ {body} return 0; }}\n"
    assert both_lives(build_image(source, name="signal"), boot) == (status, b"")


def test_large_bss(build_image: Build, boot: Boot) -> None:
    source = "static char a[1 << 30];\nint main(int c) { a[c << 29] = 7; return a[c << 29] + c; }\n"
    image = build_image(source, name="bss")
    assert both_lives(image, boot) == (8, b"")


@pytest.mark.parametrize(
    "argv",
    [
        ("nm", "-C", "{}"),
        ("readelf", "-lW", "{}"),
        ("readelf", "-SW", "{}"),
        ("gdb", "-nx", "-batch", "-ex", "info line main", "{}"),
        ("size", "{}"),
    ],
    ids=lambda argv: argv[0],
)
def test_tools_have_nothing_to_complain_of(hello: Path, argv: "tuple[str, ...]") -> None:
    done = run(*(word.format(hello) for word in argv))
    assert (done.returncode, done.stderr) == (0, "")
    if argv[0] == "nm":
        assert any(line.endswith(" T main") for line in done.stdout.splitlines())
    if argv[0] == "gdb":
        assert "Line 2 of" in done.stdout


@pytest.mark.parametrize("options", [(), ("-g",), ("--strip-unneeded",)])
def test_stripped(hello: Path, boot: Boot, tmp_path: Path, options: "tuple[str, ...]") -> None:
    image = tmp_path / "h"
    shutil.copy2(hello, image)
    done = run("strip", *options, image)
    assert (done.returncode, done.stderr) == (0, "")
    assert both_lives(image, boot, "x") == (42, b"hi 2 x\n")


def test_bare_qemu(hello: Path) -> None:
    argv = ["qemu-system-x86_64", "-machine", Q35_WORDS, "-accel", "tcg", "-cpu", "max"]
    argv += ["-m", "128"]
    argv += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
    argv += ["-kernel", str(hello), "-append", "console=ttyS0 -- one two"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE * FACTOR
    )
    assert done.returncode == 0 and b"hi 3 one" in done.stdout


def test_plain_defaults_of_qemu(hello: Path) -> None:
    """As a user types it: the default machine, with its display off."""
    argv = ["qemu-system-x86_64", "-kernel", str(hello), "-append", "console=ttyS0 -- ARG"]
    argv += ["-display", "none", "-serial", "stdio"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE * FACTOR
    )
    assert done.returncode == 0 and b"hi 2 ARG" in done.stdout


def test_inspect(hello: Path) -> None:
    done = run(BIN / "ukcc", "inspect", "--json", hello)
    assert done.returncode == 0
    facts = json.loads(done.stdout)
    assert facts["kernel"]["release"].startswith(f"{kernels.in_use().name}.")
    text = run(BIN / "ukcc", "inspect", hello).stdout
    for word in (f"{kernels.in_use().name}.", "libc", "redirected", "raw"):
        assert word in text, text


def test_same_bytes(build_image: Build, tmp_path: Path) -> None:
    """The same inputs give the same image, whatever the clock."""
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        code = tmp_path / name / "h.c"
        code.write_text(HELLO)
        done = subprocess.run([BIN / "uk-gcc", "-O2", "h.c", "-o", "h"], cwd=code.parent)
        assert done.returncode == 0
        made.append((code.parent / "h").read_bytes())
    assert made[0] == made[1]
