"""What `ukcc needs` says of real programs, held against what strace sees them do."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from support.twin import BIN

from ukcc.needs import Needs, find
from ukcc.needs.rules import _FILE as RULES
from ukcc.progress import Silent
from ukcc.sysroot import strace
from ukcc.sysroot.store import default_store

BUSY = """
#define _GNU_SOURCE
#include <dirent.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef OPENS
#include <dlfcn.h>
#endif
static long own(long number, long argument)
{
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result) : "a"(number), "D"(argument) : "rcx", "r11", "memory");
    return result;
}
__attribute__((noinline)) static long chosen(int which)
{
    return own(which ? SYS_getppid : SYS_getpgrp, 0);
}
static void *thread(void *p) { usleep(1000); return p; }
int main(int argc, char **argv)
{
    struct sockaddr_in address = {AF_INET};
    struct epoll_event event = {EPOLLIN};
    struct addrinfo *found;
    pthread_t other;
    int s = socket(AF_INET, SOCK_STREAM, 0), e = epoll_create1(0);
    bind(s, (void *)&address, sizeof address), listen(s, 5);
    epoll_ctl(e, EPOLL_CTL_ADD, s, &event), epoll_wait(e, &event, 1, 1);
    getaddrinfo("localhost", "80", 0, &found);
    pthread_create(&other, 0, thread, 0), pthread_join(other, 0);
    if (!fork()) _exit(3);
    wait(0);
    DIR *d = opendir("/");
    while (readdir(d));
    closedir(d);
    setgid(getgid()), setuid(getuid());
    chosen(argc), chosen(argc - 1), syscall(argc > 5 ? SYS_getpid : SYS_sched_yield);
    FILE *f = tmpfile();
    fprintf(f, "x"), fclose(f);
    nanosleep(&(struct timespec){0, 1000}, 0);
#ifdef OPENS
    printf("%p\\n", dlopen("libnothing.so", RTLD_NOW));
#endif
    printf("done %s\\n", argv[0]);
    return 42;
}
"""
CPP = """
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <thread>
int main()
{
    std::thread([] {
        try { throw std::runtime_error("thrown"); }
        catch (std::exception &error) { std::cout << error.what() << std::endl; }
    }).join();
    for (auto &entry : std::filesystem::directory_iterator("/")) std::cout << entry.path() << "\\n";
    return 42;
}
"""
KINDS = {
    "static": ("uk-gcc", "-O2"),
    "not optimised": ("uk-gcc", "-O0"),
    "small": ("uk-gcc", "-Os", "-fno-omit-frame-pointer"),
    "static PIE": ("uk-gcc", "-O3", "-static-pie"),
    "redirected": ("uk-gcc", "-O2", "GATE"),
    "stripped": ("uk-gcc", "-O2", "-s"),
    "dynamic": ("uk-gcc", "-O2", "-DOPENS"),
    "dynamic, no PLT": ("uk-gcc", "-O2", "-DOPENS", "-fno-plt", "-rdynamic"),
    "C++": ("uk-g++", "-O2"),
}


def build(where: Path, name: str, text: str, *words: str, **environ: str) -> Path:
    compiler, *options = words
    if "GATE" in options:
        flag = subprocess.run([BIN / "ukcc", "env", "--gate"], capture_output=True, text=True)
        options = [flag.stdout.strip() if word == "GATE" else word for word in options]
    source = where / ("a.cc" if compiler == "uk-g++" else "a.c")
    source.write_text(text)
    line = [str(BIN / compiler), "-w", *options, source.name, "-o", name]
    subprocess.run(line, cwd=where, check=True, env={**os.environ, **environ})
    return where / name


def calls_made(program: Path) -> "set[str]":
    """The names of the calls that a run makes, by strace."""
    tracer = strace.program(default_store(), Silent())
    log = program.with_suffix(".trace")
    done = subprocess.run([tracer, "-f", "-o", log, program], stdout=subprocess.DEVNULL)
    assert done.returncode == 42
    # the first line is the tracer's own execve
    lines = log.read_text().splitlines()[1:]
    found = {match[1] for line in lines if (match := re.match(r"\d+ +(\w+)\(", line))}
    assert "execve" not in found
    return found


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("static"), "busy", BUSY, *KINDS["static"])


@pytest.mark.parametrize("kind", KINDS)
def test_every_call_that_is_made_is_needed(kind: str, tmp_path: Path) -> None:
    program = build(tmp_path, "busy", CPP if kind == "C++" else BUSY, *KINDS[kind])
    needs = find(program)
    made = calls_made(program)
    assert len(made) > 15 and made <= set(needs.calls)
    assert (needs.keeps_everything, needs.unknown) == (False, ())
    assert len(needs.calls) < 150  # of 360: libc.so.6 has 290


SYSCALL = "#define _GNU_SOURCE\n#include <unistd.h>\n#include <dlfcn.h>\n#include <stdlib.h>\n"
WRONG_RULE = """
[[rule]]
name = "wrong"
functions = ["syscall"]
glibc = ["2."]
calls = ["getpid"]
reason = "It is wrong."
"""


def test_a_wrong_rule_is_seen(tmp_path: Path) -> None:
    """The check above fails if what a rule says is not so."""
    main = 'int main(int c, char **v) { syscall(c + 155 - 1); syscall(atoi("110")); return 42; }'
    program = build(tmp_path, "own", SYSCALL + main, "uk-gcc", "-O2")
    assert find(program).keeps_everything
    needs = find(program, RULES.read_text() + WRONG_RULE)
    assert not needs.keeps_everything
    assert calls_made(program) - set(needs.calls) == {"getppid", "pivot_root"}


def test_without_the_rules_the_sites_are_named(static: Path) -> None:
    needs = find(static, "rule = []\n")
    assert needs.keeps_everything
    functions = {unknown.function for unknown in needs.unknown if unknown.object == needs.program}
    assert functions == {"__nptl_setxid", "__nptl_setxid_sighandler"}


def test_a_function_of_ones_own_is_not_excused_by_its_name(tmp_path: Path) -> None:
    own = """
    __attribute__((noinline)) long __nptl_setxid(volatile long *n)
    {
        long r;
        __asm__ volatile("syscall" : "=a"(r) : "a"(*n) : "rcx", "r11", "memory");
        return r;
    }
    int main(int argc, char **argv) { long n = argc; return __nptl_setxid(&n); }
    """
    needs = find(build(tmp_path, "own", own, "uk-gcc", "-O2"))
    assert [(u.object, u.function) for u in needs.unknown] == [("/app/own", "__nptl_setxid")]


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_number_that_is_read_keeps_everything(kind: str, tmp_path: Path) -> None:
    opens = 'dlopen("x", 1),' if kind == "dynamic" else ""
    main = f"int main(int c, char **v) {{ return {opens} syscall(atoi(v[1])); }}"
    needs = find(build(tmp_path, "own", SYSCALL + main, "uk-gcc", "-O2"))
    (unknown,) = needs.unknown
    assert unknown.function == "syscall" and "returns" in unknown.why


def test_the_address_of_syscall_keeps_everything(tmp_path: Path) -> None:
    main = "long (*volatile f)(long, ...) = syscall; int main(void) { return f(39) != getpid(); }"
    (unknown,) = find(build(tmp_path, "a", SYSCALL + main, "uk-gcc", "-O2")).unknown
    assert (unknown.function, unknown.why[:22]) == ("syscall", "its address is in data")
    opens = 'int main(int c, char **v) { return !dlsym(RTLD_DEFAULT, c > 9 ? v[1] : "syscall"); }'
    (unknown,) = find(build(tmp_path, "b", SYSCALL + opens, "uk-gcc", "-O2")).unknown
    assert (unknown.function, unknown.why) == ("syscall", "dlsym is asked for syscall")


# Between the number and the call lies 0x100e4100, which is also what the first function's unwinding
# instructions look like: no augmentation, one byte on, def_cfa_offset 16, and nothing.
UNWOUND = """
__asm__(".text\\n"
        "pushes: .cfi_startproc; push %rbx; .cfi_def_cfa_offset 16\\n"
        ".cfi_escape 0, 0, 0, 0, 0x0e, 8; ret; .cfi_endproc\\n"
        ".section .far, \\"ax\\"\\n"
        "made: .cfi_startproc; mov $39, %eax\\n"
        ".org 0x10, 0x90\\n"
        "syscall; ret; .cfi_endproc\\n"
        ".text");
