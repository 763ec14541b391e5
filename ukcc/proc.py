"""Runs programs, for everything but the compile and link path.

A command is a list of words, never a shell line. An error says what ran, where its output is, and
the line to paste to run it again.
"""

import contextlib
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from ukcc import paths
from ukcc.debian_packages import package_of
from ukcc.errors import ToolFailed

# What a build may see of the caller's environment. Everything else stays out: CFLAGS, ARCH, CPATH,
# LD_LIBRARY_PATH or the MAKEFLAGS of an outer make would change or break what is built.
_BUILD_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "USER", "LOGNAME", "UKCC_HOME", "UKCC_LOG")

_PLACES = ("HOME", "TMPDIR", "UKCC_HOME", "UKCC_LOG")

# Descriptors that the programs get which are started now; see inherited().
_INHERITED: "ContextVar[tuple[int, ...]]" = ContextVar("inherited", default=())

_RUNNING: "set[subprocess.Popen[bytes]]" = set()
_ended = False

# `ukcc` by this interpreter, so that it works where no PATH was set up.
UKCC = (sys.executable, "-c", "from ukcc.cli import main; main()")

TIMED_OUT = 124  # the status of a command that reached its limit, by timeout(1)
_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # where Debian's packages put programs

_KILL_AFTER = 10  # seconds between timeout(1)'s SIGTERM and its SIGKILL

_CHUNK = 65536

_TAIL = 20  # lines of a failed program's output that are worth showing at once


class ProgramFailed(ToolFailed):
    """A program ended with a status other than 0.

    `returncode` is its status (negative: killed by that signal), `tail` the last lines it wrote.
    """

    def __init__(self, message: str, hint: str, returncode: int, tail: Sequence[str]) -> None:
        super().__init__(message, hint)
        self.returncode = returncode
        self.tail = tuple(tail)


@dataclass(frozen=True)
class Command:
    """A program with its arguments, and how to run it.

    env: added to our environment, or all of the environment if `is_isolated`; limit: seconds after
    which the program is ended, with all that it has started.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    is_isolated: bool = False
    limit: float | None = None

    @property
    def program(self) -> str:
        """The program as it was named."""
        return self.argv[0]

    def started(self) -> list[str]:
        """The words that are executed: env(1) and timeout(1) put the command into effect."""
        limit = self.limit
        by = [] if limit is None else ["timeout", f"--kill-after={_KILL_AFTER}", f"{limit:.0f}"]
        return [*self._environment(), *by, *self.argv]

    def pasted(self, cwd: Path | None) -> str:
        """One line for a shell, which meets the same environment again; without the limit."""
        if self.is_isolated:
            return paste_line([*self._environment(), *self.argv], cwd=cwd)
        return paste_line(self.argv, env=self.env, cwd=cwd)

    def _environment(self) -> list[str]:
        if not self.is_isolated:
            return []
        return ["env", "-i", *(f"{name}={value}" for name, value in self.env.items())]


def isolated(
    argv: Sequence[str], additions: Mapping[str, str] | None = None, limit: float | None = None
) -> Command:
    """The command with a small fixed environment and the additions given."""
    kept = {name: os.environ[name] for name in _BUILD_ENVIRONMENT if name in os.environ}
    # The command runs in a directory of its own, where a relative path leads elsewhere.
    kept |= {name: str(Path(kept[name]).absolute()) for name in _PLACES if kept.get(name)}
    return Command(tuple(argv), {**kept, "LC_ALL": "C", **(additions or {})}, True, limit)


def find(program: str, path: str | None = None) -> str:
    """The absolute path of a program. Raises ToolFailed, naming the Debian package that has it.

    path: where to look, instead of our own PATH.
    """
    found = shutil.which(program, path=path)
    if found is None:
        package = package_of(Path(program).name)
        raise ToolFailed(f"{program}: no such program", f"apt-get install {package}")
    return paths.absolute(found)


def own_tool(name: str) -> Path:
    """A command of this installation: beside this Python, or where scripts are installed."""
    places = [Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))]
    for place in places:
        if (place / name).is_file():
            return place / name
    found = shutil.which(name)
    if found is None:
        raise ToolFailed(
            f"{name} is not installed beside {sys.executable}", "pip install ukcc again"
        )
    return Path(found)


def path_for_builds() -> str:
    """The PATH of a build that is told of `uk-gcc` by its name: ours first, then the caller's."""
    return f"{own_tool('uk-gcc').parent}:{os.environ.get('PATH', os.defpath)}"


