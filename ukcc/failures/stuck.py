"""CPUs that were found stuck, and kernels that panicked, with names and lines.

Nobody says here what is mapped where, so the application's files are found by their code: a page
that a stack returns to is the same in the machine and in the file.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.failures import libdw
from ukcc.failures.core import Memory
from ukcc.failures.cpus import unpack
from ukcc.failures.kernel import LOW_END, KernelSymbols, address_lines, entry_frame, traced
from ukcc.failures.libdw import Session
from ukcc.failures.modules import GuestFiles
from ukcc.failures.places import CodeAddress, LoadedModule
from ukcc.image.elf import open_elf
from ukcc.image.facts import facts_of, read_facts, read_metadata
from ukcc.image.headers import ET_EXEC, PAGE, PF_X, PT_LOAD, open_headers

_IF = 0x200  # the flag that lets interrupts in
_MOST_FRAMES = 256
_RESET_VECTOR = 0xFFFFFFF0
_LOW_MEMORY, _ROMS = 1 << 20, 0xFF000000  # the firmware is below the one or above the other
_PANICS = ("panic", "vpanic")  # kernel/panic.c; the latter of later kernels


def explain_cpus(data: bytes, image: str) -> "list[str]":
    """What each CPU is at."""
    machine = _Machine(image)
    lines = ["what the CPUs are at, by QEMU's monitor:", *machine.missing()]
    for number, (registers, memory) in enumerate(unpack(data)):
        frames = list(machine.cpu_lines(registers, memory))
        lines += [f"  CPU {number}, {_state(registers)}{':' if frames else ''}", *frames]
    return lines


def explain_panic(data: bytes, image: str) -> "list[str]":
    """The kernel's own trace, with names; then the application that had called it.

    data: the console, a NUL, and what QEMU's monitor said of the CPUs, or nothing.
    """
    console, _, cpus = data.partition(b"\0")
    trace = traced(console.decode(errors="replace"))
    if not trace.addresses:
        return explain_cpus(cpus, image) if cpus else []
    machine = _Machine(image)
    memories = [memory for _, memory in unpack(cpus)] if cpus else []
    mine = next((m for m in memories if m.word(trace.sp) is not None), Memory([]))
    lines = ["the kernel's trace (some of the callers may be left over from earlier calls):"]
    lines += [*machine.missing(), *machine.lines(trace.addresses, mine)]
    caller = entry_frame(mine, trace.sp) if trace.sp >= LOW_END else None
    if caller:
        lines += ["  called by the application:", *machine.unwound_lines(caller, mine)]
    return lines


def in_panic(data: bytes, image: str) -> "list[str]":
    """`panic` if a CPU was in the kernel's panic(), else `reset`.

    Raises UkccError where the kernel's symbols are not here, or the image cannot be read.
    """
    facts = facts_of(read_metadata(image))
    vmlinux = facts.vmlinux
    if vmlinux is None:
        raise UkccError(f"the image's {facts.origin} is not in the store")
    kernel = KernelSymbols(vmlinux)
    with open_elf(vmlinux) as elf:
        panics = [f for f in elf.functions() if f.name.partition(".")[0] in _PANICS]
    for registers, memory in unpack(data):
        found = [CodeAddress(registers["rip"], exact=True)]
        if registers["rsp"] >= LOW_END:
            found += kernel.returns(memory, registers["rsp"])
        if any(f.addr <= a.looked_up < f.addr + f.size for a in found for f in panics):
            return ["panic"]
    return ["reset"]


def _state(registers: "dict[str, int]") -> str:
    if registers["narrow"]:
        return _early(registers["rip"])
    if registers["halted"]:
        return "halted"
    half = "kernel" if registers["rsp"] >= LOW_END else "application"
    return f"in the {half}, interrupts {'on' if registers['eflags'] & _IF else 'off'}"


def _early(address: int) -> str:
    """What a CPU in 16- or 32-bit code is at. All of them begin with the reset vector."""
    if address == _RESET_VECTOR:
        return "not started, at its first instruction"
    if address < _LOW_MEMORY or address >= _ROMS:
        return f"in the firmware, at {address:#x}"
    # SeaBIOS moves itself to the end of memory
    return f"in 32-bit code, the firmware's or the kernel's first, at {address:#x}"


class _Machine:
    """Kernel and application of an image."""

    def __init__(self, image: str) -> None:
        facts = read_facts(image)
        self._facts = facts
        self._kernel = KernelSymbols(facts.vmlinux) if facts.vmlinux else None
        self._files = GuestFiles(image)

    def missing(self) -> "list[str]":
        """A line if the kernel's symbols are not here."""
        if self._kernel:
            return []
        return [
            f"  no names for the kernel: the image's {self._facts.origin} is not in the store;"
            f" {self._facts.kernel_mend}"
        ]

    def lines(self, addresses: "list[CodeAddress]", memory: Memory) -> Iterator[str]:
        """Frames of these addresses."""
        modules = self._modules(memory)
        with ExitStack() as stack:
            session = stack.enter_context(Session(modules)) if libdw.available() else None
            yield from address_lines(addresses, session, modules)

    def cpu_lines(self, registers: "dict[str, int]", memory: Memory) -> Iterator[str]:
        """The kernel's frames, then those of the application that called it."""
        if registers["narrow"]:
            return iter(())
        addresses = []
        outer: dict[str, int] | None = registers
        if registers["rsp"] >= LOW_END:
            addresses = [CodeAddress(registers["rip"], exact=True)]
            addresses += self._kernel.returns(memory, registers["rsp"]) if self._kernel else []
            outer = entry_frame(memory, registers["rsp"])
        if outer is not None:
            addresses += self._unwound(outer, memory)
        return self.lines(addresses, memory)

    def unwound_lines(self, registers: "dict[str, int]", memory: Memory) -> Iterator[str]:
        """The application's frames."""
        return self.lines(self._unwound(registers, memory), memory)

    def _unwound(self, registers: "dict[str, int]", memory: Memory) -> "list[CodeAddress]":
        if not libdw.available():
            return [CodeAddress(registers["rip"], exact=True)]
        with Session(self._modules(memory)) as session:
            session.attach(memory, {1: registers})
            return session.frames(1, _MOST_FRAMES)

    def _modules(self, memory: Memory) -> "list[LoadedModule]":
        found = [LoadedModule("vmlinux", self._kernel.path, 0)] if self._kernel else []
        for path in self._files.programs():
            place = self._files.locate(path)
            bias = _bias_by_code(place, memory) if place else None
            if place and bias is not None:
                found.append(LoadedModule(Path(path).name, place, bias))
        return found


def _bias_by_code(path: str, memory: Memory) -> "int | None":
    """How far a file was moved, going by pages of its code; None if it is not there."""
    fd, headers = open_headers(path)
    try:
        fixed = headers.ehdr.type == ET_EXEC
        if fixed and next(memory.pages(), None) is None:
            return 0
        for phdr in headers.phdrs:
            if phdr.type != PT_LOAD or not phdr.flags & PF_X:
                continue
            first = phdr.vaddr // PAGE * PAGE
            code = os.pread(fd, phdr.filesz, phdr.offset)
            # the bytes before the segment in its first page are of no use
            pages = {code[at : at + PAGE]: first + at for at in range(0, len(code) - PAGE, PAGE)}
            for address, page in memory.pages():
                if page in pages and address < LOW_END:
                    bias = address - pages[page]
                    # another process may have other code where this one would be
                    return None if fixed and bias else bias
    finally:
        os.close(fd)
    return None
