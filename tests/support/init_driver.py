"""A part of sysroot/init and a program of the test's, as a Linux process under sanitizers."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ukcc import paths

INIT = Path(paths.data_dir("sysroot")) / "init"
_FLAGS = (
    *("-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
)


def build_driver(directory: Path, text: str, parts: Sequence[str], *flags: str) -> Path:
    """The program. text: its C source; parts: files of sysroot/init that it calls."""
    source, program = directory / "driver.c", directory / "driver"
    source.write_text(text)
    files = [source, *(INIT / part for part in parts)]
    command = ["gcc", *_FLAGS, f"-I{INIT}", *flags, *files, "-o", program]
    subprocess.run(command, check=True)
    return program