def path_for_recipes() -> str:
    """The same for a build whose tools are the distribution's packages.

    They come before those that a version manager (rustup, pyenv) put in front of the caller's.
    """
    ours, _, callers = path_for_builds().partition(":")
    return f"{ours}:{_SYSTEM_PATH}:{callers}"


def paste_line(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """The command as one line for a shell. `env` gives the assignments to show before it."""
    prefix = f"cd {shlex.quote(str(cwd))} && " if cwd else ""
    names = "".join(f"{name}={shlex.quote(value)} " for name, value in (env or {}).items())
    return prefix + names + shlex.join(argv)


def run(
    command: "Command | Sequence[str]",
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
) -> None:
    """Runs a program to its end; stdout and stderr go, as one stream of lines, to `log` (appended).

    env: additions to the environment; on_line: gets each line without its end.
    Raises ProgramFailed.
    """
    wanted = _command(command, env)
    tail: deque[str] = deque(maxlen=_TAIL)
    with contextlib.ExitStack() as stack:
        sink: IO[str] | None = None
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            sink = stack.enter_context(log.open("a", buffering=1, errors="replace"))
            sink.write(f"$ {wanted.pasted(cwd)}\n")
        process = _start(wanted, cwd, stderr=subprocess.STDOUT)
        with _killed_on_exception(process):
            assert process.stdout is not None  # it is a pipe
            for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip("\n")
                tail.append(line)
                if sink is not None:
                    sink.write(line + "\n")
                if on_line is not None:
                    on_line(line)
            process.wait()
    if process.returncode != 0:
        raise _failure(wanted, cwd, log, process.returncode, tail)


def attended(command: Command, cwd: Path) -> None:
    """Runs a program that talks to a person: our terminal is its own. Raises ProgramFailed."""
    _find(command, cwd)
    env = None if command.is_isolated else {**os.environ, **command.env}
    done = subprocess.run(command.started(), cwd=cwd, env=env)
    if done.returncode != 0:
        raise _failure(command, cwd, None, done.returncode, ())


def output(
    command: "Command | Sequence[str]",
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    most: int | None = None,
) -> str:
    """What the program writes to stdout, as text. Raises ProgramFailed with its stderr.

    timeout: seconds after which it is ended, which is a ToolFailed; most: bytes of stdout and of
    stderr beyond which it is, too.
    """
    wanted = _command(command, env)
    process = _start(wanted, cwd, stderr=subprocess.PIPE)
    try:
        with _killed_on_exception(process):
            if most is None:
                stdout, stderr = process.communicate(timeout=timeout)
            else:
                stdout, stderr = _limited_output(wanted.program, process, timeout, most)
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"{wanted.program} did not end within {timeout:g} s") from None
    if process.returncode != 0:
        said = stderr.decode(errors="replace").splitlines()[-_TAIL:]
        raise _failure(wanted, cwd, None, process.returncode, said)
    text: str = stdout.decode(errors="replace")
    return text


