"""Writes a planned image: the one place of the packer that touches the output."""

from __future__ import annotations

# Importing pathlib would cost every link 5 ms:
# ruff: noqa: PTH104, PTH108, PTH116, PTH118, PTH120
import os
import struct
import zlib

from ukcc.errors import UkccError
from ukcc.image.bss import Cut
from ukcc.image.headers import EHDR_SIZE, SHT_SYMTAB, Headers
from ukcc.image.kernel import DESCRIPTOR, DESCRIPTOR_MAGIC, MAKE_AGAIN, PackedKernel
from ukcc.image.layout import Layout
from ukcc.image.program_file import checksum
from ukcc.image.room import moved_symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym: name, info, other, shndx, value, size
_ENDBR64_JMP = b"\xf3\x0f\x1e\xfa\xe9"


def write_image(
    output: str,
    source: int,
    app: Headers,
    layout: Layout,
    kernel: PackedKernel,
    archive: bytes,
    metadata: Callable[[str], bytes],
    pvh: bytes,
    *,
    kernel_directory: str = "",
) -> None:
    """Writes the image beside `output` and renames it there; on failure nothing is left.

    source: the linked program, open for reading. metadata: makes the note, of the planned length,
    from the checksum of what was written. kernel_directory: where kernel.bin is; a thin image takes
    nothing from it. Raises UkccError, which names the file.
    """
    kernel_bin = open_kernel(kernel_directory, kernel)

    def fill(target: int) -> None:
        copy(source, 0, target, 0, layout.app_size)
        copy(kernel_bin, 0, target, layout.kernel_offset, kernel.size)
        tail = layout.appended
        copy(source, app.size - tail, target, layout.size - tail, tail)
        for offset, data in _patches(app, layout, kernel, source, archive, pvh):
            write_at(target, data, offset)
        made = Headers(layout.ehdr, layout.phdrs, layout.shdrs, layout.names, layout.size)
        write_at(target, metadata(checksum(target, made)), layout.metadata_offset)

    try:
        write_whole(output, source, layout.size, fill)
    finally:
        os.close(kernel_bin)


def open_kernel(directory: str, kernel: PackedKernel) -> int:
    """A descriptor of its kernel.bin, which the caller closes. Raises UkccError."""
    path = os.path.join(directory, "kernel.bin") if kernel.segments else os.devnull
    mend = MAKE_AGAIN if kernel.made else "build the sysroot again"
    try:
        kernel_bin = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}", mend) from None
    if os.fstat(kernel_bin).st_size < kernel.size:
        os.close(kernel_bin)
        raise UkccError(f"{path}: shorter than kernel.json says", mend)
    return kernel_bin


def write_whole(output: str, source: int, size: int, fill: Callable[[int], None]) -> None:
    """The file `output` of that size appears whole, or not at all, with the permissions of the
    open file `source`, which it may replace. fill: writes to the descriptor that it is given.

    Raises UkccError, which names the output.
    """
    temporary = _beside(output)
    try:
        mode = os.fstat(source).st_mode & 0o7777
        target, in_place = _create(temporary, output)
        try:
            os.ftruncate(target, size)
            fill(target)
            os.fchmod(target, mode)
            if in_place or not _replace(output, temporary, source):
                _overwrite(output, target, size)
        finally:
            os.close(target)
    except OSError as error:
        raise UkccError(f"{output}: {error.strerror}") from None
    finally:
        try:
            os.unlink(temporary)
        except OSError:
            pass  # it was renamed


def _create(temporary: str, output: str) -> tuple[int, bool]:
    """The file to write, and whether it has to be copied into `output`: that may be writable in a
    directory which is not, and the linker has just written it there."""
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(temporary, flags, 0o600), False
    except PermissionError:
        if not os.access(output, os.W_OK):
            raise
        return os.memfd_create("ukcc"), True


