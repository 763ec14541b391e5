"""Boots an image by `ukcc run`, and judges what it said."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO

from compat import talk
from compat.schema import Boot
from compat.steps import Place
from ukcc import proc
from ukcc.errors import UkccError
from ukcc.free_port import free_port
from ukcc.image.closure import interpreter_of
from ukcc.image.facts import read_facts

# Seconds for a server to end after it was told to, and for a run that is over its time to say what
# it was at.
_STOP = 45.0


def check_image(made: Place, program: str) -> None:
    """Raises MachineError unless the program of the tree is one that `ukcc run` would boot."""
    read_facts(str(made.file(program)))


def linkage(made: Place, program: str) -> str:
    """`static` or `dynamic`: whether the image of the tree has an interpreter to be loaded by."""
    return "dynamic" if interpreter_of(str(made.file(program))) else "static"


def boot(made: Place, wanted: Boot, log: Path) -> None:
    """Boots, and compares; what the machine said is in the log. Raises UkccError."""
    check_image(made, wanted.image)
    with contextlib.ExitStack() as stack:
        if wanted.serve:
            served = stack.enter_context(talk.served(made.file(wanted.serve)))
            made = made.having(PORT=str(served))
        _boot(made, wanted, log)


def _boot(made: Place, wanted: Boot, log: Path) -> None:
    for name, text in wanted.files.items():
        file = Path(made.variables["FILES"]) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(made.expand(text))
    port = free_port() if wanted.port else 0
    with _machine(_command(made, wanted, port), made, wanted, log) as machine:
        if wanted.port:
            _serve(made, wanted, port, machine)
        status = _end(machine, wanted)
    if status is not None and status != wanted.status:
        raise UkccError(f"{wanted.image} ended with status {status}, not {wanted.status}")
    output = log.with_suffix(".out").read_bytes()
    if wanted.stdout_file and output != made.file(wanted.stdout_file).read_bytes():
        raise UkccError(f"{wanted.image} did not say what is in {wanted.stdout_file}")
    said = output.decode(errors="replace")
    if wanted.stdout and not re.search(wanted.stdout, said, re.MULTILINE):
        raise UkccError(f"{wanted.image} did not say {wanted.stdout!r} but {said[-300:]!r}")


def _command(made: Place, wanted: Boot, port: int) -> list[str]:
    """`ukcc run …`."""
    options = [made.expand(word) for word in wanted.options]
    options += ["--timeout", str(wanted.timeout)]
    if wanted.serve:
        options += ["--net", "user,host=yes"]
    if port:
        options += ["-p", f"{port}:{wanted.port}"]
    arguments = [made.expand(word) for word in wanted.arguments]
    return [*proc.UKCC, "run", *options, str(made.file(wanted.image)), *arguments]


@contextlib.contextmanager
def _machine(
    command: list[str], made: Place, wanted: Boot, log: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """The running machine: standard output in a file beside the log, the rest in the log."""
    with contextlib.ExitStack() as stack:
        source: IO[bytes] | int = subprocess.DEVNULL
        if wanted.stdin:
            source = stack.enter_context(made.file(wanted.stdin).open("rb"))
        out = stack.enter_context(log.with_suffix(".out").open("wb"))
        err = stack.enter_context(log.open("wb"))
        machine = subprocess.Popen(command, stdin=source, stdout=out, stderr=err)
    try:
        yield machine
    finally:
        machine.kill()
        machine.wait()


def _serve(made: Place, wanted: Boot, port: int, machine: "subprocess.Popen[bytes]") -> None:
    """The client's part."""
    deadline = time.monotonic() + wanted.timeout

    def alive() -> bool:
        return machine.poll() is None

    if wanted.talk:
        talk.until_served(partial(talk.converse, port, wanted.talk), deadline, alive)
    for get in wanted.get:
        body = made.file(get.body_file).read_bytes() if get.body_file else get.body.encode()
        talk.until_served(partial(talk.fetch, port, get, body), deadline, alive)


def _end(machine: "subprocess.Popen[bytes]", wanted: Boot) -> "int | None":
    """The exit status; None for a server that is stopped, or never told to end."""
    if wanted.port and not wanted.ends:
        return None
    try:
        return machine.wait(_STOP if wanted.port else wanted.timeout + _STOP)
    except subprocess.TimeoutExpired:
        raise UkccError(f"{wanted.image} did not end") from None
