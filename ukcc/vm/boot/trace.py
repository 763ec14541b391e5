"""`ukcc run --trace`: strace, and what init needs to start the application under it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ukcc import proc
from ukcc.errors import MachineError, UkccError
from ukcc.image import cpio
from ukcc.vm.boot.init_archive import encode_entries
from ukcc.vm.live.process import STDERR
from ukcc.vm.options import TraceOption


@dataclass(frozen=True)
class Tracer:
    """program: strace's file on the host; words: its options, besides those that init gives it."""

    program: Path
    words: tuple[str, ...] = ()

    def entries(self) -> list[cpio.Entry]:
        """Its members of the second archive; sysroot/init/trace.c reads them."""
        words = encode_entries(os.fsencode(word) for word in self.words)
        return [
            cpio.regular(".uk/trace/strace", self.program.read_bytes(), 0o755),
            cpio.regular(".uk/trace/words", words),
        ]


def prepare(option: "TraceOption | None") -> "Tracer | None":
    """Builds strace on first use, and has it check the filter. Raises MachineError."""
    if option is None:
        return None
    # what builds is loaded for this option alone
    from ukcc.disk_errors import unwritable
    from ukcc.progress import for_stderr
    from ukcc.sysroot import strace
    from ukcc.sysroot.store import default_store

    store = default_store()
    try:
        program = strace.program(store, for_stderr(quiet=False))
    except UkccError as error:
        raise MachineError(error.message, error.hint) from None
    except OSError as error:
        problem = unwritable(store.root, error)
        raise MachineError(problem.message, problem.hint) from None
    words = ("-e", option.filter) if option.filter else ()
    if words:
        _check(program, words, option.filter)
    return Tracer(program, words)


def _check(program: Path, words: tuple[str, ...], expression: str) -> None:
    """The machine's strace runs here as well: it reads the filter, then its version ends it."""
    try:
        proc.output([str(program), *words, "-V"])
    except proc.ProgramFailed as error:
        said = error.tail[-1] if error.tail else error.message
        reason = said.rpartition("strace: ")[2]
        raise MachineError(
            f"--trace-filter {expression!r}: {reason}", "see strace(1), -e"
        ) from None


@contextlib.contextmanager
def open_output(option: "TraceOption | None") -> Iterator["int | None"]:
    """The descriptor that gets the trace: the file's, or standard error's. None without one."""
    if option is None or not option.output:
        yield None if option is None else STDERR
        return
    try:
        fd = os.open(option.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise MachineError(f"--trace-output {option.output}: {error.strerror}") from None
    try:
        yield fd
    finally:
        os.close(fd)
