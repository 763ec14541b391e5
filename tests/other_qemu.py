"""The QEMU of another Debian suite, to be put before the host's on PATH: `make test-boot-qemu`.

Prints a directory whose `qemu-system-x86_64` is that one: `python tests/other_qemu.py SUITE`, with
`--update` for the newest that the suite has now. The packages come from the host's own mirror,
signatures checked by apt with the host's keys, and are unpacked into the store: nothing is
installed, and no program of them runs as part of the host. Its loader, libraries, firmware and
modules are those of its own tree; virtiofsd, which has a path of its own, stays the host's.
"""

import re
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from ukcc import debsource, paths, proc
from ukcc.debsource import Repository
from ukcc.errors import UkccError
from ukcc.vm.hypervisor.qemu import PROGRAM

PACKAGE = "qemu-system-x86"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = f"{_LIBRARIES}/ld-linux-x86-64.so.2"
_FIRMWARE = ("usr/share/qemu", "usr/share/seabios")
# A machine of ours starts with these; one that is not in the tree would be the host's.
_NEEDED = ("qboot.rom", "bios-256k.bin", "bios-microvm.bin", "pvh.bin", "kvmvapic.bin")
# Those of updates, security and backports are no whole ones.
_SUITE = re.compile(r"[a-z]+")
# A copy of the loader: the kernel calls a process by the file that it was told to run.
_STARTED = f"usr/started/{PROGRAM}"


def of_suite(repositories: Iterable[Repository], suite: str) -> Repository:
    """The suite on the host's mirror of Debian. Raises UkccError where none is known."""
    for found in repositories:
        if _SUITE.fullmatch(found.suite):
            return Repository(found.uri, suite, ("main",), found.signed_by)
    raise UkccError(
        "no repository with a whole suite of Debian is configured", "see sources.list(5)"
    )


def wrapper(tree: Path) -> str:
    """The program that starts this tree's QEMU with what is in the tree."""
    words = [
        *(str(tree / _STARTED), "--library-path", str(tree / _LIBRARIES)),
        *("--argv0", PROGRAM, str(tree / "usr/bin" / PROGRAM)),
        *(word for place in _FIRMWARE for word in ("-L", str(tree / place))),
    ]
    modules = shlex.quote(str(tree / _LIBRARIES / "qemu"))
    return f'#!/bin/sh\nQEMU_MODULE_DIR={modules} exec {shlex.join(words)} "$@"\n'


def foreign(listed: str, tree: Path) -> list[str]:
    """The libraries of a loader's `--list` that are not in the tree."""
    found = (re.search(r"=> (\S.*) \(0x", line) for line in listed.splitlines())
    names = [match[1] for match in found if match]
    return [name for name in names if tree not in Path(name).parents]


def directory(suite: str, *, update: bool = False) -> Path:
    """The directory for PATH; fetched if no tree of the suite is there. Raises UkccError."""
    if not _SUITE.fullmatch(suite):
        raise UkccError(f"{suite!r}: no name of a whole suite", "try trixie, or unstable")
    root = Path(paths.store()) / "cache" / "qemus" / suite
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / "lock"):
        current = root / "current"
        if update or not current.exists():
            repository = of_suite(debsource.debian_repositories(), suite)
            tree = _unpacked(root, _fetched(root, repository))
            current.unlink(missing_ok=True)
            current.symlink_to(tree.name)
        return current.resolve() / "bin"


def _fetched(root: Path, repository: Repository) -> list[Path]:
    """The package and all that it needs, as files. Nothing counts as installed."""
    for place in ("state/lists/partial", "cache/archives/partial"):
        (root / place).mkdir(parents=True, exist_ok=True)
    (root / "state" / "status").touch()
    (root / "sources.list").write_text(f"{repository.line('deb')}\n")
    options = [word for o in debsource.apt_options(root) for word in ("-o", o)]
    log = root / "apt.log"
    proc.run(["apt-get", *options, "update", "--error-on=any"], log=log)
    archives = root / "cache" / "archives"
    for old in archives.glob("*.deb"):
        old.unlink()
    words = ["install", "--yes", "--no-install-recommends", "--download-only", PACKAGE]
    proc.run(["apt-get", *options, *words], log=log)
    return sorted(archives.glob("*.deb"))


def _unpacked(root: Path, packages: Iterable[Path]) -> Path:
    """A tree that is whole, checked, and named by the package's version."""
    fresh = root / "unfinished"
    shutil.rmtree(fresh, ignore_errors=True)
    version = ""
    for file in packages:
        name, version_of, _ = file.name.split("_")
        version = version_of.replace("%3a", ":").partition(":")[2] if name == PACKAGE else version
        proc.run(["dpkg-deb", "-x", str(file), str(fresh)], log=root / "unpack.log")
    missing = [n for n in _NEEDED if not any((fresh / p / n).exists() for p in _FIRMWARE)]
    if not version or missing:
        raise UkccError(f"{PACKAGE} of this suite is another one: it lacks {missing or PACKAGE}")
    (fresh / _STARTED).parent.mkdir()
    shutil.copy2(fresh / _LOADER, fresh / _STARTED)
    tree = root / version
    shutil.rmtree(tree, ignore_errors=True)
    fresh.rename(tree)
    _check_libraries(tree)
    (tree / "bin").mkdir()
    program = tree / "bin" / PROGRAM
    program.write_text(wrapper(tree))
    program.chmod(0o755)
    return tree


def _check_libraries(tree: Path) -> None:
    """Raises UkccError where QEMU would have a library of the host's."""
    words = [str(tree / _STARTED), "--library-path", str(tree / _LIBRARIES)]
    listed = proc.output([*words, "--list", str(tree / "usr/bin" / PROGRAM)])
    if strangers := foreign(listed, tree):
        raise UkccError(f"{tree}: it would use the host's {', '.join(strangers)}")


if __name__ == "__main__":
    try:
        suites = [word for word in sys.argv[1:] if word != "--update"]
        if len(suites) != 1:
            raise UkccError("it takes one suite of Debian", "python tests/other_qemu.py trixie")
        print(directory(suites[0], update="--update" in sys.argv))
    except UkccError as error:
        sys.exit(error.line(Path(__file__).name))
