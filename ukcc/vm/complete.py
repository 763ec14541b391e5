"""Thin images: the kernel that they name by digest is brought from the store before they run."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ukcc import paths
from ukcc.errors import MachineError, SysrootMissing, UkccError
from ukcc.image import cpio
from ukcc.image.closure import find_closure
from ukcc.image.pack import complete_image, pack_program
from ukcc.vm.facts import read_metadata

# Completed images are kept for the next run: this many, the longest unused go.
_KEPT = 16


def completed(image: str) -> str:
    """The image to boot: `image` itself, or, of a thin one, the whole image, made on first use.

    Raises MachineError where the store has not the sysroot that the image names.
    """
    metadata = read_metadata(image)
    if not is_thin(metadata):
        return image
    sysroot = _sysroot_of(image, metadata)
    cache = Path(paths.store()) / "cache" / "images"
    try:
        files = _closure(image, metadata, sysroot)
        whole = cache / f"{_digest(image, files)}-{sysroot.name}"
        if whole.is_file():
            os.utime(whole)
            return str(whole)
        cache.mkdir(parents=True, exist_ok=True)
        complete_image(image, str(whole), metadata=metadata, sysroot=str(sysroot), files=files)
        _forget_old(cache)
    except OSError as error:
        raise MachineError(f"{cache}: {error.strerror}", "set UKCC_HOME") from None
    except UkccError as error:
        raise MachineError(error.message, error.hint) from None
    return str(whole)


def is_thin(metadata: Mapping[str, Any]) -> bool:
    """Whether an image with that metadata names its kernel instead of carrying it."""
    return isinstance(metadata.get("thin"), dict)


def make_image(
    program: str,
    output: Path,
    *,
    command: Sequence[str],
    name: str,
    files: Iterable[cpio.Entry] = (),
    settings: "Mapping[str, Any] | None" = None,
) -> None:
    """Writes the whole image of a thin one, or of a program that was built elsewhere.

    command: kept in the image of the latter; name: the program's in the image; settings: a document
    to carry, in place of a thin one's. Raises UkccError.
    """
    metadata = _metadata_of(program)
    if not is_thin(metadata):
        current = paths.current_sysroot()
        if current is None:
            raise SysrootMissing("there is no sysroot", "build one with: ukcc sysroot build")
        pack_program(
            program,
            str(output),
            sysroot=current,
            link_command=command,
            name=name,
            files=files,
            settings=settings,
        )
        return
    sysroot = _sysroot_of(program, metadata)
    carried = {} if settings is None else {"settings": settings}
    complete_image(
        program,
        str(output),
        metadata={**metadata, "program": f"/app/{name}", **carried},
        sysroot=str(sysroot),
        files=[*_closure(program, metadata, sysroot), *files],
    )


def _metadata_of(program: str) -> Mapping[str, Any]:
    """Nothing of a program that is no image, nor of what is no ELF file: who packs says so."""
    try:
        return read_metadata(program)
    except UkccError:
        return {}


def _sysroot_of(image: str, metadata: Mapping[str, Any]) -> Path:
    sysroot = Path(paths.store()) / "sysroots" / str(metadata["sysroot"])
    if not (sysroot / "kernel" / "kernel.json").is_file():
        raise MachineError(
            f"{image}: a thin image, and its kernel (sysroot {metadata['sysroot']}) is not here",
            "run `ukcc sysroot build` by the ukcc that linked it, or link it without UKCC_IMAGE",
        )
    return sysroot


def _closure(image: str, metadata: Mapping[str, Any], sysroot: Path) -> list[cpio.Entry]:
    directories = metadata["thin"].get("directories", ())
    return find_closure(image, str(sysroot), directories, os.environ).entries()


def _digest(image: str, files: list[cpio.Entry]) -> str:
    """The program with its note, which names the kernel, and the libraries as they are today."""
    state = hashlib.sha256(Path(image).read_bytes())
    for entry in files:
        state.update(entry.path.encode() + b"\0" + entry.data)
    return state.hexdigest()[:32]


def _forget_old(cache: Path) -> None:
    newest_first = sorted(cache.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[_KEPT:]:
        with contextlib.suppress(OSError):
            path.unlink()
