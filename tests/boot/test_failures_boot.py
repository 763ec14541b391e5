"""A failure speaks: signal, registers, and stacks with functions and lines that only a right
resolution can give."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Boot, Build, run_argv

from ukcc import proc
from ukcc.image.facts import read_facts
from ukcc.vm.hypervisor.qemu import PROGRAM, Endpoints, qemu_argv
from ukcc.vm.machine import Machine

# Does what its first argument says. The words in comments mark lines that tests look for.
SOURCE = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int after;

static inline __attribute__((always_inline)) void store(volatile int *at)
{
	*at = 7; /* store */
}

static __attribute__((noipa)) void middle(volatile int *at)
{
	store(at); /* inlined */
	after++;
}

static __attribute__((noipa)) void outer(volatile int *at)
{
	middle(at); /* outer */
	after++;
}

static __attribute__((noipa)) int recurse(int depth)
{
	volatile char room[200];

	room[depth % 200] = depth;
	return recurse(depth + 1) + room[1]; /* recurse */
}

static void handle(int sig)
{
	outer((int *)24); /* handler */
	after++;
}

static void on_another_stack(void)
{
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1); /* raised */
	after++;
}

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause(); /* waits */
	return unused;
}

static void start_waiter(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, wait_for_ever, NULL);
	usleep(300000);
}

static __attribute__((noipa)) void die_by(const char *what)
{
	volatile int zero = 0;

	if (!strcmp(what, "fpe"))
		after = 1000 / zero; /* fpe */
	if (!strcmp(what, "ill"))
		asm volatile("ud2"); /* ill */
	if (!strcmp(what, "trap"))
		asm volatile("int3\n\tnop"); /* trap */
	if (!strcmp(what, "bus")) {
		char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, memfd_create("m", 0), 0);

		after = *(volatile char *)page; /* bus */
	}
	if (!strcmp(what, "wild"))
		*(volatile char *)0x4141414141414141 = 1; /* wild */
	after++;
}

int main(int argc, char **argv)
{
	const char *what = argv[1];
	int (*volatile nowhere)(void) = NULL;
	int i;

	if (!strcmp(what, "fault"))
		outer((int *)24); /* main */
	if (!strcmp(what, "null"))
		after = nowhere() + 1; /* null */
	if (!strcmp(what, "recurse"))
		after = recurse(1) + 1; /* begins */
	if (!strcmp(what, "abort"))
		abort(); /* abort */
	if (!strcmp(what, "stack"))
		on_another_stack(); /* stack */
	if (!strcmp(what, "children")) {
		for (i = 2; i < argc; i++) {
			if (fork() == 0) {
				die_by(argv[i]); /* child */
				_exit(9);
			}
			wait(NULL);
		}
		puts("went on");
		return 3;
	}
	if (!strcmp(what, "undumpable")) {
		prctl(PR_SET_DUMPABLE, 0);
		outer((int *)24);
	}
	if (!strcmp(what, "dropped")) {
		if (setgid(65534) || setuid(65534))
			return 1;
		outer((int *)24); /* dropped */
	}
	if (!strcmp(what, "thread")) {
		start_waiter();
		outer((int *)24); /* threads */
	}
	if (!strcmp(what, "hang")) {
		start_waiter();
		puts("hangs");
		fflush(stdout);
		for (;;)
			after++; /* spins */
	}
	if (!strcmp(what, "deaf")) {
		asm volatile("cli");
		for (;;)
			after++; /* deaf */
	}
	if (!strcmp(what, "hoard"))
		for (;;)
			memset(malloc(1 << 20), 1, 1 << 20);
	if (!strcmp(what, "hoarder")) {
		if (fork() == 0)
			for (;;)
				memset(malloc(1 << 20), 1, 1 << 20);
		wait(&i);
		printf("it died of %d\n", WTERMSIG(i));
		return 4;
	}
	if (!strcmp(what, "kill"))
		kill(getpid(), SIGKILL);
	if (!strcmp(what, "full")) {
		/* most of the machine's memory, and address space without end */
		memset(malloc(70 << 20), 1, 70 << 20);
		mmap(NULL, 1UL << 40, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		abort(); /* full */
	}
	if (!strcmp(what, "kernel")) {
		/* a function pointer of the kernel's own */
		*(unsigned long *)strtoul(argv[2], NULL, 16) = 0x123450;
		close(socket(AF_INET, SOCK_DGRAM, 0)); /* kernel */
	}
	if (!strcmp(what, "own stack")) {
		/* with such a stack pointer the kernel takes it for itself */
		unsigned long there = strtoul(argv[2], NULL, 16);

		asm volatile("mov %0, %%rsp\n\tmovl $1, 16" : : "r"(there)); /* own stack */
	}
	return 0;
}
"""

