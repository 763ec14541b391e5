"""Counts the instructions that a guest executes, by a plugin of QEMU (count.c, calls.c).

`ukcc run` is called as anybody would; a wrapper before QEMU's own program adds the plugin. What is
counted was executed: a processor that waits executes nothing.
"""

import os
import shlex
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ukcc import proc
from ukcc.counting.plugin import plugin
from ukcc.image.elf import Elf
from ukcc.vm.hypervisor.qemu import PROGRAM

_NUMBERS = struct.Struct("<QQ")
_CODE = 16  # bytes by which a program's begin is known
_EXACT, _IN_PAGE = (1 << 64) - 1, 0xFFF

# An instruction takes one nanosecond of the guest's time, and a processor that waits does not wait
# for ours. Then the time stamp counter goes at 1 GHz, which is what the kernel must be told.
_ICOUNT = "-icount shift=0,sleep=off"
_TSC_WORD, _TSC_KHZ = "tsc_early_khz=", 1_000_000


@dataclass(frozen=True)
class Counter:
    """environment: for `ukcc run`; file: where the numbers are."""

    environment: Mapping[str, str]
    file: Path

    def executed(self) -> int:
        """Instructions up to now."""
        return self._numbers()[0]

    def at_entry(self) -> int:
        """Instructions before the program's first, or 0 if it has not begun."""
        return self._numbers()[1]

    def _numbers(self) -> tuple[int, int]:
        data = self.file.read_bytes()
        executed, at_entry = _NUMBERS.unpack(data) if len(data) == _NUMBERS.size else (0, 0)
        return executed, at_entry


@dataclass(frozen=True)
class Begin:
    """Where a program begins: an address, those bits of it that count, and its first bytes."""

    address: int
    mask: int
    code: bytes

    @property
    def words(self) -> list[str]:
        """For the plugin."""
        return [f"entry={self.address:#x}", f"mask={self.mask:#x}", f"code={self.code.hex()}"]


def counter(work: Path, plugin_words: Sequence[str] = (), *, is_exact: bool = False) -> Counter:
    """Makes one, with a directory of its own in `work`, and a plugin for all. Raises UkccError.

    is_exact: the guest's clock counts instructions, so that a run is the same again, on any host.
    """
    library = plugin(work)
    place = Path(tempfile.mkdtemp(prefix="count-", dir=work))
    file, wrapper = place / "count", place / "bin" / PROGRAM
    file.touch()
    wrapper.parent.mkdir()
    option = ",".join([f"file={library}", f"to={file}", *plugin_words])
    words = shlex.join([proc.find(PROGRAM), "-plugin", option])
    wrapper.write_text(_by_instructions(words) if is_exact else f'#!/bin/sh\nexec {words} "$@"\n')
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{os.environ['PATH']}"
    return Counter({**os.environ, "PATH": path}, file)


def _by_instructions(words: str) -> str:
    return f"""#!/bin/sh
for word; do
    shift
    case $word in
    *{_TSC_WORD}*)
        rest=${{word#*{_TSC_WORD}}}
        rest=${{rest#"${{rest%%[!0-9]*}}"}}
        word=${{word%%{_TSC_WORD}*}}{_TSC_WORD}{_TSC_KHZ}$rest
        ;;
    esac
    set -- "$@" "$word"
done
exec {words} {_ICOUNT} "$@"
"""


def begin_of(program: Elf, address: "int | None" = None) -> Begin:
    """Where a program begins, or a function of it. It may be at a random address, if it is PIE."""
    start = program.entry if address is None else address
    load = next((s for s in program.loads() if s.vaddr <= start < s.vaddr + s.filesz), None)
    into = 0 if load is None else start - load.vaddr
    size = 0 if load is None else min(_CODE, load.filesz - into)
    code = program.bytes_at(load.offset + into, size) if load else b""
    # the plugin compares the first jump and before
    return Begin(start, _EXACT if program.kind == "ET_EXEC" else _IN_PAGE, code)
