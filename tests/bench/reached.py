"""The smallest memory in which a program is ready: real boots in QEMU, by halving.

Bare: the kernel, the image and a settings archive, as any VMM has them; the console is all that the
machine says. Attended: by `ukcc run`, whose QEMU gets another `-m` on the way: with the ports of
its virtio console, which take memory of their own.
"""

import contextlib
import re
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import environ
from pathlib import Path

from bench.programs import Program
from ukcc import proc
from ukcc.cli.guest_options import guest_options
from ukcc.cli.run import command, options_of
from ukcc.errors import UkccError
from ukcc.free_port import free_port
from ukcc.image.facts import read_facts
from ukcc.ports.machine import end
from ukcc.vm.boot import guest
from ukcc.vm.boot.contents import read_contents, read_image
from ukcc.vm.boot.init_archive import Terminal
from ukcc.vm.hypervisor.qemu import PROGRAM, Endpoints, qemu_argv
from ukcc.vm.launch import settings_archive, with_host
from ukcc.vm.options import LOOPBACK, RunOptions
from ukcc.vm.plan import default_memory_mib, plan_machine

_LOOK = 0.05  # seconds
_FIRST = 600.0  # seconds for a boot with the usual memory
_LATER, _FACTOR = 10.0, 4  # the others get so many seconds, and so many times what that took
_NOT_OF_A_RUN = ("from_", "dry_run", "as_json")

Command = tuple[Sequence[str], Mapping[str, str]]


@dataclass(frozen=True)
class Trial:
    """An image to boot. work: a directory."""

    program: Program
    image: Path
    work: Path

    @property
    def usual_mib(self) -> int:
        """What `ukcc run` would take, or is told to."""
        words = self.program.words
        if "-m" in words:
            return int(words[words.index("-m") + 1])
        return default_memory_mib(read_facts(str(self.image)))

    def words(self, port: int) -> list[str]:
        """Of `ukcc run`, with the image and what is behind it. port: of the host."""
        published = ["-p", f"{LOOPBACK}:{port}:{self.program.port}"] if port else []
        return [
            *("--accel", "tcg", *published, *self.program.run_words),
            *(str(self.image), *self.program.arguments),
        ]


def smallest(works: Callable[[int], bool], high: int) -> int:
    """The smallest number from 1 on that works, where `high` does, and each above one that does."""
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    return high


def smallest_memory(trial: Trial, *, attended: bool) -> int:
    """MiB. Raises UkccError for a program that is not ready with the usual memory either."""
    kind, make = ("attended", _attended) if attended else ("bare", _bare)
    usual = trial.usual_mib
    started = time.monotonic()
    if not _is_ready(trial, make, usual, _FIRST):
        said = (trial.work / "said").read_text(errors="replace").strip()[-200:]
        raise UkccError(f"{trial.program.name}: not ready with {usual} MiB, {kind}: {said!r}")
    deadline = _LATER + _FACTOR * (time.monotonic() - started)
    return smallest(lambda mib: _is_ready(trial, make, mib, deadline), usual)


def _is_ready(
    trial: Trial, make: Callable[[Trial, int, int], Command], memory_mib: int, deadline: float
) -> bool:
    """Whether the program of a machine with that memory is ready in time."""
    port = free_port() if trial.program.port else 0
    argv, environment = make(trial, memory_mib, port)
    until = time.monotonic() + deadline
    said = trial.work / "said"
    with _running(argv, environment, said) as machine:
        while time.monotonic() < until:
            has_ended = machine.poll() is not None
            text = said.read_text(errors="replace")
            has_said = re.search(trial.program.ready, text, re.MULTILINE) is not None
            if has_said and trial.program.answers(port):
                return True
            if has_ended:
                return False
            time.sleep(_LOOK)
    return False


@contextlib.contextmanager
def _running(
    argv: Sequence[str], environment: Mapping[str, str], said: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    with said.open("wb") as output:
        machine = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    try:
        yield machine
    finally:
        end(machine)


def _bare(trial: Trial, memory_mib: int, port: int) -> Command:
    image, facts, options = read_image(_options(trial.words(port)))
    contents = read_contents(options, image, facts)
    machine = with_host(plan_machine(replace(options, memory_mib=None), facts, "tcg"), image)
    more = [*contents.additions, *guest.seed()]
    initrd = trial.work / "settings.cpio"
    initrd.write_bytes(settings_archive(machine, Terminal(), options, facts.program, more))
    endpoints = Endpoints(initrd=str(initrd), record=str(trial.work / "record"))
    argv = qemu_argv(replace(machine, memory_mib=memory_mib), endpoints)
    return [proc.find(argv[0]), *argv[1:]], environ


def _options(words: Sequence[str]) -> RunOptions:
    """What `ukcc run` understands of these words, the image's own settings included."""
    context = command.make_context("run", list(words))
    params = {name: v for name, v in context.params.items() if name not in _NOT_OF_A_RUN}
    with context.scope():
        options = guest_options(lambda **words: options_of(words))(**params)
    assert isinstance(options, RunOptions)
    return options


def _attended(trial: Trial, memory_mib: int, port: int) -> Command:
    wrapper = trial.work / "bin" / PROGRAM
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(with_memory(proc.find(PROGRAM), memory_mib))
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{environ['PATH']}"
    argv = [*proc.UKCC, "run", *trial.words(port)]
    return argv, {**environ, "PATH": path, "XDG_RUNTIME_DIR": str(trial.work)}


def with_memory(qemu: str, memory_mib: int) -> str:
    """A script that calls QEMU with another `-m`: `ukcc run` refuses less than the image states."""
    return f"""#!/bin/sh
before=
for word; do
    shift
    [ "$before" != -m ] || word={memory_mib}M
    before=$word
    set -- "$@" "$word"
done
exec {shlex.quote(qemu)} "$@"
"""
