"""A trimmed core to text: signal, registers, and the stacks with functions, files and lines.

Runs as a process of its own (`python -m ukcc.failures`), shut in, since it has a C library read
whatever debug information a program may have: what goes wrong there must not cost the run its
status, or the host anything.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ukcc import paths
from ukcc.failures import libdw, text
from ukcc.failures.core import Core, Thread
from ukcc.failures.libdw import Session
from ukcc.failures.modules import GuestFiles, modules_of
from ukcc.failures.places import CodeAddress, LoadedModule
from ukcc.failures.signals import reason
from ukcc.failures.symbols import symbol_place
from ukcc.image.facts import read_metadata

_MOST_FRAMES = 1 << 17  # a stack of 8 MiB in frames of 64 bytes
_SYSCALL = re.compile(r"#define __NR_(\w+) (\d+)")
_NO_CALL = 0xFFFFFFFFFFFFFFFF  # orig_rax outside of a system call


def explain(core: Core, image: str, shares: "list[tuple[str, str]]") -> "list[str]":
    """The lines about one core. Raises UkccError for an image that cannot be read."""
    modules = modules_of(core, GuestFiles(image, shares))
    lines = brief(core)
    if libdw.available():
        lines += _stacks(core, modules, _syscall_names(image))
    else:
        lines += _without_library(core, modules)
    return lines


def brief(core: Core) -> "list[str]":
    """What the core says by itself, without any file: who, why, and the registers."""
    who = f"{core.name} (process {core.pid})"
    if core.signal is None:
        return [f"{who}, threads: {len(core.threads)}"]
    registers = text.register_lines(core.threads[0].registers) if core.threads else []
    return [f"{who} crashed: {reason(core)}", *registers]


def _stacks(core: Core, modules: "list[LoadedModule]", calls: "dict[int, str]") -> Iterator[str]:
    threads, left = text.shown_threads(core)
    with Session(modules) as session:
        starts = {t.tid: _start(core, session, t) for t in threads if t.registers}
        session.attach(core.memory, {tid: registers for tid, (_, registers) in starts.items()})
        for thread in threads:
            yield f"  thread {thread.tid}{_what(core, thread, calls)}:"
            if not thread.registers:
                yield "    it does not stop, so its registers are not known"
                continue
            before, _ = starts[thread.tid]
            addresses = before + session.frames(thread.tid, _MOST_FRAMES)
            known = {address: session.places(address) for address in set(addresses)}
            frames = [(address, known[address]) for address in addresses]
            first = thread is threads[0]
            whole = len(addresses) < _MOST_FRAMES
            yield from text.frame_lines(frames, text.FRAMES if first else text.OTHER_FRAMES, whole)
    if left:
        yield f"  and {left} threads more"


def _what(core: Core, thread: Thread, calls: "dict[int, str]") -> str:
    if core.signal:
        return ", which crashed" if thread is core.threads[0] else ""
    number = thread.registers.get("orig_rax", _NO_CALL)
    call = "" if number == _NO_CALL else calls.get(number, f"system call {number}")
    return f", {text.thread_state(thread, call)}"


def _start(
    core: Core, session: Session, thread: Thread
) -> "tuple[list[CodeAddress], dict[str, int]]":
    """(frames that cannot be unwound, registers to begin with).

    A call through a wrong pointer arrives where there is no code: its return address lies on top
    of the stack, and there the unwinding begins, one frame further out.
    """
    registers = thread.registers
    back = core.memory.word(registers["rsp"])
    if session.knows(registers["rip"]) or back is None or not session.knows(back):
        return [], registers
    outer = {**registers, "rip": back - 1, "rsp": registers["rsp"] + 8}
    return [CodeAddress(registers["rip"], exact=True)], outer


def _syscall_names(image: str) -> "dict[int, str]":
    """Numbers of system calls to names, from the headers of the image's sysroot."""
    sysroot = Path(paths.sysroot_in_store(str(read_metadata(image).get("sysroot", ""))))
    try:
        header = (sysroot / "usr/include/asm/unistd_64.h").read_text()
    except OSError:
        return {}
    return {int(number): name for name, number in _SYSCALL.findall(header)}


def _without_library(core: Core, modules: "list[LoadedModule]") -> Iterator[str]:
    """What the symbol tables alone can say: where each thread was."""
    threads, _ = text.shown_threads(core)
    for thread in threads:
        if thread.registers:
            address = CodeAddress(thread.registers["rip"], exact=True)
            yield f"  thread {thread.tid}:"
            yield from text.frame_lines([(address, symbol_place(address, modules))], 1)
    yield f"  for whole stacks with lines: apt-get install {libdw.PACKAGE}"
