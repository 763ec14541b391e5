"""The kernel's side of a failure: names for its addresses, and its own traces made readable."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ukcc.failures import text
from ukcc.failures.core import REGISTERS, Memory
from ukcc.failures.libdw import Session
from ukcc.failures.places import CodeAddress, LoadedModule, SourceLocation
from ukcc.failures.symbols import symbol_place
from ukcc.image.headers import PF_X, PT_LOAD, open_headers

KERNEL_STACK = 16384  # bytes, and its alignment (arch/x86/include/asm/page_64_types.h)
LOW_END = 1 << 47  # the application's half of the addresses ends here
KERNEL_MAP = 0xFFFFFFFF80000000  # the kernel's file, from physical address 0 on (no KASLR)
USER_CS = 0x33  # what the kernel shows as the application's code segment (docs/kernel.md)
_FRAME_SIZE = 21 * 8  # struct pt_regs

_RIP = re.compile(r"^RIP: [0-9a-f]{4}:0x([0-9a-f]{16})", re.MULTILINE)
_RSP = re.compile(r"^RSP: [0-9a-f]{4}:([0-9a-f]{16})", re.MULTILINE)
_TRACE = re.compile(r"^Call Trace:\n((?: .*\n)*)", re.MULTILINE)
_TRACED = re.compile(r"^ (\? )?0x([0-9a-f]{16})$", re.MULTILINE)
_STAMP = re.compile(r"^(?:<\d+>)?\[ *\d+\.\d+\] ?", re.MULTILINE)

_CALL_NEAR, _CALL_GROUP = 0xE8, 0xFF


@dataclass(frozen=True)
class Trace:
    """addresses: where it happened, then what had called; sp: the stack pointer there, or 0."""

    addresses: "list[CodeAddress]"
    sp: int


def traced(console: str) -> Trace:
    """The first oops on a console, or the trace of a panic without one."""
    plain = _STAMP.sub("", console.replace("\r\n", "\n"))
    rip = _RIP.search(plain)
    sp = _RSP.search(plain, rip.start() if rip else 0)
    trace = _TRACE.search(plain, rip.start() if rip else 0)
    found = [CodeAddress(int(rip[1], 16), exact=True)] if rip else []
    if trace:
        found += [CodeAddress(int(address, 16)) for _, address in _TRACED.findall(trace[1])]
    return Trace(found, int(sp[1], 16) if sp else 0)


def call_before(code: bytes, at: int) -> bool:
    """Whether a call ends at this offset of code.

    `call rel32` has 5 bytes; an indirect one is `ff /2` with operands of up to 5 bytes.
    """
    if at < 7:
        return False
    return code[at - 5] == _CALL_NEAR or any(
        code[at - n] == _CALL_GROUP and code[at - n + 1] & 0x38 == 0x10 for n in (2, 3, 4, 6, 7)
    )


class KernelSymbols:
    """A vmlinux with its symbols."""

    def __init__(self, vmlinux: Path) -> None:
        self.path = str(vmlinux)
        fd, headers = open_headers(self.path)
        try:
            self._code = [
                (p.vaddr, os.pread(fd, p.filesz, p.offset))
                for p in headers.phdrs
                if p.type == PT_LOAD and p.flags & PF_X
            ]
        finally:
            os.close(fd)

    def is_return(self, address: int) -> bool:
        """Whether a call stands before this address of the kernel's text."""
        for start, code in self._code:
            if start < address <= start + len(code):
                return call_before(code, address - start)
        return False

    def returns(self, memory: Memory, sp: int) -> Iterator[CodeAddress]:
        """Words of a kernel stack that may be return addresses: the kernel has no unwind tables.

        Some are left over from earlier calls.
        """
        for at in range(sp & -8, -(-(sp + 1) // KERNEL_STACK) * KERNEL_STACK, 8):
            word = memory.word(at)
            if word is None:
                return
            if word >= LOW_END and self.is_return(word):
                yield CodeAddress(word)


def entry_frame(memory: Memory, sp: int) -> "dict[str, int] | None":
    """The application's registers, as its entry into the kernel left them at the stack's top.

    rbx and r12 to r15 may be old ones: the gate does not store them (docs/kernel.md).
    """
    top = -(-(sp + 1) // KERNEL_STACK) * KERNEL_STACK
    words = [memory.word(at) for at in range(top - _FRAME_SIZE, top, 8)]
    known = [word for word in words if word is not None]
    if len(known) != len(words):  # the core has not all of it
        return None
    registers = dict(zip(REGISTERS, known, strict=False))
    return registers if registers["cs"] == USER_CS and registers["rsp"] < LOW_END else None


def address_lines(
    addresses: "list[CodeAddress]", session: "Session | None", modules: "list[LoadedModule]"
) -> Iterator[str]:
    """A line for each, or more where functions are inlined."""

    def places(address: CodeAddress) -> "list[SourceLocation]":
        return session.places(address) if session else symbol_place(address, modules)

    frames = [(address, places(address)) for address in addresses]
    yield from text.frame_lines(frames, text.FRAMES)
