"""Checks of the host: what is there, what is missing, and the command that fixes it."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ukcc import proc
from ukcc.cc.toolchain import find_compiler
from ukcc.errors import UkccError
from ukcc.image.kernel import read_kernel
from ukcc.sysroot import inputs, kernels, sources, tools
from ukcc.sysroot.store import RECORD, Store, Sysroot
from ukcc.vm.hypervisor.qemu import PROGRAM
from ukcc.vm.hypervisor.qemu_probe import Abilities, abilities
from ukcc.vm.hypervisor.tried import Version, named, untried

# Free disk space, in bytes, below which building large programs gets uncomfortable.
_COMFORTABLE = 2_000_000_000

# Without one of these no program is linked, or none boots.
_OF_SYSROOT = (
    *(RECORD, "kernel/kernel.json", "kernel/kernel.bin", "boot/init", "shims/as", "shims/room.o"),
    *("usr/lib/crt1.o", "usr/lib/libc.a", "usr/lib/libc.so.6", "usr/lib/inner-names"),
)


@dataclass(frozen=True)
class Finding:
    """One thing looked at. `needed`: ukcc cannot do its work without it; `fix`: a command."""

    name: str
    ok: bool
    needed: bool
    found: str
    fix: str = ""


def examine(store: Store) -> list[Finding]:
    """Looks at everything; changes nothing and downloads nothing."""
    # Whoever has a finished sysroot can do without the means to build one.
    must_build = store.current() is None and not os.environ.get("UKCC_SYSROOT")
    return [
        *_compilers(),
        *_builders(needed=must_build),
        *_sources(store, needed=must_build),
        *_sysroots(store),
        *_store(store),
        _program("QEMU", PROGRAM, needed=True),
        *_machines(),
        _shares(),
        _unwinder(),
    ]


def _machines() -> Iterator[Finding]:
    """How machines run; nothing where there is no QEMU."""
    if shutil.which(PROGRAM) is None:
        return
    try:
        able = abilities()
    except UkccError as error:
        fix = error.hint or "use the distribution's QEMU"
        yield Finding("confinement", False, True, error.message, fix)
        return
    yield _tried(able.version)
    yield _confinement(able)
    yield _kvm()


def _tried(version: Version) -> Finding:
    """Whether anybody knows that this QEMU is right for us."""
    problem = untried(version)
    found = problem or f"{named(version)}: boot tests were run with it"
    return Finding("QEMU version", not problem, False, found)


def _confinement(able: Abilities) -> Finding:
    """What keeps a machine's QEMU small."""
    lacking = [f"no system call filter ({able.no_sandbox})"] if able.no_sandbox else []
    lacking += [] if able.guarded else ["it ignores LD_PRELOAD, so --net user needs host=yes"]
    found = "; ".join(lacking) or "system call filter, closed loopback"
    fix = "use the distribution's QEMU" if lacking else ""
    return Finding("confinement", not lacking, False, found, fix)


def _compilers() -> Iterator[Finding]:
    for name, command in (("C compiler", "gcc"), ("C++ compiler", "g++")):
        needed = command == "gcc"
        try:
            yield _program(name, find_compiler(command, os.environ), needed)
        except UkccError as error:
            yield Finding(name, False, needed, error.message, error.hint)
    yield _program("assembler", "as", needed=True)
    yield _program("linker", "ld", needed=True)


def _builders(needed: bool) -> Iterator[Finding]:
    lacking = tools.missing()
    found = f"missing: {', '.join(lacking)}" if lacking else ", ".join(tools.PROGRAMS)
    fix = tools.install_line(lacking) if lacking else ""
    yield Finding("build tools", not lacking, needed, found, fix)


def _sources(store: Store, needed: bool) -> Iterator[Finding]:
    for package in (sources.LINUX, sources.GLIBC):
        version = sources.present(package, store)
        if version:
            yield Finding("source", True, needed, f"{package.name} {version}")
        else:
            found = f"{package.name} is not installed"
            yield Finding("source", False, needed, found, f"apt-get install {package.name}")


def _sysroots(store: Store) -> Iterator[Finding]:
    """What links use: the store's, or the one that UKCC_SYSROOT names in its place."""
    fix = "ukcc sysroot build"
    named = os.environ.get("UKCC_SYSROOT")
    if named is not None:
        yield _named_sysroot(named)
        return
    current = store.current()
    if current is None:
        yield Finding("sysroot", False, True, "none has been built", fix)
        return
    reason = _damage(current.path)
    if reason:
        yield Finding("sysroot", False, True, f"{current.id}: {reason}", fix)
    else:
        yield _compared(current, store)


