"""Images and programs from elsewhere: `ukcc` reads them, and executes nothing that they bring."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support.builders import BIN, clean_environment

from ukcc import paths
from ukcc.image.notes import metadata_note

COMMANDS = (
    ["run", "--dry-run", "--accel", "tcg"],
    ["run", "--accel", "tcg", "--net", "none", "--timeout", "20"],
    ["pack", "-o", "made"],
    ["inspect"],
    ["needs"],
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory as an archive from elsewhere leaves it: scripts that would say that they ran."""
    for name in ("ld-evil.so", "ld-linux-x86-64.so.2", "fake/usr/lib/ld-linux-x86-64.so.2"):
        script = tmp_path / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"#!/bin/sh\necho {name} >> {tmp_path}/ran\n")
        script.chmod(0o755)
    (tmp_path / "fake" / "kernel").mkdir()
    (tmp_path / "fake" / "kernel" / "kernel.json").write_text("{}")
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    return tmp_path


def thin(place: Path, *words: str, **said: Any) -> None:
    """`program`, linked by gcc, and `image`, the same as a thin image with that metadata."""

    def run(*argv: str) -> None:
        subprocess.run(argv, cwd=place, check=True, capture_output=True)

    current = paths.current_sysroot()
    assert current is not None, "there is no sysroot: run `make setup`"
    metadata = {
        "program": "/app/program", "sysroot": Path(current).name, "link_command": ["uk-gcc"],
        "libraries": [], "memory_min_mib": 24, "thin": {"directories": []}, **said,
    }  # fmt: skip
    (place / "note").write_bytes(metadata_note(metadata))
    run("gcc", "main.c", "-o", "program", *words)
    section = ("--add-section", ".uk.meta=note", "--set-section-flags", ".uk.meta=readonly")
    run("objcopy", *section, "program", "image")


def nothing_ran(place: Path, *files: str) -> None:
    """No command runs a script, and each ends with at most one line of error."""
    before = {str(path) for path in place.rglob("*")}
    for words in COMMANDS:
        for file in files:
            done = subprocess.run(
                [str(BIN / "ukcc"), *words, f"./{file}"], cwd=place, env=clean_environment(),
                stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip
            assert not (place / "ran").exists(), (words, file)
            assert done.returncode in (0, 1, 125), done.stderr
            assert done.returncode == 0 or done.stderr.count("\n") == 1, done.stderr
    left = {str(path) for path in place.rglob("*")} - before
    assert left <= {str(place / "made")}


@pytest.mark.parametrize("loader", ["./ld-evil.so", "./ld-linux-x86-64.so.2"])
def test_interpreters(place: Path, loader: str) -> None:
    thin(place, f"-Wl,--dynamic-linker={loader}")
    nothing_ran(place, "image", "program")


def test_sysroots(place: Path) -> None:
    for name in (f"{place}/fake", os.path.relpath(place / "fake", paths.store() + "/sysroots")):
        thin(place, sysroot=name)
        nothing_ran(place, "image")


def test_libraries_beside_it(place: Path) -> None:
    """A library of the image's own is taken along and read, as its run path wants, and not run."""
    (place / "lib.c").write_text(
        "#include <stdlib.h>\n"
        f'__attribute__((constructor)) static void start(void) {{ system("touch {place}/ran"); }}\n'
        "int of_library(void) { return 0; }\n"
    )
    (place / "main.c").write_text("int of_library(void); int main(void) { return of_library(); }\n")
    library = ["gcc", "-shared", "-fPIC", "lib.c", "-o", "libown.so"]
    subprocess.run(library, cwd=place, check=True)
    thin(place, "-L.", "-lown", "-Wl,-rpath,$ORIGIN")
    nothing_ran(place, "image", "program")
    shown = subprocess.run(
        [str(BIN / "ukcc"), "inspect", "--json", "made"], cwd=place, capture_output=True, check=True
    )
    assert "/usr/lib/libown.so" in [
        module["path"] for module in json.loads(shown.stdout)["modules"]
    ]
