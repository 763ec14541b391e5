"""The projects of tests/build/projects, built as their users would build them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ukcc import paths
from ukcc.image.facts import read_facts

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PROJECTS = ROOT / "tests" / "build" / "projects"
TRIPLE = "x86_64-uk-linux-gnu"

# What would change a build, were it set where the tests run (`make test` sets the first itself).
_MEDDLERS = (
    *("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "CONFIG_SITE", "DESTDIR"),
    *("CC", "CXX", "CPP", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "LDLIBS", "LIBS", "AR"),
    *("LD", "NM", "RANLIB", "STRIP", "PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"),
    *("LD_LIBRARY_PATH", "LIBRARY_PATH", "CMAKE_TOOLCHAIN_FILE", "CMAKE_GENERATOR"),
    *("UKCC_PLAIN", "UKCC_IMAGE", "UKCC_CONFIG", "UKCC_CC", "UKCC_CXX", "UKCC_LOG"),
)


class Project:
    """A copy of one of the projects, in a directory of its own."""

    def __init__(self, name: str, directory: Path) -> None:
        if paths.current_sysroot() is None:
            pytest.fail("there is no sysroot to link against: run `make setup`", pytrace=False)
        self.root = directory / name
        shutil.copytree(PROJECTS / name, self.root)

    def __truediv__(self, path: str) -> Path:
        return self.root / path

    def run(self, *words: "str | Path", cwd: str = ".", status: int = 0, **environ: str) -> str:
        """What the command says on its standard output; it must end with `status`.

        `environ` is added to an environment in which uk-gcc is found and nothing else is set.
        """
        result = subprocess.run(
            [str(word) for word in words],
            cwd=self.root / cwd,
            env=clean_environment() | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        ended = f"{words} ended with {result.returncode}"
        assert result.returncode == status, f"{ended}\n{result.stdout}{result.stderr}"
        return result.stdout


def clean_environment() -> "dict[str, str]":
    """The environment of the tests without what would change a build; ours first on PATH."""
    kept = {name: value for name, value in os.environ.items() if name not in _MEDDLERS}
    return {**kept, "PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C"}


def is_image(path: Path) -> bool:
    """Whether a hypervisor would find a kernel in it; raises MachineError, which says why not."""
    return read_facts(str(path)).memory_min_mib > 0
