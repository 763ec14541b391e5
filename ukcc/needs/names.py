"""Numbers to names: of system calls, by the kernel's own table, and of constants, by its headers.

Both are the sysroot's: a header of the kernel that the image has.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ukcc import paths
from ukcc.errors import SysrootMissing

_TABLE = "asm/unistd_64.h"
_CALL = re.compile(r"^#define __NR_(\w+) (\d+)$", re.MULTILINE)
_NUMBER = r"0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*"


@dataclass(frozen=True)
class Kind:
    """How the values of an argument are named.

    prefix: of the names in the headers; is_flags: a value is a sum of them, of which `mask` is a
    number by itself (0: none).
    """

    headers: tuple[str, ...]
    prefix: str
    is_flags: bool = False
    mask: int = 0
    rename: str = ""


def sysroot_for(identifier: str) -> Path:
    """The image's sysroot, or, where the store does not have it, the current one.

    Raises SysrootMissing where there is none.
    """
    own = Path(paths.sysroot_in_store(identifier))
    if identifier and (own / "usr/include" / _TABLE).is_file():
        return own
    current = paths.current_sysroot()
    if current is None:
        raise SysrootMissing()
    return Path(current)


@cache
def call_names(sysroot: Path) -> Mapping[int, str]:
    """Number -> name of each call of the kernel. Raises SysrootMissing."""
    path = sysroot / "usr/include" / _TABLE
    try:
        text = path.read_text()
    except OSError as error:
        raise SysrootMissing(f"{path}: {error.strerror}", "run: ukcc sysroot build") from None
    return {int(number): name for name, number in _CALL.findall(text)}


@cache
def _constants(sysroot: Path, kind: Kind) -> Mapping[int, str]:
    """Value -> name, of those that a header gives as a plain number; the first name counts."""
    found: dict[int, str] = {}
    pattern = re.compile(
        rf"^\s*(?:#\s*define\s+)?({kind.prefix}\w+)(?:\s+|\s*=\s*)\(?({_NUMBER})[UL]*\b",
        re.MULTILINE,
    )
    for header in kind.headers:
        try:
            text = (sysroot / "usr/include" / header).read_text("utf-8", "replace")
        except OSError:
            continue
        for name, number in pattern.findall(text):
            is_octal = number.startswith("0") and number[1:2].isdigit()
            value = int(number, 8 if is_octal else 0)
            if kind.rename:
                name = kind.rename + name[len(kind.prefix) :]
            found.setdefault(value, name)
    return found


def named(sysroot: Path, kind: Kind, value: int) -> tuple[str, ...]:
    """The names of a value: one, or of flags all; hexadecimal digits for what has none."""
    known = _constants(sysroot, kind)
    if not kind.is_flags:
        return (known.get(value, hex(value)),)
    low = value & kind.mask
    found = [known.get(low, hex(low))] if kind.mask else []
    rest = value & ~kind.mask
    for number, name in sorted(known.items(), reverse=True):
        if number and not number & kind.mask and number & rest == number:
            found.append(name)
            rest &= ~number
    return (*found, hex(rest)) if rest else tuple(found)
