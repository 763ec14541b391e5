"""The wheel, in an empty virtual environment: the same commands as in a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.builders import ROOT, clean_environment
from support.twin import BIN

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not a checkout")

HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")


def build(directory: Path) -> Path:
    words = ("--no-deps", "--no-build-isolation", "--wheel-dir", directory)
    argv = [sys.executable, *PIP, "wheel", *words, ROOT]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    (wheel,) = directory.iterdir()
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module", params=["short", "a long name with spaces " + "x" * 100])
def installed(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The directory of the commands; pip writes launchers of another form for a long path."""
    place = tmp_path_factory.mktemp("environment") / request.param
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    argv = [place / "bin" / "python", *PIP, "install", wheel]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return place / "bin"


def run(commands: Path, *argv: "str | Path", cwd: Path, **variables: str) -> str:
    path = f"{commands}:/usr/local/bin:/usr/bin:/bin"
    environment = {**clean_environment(), **variables, "PATH": path}
    done = subprocess.run(
        argv, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_the_same_twice(wheel: Path, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == wheel.read_bytes()


def test_no_test_is_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith("tests") or "/test_" in name]
    assert {"ukcc/data/sysroot/linux/config/base.config", "ukcc/py.typed"} <= set(names)


def test_all_commands_are_there(installed: Path) -> None:
    """And no others but those of Python and of the libraries."""
    wanted = {path.name for path in BIN.iterdir() if path.name.startswith(("uk", "x86_64-uk"))}
    found = {p.name for p in installed.iterdir() if p.name.startswith(("uk", "x86_64-uk"))}
    assert found == wanted


def test_it_links(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "hello.c").write_text(HELLO)
    sysroot = os.environ.get("UKCC_SYSROOT", "")
    variables = {"UKCC_SYSROOT": sysroot} if sysroot else {}
    # what a build may have set for a Python of its own
    odd = {"PYTHONHOME": "/nonexistent", "PYTHONPATH": str(tmp_path)}
    (tmp_path / "ukcc.py").write_text("raise SystemExit('not this one')\n")
    run(installed, "uk-gcc", "hello.c", "-o", "hello", cwd=tmp_path, **variables, **odd)
    assert run(installed, "./hello", cwd=tmp_path) == "hello\n"
    assert "kernel" in run(installed, "ukcc", "inspect", "hello", cwd=tmp_path, **variables)
    run(installed, "uk-ar", "rc", "libx.a", "hello.c", cwd=tmp_path, **odd)
    assert run(installed, "uk-ar", "t", "libx.a", cwd=tmp_path, **odd) == "hello.c\n"


def test_links_to_the_commands_are_as_quick(installed: Path, tmp_path: Path) -> None:
    """As a Debian package has them in /usr/bin, and pipx in ~/.local/bin: nothing of ours goes by
    Python's `site`, which would take a quarter of a small command's time."""
    links = tmp_path / "bin"
    links.mkdir()
    for name in ("ukcc", "uk-driver", "uk-gcc", "uk-g++", "uk-ar"):
        (links / name).symlink_to(installed / name)
    (packages,) = installed.parent.glob("lib/python3*/site-packages")
    read = tmp_path / "site-was-here"
    mark = packages / "mark.pth"
    mark.write_text(f"import pathlib; pathlib.Path({str(read)!r}).touch()\n")
    try:
        run(links, "uk-ar", "--version", cwd=tmp_path)
        run(links, "uk-g++", "--version", cwd=tmp_path)
        assert not read.exists()
        run(links, "ukcc", "--version", cwd=tmp_path)
        assert read.exists()
    finally:
        mark.unlink()


def test_its_man_pages_are_found(installed: Path) -> None:
    """man(1) looks beside the directories on PATH."""
    assert (installed.parent / "share" / "man" / "man1" / "ukcc-run.1").is_file()


def test_its_own_data_is_found(installed: Path, tmp_path: Path) -> None:
    """Recipes, patches and shims come from the wheel."""
    assert "redis" in run(installed, "ukcc", "port", "list", cwd=tmp_path)
    package = next(installed.parent.glob("lib/python3*/site-packages/ukcc"))
    shown = run(installed, "ukcc", "env", cwd=tmp_path)
    assert str(ROOT) not in shown and (package / "data" / "toolchain-shims").is_dir()


def test_with_the_wheel_of_a_sysroot_nothing_is_built(
    wheel: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """As `pip install ukcc ukcc-sysroot` on a machine that has neither."""
    wheels = tmp_path_factory.mktemp("wheels")
    subprocess.run([ROOT / "scripts" / "sysroot-wheel", wheels], check=True)
    (sysroot,) = wheels.iterdir()
    place = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    argv = [place / "bin" / "python", *PIP, "install", wheel, sysroot]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    (tmp_path / "hello.c").write_text(HELLO)
    home = {"UKCC_HOME": str(tmp_path / "home")}
    # as `make -j2` would do it
    words = "uk-gcc -c hello.c -o one.o & uk-gcc -c hello.c -o two.o & wait; uk-gcc one.o -o hello"
    commands = place / "bin"
    run(commands, "sh", "-c", words, cwd=tmp_path, **home)
    assert run(commands, "./hello", cwd=tmp_path) == "hello\n"
    assert "kernel" in run(commands, "ukcc", "inspect", "hello", cwd=tmp_path, **home)
    with zipfile.ZipFile(sysroot) as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert {"GPL-2.0-only.txt", "LGPL-2.1-or-later.txt", "musl-copyright.txt"} <= names
