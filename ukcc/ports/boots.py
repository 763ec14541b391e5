"""How many instructions a port's image needs to boot."""

import io
import subprocess
import time
from pathlib import Path

from elftools.elf.elffile import ELFFile

from ukcc import proc
from ukcc.bench.counting import begin_words, counter
from ukcc.errors import UkccError
from ukcc.ports import machine
from ukcc.vm.facts import read_metadata
from ukcc.vm.guest import archive_of

_LOOK = 0.05  # seconds
_DEADLINE = 300.0  # seconds


def count(image: Path, work: Path) -> int:
    """Instructions executed from reset until the program's first: firmware, kernel, init, loader.

    work: a directory for what counts. One boot differs from the next by some hundredths: there are
    waits that spin. Raises UkccError.
    """
    name = str(read_metadata(str(image))["program"])
    members = archive_of(str(image), lambda member: f"/{member.path}" == name)
    program = next(member.data for member in members if f"/{member.path}" == name)
    counted = counter(work, begin_words(ELFFile(io.BytesIO(program))))
    command = [*proc.UKCC, "run", "--accel", "tcg", "--net", "none", str(image)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**counted.environment, "XDG_RUNTIME_DIR": str(work)},
    )
    end = time.monotonic() + _DEADLINE
    try:
        while not counted.at_entry():
            if process.poll() is not None or time.monotonic() > end:
                raise UkccError(f"{image}: its program was not entered")
            time.sleep(_LOOK)
    finally:
        machine.end(process)
    return counted.at_entry()