KINDS = {"static": (), "pie": ("-static-pie", "-fPIE")}
_PLACED = re.compile(r"(\S+) at \S*/(\w+\.c):(\d+)")


def line(mark: str, source: str = SOURCE) -> int:
    """The number of the line with this mark."""
    (found,) = (n for n, text in enumerate(source.split("\n"), 1) if f"/* {mark} */" in text)
    return found


def placed(text: "bytes | str") -> list[tuple[str, int]]:
    """(function, line) of all frames that have a line."""
    words = text.decode() if isinstance(text, bytes) else text
    return [(name, int(number)) for name, _, number in _PLACED.findall(words)]


@pytest.fixture(scope="session", params=KINDS)
def app(request: pytest.FixtureRequest, build_image: Build) -> Path:
    return build_image(SOURCE, *KINDS[request.param], name="fails")


@pytest.fixture(scope="session")
def static(build_image: Build) -> Path:
    return build_image(SOURCE, name="fails")


# The frames from `outer` inwards, innermost first.
INNER = [("store", line("store")), ("middle", line("inlined")), ("outer", line("outer"))]


def test_crash(app: Path, boot: Boot) -> None:
    status, stdout, stderr = boot(app, "fault")
    assert (status, stdout) == (139, b"")
    assert placed(stderr) == [*INNER, ("main", line("main"))]
    assert b"SIGSEGV: no memory is mapped at 0x18 (SEGV_MAPERR)" in stderr
    assert re.search(rb"rip [0-9a-f]{16}  rsp 00007f[0-9a-f]{10} ", stderr)
    assert b", inlined in\n" in stderr and b"_start" in stderr


def test_crash_through_a_null_pointer(app: Path, boot: Boot) -> None:
    status, _, stderr = boot(app, "null")
    assert status == 139 and placed(stderr) == [("main", line("null"))]
    assert b"#0   0x0000000000000000" in stderr


def test_abort(static: Path, boot: Boot) -> None:
    status, _, stderr = boot(static, "abort")
    assert status == 134 and b"SIGABRT: sent by the process itself" in stderr
    names = re.findall(rb"#\d+ +0x[0-9a-f]+  (\w+)", stderr)
    assert names.index(b"raise") < names.index(b"abort") < names.index(b"main")
    assert placed(stderr)[-1][1] == line("abort")


def test_endless_recursion(static: Path, boot: Boot) -> None:
    status, _, stderr = boot(static, "recurse")
    assert status == 139 and b"the stack is full" in stderr
    # with all of 8 MiB it is seen where the recursion began
    assert placed(stderr)[1:] == [("recurse", line("recurse"))] * 2 + [("main", line("begins"))]
    repeated = re.search(rb"(\d+) times the same", stderr)
    assert repeated and int(repeated[1]) > 20000


def test_crash_on_another_stack(static: Path, boot: Boot) -> None:
    """Through the frame of the signal, back to the stack that was interrupted."""
    status, _, stderr = boot(static, "stack")
    outermost = [("on_another_stack", line("raised")), ("main", line("stack"))]
    assert status == 139
    assert placed(stderr) == [*INNER, ("handle", line("handler")), *outermost]


def test_children_crash_and_the_run_goes_on(static: Path, boot: Boot) -> None:
    kinds = ["fpe", "ill", "trap", "bus", "wild"]
    status, stdout, stderr = boot(static, "children", *kinds)
    assert (status, stdout) == (3, b"went on\n")
    reports = stderr.decode().split("ukcc run: ")[1:]
    words = ["FPE_INTDIV", "ILL_ILLOPN", "a breakpoint", "BUS_ADRERR", "general protection"]
    assert len(reports) == len(kinds)
    for report, kind, word in zip(reports, kinds, words, strict=True):
        assert word in report, report
        where = placed(report)
        assert where[-1] == ("main", line("child"))
        # int3 and ud2: the first is reported behind the instruction
        assert where[0][0] == "die_by" and where[0][1] in (line(kind), line(kind) + 2)


def test_every_thread_is_shown(static: Path, boot: Boot) -> None:
    status, _, stderr = boot(static, "thread")
    first, second = stderr.decode().split("  thread ")[1:]
    assert status == 139 and "which crashed" in first
    assert placed(first) == [*INNER, ("main", line("threads"))]
    assert placed(second) == [("wait_for_ever", line("waits"))] and "pause" in second


