"""Pictures of an image whose kernel was made for it: the store's vmlinux is found by its id."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ukcc.pictures import phases

pytest_plugins = ["support.class_kernels"]

BIN = Path(sys.executable).parent
LIMIT = 600 * float(os.environ.get("UKCC_TEST_TIMEOUT_FACTOR", "1"))  # seconds

MADE = "00112233445566bb"
APP = """
#include <stdio.h>
#include <time.h>
#include <unistd.h>
__attribute__((noinline)) static void before(void)
{
	struct timespec none = { 0, 0 };
	clock_nanosleep(CLOCK_MONOTONIC, 0, &none, NULL);
}
int main(void) { before(); puts("hello"); pause(); return 42; }
"""


@pytest.fixture(scope="module")
def home(
    stored: Callable[[Path, str, str], None], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A store with nothing but the kernel, and an image with that: `app`."""
    home = tmp_path_factory.mktemp("home")
    stored(home, MADE, APP)
    return home


def ukcc(home: Path, *words: str) -> str:
    done = subprocess.run(
        [BIN / "ukcc", *words, "./app"],
        cwd=home,
        env={**os.environ, "UKCC_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(box: dict[str, Any]) -> set[str]:
    return {box["name"]}.union(*(names(child) for child in box.get("children", ())))


def test_its_bytes_have_their_subsystems(home: Path) -> None:
    tree = json.loads(ukcc(home, "size", "--json"))
    assert tree["size"] == (home / "app").stat().st_size
    kernel = next(part for part in tree["children"] if part["name"] == "kernel")
    subsystems = {part["name"]: part["size"] for part in kernel["children"]}
    assert {"mm", "fs", "arch/x86/kernel", "kernel"} <= set(subsystems)
    assert "net" not in subsystems and "drivers/acpi" not in subsystems
    assert {"start_kernel", "do_mmap"} <= names(kernel)


def test_its_boot_has_its_phases(home: Path) -> None:
    """On a microvm without ACPI, which is the only machine that it has."""
    chart = json.loads(ukcc(home, "boot-chart", "--json"))
    assert chart["end"] == "main"
    found = {phase["name"]: phase["size"] for phase in chart["tree"]["children"]}
    assert sum(found.values()) == chart["total"]
    for phase in (phases.EARLY, phases.MEMORY, phases.UNPACK, phases.INIT, phases.EXEC):
        assert found[phase] > 0, phase
    assert "start_kernel" in names(chart["tree"]) and "acpi_init" not in names(chart["tree"])


def test_it_is_counted_until_a_call_of_the_gate(home: Path) -> None:
    chart = json.loads(ukcc(home, "boot-chart", "--json", "--until", "pause"))
    assert chart["end"] == "the program's first pause"
    assert "before" in names(chart["tree"])
