"""The guest agent and the wrapper, the agent as a Linux process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance import agent_image, client, keeping, listening, wrapper

from ukcc.free_port import free_port

DEADLINE = 30.0  # seconds


class Process:
    """A keeper whose guest is a process of this host."""

    def __init__(self, port: int) -> None:
        self.port = port

    def guest(self) -> keeping.Guest:
        if not self.port:
            raise keeping.NoGuest("there is none")
        return keeping.Guest(self.port, 1)

    def lost(self, number: int, why: str) -> str:
        return f"guest {number} is gone"


class Wrapped:
    """Runs commands by the wrapper."""

    def __init__(self, path: Path, keeper: Process) -> None:
        self.path = path
        self.keeper = keeper

    def start(self, *words: str, **options: object) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, keeping.SOCKET: str(self.path)}
        environment.update(options.pop("env", {}))  # type: ignore[call-overload]
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        command = [*wrapper.BY_PATH, *words]
        return subprocess.Popen(command, env=environment, **options)  # type: ignore[call-overload,no-any-return]

    def run(
        self, *words: str, send: "bytes | None" = None, **options: object
    ) -> "subprocess.CompletedProcess[bytes]":
        if send is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*words, **options)
        out, err = process.communicate(send, DEADLINE)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("agent")
    return agent_image.build(directory / "agent", directory / "log")


@pytest.fixture
def wrapped(image: Path, tmp_path: Path) -> Iterator[Wrapped]:
    port = free_port()
    process = subprocess.Popen([str(image), str(port), f"{tmp_path}/link=target"])
    keeper = Process(port)
    try:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            try:
                client.connect(port, 1).close()
                break
            except client.GuestLost:
                time.sleep(0.05)
        with listening.answering(keeper, tmp_path / "socket"):
            yield Wrapped(tmp_path / "socket", keeper)
    finally:
        process.kill()
        process.wait()


def sh(script: str) -> tuple[str, str, str]:
    return "/bin/sh", "-c", script


def test_streams_and_status(wrapped: Wrapped) -> None:
    done = wrapped.run(*sh("echo out; echo err >&2; exit 7"))
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_one_file_for_both_streams_keeps_their_order(wrapped: Wrapped) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo o$i; echo e$i >&2; done"
    done = wrapped.run(*sh(script), stderr=subprocess.STDOUT)
    assert done.stdout == b"".join(b"o%d\ne%d\n" % (i, i) for i in range(1, 10))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM, 34])
def test_a_signal_kills_the_wrapper_as_well(wrapped: Wrapped, number: int) -> None:
    assert wrapped.run(*sh(f"kill -{int(number)} $$")).returncode == -number


def test_surroundings_go_along(wrapped: Wrapped, tmp_path: Path) -> None:
    code = (
        "import os, resource; print(os.getcwd(), oct(os.umask(0)), sorted(os.environ.items()),"
        "resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    words = ("env", "-i", "LC_ALL=C", "LANG=x=y", sys.executable, "-S", "-c", code)
    shell = sh('umask 027; ulimit -Sn 123; exec "$@"')
    environment = {**os.environ, keeping.SOCKET: str(wrapped.path)}
    command = [*shell, "sh", *wrapper.BY_PATH, *words]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    wanted = f"{tmp_path} 0o27 [('LANG', 'x=y'), ('LC_ALL', 'C')] 123\n"
    assert (said.returncode, said.stdout, said.stderr) == (0, wanted, "")


def test_the_wrapper_keeps_its_own_variables(wrapped: Wrapped) -> None:
    done = wrapped.run("env", "ONE=1", "/usr/bin/env", env={"TWO": "2", keeping.LIMIT: "20"})
    names = {line.partition(b"=")[0] for line in done.stdout.splitlines()}
    assert {b"ONE", b"TWO", b"PATH"} <= names
    assert not names & {keeping.SOCKET.encode(), keeping.LIMIT.encode()}


def test_standard_input_by_a_pipe_and_by_a_file(wrapped: Wrapped, tmp_path: Path) -> None:
    data = os.urandom(1_000_000)
    assert wrapped.run("/bin/cat", send=data).stdout == data
    (tmp_path / "input").write_bytes(data)
    with (tmp_path / "input").open("rb") as source:
        # a file it is there, too: one can seek in it
        back = ("-c", "import os; os.lseek(0, -5, 2); os.write(1, os.read(0, 9))")
        assert wrapped.run(sys.executable, *back, stdin=source).stdout == data[-5:]


def test_input_that_nobody_reads(wrapped: Wrapped) -> None:
    assert wrapped.run(*sh("exec <&-; echo done"), send=b"x" * 3_000_000).stdout == b"done\n"


def test_output_that_is_there_at_the_end_is_not_lost(wrapped: Wrapped) -> None:
    """A pipe may hold more than one read takes."""
    code = (
        "import os, fcntl as f; f.fcntl(1, 1031, 1 << 20); os.write(1, b'x' * 10**6); os._exit(0)"
    )
    assert len(wrapped.run(sys.executable, "-c", code).stdout) == 1_000_000


def test_what_does_not_start(wrapped: Wrapped, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    for program, status, why in (
        ("/no/such", 127, "No such file or directory"),
        (str(tmp_path), 126, "Permission denied"),
    ):
        done = wrapped.run(program)
        wanted = f"{wrapper.MARK}: {program}: {why}\n".encode()
        assert (done.returncode, done.stderr) == (status, wanted)


def ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


# Two that left the session, one of them an orphan's child, and one that ignores SIGHUP.
FAMILY = """
cd "$1"
setsid sh -c 'echo $$ >a; sleep 1000' &
setsid sh -c '(sh -c "echo \\$\\$ >b; sleep 1000") & echo x >x' &
(trap '' HUP TERM; sh -c 'echo $$ >c; sleep 1000') &
while ! [ -s a ] || ! [ -s b ] || ! [ -s c ]; do sleep 0.05; done
"""


@pytest.mark.parametrize(("end", "status"), [("exit 3", 3), ("sleep 1000", wrapper.TIMED_OUT)])
def test_no_descendant_survives(wrapped: Wrapped, tmp_path: Path, end: str, status: int) -> None:
    """At its own end and at the deadline alike."""
    done = wrapped.run(*sh(FAMILY + end), "sh", str(tmp_path), env={keeping.LIMIT: "5"})
    assert done.returncode == status
    pids = [int((tmp_path / name).read_text()) for name in "abc"]
    assert [ended(pid) for pid in pids] == [True] * 3


def test_output_up_to_the_deadline_is_there(wrapped: Wrapped) -> None:
    done = wrapped.run(*sh("echo early; sleep 1000"), env={keeping.LIMIT: "1"})
    said = f"{wrapper.MARK}: /bin/sh: killed after 1 s\n".encode()
    assert (done.returncode, done.stdout, done.stderr) == (
        wrapper.TIMED_OUT,
        b"early\n" + said,
        said,
    )


def test_several_at_once(wrapped: Wrapped, tmp_path: Path) -> None:
    """Each waits for what another one does."""
    script = f"cd {tmp_path}; echo >$0; until [ -e $1 ]; do sleep 0.02; done; echo $0 $1"
    pairs = [("p", "q"), ("q", "r"), ("r", "p")]
    running = [wrapped.start(*sh(script), *pair) for pair in pairs]
    said = [process.communicate(timeout=DEADLINE)[0].decode().split() for process in running]
    assert said == [list(pair) for pair in pairs]


def test_a_command_ends_with_its_wrapper(wrapped: Wrapped, tmp_path: Path) -> None:
    running = wrapped.start(*sh(f"echo $$ >{tmp_path}/pid; echo on; sleep 1000"))
    assert running.stdout is not None and running.stdout.readline() == b"on\n"
    running.kill()
    running.communicate()
    deadline = time.monotonic() + DEADLINE
    while not ended(int((tmp_path / "pid").read_text())):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_guest_that_dies(wrapped: Wrapped) -> None:
    done = wrapped.run(*sh("kill -9 $PPID; sleep 1000"))
    said = f"{wrapper.MARK}: the guest died: guest 1 is gone\n".encode()
    assert (done.returncode, done.stderr) == (wrapper.LOST, said)


def test_no_guest(wrapped: Wrapped) -> None:
    wrapped.keeper.port = 0
    done = wrapped.run("/bin/true")
    said = f"{wrapper.MARK}: no guest: there is none\n".encode()
    assert (done.returncode, done.stderr) == (wrapper.LOST, said)
    wrapped.path = Path("/no/such/socket")
    assert wrapped.run("/bin/true").returncode == wrapper.LOST


def test_links_are_made(wrapped: Wrapped, tmp_path: Path) -> None:
    assert (tmp_path / "link").readlink() == Path("target")


@pytest.mark.parametrize(
    ("words", "arguments", "environment"),
    [
        (["prog", "A=1"], ["prog", "A=1"], {"X": "0"}),
        (["env", "A=1", "B=", "prog"], ["prog"], {"X": "0", "A": "1", "B": ""}),
        (["env", "-i", "A=1", "prog", "-i"], ["prog", "-i"], {"A": "1"}),
        (["env", "A=1", "env", "A=2", "prog"], ["prog"], {"X": "0", "A": "2"}),
        (["env", "-u", "X", "prog"], ["env", "-u", "X", "prog"], {"X": "0"}),
        (["env"], ["env"], {"X": "0"}),
    ],
)
def test_env_is_understood(
    words: list[str], arguments: list[str], environment: dict[str, str]
) -> None:
    assert wrapper.without_env(words, {"X": "0"}) == (arguments, environment)
