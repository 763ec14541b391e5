"""Everything that goes into a sysroot, and the digests that name it and its parts.

The digests cover contents, never paths or times, so that two machines with the same packages
and the same checkout give a sysroot the same id.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ukcc import paths, proc
from ukcc.errors import UkccError
from ukcc.sysroot import kernels, sources
from ukcc.sysroot.kernels import KernelRelease
from ukcc.sysroot.sources import SourceTarball
from ukcc.sysroot.store import Store

# One number a step. Raise it when the commands of that step change, for then the same files
# give another result.
RECIPES = {"headers": 1, "kernel": 1, "glibc": 1, "musl": 1, "sysroot": 4}

# What each part depends on, as keys of Inputs.record.
_PART_INPUTS = {
    "headers": ("linux",),
    "kernel": ("linux", "kernel_patches", "kernel_fragments", "tools"),
    "glibc": ("linux", "glibc", "glibc_script", "shims", "tools"),
    "musl": ("musl", "musl_script", "tools"),
}

_ID_DIGITS = 16


@dataclass(frozen=True)
class Inputs:
    """What a sysroot is made from. `record` is what is hashed, and what sysroot.json lists."""

    kernel: KernelRelease
    linux: SourceTarball
    glibc: SourceTarball
    musl: SourceTarball
    kernel_patches: tuple[Path, ...]
    kernel_fragments: tuple[Path, ...]
    glibc_script: Path
    musl_script: Path
    init: tuple[Path, ...]
    shims: tuple[Path, ...]
    room: Path
    record: dict[str, Any]

    @property
    def id(self) -> str:
        """The sysroot's name: 16 hex digits over everything."""
        return digest(self.record)

    def part_digest(self, part: str) -> str:
        """The same for one part (`headers`, `kernel`, …), over what goes into that part."""
        return part_digests(self.record)[part]


def part_digests(record: Mapping[str, Any]) -> dict[str, str]:
    """Each part's digest, from Inputs.record or the same in a sysroot.json, which may be of an
    earlier ukcc and have no such part."""
    return {
        part: digest({**{n: record[n] for n in names}, "recipe": record["recipes"][part]})
        for part, names in _PART_INPUTS.items()
        if part in record["recipes"]
    }


def digest(record: object) -> str:
    """The first 16 hex digits of the SHA-256 of a JSON value's canonical form."""
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


def gather(store: Store, kernel: KernelRelease = kernels.LONG_TERM) -> Inputs:
    """Finds and hashes all inputs. Raises UkccError, saying what is missing and what mends it."""
    linux = sources.locate(kernel.package, store)
    glibc = sources.locate(sources.GLIBC, store)
    musl = sources.locate(sources.MUSL, store)
    recipe = Path(paths.data_dir("sysroot"))
    patches = tuple(patch for name in kernel.series for patch in series(name, kernel))
    fragments = kernel.fragments()
    glibc_script = recipe / "glibc" / "build.sh"
    musl_script = recipe / "musl" / "build.sh"
    init = tuple(sorted((recipe / "init").glob("*.c")))
    room = recipe / "link" / "room.s"
    _require([*fragments, glibc_script, musl_script, room], init, recipe)

    # Only what changes the code that is assembled; not the CMake and Meson files.
    shims_directory = Path(paths.data_dir("toolchain-shims"))
    shims = (shims_directory / "as", shims_directory / "prelude.s")
    code = Path(paths.__file__).parent
    makers = (code / "image" / "kernelbin.py", code / "sysroot" / "inner_names.py")
    record = {
        "recipes": RECIPES,
        "linux": _source_record(linux, store),
        "glibc": _source_record(glibc, store),
        "musl": _source_record(musl, store),
        "kernel_patches": _contents(patches),
        "kernel_fragments": _contents(fragments),
        "glibc_script": _contents(_files(glibc_script.parent)),
        "musl_script": _contents(_files(musl_script.parent)),
        "init": _contents(_files(recipe / "init")),
        "shims": _contents(shims),
        "makers": _contents(makers),
        "room": _contents([room]),
        "tools": tool_versions(),
    }
    return Inputs(
        kernel,
        linux,
        glibc,
        musl,
        patches,
        fragments,
        glibc_script,
        musl_script,
        init,
        shims,
        room,
        record,
    )


def series(name: str, kernel: KernelRelease = kernels.LONG_TERM) -> tuple[Path, ...]:
    """The patches of one series, in order. Raises UkccError if there are none."""
    directory = kernel.directory(name)
    patches = tuple(sorted(directory.glob("*.patch")))
    if not patches:
        _raise_incomplete([str(directory / "*.patch")])
    return patches


def tool_versions() -> dict[str, str]:
    """What the compiler, the assembler and the linker say they are. Raises ToolFailed."""
    return {
        name: proc.output([name, "--version"], env={"LC_ALL": "C"}).partition("\n")[0]
        for name in ("gcc", "as", "ld")
    }


def file_digest(path: Path) -> str:
    """SHA-256 of a file's contents, in hex."""
    with path.open("rb") as stream:
        return _hash(iter(lambda: stream.read(1 << 20), b""))


def cached_digest(path: Path, store: Store) -> str:
    """The same for a large file, remembered by its path, size and time of change."""
    status = path.stat()
    stamp = [status.st_size, status.st_mtime_ns]
    cache_file = store.root / "cache" / "digests.json"
    try:
        cache = json.loads(cache_file.read_text())
        known_stamp, known = cache.get(str(path), (None, None))
        if known_stamp == stamp:
            return str(known)
    except (OSError, ValueError, TypeError, AttributeError):
        cache = {}
    computed = file_digest(path)
    # The cache only saves time. That the store cannot be written to, others will say.
    with contextlib.suppress(OSError):
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        fresh = cache_file.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({**cache, str(path): [stamp, computed]}))
        fresh.replace(cache_file)
    return computed


def _source_record(source: SourceTarball, store: Store) -> dict[str, str]:
    return {
        "package": source.package,
        "version": source.version,
        "sha256": cached_digest(source.tarball, store),
    }


def _contents(files: Iterable[Path]) -> dict[str, str]:
    return {path.name: file_digest(path) for path in files}


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.is_file())


def _hash(blocks: Iterable[bytes]) -> str:
    state = hashlib.sha256()
    for block in blocks:
        state.update(block)
    return state.hexdigest()


def _require(files: Iterable[Path], init: tuple[Path, ...], recipe: Path) -> None:
    """An installation without its recipe files gets one line, not a poor sysroot."""
    missing = [str(path) for path in files if not path.is_file()]
    if not init:
        missing.append(str(recipe / "init" / "*.c"))
    if missing:
        _raise_incomplete(missing)


def _raise_incomplete(missing: Iterable[str]) -> NoReturn:
    raise UkccError(
        f"this installation of ukcc is incomplete: {', '.join(missing)}", "install it again"
    )
