"""What an image says about itself, as far as running it needs it."""

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ukcc import paths
from ukcc.errors import MachineError, UkccError
from ukcc.image.headers import PT_NOTE, Headers, read_headers
from ukcc.image.layout import METADATA_SECTION
from ukcc.image.libtool import wrapper_mend
from ukcc.image.notes import UKCC, UKCC_METADATA, XEN, XEN_ELFNOTE_PHYS32_ENTRY, find_note

_KERNEL_CONSTANTS = ".uk.kernel.rodata"
_MOST_CONSTANTS = 64 << 20  # bytes; ours has less than one MiB
_Found = TypeVar("_Found")

_MEND = "build it by uk-gcc, or make an image of it by `ukcc pack`"


@dataclass(frozen=True)
class ImageFacts:
    """memory_min_mib: the smallest memory that boots, in MiB (0: not recorded);
    sysroot: id of the sysroot it was linked against (empty: not recorded); program: the
    application's path in the image (empty: not recorded).
    """

    memory_min_mib: int = 0
    sysroot: str = ""
    program: str = ""

    @property
    def vmlinux(self) -> "Path | None":
        """The kernel with its symbols, if that sysroot is in the store."""
        path = Path(paths.store()) / "sysroots" / self.sysroot / "kernel" / "vmlinux"
        return path if self.sysroot and path.is_file() else None

    @property
    def kernel_config(self) -> str:
        """The configuration of that kernel, or empty where that sysroot is not in the store."""
        path = Path(paths.store()) / "sysroots" / self.sysroot / "kernel" / "config"
        return path.read_text() if self.sysroot and path.is_file() else ""


def read_facts(image: str) -> ImageFacts:
    """Reads the notes of an image. Raises MachineError for what no VMM could boot."""
    notes = _read_notes(image)
    # the last PT_NOTE is the one that a VMM reads (design: docs/image.md)
    if not notes or find_note(notes[-1], XEN, XEN_ELFNOTE_PHYS32_ENTRY) is None:
        raise MachineError(f"{image}: no bootable image: it has no kernel in it", _MEND)
    return _facts(_metadata(notes))


def read_metadata(image: str) -> dict[str, Any]:
    """What the packer recorded; empty for a file without. Raises MachineError if it is no ELF."""
    return _metadata(_read_notes(image))


def kernel_has_virtiofs(image: str) -> bool:
    """Whether the kernel in a whole image can mount a share by virtiofs.

    By the name of that file system among its constants, for the image may be on a host whose store
    has not its kernel's configuration. Raises MachineError.
    """

    def look(fd: int, headers: Headers) -> bool:
        section = headers.section(_KERNEL_CONSTANTS)
        size = min(section.size, _MOST_CONSTANTS) if section else 0
        return section is not None and b"\0virtiofs\0" in os.pread(fd, size, section.offset)

    return _read(image, look)


def _read_notes(image: str) -> list[bytes]:
    return _read(image, _notes)


def _read(image: str, look: "Callable[[int, Headers], _Found]") -> "_Found":
    try:
        fd = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MachineError(f"{image}: {_reason(error)}") from None
    try:
        size = os.fstat(fd).st_size
        return look(fd, read_headers(fd, size, image))
    except OSError as error:
        raise MachineError(f"{image}: {_reason(error)}") from None
    except UkccError as error:
        mend = error.hint or wrapper_mend(Path(image)) or _MEND
        raise MachineError(error.message, mend) from None
    finally:
        os.close(fd)


def _notes(fd: int, headers: Headers) -> list[bytes]:
    """What the PT_NOTEs hold; first, where there is one, the note of a thin image."""
    places = [(phdr.offset, phdr.filesz) for phdr in headers.phdrs if phdr.type == PT_NOTE]
    section = headers.section(METADATA_SECTION)
    if section is not None:
        places.insert(0, (section.offset, section.size))
    return [os.pread(fd, size, offset) for offset, size in places]


def _metadata(notes: list[bytes]) -> dict[str, Any]:
    for data in reversed(notes):
        text = find_note(data, UKCC, UKCC_METADATA)
        if text is not None:
            with contextlib.suppress(ValueError):
                return dict(json.loads(text))
    return {}


def _facts(metadata: dict[str, Any]) -> ImageFacts:
    return ImageFacts(
        memory_min_mib=int(metadata.get("memory_min_mib", 0)),
        sysroot=str(metadata.get("sysroot", "")),
        program=str(metadata.get("program", "")),
    )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
