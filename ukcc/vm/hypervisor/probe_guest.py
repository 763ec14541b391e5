"""A tiny guest that finds out whether an accelerator runs code rightly.

The source is probe_guest.S; this module has its machine code (a machine that runs images needs no
assembler), the file that a VMM boots, and the answer that is right.
"""

import base64
import struct

from ukcc.image.headers import (
    EHDR_SIZE,
    EM_X86_64,
    ET_EXEC,
    PF_R,
    PF_W,
    PF_X,
    PHDR_SIZE,
    PT_LOAD,
    PT_NOTE,
    Ehdr,
    Phdr,
)
from ukcc.image.notes import pvh_note

ORIGIN = 0x100000  # bytes; physical address of the code, as probe_guest.S has it

# what QEMU's isa-debug-exit makes of the 42 that the guest writes to it
EXIT_STATUS = 42 << 1 | 1

# as --64 probe_guest.S -o p.o; ld -Ttext=0x100000 --oformat=binary p.o -o p.bin; base64 p.bin
CODE = base64.b64decode(
    """
+vy8AMAgAL8AACAAuQAgAAAxwPOrxwUAACAAAxAgAMcFABAgAAMgIADHBQgQIAADMCAAxwUYECAAA1AgAMcFADAgAANAIADH
BbhfIACbAOD+xwUAQCAAAwAwAMcFCEAgAAMQMAC4gwAAAL8AICAAiQeDxwgFAAAgAD2DAABAde8PIOANIAYAAA8i4LgAACAA
DyLYuYAAAMAPMg0BCQAADzAPIMCD4PMNIwABgA8iwA8BFfgEEADqvQAQAAgAuBAAAACO2I7AjtAxwI7gjui8AMAgAEUx/0jH
BCUkcCAAAAAhALgYAAAADwDYuIwEEABmiQQlMGAgAMcEJTJgIAAIAAGOwegQZokEJTZgIAC4lQQQAGaJBCXgYCAAxwQl4mAg
AAgAAY7B6BBmiQQl5mAgALi9BBAAZokEJQBkIADHBCUCZCAACAABjsHoEGaJBCUGZCAADwEcJQAFEAC4AQAAALmghgEASLot
f5VMLfRRWEi7T4Fn9357BRRID6/CSAHY/8l19UnBxwVJMce/AAAwALkABAAASLgiIiIiEREREfNIq74AADAAvwAQMAC5ABAA
APOkScHHBUwzPCX4HzAAuAUAAADwSA/BBCUAEDAAScHHBUwzPCUAEDAASIsEJQAAMABIixQlCAAwALsHAAAAuQkAAADwSA/H
DCUAADAAScHHBUwzPCUAADAAScHHBUwzPCUIADAAuAEAAAAxyQ+iQYnMQYnFuAEAAAAxyQ+iQTnFD5TAD7bAScHHBUkxxw8x
SMHiIEgJwkmJ1bnoAwAA/8l1/A8xSMHiIEgJwkk51Q+SwA+2wEnBxwVJMce4AADAP2YPbsBmD3DAALgAABBAZg9uyGYPcMkA
D1jBZkgPfsBJwccFSTHHQYHkAAAAFEGB/AAAABR1Ow8g4A0AAAQADyLgMckPAdCDyAcPAdEPKNHE420Y0gHF7FjSxON9GdIB
xehc0cTh+X7QScHHBUkxx+sMZkgPfshJwccFSTHHuQABAMBIuACQeFY0EgAASInCSMHqIA8wuQEBAMBIuABQNBKIiP//SInC
SMHqIA8wuQIBAMBIuABAZYf/fwAASInCSMHqIA8wDwH4uQABAMAPMkjB4iBICdBJwccFSTHHuQEBAMAPMkjB4iBICdBJwccF
STHHuQIBAMAPMkjB4iBICdBJwccFSTHHuwAAAEBJwccFTDM7xwQlAEAgAAMQMAAPATtJwccFTDM7RTH2ScHHBUwzuwAgAADM
ScHHBU0x97mBAADASLgAAAAACAAIAEiJwkjB6iAPMLmCAADASLiuBBAAAAAAAEiJwkjB6iAPMLmEAADASLgAAgAAAAAAAEiJ
wkjB6iAPML0RygUADwVJwccFSTHvuAAAAIC6+AwAAO+6/AwAAO0Pt8BJwccFSTHHsP/mIeahuwAA4P7Hg/AAAAD/AQAAx4Mg
AwAAQAAAAMeD4AMAAAsAAADHg4ADAACghgEARTHt+/T6TYXtdPhJwccFTTHvuQgAAAC6/QMAAOyoIHT7uvgDAABEiPjuScHv
CP/JdeWwKub09Ov9SYHGAAEAAEjPSIPECFAPINBJAcbHBCUQQCAAAwAwAFhIz0iNBUn///9IKchIAcX/4Un/xceDsAAAAAAA
AABIz8zMzMwAAAAAAAAAAP//AAAAm68A//8AAACTzwBnAABwIIkAAAAAAAAAAAAAJwDQBBAAzMz/DwBgIAAAAAAA
"""
)

_MASK = (1 << 64) - 1
_IDENT = b"\x7fELF\x02\x01\x01" + bytes(9)
_ALIGN = 4096


def _arithmetic() -> int:
    """100000 rounds of Knuth's MMIX generator from 1."""
    value = 1
    for _ in range(100000):
        value = (value * 6364136223846793005 + 1442695040888963407) & _MASK
    return value


def answer() -> bytes:
    """The 8 bytes that a processor that works writes to the serial port."""
    filled, added = 0x1111111122222222, 0x1111111122222227
    results = (
        _arithmetic(),
        *(filled, added, 7, 9),  # stos, movs, xadd, cmpxchg16b
        *(1, 1),  # cpuid, rdtsc
        0x4070000040700000,  # SSE: 3.75 twice
        0x4010000040100000,  # AVX: 2.25 twice
        *(0x123456789000, 0x7FFF87654000, 0xFFFF888812345000),  # MSRs, two of them swapped
        *(7, added),  # the same address before and after its page changed
        *(7, 0x40002000 + 0x100),  # what the absent page had; its address, one breakpoint
        0x5CA11,  # SYSCALL came back to the instruction behind it
        0x8086,  # the host bridge is Intel's
        1,  # one interrupt of the timer
    )
    total = 0
    for result in results:
        total = ((total << 5 | total >> 59) & _MASK) ^ result
    return struct.pack("<Q", total)


def image() -> bytes:
    """The guest as an ELF file with a PVH entry, which is how images of ours are booted too."""
    note = pvh_note(ORIGIN)
    headers_size = EHDR_SIZE + 2 * PHDR_SIZE
    code_at = _ALIGN
    ehdr = Ehdr(
        ident=_IDENT,
        type=ET_EXEC,
        machine=EM_X86_64,
        version=1,
        entry=ORIGIN,
        phoff=EHDR_SIZE,
        shoff=0,
        flags=0,
        ehsize=EHDR_SIZE,
        phentsize=PHDR_SIZE,
        phnum=2,
        shentsize=0,
        shnum=0,
        shstrndx=0,
    )
    size = len(CODE)
    load = Phdr(PT_LOAD, PF_R | PF_W | PF_X, code_at, ORIGIN, ORIGIN, size, size, _ALIGN)
    notes = Phdr(PT_NOTE, PF_R, headers_size, 0, 0, len(note), len(note), 4)
    head = ehdr.pack() + load.pack() + notes.pack() + note
    return head.ljust(code_at, b"\0") + CODE
