"""What QEMU's monitor says of CPUs, as data."""

import base64
import json
import re
import struct

from ukcc.failures.core import Memory

# `RAX=0000000000000000 … R8 =… RIP=… RFL=…`, then `CPL=0 … HLT=1`
_REGISTER = re.compile(r"\b(R\w{1,2}) ?=([0-9a-f]{16})")
# `ffffffff81000000: 0x0123456789abcdef 0x…`
_WORD = re.compile(r" 0x([0-9a-f]{16})\b")
_HALTED = re.compile(r"\bHLT=1")
_FLAGS = re.compile(r"\b[RE]FL=([0-9a-f]{8})")
# of a CPU in 16- or 32-bit code: `EIP=0000fff0 EFL=…`, `CS =f000 ffff0000 0000ffff 00009b00`
_NARROW = re.compile(r"\bE(IP|SP) ?=([0-9a-f]{8})\b")
_BASE = re.compile(r"^(CS|SS) ?=[0-9a-f]{4} ([0-9a-f]{8}) ", re.MULTILINE)
_SEGMENTS = {"IP": "CS", "SP": "SS"}
_LINEAR = (1 << 32) - 1


def parse_registers(text: str) -> "dict[str, int]":
    """HMP's `info registers` -> registers by name; `eflags`, and `halted` 0 or 1, among them.

    `narrow`: 1 for a CPU in 16- or 32-bit code. Of its registers only `rip` and `rsp` are there, as
    linear addresses.
    """
    found = {name.lower(): int(value, 16) for name, value in _REGISTER.findall(text)}
    found["narrow"] = int("rip" not in found)
    if found["narrow"]:
        bases = {name: int(value, 16) for name, value in _BASE.findall(text)}
        for name, value in _NARROW.findall(text):
            base = bases.get(_SEGMENTS[name], 0)
            found[f"r{name.lower()}"] = (base + int(value, 16)) & _LINEAR
    flags = _FLAGS.search(text)
    found["eflags"] = int(flags[1], 16) if flags else 0
    found["halted"] = int(bool(_HALTED.search(text)))
    return found


def parse_words(text: str) -> bytes:
    """HMP's `x /…xg` -> the bytes; as many as it could read."""
    return b"".join(struct.pack("<Q", int(word, 16)) for word in _WORD.findall(text))


def unpack(data: bytes) -> "list[tuple[dict[str, int], Memory]]":
    """Registers and memory of each CPU."""
    return [
        (
            cpu["registers"],
            Memory([(int(at), base64.b64decode(text)) for at, text in cpu["pages"].items()]),
        )
        for cpu in json.loads(data)
    ]
