"""Kernels of the smallest class, built on first use and kept in the store; `make test-classes`.

Not a part of `make test`: the class is a kernel of its own, some minutes of compiling.
UKCC_TEST_CLASS names a class tree to use instead.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from ukcc import paths
from ukcc.progress import for_stderr
from ukcc.specialise import kernel, make
from ukcc.specialise.features import SIZE, Choice
from ukcc.specialise.kernel import LinkedKernel
from ukcc.sysroot import build, inputs, kernels, store
from ukcc.sysroot.inputs import Inputs

BIN = Path(sys.executable).parent
FACTOR = float(os.environ.get("UKCC_TEST_TIMEOUT_FACTOR", "1"))
DEADLINE = 120.0  # seconds; without a word on the timers' speed the kernel measures it

# QEMU's machine for a kernel without PCI and ACPI; it ends by a triple fault.
_MACHINE = (
    "qemu-system-x86_64 -M microvm,acpi=off,rtc=on,isa-serial=on,x-option-roms=off -cpu max"
    " -nodefaults -no-user-config -no-reboot -display none -serial stdio"
    " -device isa-serial,chardev=record,iobase=0x2f8,irq=3,index=1"
)
COMMAND_LINE = "console=ttyS0 loglevel=1 reboot=t tsc_early_khz=1000000"


class Run(NamedTuple):
    """What a machine has left: the console, and the port of the exit record."""

    console: str
    record: str


Linked = Callable[..., LinkedKernel]
Booted = Callable[..., Run]
Built = Callable[[Path, str, Path], Path]


@pytest.fixture(scope="session")
def given() -> Inputs:
    return inputs.gather(store.default_store(), kernels.in_use())


@pytest.fixture(scope="session")
def class_tree(given: Inputs) -> Path:
    """The class of a program that needs no feature, as `ukcc specialise --size` builds it."""
    if named := os.environ.get("UKCC_TEST_CLASS"):
        return Path(named)
    here = store.default_store()
    progress = for_stderr(quiet=False)
    fragments = make.class_fragments(Choice(SIZE, {}, {}), here)
    tree = make.class_directory(here, kernel.class_name(fragments, given.part_digest("kernel")))
    source = make.patched_source(given, here, progress)
    kernel.build_class(source, fragments, tree, progress, build.cpus())
    return tree


@pytest.fixture(scope="session")
def linked(class_tree: Path, given: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Linked:
    """`linked(calls, strict=False)`: the kernel with these calls, linked once."""
    made: dict[object, LinkedKernel] = {}

    def link(calls: "Sequence[str] | None", *, strict: bool = False) -> LinkedKernel:
        key = (None if calls is None else tuple(calls), strict)
        if key not in made:
            made[key] = kernel.relink(
                class_tree,
                calls,
                tmp_path_factory.mktemp("kernel") / "kernel",
                for_stderr(quiet=False),
                source_version=given.linux.version,
                strict=strict,
                jobs=build.cpus(),
            )
        return made[key]

    return link


@pytest.fixture(scope="session")
def patience() -> float:
    """Seconds in which any of these machines has ended."""
    return DEADLINE * FACTOR


@pytest.fixture(scope="session")
def built() -> Built:
    """`built(kernel_directory, source, where)`: a static C program with that kernel, `app`."""
    return _static_image


@pytest.fixture(scope="module")
def stored(linked: Linked, built: Built) -> Callable[[Path, str, str], None]:
    """`stored(home, made, source)`: a store that has the kernel with every call as `made`, like
    `ukcc specialise` leaves it, and an image with that: `app`."""

    def store_kernel(home: Path, made: str, source: str) -> None:
        place = home / "kernels" / "made" / made
        store.link_tree(linked(None).directory, place)
        facts = json.loads((place / "kernel.json").read_text())
        (place / "kernel.json").unlink()  # a hard link
        (place / "kernel.json").write_text(json.dumps({**facts, "offers": [], "made": made}))
        built(place, source, home)

    return store_kernel


def _static_image(using: Path, source: str, where: Path) -> Path:
    sysroot = where / "sysroot"
    current = paths.current_sysroot()
    assert current, "there is no sysroot to link against: run `make setup`"
    store.discard(sysroot)
    store.link_tree(Path(current), sysroot)
    store.link_tree(using, sysroot / "kernel")
    (where / "app.c").write_text(source)
    subprocess.run(
        [BIN / "uk-gcc", "-O2", "-g", "-static", "app.c", "-o", "app"],
        cwd=where,
        env={**os.environ, "UKCC_SYSROOT": str(sysroot)},
        check=True,
    )
    return where / "app"


@pytest.fixture
def booted(tmp_path: Path) -> Booted:
    """`booted(kernel, source)`: builds a static C program with that kernel, boots it to its end.

    memory: the machine's, in MiB.
    """

    def boot(using: LinkedKernel, source: str, *, memory: int = 64) -> Run:
        _static_image(using.directory, source, tmp_path)
        record = tmp_path / "record"
        words = [*_MACHINE.split(), "-chardev", f"file,id=record,path={record}"]
        done = subprocess.run(
            [*words, "-m", str(memory), "-kernel", "app", "-append", COMMAND_LINE],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DEADLINE * FACTOR,
        )
        print(done.stdout, done.stderr)
        return Run(done.stdout, record.read_text())

    return boot
