"""What was found out about this host by trying, kept until the host starts again."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from ukcc import proc
from ukcc.errors import MachineError, ToolFailed
from ukcc.runtime_dir import runtime_directory


def file_for(kind: str, program: str, *facts: object) -> Path:
    """A file for this start of the host, this program, and what else the answer depends on.

    Raises MachineError where there is no such program.
    """
    try:
        place = proc.find(program)
    except ToolFailed as error:
        raise MachineError(error.message, error.hint) from None
    status = Path(place).stat()
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text()
    text = repr((boot_id, place, status.st_size, status.st_mtime_ns, *facts))
    return runtime_directory() / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def read(file: Path) -> str:
    """What is known; empty if nothing is."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def write(file: Path, text: str) -> None:
    """Appears whole or not at all; what cannot be written is found out again."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=file.parent)
        try:
            os.write(fd, text.encode())
            Path(temporary).replace(file)
        except OSError:
            Path(temporary).unlink()
            raise
        finally:
            os.close(fd)
