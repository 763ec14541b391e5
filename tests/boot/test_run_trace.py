"""`ukcc run --trace`: what strace shows of a program whose system calls are jumps."""

import re
from pathlib import Path

import pytest
from support.boots import Boot, Build

from ukcc.progress import Silent
from ukcc.sysroot import strace
from ukcc.sysroot.store import default_store


@pytest.fixture(scope="module", autouse=True)
def tracer() -> None:
    """Built before a boot's deadline begins."""
    strace.program(default_store(), Silent())


# Calls from the main thread, another thread, and a child that runs the same file anew; by the C
# library (redirected) and by the literal instruction. Its standard error comes in pieces.
FAMILY = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void *in_thread(void *unused)
{
	syscall(SYS_getpriority, 0, 12345);
	return unused;
}

static long literal_getpgid(long pid)
{
	long result;

	__asm__ volatile(".byte 0x0f, 0x05" : "=a"(result)
		: "0"(SYS_getpgid), "D"(pid) : "rcx", "r11", "memory");
	return result;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int status;

	if (argc > 1) {
		syscall(SYS_sched_getscheduler, 54321);
		return 3;
	}
#ifdef DYNAMIC
	dlopen(NULL, RTLD_NOW);
#endif
	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, NULL);
	if (vfork() == 0) {
		execl("/proc/self/exe", "again", "and again", NULL);
		_exit(9);
	}
	wait(&status);
	literal_getpgid(23456);
	fputs("half ", stderr);
	fputs("a line\n", stderr);
	printf("%s %d %d\n", argv[0], WEXITSTATUS(status), getppid() > 1);
	return 7;
}
"""

# Ends as it is told: `exit N`, `signal N`; or leaves a child behind that would never end.
ENDS = r"""
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (!strcmp(argv[1], "exit"))
		return atoi(argv[2]);
	if (!strcmp(argv[1], "signal"))
		return kill(getpid(), atoi(argv[2]));
	if (fork() == 0)
		for (;;)
			pause();
	return 5;
}
"""

KINDS = {
    "static": [],
    "static-pie": ["-static-pie", "-fPIE"],
    "dynamic": ["-DDYNAMIC"],
    "thin": ["-DTHIN"],
}

# A line of strace -f: the thread's number, then a call, a signal or an end.
LINE = re.compile(rb"(\d+) +(.+)")


def parsed(trace: bytes) -> "list[tuple[int, bytes]]":
    found = [LINE.fullmatch(line) for line in trace.splitlines()]
    return [(int(match[1]), match[2]) for match in found if match]


def callers(trace: bytes, call: bytes) -> "set[int]":
    """The threads that made this call; one that was interrupted in the log counts as well."""
    return {thread for thread, what in parsed(trace) if what.startswith(call)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cpus", ["1", "2"])
def test_family(
    build_image: Build, boot: Boot, monkeypatch: pytest.MonkeyPatch, kind: str, cpus: str
) -> None:
    if kind == "thin":
        monkeypatch.setenv("UKCC_IMAGE", "thin")
    image = build_image(FAMILY, "-pthread", *KINDS[kind], name="family")
    status, stdout, trace = boot(image, options=["--trace", "--smp", cpus])
    # the program is as it is without: same name, a parent that is not PID 1, same end
    assert (status, stdout) == (7, b"/app/family 3 1\n")
    assert trace.splitlines().count(b"half a line") == 1

    (main,) = callers(trace, b'execve("/app/family", ["/app/family"], ')
    (thread,) = callers(trace, b"getpriority(PRIO_PROCESS, 12345")
    (child,) = callers(trace, b'execve("/proc/self/exe", ["again", "and again"], ')
    assert len({main, thread, child}) == 3
    assert callers(trace, b"sched_getscheduler(54321") == {child}
    assert callers(trace, b"getpgid(23456") == callers(trace, b"getppid(") == {main}
    ends = [(who, what) for who, what in parsed(trace) if what.startswith(b"+++")]
    assert sorted(ends) == sorted(
        [
            (thread, b"+++ exited with 0 +++"),
            (child, b"+++ exited with 3 +++"),
            (main, b"+++ exited with 7 +++"),
        ]
    )
    # nothing of init, and nothing of strace itself
    assert parsed(trace)[0][1].startswith(b"execve(") and b"/.uk/" not in trace


@pytest.mark.parametrize(
    ("words", "status", "last"),
    [
        (("exit", "0"), 0, b"+++ exited with 0 +++"),
        (("exit", "255"), 255, b"+++ exited with 255 +++"),
        (("signal", "15"), 143, b"+++ killed by SIGTERM +++"),
        (("signal", "9"), 137, b"+++ killed by SIGKILL +++"),
        (("signal", "11"), 139, b"+++ killed by SIGSEGV +++"),
        (("leave",), 5, b"+++ killed by SIGKILL +++"),
    ],
)
def test_endings(
    build_image: Build, boot: Boot, words: "tuple[str, ...]", status: int, last: bytes
) -> None:
    image = build_image(ENDS, name="ends")
    ended, _, trace = boot(image, *words, options=["--trace"])
    end = parsed(trace)[-1][1].replace(b" (core dumped)", b"")
    assert (ended, end) == (status, last)


def test_filter_and_file(build_image: Build, boot: Boot, tmp_path: Path) -> None:
    image = build_image(FAMILY, "-pthread", name="family")
    options = ["--trace-filter", "getppid,getpriority", "--trace-output", str(tmp_path / "trace")]
    status, stdout, stderr = boot(image, options=options)
    assert (status, stdout, stderr) == (7, b"/app/family 3 1\n", b"half a line\n")
    trace = (tmp_path / "trace").read_bytes()
    calls = [
        what.partition(b"(")[0] for _, what in parsed(trace) if what[:3] not in (b"+++", b"---")
    ]
    assert calls == [b"getpriority", b"getppid"]


def test_a_filter_that_is_none(build_image: Build, boot: Boot) -> None:
    image = build_image(ENDS, name="ends")
    status, stdout, stderr = boot(image, "exit", "0", options=["--trace-filter", "getfoo"])
    assert (status, stdout) == (125, b"")
    assert stderr.count(b"\n") == 1
    assert b"--trace-filter 'getfoo': invalid system call 'getfoo'" in stderr
