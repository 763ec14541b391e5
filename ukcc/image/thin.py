"""Thin images: the kernel that they name by digest is brought from the store before they run."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ukcc import __version__, paths
from ukcc.errors import MachineError, SysrootMissing, UkccError
from ukcc.image import cpio, rekernel
from ukcc.image.closure import find_closure
from ukcc.image.content_key import content_key
from ukcc.image.debug import LARGEST
from ukcc.image.facts import read_metadata, read_notes
from ukcc.image.headers import open_headers
from ukcc.image.metadata import check_name, find_metadata, require
from ukcc.image.pack import complete_image, pack_program

# Completed images are kept for the next run: this many, the longest unused go.
_KEPT = 16
_LONGEST_COPY = 3600.0  # seconds; a copy that is older belongs to nobody


def completed(image: str) -> str:
    """The image to boot: `image` itself, or, of a thin one, the whole image, made on first use.

    Raises MachineError where the store has not the sysroot that the image names.
    """
    metadata = read_metadata(image)
    if not is_thin(metadata):
        return image
    cache = Path(paths.store()) / "cache" / "images"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _private_copy(image, cache) as copy:
            return _completed(image, copy, cache)
    except OSError as error:
        raise MachineError(f"{cache}: {error.strerror}", "set UKCC_HOME") from None
    except UkccError as error:
        raise MachineError(error.message, error.hint) from None


def _completed(image: str, copy: Path, cache: Path) -> str:
    """The whole image of a thin one, all read from a copy that nobody else writes.

    What lies in the cache is found by what it was made of, so that no other file can take its
    place, whatever its name, nor one that is changed while we read it.
    """
    with copy.open("rb") as file:
        metadata = find_metadata(read_notes(file.fileno(), image), image)
        sysroot = _sysroot_of(image, metadata)
        files = _closure(image, metadata, sysroot, file.fileno())
    key = content_key(__version__.encode(), copy.read_bytes(), entries=files)
    whole = cache / f"{key}-{sysroot.name}"
    if whole.is_file():
        os.utime(whole)
        return str(whole)
    try:
        complete_image(str(copy), str(whole), metadata=metadata, sysroot=str(sysroot), files=files)
    except UkccError as error:
        raise UkccError(error.message.replace(str(copy), image), error.hint) from None
    _forget_old(cache)
    return str(whole)


@contextlib.contextmanager
def _private_copy(image: str, directory: Path) -> Iterator[Path]:
    """The image's bytes, as they are now, in a file of ours."""
    fd, name = tempfile.mkstemp(prefix=".thin-", dir=directory)
    try:
        with os.fdopen(fd, "wb") as target, Path(image).open("rb") as source:
            status = os.fstat(source.fileno())
            if status.st_size > LARGEST:
                raise UkccError(f"{image}: larger than 2 GiB, too much for an image")
            shutil.copyfileobj(source, target, 1 << 20)
            os.fchmod(fd, status.st_mode & 0o777)  # the whole image gets the same
        yield Path(name)
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink()


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
    check_name(name)
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


def check_room(image: str, offers: Sequence[str]) -> None:
    """Raises UkccError where an image could not be given a kernel that offers these features."""
    if not is_thin(_metadata_of(image)):
        rekernel.check_room(image, offers)


def with_kernel(image: str, output: Path, kernel_directory: str) -> None:
    """Writes the whole image of a whole or a thin one, with the kernel of that directory.

    Raises UkccError.
    """
    metadata = _metadata_of(image)
    if not is_thin(metadata):
        rekernel.replace_kernel(image, str(output), kernel_directory)
        return
    sysroot = _sysroot_of(image, metadata)
    complete_image(
        image,
        str(output),
        metadata=dict(metadata),
        sysroot=str(sysroot),
        files=_closure(image, metadata, sysroot),
        kernel_directory=kernel_directory,
    )


def _metadata_of(program: str) -> Mapping[str, Any]:
    fd, _ = open_headers(program)
    try:
        return find_metadata(read_notes(fd, program), program)
    finally:
        os.close(fd)


def _sysroot_of(image: str, metadata: Mapping[str, Any]) -> Path:
    """The sysroot in the store that a thin image names; its metadata has been checked."""
    require(metadata, image, "sysroot", "program", "link_command")
    sysroot = Path(paths.sysroot_in_store(str(metadata["sysroot"])))
    if not (sysroot / "kernel" / "kernel.json").is_file():
        raise MachineError(
            f"{image}: a thin image, and its kernel (sysroot {metadata['sysroot']}) is not here",
            "run `ukcc sysroot build` by the ukcc that linked it, or link it without UKCC_IMAGE",
        )
    return sysroot


def _closure(
    image: str, metadata: Mapping[str, Any], sysroot: Path, opened: int = -1
) -> list[cpio.Entry]:
    thin = metadata["thin"]
    closure = find_closure(
        image,
        str(sysroot),
        thin.get("directories", ()),
        os.environ,
        opened,
        linked=thin.get("files", ()),
    )
    return closure.entries()


def _forget_old(cache: Path) -> None:
    """Keeps the newest, and no copy of a run that was killed while it worked."""
    status = {path: path.stat() for path in cache.iterdir()}
    newest_first = sorted(status, key=lambda path: status[path].st_mtime, reverse=True)
    finished = [path for path in newest_first if not path.name.startswith(".")]
    started_by = time.time() - _LONGEST_COPY
    abandoned = [path for path in set(status) - set(finished) if status[path].st_mtime < started_by]
    for path in (*finished[_KEPT:], *abandoned):
        with contextlib.suppress(OSError):
            path.unlink()
