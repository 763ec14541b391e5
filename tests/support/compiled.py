"""Programs that lie compiled in a module of ours: that they are what their source makes."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest


def check_is_its_source(
    module: str, flags: Sequence[str], compiler: str, program: bytes, built: Path
) -> None:
    """Compile the .c beside the module with that compiler, and compare; skip without it."""
    source = Path(module).with_suffix(".c")
    try:
        version = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    if version.stdout.splitlines()[0] != compiler:
        pytest.skip("another compiler makes other code of it")
    subprocess.run(["gcc", *flags, "-Werror", "-o", str(built), str(source)], check=True)
    assert built.read_bytes() == program