def _limited_output(
    program: str, process: "subprocess.Popen[bytes]", timeout: float | None, most: int
) -> tuple[bytes, bytes]:
    """As communicate(). Raises ToolFailed for more than so many bytes, TimeoutExpired."""
    assert process.stdout is not None and process.stderr is not None  # they are pipes
    outputs = {process.stdout: bytearray(), process.stderr: bytearray()}
    deadline = None if timeout is None else time.monotonic() + timeout
    with selectors.DefaultSelector() as waiting, process.stdout, process.stderr:
        for pipe in outputs:
            waiting.register(pipe, selectors.EVENT_READ)
        while waiting.get_map():
            left = None if deadline is None else deadline - time.monotonic()
            ready = waiting.select(left) if left is None or left > 0 else []
            if not ready:
                raise subprocess.TimeoutExpired(process.args, timeout or 0)
            for key, _ in ready:
                pipe = cast("IO[bytes]", key.fileobj)
                data = os.read(key.fd, _CHUNK)
                outputs[pipe] += data
                if not data:
                    waiting.unregister(pipe)
                if len(outputs[pipe]) > most:
                    raise ToolFailed(f"{program} says more than {most} bytes")
    process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
    return bytes(outputs[process.stdout]), bytes(outputs[process.stderr])


def _command(command: "Command | Sequence[str]", env: "Mapping[str, str] | None") -> Command:
    if not isinstance(command, Command):
        command = Command(tuple(command))
    return replace(command, env={**command.env, **(env or {})})


def _find(command: Command, cwd: Path | None) -> None:
    """Raises ToolFailed if there is no such program."""
    program = command.program
    if "/" in program:
        program = str(Path(cwd or os.curdir) / program)
    find(program, command.env.get("PATH"))


def _start(command: Command, cwd: Path | None, stderr: int) -> "subprocess.Popen[bytes]":
    """Starts the program in a session of its own, so that all its children can be stopped."""
    _find(command, cwd)
    if _ended:
        raise ToolFailed(f"{command.program}: not started: we are ending")
    first, *rest = command.started()
    try:
        process = _plumbum()[first].popen(
            tuple(rest),
            env={} if command.is_isolated else dict(command.env),
            cwd=str(cwd or os.curdir),  # its name, which is the default, may have been removed
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            pass_fds=_INHERITED.get(),
        )
    except OSError as error:
        place = f" in {cwd}" if cwd else ""
        raise ToolFailed(f"{command.program} does not start{place}: {error.strerror}") from None
    return cast("subprocess.Popen[bytes]", process)


@contextlib.contextmanager
def inherited(fd: int) -> Iterator[None]:
    """What is started in here has this descriptor too, and so have its children."""
    token = _INHERITED.set((*_INHERITED.get(), fd))
    try:
        yield
    finally:
        _INHERITED.reset(token)


def _plumbum() -> Any:
    """Loaded when a program is to run: a continued machine would wait for it, and for long."""
    from plumbum import local

    # it would keep the environment of its first import
    local.env.clear()
    local.env.update(os.environ)
    return local


def end_all() -> None:
    """Ends what other threads run, to whom no signal comes; their calls fail, now and later."""
    global _ended
    _ended = True
    for process in list(_RUNNING):
        _end(process)


@contextlib.contextmanager
def _killed_on_exception(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Ctrl-C, or an error of ours, must not leave a make running behind our back."""
    _RUNNING.add(process)
    if _ended:  # between the question in _start() and now
        _end(process)
    try:
        yield
    except BaseException:
        _end(process)
        process.wait()
        raise
    finally:
        _RUNNING.discard(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)


def _failure(
    command: Command, cwd: Path | None, log: Path | None, returncode: int, tail: Sequence[str]
) -> ProgramFailed:
    name = Path(command.program).name
    if returncode < 0:
        what = f"{name} was killed by {signal.Signals(-returncode).name}"
    elif returncode == TIMED_OUT and command.limit is not None:
        what = f"{name} took longer than {command.limit:.0f} s"
    else:
        what = f"{name} failed with status {returncode}"
    if any("No space left on device" in line for line in tail):
        return ProgramFailed(
            f"the disk is full: {what}", f"free some space under {cwd or '/tmp'}", returncode, tail
        )
    if log:
        return ProgramFailed(what, f"the command and its output: {log}", returncode, tail)
    again = command.pasted(cwd)
    return ProgramFailed(what, f"to run it again: {again}", returncode, tail)
