"""glibc inside a static program: its functions count only where something leads to them."""

import subprocess
from pathlib import Path

import pytest
from support.twin import BIN

from ukcc.needs import Needs, find
from ukcc.needs.members import File

WAYS = [("-static",), ("-static", "-s"), ("-static", "-fno-pie", "-no-pie"), ("-static-pie",)]

# Static, it has the resolver's sockets in it, as the end of a thread may free the resolver's state.
THREADS = """
#include <pthread.h>
#include <stdio.h>
static void *run(void *arg) { return puts("thread") < 0 ? arg : 0; }
int main(void) { pthread_t t; return pthread_create(&t, 0, run, 0) || pthread_join(t, 0); }
"""

BY_TABLE = """
#include <sys/socket.h>
#include <unistd.h>
int (*const table[])(int, int, int) = {socket};
int main(int argc, char **argv) { return table[argc - 1](1, 1, 0) < 0; }
"""

BY_NUMBER = """
#include <sys/socket.h>
__attribute__((noipa)) int use(int (*call)(int, int, int)) { return call(1, 1, 0); }
int main(void) { return use(socket) < 0; }
"""

BY_CALL = """
#include <netdb.h>
int main(int argc, char **argv) { struct addrinfo *a; return getaddrinfo(argv[0], 0, 0, &a); }
"""


def needs_of(directory: Path, source: str, *words: str) -> Needs:
    (directory / "app.c").write_text(source)
    subprocess.run(
        [BIN / "uk-gcc", "-O2", "-w", *words, "app.c", "-o", "app"],
        cwd=directory,
        check=True,
    )
    return find(directory / "app")


def own(needs: Needs) -> set[str]:
    """The calls of the program itself."""
    return {
        call for call, places in needs.by.items() if any(p.object == "/app/app" for p in places)
    }


@pytest.mark.parametrize("words", WAYS)
def test_what_nothing_leads_to_does_not_count(tmp_path: Path, words: "tuple[str, ...]") -> None:
    needs = needs_of(tmp_path, THREADS, *words)
    assert not needs.keeps_everything
    assert {"write", "clone3", "futex"} <= own(needs)
    assert not {"socket", "bind", "connect"} & own(needs)
    program = next(member for member in needs.members if member.object == "/app/app")
    assert program.left_out > 10


@pytest.mark.parametrize("source", [BY_TABLE, BY_NUMBER, BY_CALL], ids=["table", "number", "call"])
@pytest.mark.parametrize("words", WAYS)
def test_what_something_leads_to_counts(
    tmp_path: Path, source: str, words: "tuple[str, ...]"
) -> None:
    assert "socket" in own(needs_of(tmp_path, source, *words))


def test_two_programs_of_one_path(tmp_path: Path) -> None:
    """An image and its archive may have different ones, and files of a run replace others."""
    needs_of(tmp_path, BY_CALL, "-static")
    other = File("/app/app", (tmp_path / "app").read_bytes())
    alone = needs_of(tmp_path, THREADS, "-static")
    assert "getsockname" not in own(alone)
    both = find(tmp_path / "app", further=[other])
    assert "getsockname" in own(both)