def test_who_does_not_want_to_be_dumped_is_not(static: Path, boot: Boot) -> None:
    assert boot(static, "undumpable") == (139, b"", b"")


def test_who_has_given_up_rights_is_dumped(static: Path, boot: Boot) -> None:
    status, _, stderr = boot(static, "dropped")
    assert status == 139 and placed(stderr) == [*INNER, ("main", line("dropped"))]


def test_a_large_process_in_a_full_machine(static: Path, boot: Boot) -> None:
    status, _, stderr = boot(static, "full", options=["-m", "100"])
    assert status == 134 and placed(stderr)[-1][1] == line("full")


LIBRARY = """
int in_library(volatile int *at)
{
	int found = *at; /* library */

	return found + 1;
}
"""
CALLER = """
int in_library(volatile int *at);

int main(void)
{
	return in_library((int *)32) + 1; /* caller */
}
"""


def test_crash_in_a_library_of_a_dynamic_image(tmp_path: Path, boot: Boot) -> None:
    (tmp_path / "lib.c").write_text(LIBRARY)
    (tmp_path / "caller.c").write_text(CALLER)
    gcc = [str(BIN / "uk-gcc"), "-O2", "-g"]
    for words in (
        ["-shared", "-fPIC", "lib.c", "-o", "libfails.so", "-Wl,-soname,libfails.so"],
        ["caller.c", "-o", "caller", "-L.", "-lfails"],
    ):
        subprocess.run([*gcc, *words], check=True, cwd=tmp_path)
    status, _, stderr = boot(tmp_path / "caller")
    assert status == 139 and b"0x20 (SEGV_MAPERR)" in stderr
    where = [("in_library", line("library", LIBRARY)), ("main", line("caller", CALLER))]
    assert placed(stderr) == where
    assert b"in libc.so.6" in stderr


CXX = """
#include <vector>

namespace shop {
struct Cart {
	std::vector<int> items;
	int price(unsigned i) const { return items.at(i); } /* price */
	template <typename T> __attribute__((noipa)) T sum(T start) const {
		return start + price(5); /* sum */
	}
};
}

int main() { return (int)shop::Cart().sum<long>(1) + 1; /* cart */ }
"""


def test_names_of_cxx(build_image: Build, boot: Boot) -> None:
    """An exception that nobody catches; templates and inlined members by their whole names."""
    image = build_image(CXX, name="cart", language="c++")
    status, _, stderr = boot(image)
    assert status == 134 and b"std::terminate()" in stderr
    text = re.sub(r"/\S*/", "", stderr.decode())
    assert f"shop::Cart::price(unsigned int) const at cart.cc:{line('price', CXX)}, inlin" in text
    assert f"long shop::Cart::sum<long>(long) const at cart.cc:{line('sum', CXX)}\n" in text
    assert f"main at cart.cc:{line('cart', CXX)}\n" in text


def test_without_a_host_that_listens(static: Path, tmp_path: Path) -> None:
    """A bare QEMU: a line on the console, and the record."""
    record = tmp_path / "record"
    record.touch()
    machine = Machine(str(static), 128, "tcg")
    argv = qemu_argv(machine, Endpoints(str(os.devnull), str(record)))
    argv[argv.index("-append") + 1] += " -- fault"
    at = argv.index("-initrd")
    del argv[at : at + 2]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE * FACTOR
    )
    print(done.stdout, done.stderr)
    assert b"UKCC1 signal 11" in record.read_bytes()
    text = r"UKCC1 note crash: fails\[\d+\] was killed by signal 11, address 0x18, rip 0x[0-9a-f]+"
    assert re.search(text, record.read_text())


def test_out_of_memory(static: Path, boot: Boot) -> None:
    status, _, stderr = boot(static, "hoard", options=["-m", "90"])
    assert status == 137 and stderr.count(b"\n") == 1
    found = re.search(rb"the kernel killed fails .*had mapped (\d+) MiB .* -m 90 is in use", stderr)
    assert found and 40 < int(found[1]) <= 90


def test_a_child_out_of_memory(static: Path, boot: Boot) -> None:
    status, stdout, stderr = boot(static, "hoarder", options=["-m", "90"])
    assert (status, stdout) == (4, b"it died of 9\n")
    assert b"the kernel killed fails" in stderr and stderr.count(b"\n") == 1


