"""What an image says about itself, as far as running it needs it."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ukcc import paths
from ukcc.errors import MachineError, NotAnImage, UkccError
from ukcc.image.headers import PT_NOTE, SHT_NOBITS, open_file, open_headers
from ukcc.image.libtool import wrapper_mend
from ukcc.image.metadata import find_metadata
from ukcc.image.notes import XEN, XEN_ELFNOTE_PHYS32_ENTRY, find_note
from ukcc.image.section_names import KERNEL_SECTIONS, METADATA_SECTION

_KERNEL_CONSTANTS = f"{KERNEL_SECTIONS}rodata"
_MOST_CONSTANTS = 64 << 20  # bytes; ours has less than one MiB

_MEND = "build it by uk-gcc, or make an image of it by `ukcc pack`"

# A program's own are some hundred bytes; ours have the link's command line.
_LARGEST_NOTES = 16 << 20


@dataclass(frozen=True)
class ImageMetadata:
    """memory_min_mib: the smallest memory that boots, in MiB (0: not recorded);
    sysroot: id of the sysroot it was linked against (empty: not recorded); program: the
    application's path in the image (empty: not recorded); offers: the features of a specialised
    kernel (None: a general one, which has all); made: such a kernel's id in the store;
    loads_locale: whether a program of it may load a locale.
    """

    memory_min_mib: int = 0
    sysroot: str = ""
    program: str = ""
    offers: "frozenset[str] | None" = None
    made: str = ""
    loads_locale: bool = True

    @property
    def vmlinux(self) -> "Path | None":
        """The kernel with its symbols, if it is in the store."""
        return self.kernel_file("vmlinux")

    @property
    def kernel_config(self) -> str:
        """The configuration of that kernel, or empty where it is not in the store."""
        path = self.kernel_file("config")
        return path.read_text() if path else ""

    @property
    def origin(self) -> str:
        """What in the store its kernel is from, in words."""
        if self.made:
            return f"kernel {self.made}"
        return f"sysroot {self.sysroot or 'not recorded'}"

    @property
    def kernel_mend(self) -> str:
        """How to get that where it is not in the store."""
        if self.made:
            return "`ukcc specialise` makes it again"
        return "`ukcc sysroot build` by the ukcc that linked it"

    def kernel_file(self, name: str) -> "Path | None":
        """A file that was kept of the kernel, if it is there."""
        if self.made:
            path = Path(paths.store()) / "kernels" / "made" / self.made / name
        elif self.sysroot:
            path = Path(paths.sysroot_in_store(self.sysroot)) / "kernel" / name
        else:
            return None
        return path if path.is_file() else None


def facts_of(metadata: Mapping[str, Any]) -> ImageMetadata:
    """What an image's metadata say of it."""
    kernel = metadata.get("kernel", {})
    return ImageMetadata(
        memory_min_mib=metadata.get("memory_min_mib", 0),
        sysroot=metadata.get("sysroot", ""),
        program=metadata.get("program", ""),
        offers=frozenset(kernel["offers"].split()) if "offers" in kernel else None,
        made=kernel.get("made", ""),
        loads_locale=metadata.get("loads_locale", True),
    )


def read_facts(image: str) -> ImageMetadata:
    """Reads the notes of an image. Raises MachineError for what no VMM could boot."""
    with _opened(image) as fd:
        notes = read_notes(fd, image)
        metadata = find_metadata(notes, image)
        # the last PT_NOTE is the one that a VMM reads (design: docs/image.md)
        if not notes or not _has_entry(notes[-1]):
            raise _not_bootable(image, any(map(_has_entry, notes)), bool(metadata))
    return facts_of(metadata)


def _has_entry(note: bytes) -> bool:
    return find_note(note, XEN, XEN_ELFNOTE_PHYS32_ENTRY) is not None


def _not_bootable(image: str, has_entry: bool, is_packed: bool) -> MachineError:
    if has_entry:
        return MachineError(
            f"{image}: another tool has changed the image and put notes of its own last, where a"
            " hypervisor looks for the kernel's entry point (patchelf does it to a program that is"
            " not position-independent)",
            "link it with -pie, or change the program first: link it with UKCC_PLAIN=1, change it,"
            " and make the image by `ukcc pack`",
        )
    if is_packed:
        return MachineError(f"{image}: an image that has no kernel in it any more", "link it again")
    return MachineError(f"{image}: not a bootable image: it has no kernel in it", _MEND)


def read_metadata(image: str) -> dict[str, Any]:
    """What the packer recorded; empty for a file without.

    Raises MachineError if it is not ELF, or if what it says of itself is no metadata of ours.
    """
    with _opened(image) as fd:
        return find_metadata(read_notes(fd, image), image)


def read_notes(fd: int, image: str) -> list[bytes]:
    """What the PT_NOTEs hold; first, where there is one, the note of a thin image."""
    _, headers = open_headers(image, fd)
    places = [(phdr.offset, phdr.filesz) for phdr in headers.phdrs if phdr.type == PT_NOTE]
    section = headers.section(METADATA_SECTION)
    if section is not None and section.type != SHT_NOBITS:
        places.insert(0, (section.offset, section.size))
    if sum(size for _, size in places) > _LARGEST_NOTES:
        raise NotAnImage(f"{image}: damaged ELF file: its notes are too long")
    return [os.pread(fd, size, offset) for offset, size in places if size]


def kernel_has_virtiofs(image: str) -> bool:
    """Whether the kernel in a whole image can mount a share by virtiofs.

    By the name of that file system among its constants, for the image may be on a host whose store
    has not its kernel's configuration. Raises MachineError.
    """
    with _opened(image) as fd:
        _, headers = open_headers(image, fd)
        section = headers.section(_KERNEL_CONSTANTS)
        size = min(section.size, _MOST_CONSTANTS) if section else 0
        return section is not None and b"\0virtiofs\0" in os.pread(fd, size, section.offset)


@contextlib.contextmanager
def _opened(image: str) -> Iterator[int]:
    """A descriptor of the image; whatever is wrong with it is a MachineError."""
    try:
        fd = open_file(image)
    except OSError as error:
        raise MachineError(f"{image}: {_reason(error)}") from None
    except UkccError as error:
        raise MachineError(error.message) from None
    try:
        yield fd
    except OSError as error:
        raise MachineError(f"{image}: {_reason(error)}") from None
    except MachineError:
        raise
    except UkccError as error:
        mend = error.hint or wrapper_mend(Path(image)) or _MEND
        raise MachineError(error.message, mend) from None
    finally:
        os.close(fd)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
