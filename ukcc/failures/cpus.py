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
_FLAGS = re.compile(r"\bRFL=([0-9a-f]{8})")


def parse_registers(text: str) -> "dict[str, int]":
    """HMP's `info registers` -> registers by name; `eflags`, and `halted` 0 or 1, among them."""
    found = {name.lower(): int(value, 16) for name, value in _REGISTER.findall(text)}
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