def test_killed_by_somebody_is_no_lack_of_memory(static: Path, boot: Boot) -> None:
    assert boot(static, "kill") == (137, b"", b"")


def test_a_hang_shows_every_thread(app: Path, boot: Boot) -> None:
    # on a busy host the boot alone may take that long
    options = ["--timeout", str(5 * FACTOR)]
    status, stdout, stderr = boot(app, "hang", options=options, timeout=4 * DEADLINE)
    assert (status, stdout) == (124, b"hangs\n")
    assert b"fails (process" in stderr and b"threads: 2" in stderr
    first, second = stderr.decode().split("  thread ")[1:]
    assert ", running:" in first and placed(first) == [("main", line("spins"))]
    assert ", blocked in pause:" in second
    assert placed(second) == [("wait_for_ever", line("waits"))]
    assert "still running after" in second


def test_a_kernel_that_does_not_answer(app: Path, boot: Boot) -> None:
    """Interrupts off: only QEMU knows what the CPU does."""
    options = ["--timeout", str(5 * FACTOR)]
    status, _, stderr = boot(app, "deaf", options=options, timeout=4 * DEADLINE)
    assert status == 124 and placed(stderr) == [("main", line("deaf"))]
    assert b"CPU 0, in the application, interrupts off" in stderr


def test_a_firmware_that_does_not_start_the_kernel(
    static: Path, boot: Boot, tmp_path: Path
) -> None:
    """It is that of a QEMU whose words for a machine have changed, say."""
    rom = bytearray(1 << 16)
    rom[-16:-14] = b"\xeb\xfe"  # the first instruction: jmp to itself
    (tmp_path / "rom").write_bytes(rom)
    qemu = tmp_path / PROGRAM
    qemu.write_text(f'#!/bin/sh\nexec {proc.find(PROGRAM)} "$@" -bios {tmp_path}/rom\n')
    qemu.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    options = ["--accel", "tcg", "--timeout", "2", "--smp", "2"]
    status, _, stderr = boot(static, "hang", options=options, env=environment)
    assert status == 124 and b"still running after 2 s" in stderr
    assert stderr.count(b", not started, at its first instruction\n") == 2


def test_sigquit_shows_the_stacks_and_the_run_goes_on(static: Path) -> None:
    argv = run_argv(static, ["hang"], ["--timeout", str(DEADLINE * FACTOR)])
    machine = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert machine.stdout is not None and machine.stdout.readline() == b"hangs\n"
        assert machine.stderr is not None
        for _ in range(2):  # it can be asked again
            machine.send_signal(signal.SIGQUIT)
            shown: list[str] = []
            while not any("wait_for_ever" in text for text in shown):
                shown.append(machine.stderr.readline().decode())
            assert ("main", line("spins")) in placed("".join(shown))
            time.sleep(1)
            assert machine.poll() is None
    finally:
        machine.terminate()
        machine.communicate()
    assert machine.returncode == 143


def kernel_symbol(image: Path, name: str) -> int:
    """The address of a variable of the image's kernel."""
    vmlinux = read_facts(str(image)).vmlinux
    listing = subprocess.run(["nm", str(vmlinux)], capture_output=True, text=True, check=True)
    (found,) = re.findall(rf"^(\w+) \w {name}$", listing.stdout, re.MULTILINE)
    return int(found, 16)


def names(stderr: bytes) -> list[str]:
    """The functions of all frames."""
    return re.findall(r"#\d+ +0x[0-9a-f]+  (\w+)", stderr.decode())


def in_order(wanted: Sequence[str], found: Sequence[str]) -> bool:
    rest = iter(found)
    return all(name in rest for name in wanted)


def test_a_panic_names_kernel_and_application(app: Path, boot: Boot) -> None:
    where = kernel_symbol(app, "udp_prot")
    status, stdout, stderr = boot(app, "kernel", f"{where:x}")
    assert status == 123 and b"Kernel panic" in stdout
    assert in_order(["inet_release", "__sock_release", "__x64_sys_close", "main"], names(stderr))
    assert placed(stderr) == [("main", line("kernel"))]
    assert b"the kernel panicked: Fatal exception" in stderr


def test_a_panic_in_the_application_itself(app: Path, boot: Boot) -> None:
    where = kernel_symbol(app, "init_stack") + 8192
    status, _, stderr = boot(app, "own stack", f"{where:x}")
    assert status == 123
    assert placed(stderr)[0] == ("main", line("own stack"))