def _replace(output: str, temporary: str, source: int) -> bool:
    """Puts the temporary file in the output's place.

    False where the output can only be written to: another user's, in a directory like /tmp, into
    which the linker has written as well.
    """
    try:
        if _same_file(source, output):
            # ext4 writes a file to the disk at once when it replaces another by rename (its mount
            # option auto_da_alloc), which took longer than the rest of packing.
            os.unlink(output)
        os.rename(temporary, output)
    except PermissionError:
        if not os.access(output, os.W_OK):
            raise
        return False
    return True


def _same_file(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def _overwrite(output: str, source: int, size: int) -> None:
    target = os.open(output, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        copy(source, 0, target, 0, size)
    finally:
        os.close(target)


def _beside(output: str) -> str:
    """A temporary file's name in the output's directory: this process's own, and short, since the
    output's may be the longest that is allowed."""
    return os.path.join(os.path.dirname(output), f".ukcc.{os.getpid()}")


def _patches(
    app: Headers,
    layout: Layout,
    kernel: PackedKernel,
    source: int,
    archive: bytes,
    pvh: bytes,
) -> list[tuple[int, bytes | memoryview]]:
    """(offset, bytes) of everything that is not a plain copy, in the order it must be written;
    the metadata come last, when the rest can be summed up."""
    patches: list[tuple[int, bytes | memoryview]] = []
    whole = memoryview(archive)
    if grown := layout.grown:
        size = grown.end - grown.start
        patches.append((EHDR_SIZE, bytes(grown.start + grown.distance - EHDR_SIZE)))
        patches.append((grown.start + grown.distance, os.pread(source, size, grown.start)))
        patches.append(grown.note)
    patches += [
        (0, layout.ehdr.pack()),
        (layout.ehdr.phoff, b"".join(p.pack() for p in layout.phdrs)),
        (layout.pvh_offset, pvh),
        *((piece.offset, whole[piece.start : piece.end]) for piece in layout.archive),
        (layout.names_offset, layout.names),
        (layout.ehdr.shoff, b"".join(s.pack() for s in layout.shdrs)),
    ]
    if kernel.segments:
        descriptor = DESCRIPTOR.pack(
            DESCRIPTOR_MAGIC, layout.archive_paddr, len(archive), zlib.crc32(archive), 0
        )
        patches.append((layout.kernel_offset + kernel.descriptor_offset, descriptor))
    if layout.stub:
        offset, distance = layout.stub
        patches.append((offset, _ENDBR64_JMP + struct.pack("<i", distance)))
    if layout.cut:
        patches += _moved_symbols(app, layout.cut, source)
    if grown:
        patches += moved_symbols(source, app, grown)
    return patches


def _moved_symbols(app: Headers, cut: Cut, source: int) -> list[tuple[int, bytes]]:
    """Symbol tables in which what lies behind the cut of a BSS belongs to its second section."""
    patches = []
    for shdr in app.shdrs:
        if shdr.type != SHT_SYMTAB:
            continue
        data = bytearray(os.pread(source, shdr.size, shdr.offset))
        for at in range(0, len(data) - _SYMBOL.size + 1, _SYMBOL.size):
            name, info, other, shndx, value, size = _SYMBOL.unpack_from(data, at)
            if shndx == cut.old and value >= cut.address:
                _SYMBOL.pack_into(data, at, name, info, other, cut.new, value, size)
        patches.append((shdr.offset, bytes(data)))
    return patches


def copy(source: int, start: int, target: int, offset: int, size: int) -> None:
    """Copies `size` bytes between files, sharing blocks where the file system can (reflink)."""
    done = 0
    try:
        while done < size:
            count = os.copy_file_range(source, target, size - done, start + done, offset + done)
            if not count:
                break
            done += count
    except OSError:
        pass  # other file systems, or no such call: copied by hand below
    while done < size:
        data = os.pread(source, min(_CHUNK, size - done), start + done)
        if not data:
            raise OSError(None, "a file that is being packed became shorter")
        write_at(target, data, offset + done)
        done += len(data)


def write_at(target: int, data: bytes | memoryview, offset: int) -> None:
    """All of `data`: a single pwrite may write less on a full disk."""
    view = memoryview(data)
    while view:
        count = os.pwrite(target, view, offset)
        view, offset = view[count:], offset + count