int main(void) { return 42; }
"""


def test_what_unwinders_read_is_no_address(tmp_path: Path) -> None:
    far = "-Wl,--section-start=.far=0x100e40f0"
    program = build(tmp_path, "own", UNWOUND, "uk-gcc", "-O2", "-static", far)
    image = program.read_bytes()
    assert bytes.fromhex("00410e1000000000") in image
    needs = find(program)
    assert not needs.keeps_everything and "getpid" in needs.calls


def test_constants(static: Path) -> None:
    needs = find(static)
    families = needs.arguments["socket_families"]
    assert {"AF_INET", "AF_LOCAL"} <= set(families.names)
    assert "SOCK_STREAM" in needs.arguments["socket_types"].names
    assert needs.arguments["open_flags"].any  # stdio adds them up
    assert needs.arguments["open_flags"].unknown


def test_paths_and_who_has_them(static: Path) -> None:
    paths = find(static).paths
    assert paths["/dev/console"] == ("/init",)
    assert not any(path.startswith("/dev/virtblk") for path in paths)  # of the kernel


@pytest.mark.parametrize("linkage", ["static", "dynamic"])
def test_paths_of_kernel_and_init_are_not_the_programs(tmp_path: Path, linkage: str) -> None:
    """They lie in the same file."""
    (tmp_path / "app.c").write_text("int main(void) { return 0; }\n")
    subprocess.run(
        [BIN / "uk-gcc", "app.c", "-o", "app"],
        cwd=tmp_path,
        env={**os.environ, "UKCC_LINK": linkage},
        check=True,
    )
    paths = find(tmp_path / "app").paths
    assert "/init" in paths["/dev/mqueue"]
    assert "/app/app" not in paths["/dev/mqueue"]
    assert ("/app/app" in paths["/dev/full"]) == (linkage == "static")  # glibc's


def ukcc(*words: "str | Path", status: int = 0) -> str:
    done = subprocess.run([BIN / "ukcc", "needs", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == status, done
    return done.stdout if status == 0 else done.stderr


def test_the_command(static: Path) -> None:
    table = json.loads(ukcc("--json", static))
    needs = find(static)
    assert table["calls"] == list(needs.calls) == sorted(needs.calls)
    assert table["socket_families"]["names"] == list(needs.arguments["socket_families"].names)
    by = table["by"]["setgid"]
    found = {(place["object"], place["origin"]) for place in by}
    assert found == {("/app/busy", "code"), ("/app/busy", "rule setxid"), ("/init", "code")}
    text = ukcc(static)
    assert text.startswith(f"{static}: needs {len(needs.calls)} system calls\n")
    why = ukcc("--why", "epoll_create1", static)
    assert re.fullmatch(r"/app/busy epoll_create1 0x[0-9a-f]+\n", why)
    assert "no site makes the call mount_setattr" in ukcc(
        "--why", "mount_setattr", static, status=1
    )


def test_a_thin_image_and_a_plain_program(tmp_path: Path) -> None:
    thin = build(tmp_path, "thin", BUSY, *KINDS["static"], UKCC_IMAGE="thin")
    whole: Needs = find(build(tmp_path, "whole", BUSY, *KINDS["static"]))
    assert find(thin).calls == whole.calls
    subprocess.run(["gcc", "-O2", "-w", "a.c", "-o", "plain"], cwd=tmp_path, check=True)
    plain = find(tmp_path / "plain")
    assert {"/plain", "/usr/lib/libc.so.6"} <= {member.object for member in plain.members}
    assert "epoll_create1" in plain.calls and "reboot" not in plain.calls


def test_what_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    assert ukcc(tmp_path / "text", status=1) == f"ukcc: error: {tmp_path}/text: not an ELF file\n"
    assert "No such file" in ukcc(tmp_path / "nothing", status=1)
