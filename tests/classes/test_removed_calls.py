"""A kernel with the calls of a list: what is not on it is not there, and says so."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ukcc import paths
from ukcc.needs import find

pytest_plugins = ["support.class_kernels"]

Linked, Booted = Callable[..., Any], Callable[..., Any]

# What a static program needs that prints a line, by its call sites, and to start and debug others.
_PROGRAM = """
access arch_prctl brk clock_gettime clock_nanosleep clone close execve exit exit_group fcntl futex
getcwd getdents64 getpid getrandom gettid ioctl kill lseek madvise mmap mprotect mremap munmap
newfstatat openat poll prctl pread64 prlimit64 ptrace read readlink rseq rt_sigaction rt_sigprocmask
rt_sigreturn sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getparam
sched_getscheduler sched_setscheduler sched_yield set_robust_list set_tid_address setitimer sysinfo
tgkill vfork wait4 waitid write writev
"""
INIT = Path(paths.current_sysroot() or "/nonexistent") / "boot" / "init"
NEEDED = sorted({*_PROGRAM.split(), *find(INIT).calls})

HELLO = """
#include <stdio.h>
int main(void) { puts("hello, world"); return 42; }
"""

# getppid is a call that every kernel has, and that neither init nor this program needs. glibc's
# syscall() goes by the gate, the instruction by the trap; each has a table of its own.
ASKS = """
#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static long by_gate(void)
{
	return syscall(SYS_getppid) < 0 ? -errno : 0;
}
static long by_trap(void)
{
	long result = SYS_getppid;
	__asm__ volatile("syscall" : "+a"(result) : : "rcx", "r11", "memory");
	return result;
}
int main(void)
{
	long error = WAY();
	printf("getppid: %s\\n", error == -ENOSYS ? "ENOSYS" : "another answer");
	return 43;
}
"""


def symbols(kernel_directory: object) -> list[str]:
    done = subprocess.run(
        ["nm", f"{kernel_directory}/vmlinux"], capture_output=True, text=True, check=True
    )
    return [line.split()[-1] for line in done.stdout.splitlines()]


def test_a_program_runs_with_the_calls_that_it_needs(linked: Linked, booted: Booted) -> None:
    run = booted(linked(NEEDED), HELLO)
    assert "hello, world" in run.console
    assert "UKCC1 exit 42" in run.record


def test_a_small_program_is_content_with_few_mib(linked: Linked, booted: Booted) -> None:
    kernel = linked(NEEDED)
    assert kernel.size < 1_600_000
    run = booted(kernel, HELLO, memory=6)
    assert "hello, world" in run.console
    assert "UKCC1 exit 42" in run.record


def test_a_debugger_without_debug_registers(linked: Linked, booted: Booted) -> None:
    """Left out with perf, on which they rest: an error that debuggers know, and all else works."""
    source = """
    #include <errno.h>
    #include <signal.h>
    #include <stddef.h>
    #include <stdio.h>
    #include <sys/ptrace.h>
    #include <sys/user.h>
    #include <sys/wait.h>
    #include <unistd.h>
    static volatile int watched;
    int main(void)
    {
        pid_t child = fork();
        if (child == 0) {
            ptrace(PTRACE_TRACEME, 0, 0, 0);
            kill(getpid(), SIGSTOP);
            watched = 1;
            _exit(44);
        }
        int status;
        waitpid(child, &status, 0);
        long place = offsetof(struct user, u_debugreg[0]);
        errno = 0;
        long read = ptrace(PTRACE_PEEKUSER, child, place, 0);
        printf("read: %ld %d\\n", read, errno);
        long written = ptrace(PTRACE_POKEUSER, child, place, &watched);
        printf("write: %s\\n", written == -1 && errno == EIO ? "EIO" : "another answer");
        struct user_regs_struct registers;
        printf("registers: %ld\\n", ptrace(PTRACE_GETREGS, child, 0, &registers));
        ptrace(PTRACE_CONT, child, 0, 0);
        waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    """
    run = booted(linked(NEEDED), source)
    assert "read: 0 0" in run.console
    assert "write: EIO" in run.console
    assert "registers: 0" in run.console
    assert "UKCC1 exit 44" in run.record


def test_calls_that_are_not_listed_are_not_in_the_kernel(linked: Linked) -> None:
    few, all_of_them = linked(NEEDED), linked(None)
    calls = {name for name in symbols(few.directory) if name.startswith("__x64_sys_")}
    assert "__x64_sys_getppid" not in calls and "__x64_sys_openat" in calls
    whole = {name for name in symbols(all_of_them.directory) if name.startswith("__x64_sys_")}
    assert calls < whole and "__x64_sys_getppid" in whole
    assert few.size < all_of_them.size


def test_no_code_of_sockets_is_left(linked: Linked) -> None:
    found = [n for n in symbols(linked(NEEDED).directory) if re.match(r"sock_|__sock_|sk_|tcp_", n)]
    assert found == []


@pytest.mark.parametrize("way", ["by_gate", "by_trap"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_removed_call(linked: Linked, booted: Booted, *, way: str, strict: bool) -> None:
    run = booted(linked(NEEDED, strict=strict), ASKS.replace("WAY", way))
    line = r"app\[\d+\]: system call getppid \(110\) was removed from this kernel"
    if strict:
        assert re.search(line, run.console)
        assert "UKCC1 signal 31" in run.record  # SIGSYS
    else:
        assert "getppid: ENOSYS" in run.console
        assert not re.search(line, run.console)
        assert "UKCC1 exit 43" in run.record


def test_a_call_that_a_program_has_not_made_itself(linked: Linked, booted: Booted) -> None:
    """restart_syscall: the kernel has it made when a sleep goes on after a stop."""
    source = """
    #include <signal.h>
    #include <stdio.h>
    #include <sys/wait.h>
    #include <time.h>
    #include <unistd.h>
    int main(void)
    {
        struct timespec second = { 1, 0 }, left = { 0, 0 }, moment = { 0, 100000000 };
        pid_t child = fork();
        if (child == 0)
            _exit(nanosleep(&second, &left) == 0 ? 17 : 18);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
        kill(child, SIGSTOP);
        clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
        kill(child, SIGCONT);
        int status;
        waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    """
    run = booted(linked(NEEDED, strict=True), source)
    assert "UKCC1 exit 17" in run.record
