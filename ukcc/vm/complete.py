"""Thin images: the kernel that they name by digest is brought from the store before they run."""

import contextlib
import hashlib
import os
from pathlib import Path

from ukcc import paths
from ukcc.errors import MachineError, UkccError
from ukcc.image import cpio
from ukcc.image.closure import find_closure
from ukcc.image.pack import complete_image
from ukcc.vm.facts import read_metadata

# Completed images are kept for the next run: this many, the longest unused go.
_KEPT = 16


def completed(image: str) -> str:
    """The image to boot: `image` itself, or, of a thin one, the whole image, made on first use.

    Raises MachineError where the store has not the sysroot that the image names.
    """
    metadata = read_metadata(image)
    if not isinstance(metadata.get("thin"), dict):
        return image
    sysroot = Path(paths.store()) / "sysroots" / str(metadata["sysroot"])
    if not (sysroot / "kernel" / "kernel.json").is_file():
        raise MachineError(
            f"{image}: a thin image, and its kernel (sysroot {metadata['sysroot']}) is not here",
            "run `ukcc sysroot build` by the ukcc that linked it, or link it without UKCC_IMAGE",
        )
    cache = Path(paths.store()) / "cache" / "images"
    directories = metadata["thin"].get("directories", ())
    try:
        files = find_closure(image, str(sysroot), directories, os.environ).entries()
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