def _named_sysroot(named: str) -> Finding:
    fix = "unset UKCC_SYSROOT, or let it name a directory that `ukcc sysroot list` shows"
    if not named:
        found = "UKCC_SYSROOT is empty: programs are linked against none"
        return Finding("sysroot", False, True, found, "unset UKCC_SYSROOT")
    place = Path(named).absolute()
    reason = "no such directory" if not place.is_dir() else _damage(place)
    if reason:
        return Finding("sysroot", False, True, f"UKCC_SYSROOT={named}: {reason}", fix)
    return Finding("sysroot", True, True, f"{place}, as UKCC_SYSROOT says")


def _damage(sysroot: Path) -> str:
    """Why a link cannot use that sysroot; empty if it can."""
    for name in _OF_SYSROOT:
        if not (sysroot / name).is_file():
            return f"not a sysroot of this ukcc: it has no {name}"
    try:
        read_kernel(str(sysroot))
        record = json.loads((sysroot / RECORD).read_text())
        if not all(isinstance(record["versions"][name], str) for name in ("linux", "glibc")):
            return f"{RECORD} says no versions"
    except UkccError as error:
        return error.message
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{RECORD} cannot be understood ({error!r})"
    return ""


def _compared(current: Sysroot, store: Store) -> Finding:
    """Whether the sysroot is what its sources make now."""
    versions = current.record["versions"]
    found = f"{current.id}: linux {versions['linux']}, glibc {versions['glibc']}"
    kernel = kernels.of_record(current.record)
    if not all(sources.present(p, store) for p in (kernel.package, sources.GLIBC)):
        return Finding("sysroot", True, True, found)  # there is nothing to compare it with
    try:
        fresh = inputs.gather(store, kernel).id == current.id
    except UkccError as error:
        return Finding("sysroot", True, True, f"{found} ({error.message})")
    if fresh:
        return Finding("sysroot", True, True, found)
    changed = f"{found}; what it is made from has changed"
    return Finding("sysroot", False, False, changed, kernel.build)


def _store(store: Store) -> Iterator[Finding]:
    place = store.root
    while not place.exists():
        place = place.parent
    writable = os.access(place, os.W_OK | os.X_OK)
    yield Finding(
        "store",
        writable,
        True,
        f"{store.root}{'' if writable else ' cannot be written to'}",
        "" if writable else f"chown -R {os.environ.get('USER', '$USER')} {place}, or set UKCC_HOME",
    )
    free = shutil.disk_usage(place).free
    enough = free >= _COMFORTABLE
    fix = "" if enough else "ukcc sysroot clean, or set UKCC_HOME to a larger disk"
    yield Finding("disk", enough, False, f"{free / 1e9:.1f} GB free", fix)


def _kvm() -> Finding:
    from ukcc.vm.hypervisor import accel  # boots a tiny guest the first time

    verdict = accel.probe()
    if verdict.works:
        return Finding("KVM", True, False, "works")
    return Finding("KVM", False, False, f"{verdict.reason}; TCG serves instead, more slowly")


def _shares() -> Finding:
    from ukcc.vm.machine import VIRTIOFS, Share
    from ukcc.vm.storage import virtiofs

    try:
        with (
            tempfile.TemporaryDirectory(prefix="ukcc-doctor-") as directory,
            virtiofs.serve_shares([Share(directory, "/data")], VIRTIOFS),
        ):
            return Finding("shares", True, False, "by virtiofs")
    except UkccError as error:
        why = error.message.rpartition(":/data: ")[2]
        found = f"{why}; -v goes by 9p, where processes that append to one file lose data"
        fix = error.hint if not os.access(virtiofs.PROGRAM, os.X_OK) else ""
        return Finding("shares", False, False, found, fix)


def _unwinder() -> Finding:
    from ukcc.failures import libdw

    if libdw.available():
        return Finding("unwinder", True, False, libdw.LIBRARY)
    found = f"no {libdw.LIBRARY}: crashes are shown without their callers and lines"
    return Finding("unwinder", False, False, found, f"apt-get install {libdw.PACKAGE}")


def _program(name: str, command: str, needed: bool) -> Finding:
    """A program, by the first line of what it says to --version."""
    try:
        said = proc.output([command, "--version"]).partition("\n")[0]
    except UkccError as error:
        return Finding(name, False, needed, error.message, error.hint)
    return Finding(name, True, needed, said)
