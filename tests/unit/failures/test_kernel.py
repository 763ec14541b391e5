"""A panic's console, and what QEMU's monitor says of CPUs."""

import json
import struct

import pytest

from ukcc.failures import stuck
from ukcc.failures.core import REGISTERS, Memory
from ukcc.failures.cpus import parse_registers, unpack
from ukcc.failures.kernel import KERNEL_STACK, call_before, entry_frame, traced
from ukcc.failures.places import CodeAddress

CONSOLE = """out of the application\r
[    1.234567] BUG: unable to handle page fault for address: 0000000000123450\r
Oops: Oops: 0010 [#1] SMP\r
CPU: 0 UID: 0 PID: 34 Comm: k Not tainted 6.12.117-uk #1 \r
[    1.234567] RIP: 0010:0x0000000000123450\r
Code: Unable to access opcode bytes at 0x123426.\r
RSP: 0018:ffffc9000011fec8 EFLAGS: 00000246\r
RAX: ffffffff80ca84a0 RBX: ffff888001016d80 RCX: 0000000000000000\r
Call Trace:\r
 <TASK>\r
 ? 0xffffffff80648b19\r
[    1.234568]  ? 0xffffffff80582d4c\r
 0xffffffff808018d8\r
 </TASK>\r
CR2: 0000000000123450\r
---[ end trace 0000000000000000 ]---\r
RIP: 0010:0xffffffff80000001\r
Kernel panic - not syncing: Fatal exception\r
"""

# As QEMU 7.2 prints it.
REGISTERS_TEXT = """
CPU#0
RAX=0000000000000001 RBX=0000000000000002 RCX=0000000000000000 RDX=0000000000000000
RSI=0000000000000000 RDI=0000000000000000 RBP=0000000000000000 RSP=00007ffe00000010
R8 =0000000000000008 R9 =0000000000000000 R10=0000000000000000 R11=0000000000000000
R12=0000000000000000 R13=0000000000000000 R14=0000000000000000 R15=000000000000000f
RIP=0000000010001234 RFL=00000006 [-----P-] CPL=0 II=0 A20=1 SMM=0 HLT=0
ES =0000 0000000000000000 00000000 00000000
CR0=80050033 CR2=00000000b8a4a000 CR3=0000000001900000 CR4=000406b0
"""

# The same of a CPU that has not left 16- or 32-bit code.
NARROW_TEXT = """
CPU#0
EAX=00000000 EBX=00000000 ECX=00000000 EDX=00060fb1
ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000100
EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0
ES =0000 00000000 0000ffff 00009300
CS =f000 ffff0000 0000ffff 00009b00
SS =0020 00000200 0000ffff 00009300
"""


def test_trace_of_a_console() -> None:
    trace = traced(CONSOLE)
    called = [0xFFFFFFFF80648B19, 0xFFFFFFFF80582D4C, 0xFFFFFFFF808018D8]
    assert trace.addresses == [CodeAddress(0x123450, True), *map(CodeAddress, called)]
    assert trace.sp == 0xFFFFC9000011FEC8


def test_a_panic_without_an_oops() -> None:
    text = "Kernel panic - not syncing: no init\nCall Trace:\n ? 0xffffffff80648b19\nend\n"
    assert traced(text).addresses == [CodeAddress(0xFFFFFFFF80648B19)]
    assert traced("nothing").addresses == [] and traced("").sp == 0


def test_registers_of_a_cpu() -> None:
    found = parse_registers(REGISTERS_TEXT)
    assert (found["rax"], found["r8"], found["r15"]) == (1, 8, 15)
    assert (found["rip"], found["rsp"]) == (0x10001234, 0x7FFE00000010)
    assert (found["eflags"], found["halted"]) == (6, 0)
    assert parse_registers(REGISTERS_TEXT.replace("HLT=0", "HLT=1"))["halted"] == 1
    assert found["narrow"] == 0


def test_registers_of_a_cpu_in_firmware() -> None:
    found = parse_registers(NARROW_TEXT)
    assert found == {"rip": 0xFFFFFFF0, "rsp": 0x300, "narrow": 1, "eflags": 2, "halted": 0}
    assert "rip" not in parse_registers("of another QEMU")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (0xFFFFFFF0, "not started, at its first instruction"),
        (0xF1234, "in the firmware, at 0xf1234"),
        (0xFFFC0010, "in the firmware, at 0xfffc0010"),
        (0x7FF00010, "in 32-bit code, the firmware's or the kernel's first, at 0x7ff00010"),
    ],
)
def test_where_a_cpu_in_firmware_is(address: int, words: str) -> None:
    assert stuck._state({"rip": address, "narrow": 1, "halted": 0}) == words


def test_cpus_as_data() -> None:
    data = [{"registers": {"rip": 1}, "pages": {"4096": "YWJjZGVmZ2g="}}]
    ((registers, memory),) = unpack(json.dumps(data).encode())
    assert registers == {"rip": 1} and memory.read(4096, 8) == b"abcdefgh"


@pytest.mark.parametrize(
    ("code", "is_call"),
    [
        ("e8 00 00 00 00", True),  # call rel32
        ("ff d0", True),  # call *%rax
        ("ff 50 08", True),  # call *8(%rax)
        ("ff 15 00 00 00 00", True),  # call *0(%rip)
        ("ff 94 24 00 01 00 00", True),  # call *256(%rsp)
        ("ff e0", False),  # jmp *%rax
        ("48 89 c3 90 90 90 90", False),
    ],
)
def test_what_a_return_address_comes_behind(code: str, is_call: bool) -> None:
    data = bytes.fromhex("90" * 8 + code)
    assert call_before(data, len(data)) is is_call
    assert not call_before(data[-6:], min(len(data), 6))


def stack_with(**registers: int) -> tuple[Memory, int]:
    """A kernel stack with the application's registers at its top; an address inside it."""
    base = 0xFFFFC90000118000
    frame = struct.pack("<21Q", *(registers.get(name, 0) for name in REGISTERS[:21]))
    return Memory([(base, bytes(KERNEL_STACK - len(frame)) + frame)]), base + 0x100


def test_the_application_behind_a_kernel_stack() -> None:
    memory, sp = stack_with(rip=0x10001234, cs=0x33, rsp=0x7FFE00000010, ss=0x2B)
    found = entry_frame(memory, sp)
    assert found is not None and (found["rip"], found["rsp"]) == (0x10001234, 0x7FFE00000010)
    # a kernel thread has none
    memory, sp = stack_with(rip=0xFFFFFFFF80200000, cs=0x10, rsp=sp)
    assert entry_frame(memory, sp) is None
    assert entry_frame(Memory([]), sp) is None
