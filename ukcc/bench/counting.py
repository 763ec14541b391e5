"""Counts the instructions that a guest executes, by a plugin of QEMU (count.c).

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

from elftools.elf.elffile import ELFFile

from ukcc import proc
from ukcc.bench.host import bare_compiler, run
from ukcc.vm.qemu import PROGRAM

_SOURCE = Path(__file__).with_name("count.c")
_NUMBERS = struct.Struct("<QQ")
_CODE = 16  # bytes by which a program's begin is known
_EXACT, _IN_PAGE = (1 << 64) - 1, 0xFFF


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


def counter(work: Path, plugin_words: Sequence[str] = ()) -> Counter:
    """Makes one, with a directory of its own in `work`, and a plugin for all. Raises UkccError."""
    plugin = work / "count.so"
    if not plugin.exists():
        run([bare_compiler(), "-O2", "-shared", "-fPIC", str(_SOURCE), "-o", str(plugin)])
    place = Path(tempfile.mkdtemp(prefix="count-", dir=work))
    file, wrapper = place / "count", place / "bin" / PROGRAM
    file.touch()
    wrapper.parent.mkdir()
    option = ",".join([f"file={plugin}", f"to={file}", *plugin_words])
    words = shlex.join([proc.find(PROGRAM), "-plugin", option])
    wrapper.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{os.environ['PATH']}"
    return Counter({**os.environ, "PATH": path}, file)


def begin_words(program: ELFFile) -> list[str]:
    """The plugin's words: where a program begins, and with what."""
    entry = int(program["e_entry"])
    fixed = program["e_type"] == "ET_EXEC"
    (offset,) = program.address_offsets(entry, _CODE)
    program.stream.seek(offset)
    code = program.stream.read(_CODE).hex()  # the plugin compares the first jump and before
    return [f"entry={entry:#x}", f"mask={_EXACT if fixed else _IN_PAGE:#x}", f"code={code}"]
