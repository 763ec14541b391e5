"""The guest agent in a machine: commands of the host run there, and a dead guest is replaced."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conformance import agent_image, client, keeper, keeping, wrapper
from support.boots import DEADLINE, FACTOR, Build

# In ring 3 this is a SIGSEGV; here it takes the page tables away from the kernel.
CRASH = r"""
int main(void)
{
	asm volatile("cli; mov %0, %%cr3" : : "r"(0L));
	return 0;
}
"""

# What a process of a guest is: by the gate, in ring 0, with a kernel of ours.
FACTS = r"""
#include <stdio.h>
#include <sys/utsname.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct utsname name;
	unsigned short cs;
	char word[20] = "";

	asm("mov %%cs, %0" : "=r"(cs));
	uname(&name);
	read(0, word, sizeof(word) - 1);
	printf("ring %d, %s, %s, %s\n", cs & 3, name.release, argv[1], word);
	return 9;
}
"""

# A run of a suite, as it is while the tests run.
KEEPING = """
import sys
from pathlib import Path
from conformance import keeper
from ukcc.unwinding import unwind_when_ended

unwind_when_ended()
image, place = map(Path, sys.argv[1:])
with keeper.keep(keeper.Setting(image, (), place / "ended"), place / "other") as kept:
    print(kept.guest().port, flush=True)
    sys.stdin.read()
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guest")


@pytest.fixture(scope="module")
def kept(place: Path) -> Iterator[keeper.Keeper]:
    image = agent_image.build(place / "agent", place / "agent.log")
    with keeper.keep(keeper.Setting(image, (place,), place), place / "socket") as kept:
        yield kept


@pytest.fixture
def run(kept: keeper.Keeper, place: Path) -> Run:
    def run(*words: "str | Path", send: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*wrapper.BY_PATH, *words],
            env={**os.environ, keeping.SOCKET: str(place / "socket"), keeping.LIMIT: "60"},
            cwd=place,
            input=send,
            capture_output=True,
            text=True,
            timeout=DEADLINE * FACTOR,
        )

    return run


def copied(image: Path, place: Path) -> Path:
    """Where guest and host see it."""
    copy = place / image.name
    copy.write_bytes(image.read_bytes())
    copy.chmod(0o755)
    return copy


def test_commands_run_in_the_machine(run: Run, build_image: Build, place: Path) -> None:
    facts = copied(build_image(FACTS, name="facts"), place)
    done = run("env", "A=1", facts, "an argument", send="input")
    assert done.returncode == 9
    assert done.stdout.startswith("ring 0, ") and "-uk, an argument, input\n" in done.stdout
    # a shell of the host's, and the same file seen from both sides
    done = run("/bin/sh", "-c", "read r </proc/sys/kernel/osrelease; echo $r >seen; kill -SEGV $$")
    assert done.returncode == -signal.SIGSEGV
    assert "-uk" in (place / "seen").read_text()


def test_a_guest_that_died_is_replaced(
    kept: keeper.Keeper, run: Run, build_image: Build, place: Path
) -> None:
    crash = copied(build_image(CRASH, name="crash"), place)
    before = kept.guest().number
    done = run(crash)
    assert done.returncode == wrapper.LOST
    assert done.stderr.startswith(f"{wrapper.MARK}: the guest died: ")
    assert "the machine ended without saying" in done.stderr
    assert run("/bin/sh", "-c", "exit 3").returncode == 3
    assert kept.guest().number == before + 1
    assert len(kept.deaths) == 1


def test_an_ended_run_leaves_no_machine(kept: keeper.Keeper, place: Path) -> None:
    argv = [sys.executable, "-c", KEEPING, kept.setting.image, place]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as run:
        assert run.stdout is not None  # it is a pipe
        port = int(run.stdout.readline())
        client.connect(port, DEADLINE).close()
        run.terminate()
        assert run.wait(DEADLINE * FACTOR) == 128 + signal.SIGTERM
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
