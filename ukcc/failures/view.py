"""The application as it was linked, out of a two-lived file: for tools that go by segments.

An image's program headers have the kernel among them, and the table lies elsewhere; its sections
and its debug information are the linker's. The archive's copy has the right headers and no debug
information. Both together are what an unwinder wants.
"""

import os

from ukcc.descriptors import path_of, write_all
from ukcc.image.headers import PHDR_SIZE, Headers, align_up, read_headers


def memory_file(data: bytes, name: str) -> "tuple[int, str]":
    """(descriptor, path): a file that is in no directory, and lives as long as this process."""
    fd = os.memfd_create(name)
    write_all(fd, data)
    return fd, path_of(fd)


def has_debug(headers: Headers) -> bool:
    """Whether there are lines to be found in the file itself."""
    return any(headers.section(name) for name in (".debug_line", ".zdebug_line"))


def application_view(image: str, program: bytes) -> str:
    """Path of the image with the program headers of `program`, the archive's copy of it.

    The copy itself serves where the image has no debug information.
    """
    fd, copy = memory_file(program, "program")
    own = read_headers(fd, len(program), copy)
    source = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole = read_headers(source, os.fstat(source).st_size, image)
        if not has_debug(whole):
            return copy
        return _with_headers(source, whole, own)
    finally:
        os.close(source)


def _with_headers(source: int, whole: Headers, own: Headers) -> str:
    place = {(p.type, p.vaddr): p.offset for p in whole.phdrs}
    # where a tool has moved things in the file, the image's own headers know it
    phdrs = [
        p._replace(offset=place.get((p.type, p.vaddr), p.offset))
        for p in own.phdrs
        if (p.type, p.vaddr) in place or not p.filesz
    ]
    fd = os.memfd_create("view")
    at = 0
    while at < whole.size:
        at += os.sendfile(fd, source, at, whole.size - at)
    table = align_up(whole.size)
    ehdr = whole.ehdr._replace(
        entry=own.ehdr.entry, phoff=table, phentsize=PHDR_SIZE, phnum=len(phdrs)
    )
    os.pwrite(fd, b"".join(p.pack() for p in phdrs), table)
    os.pwrite(fd, ehdr.pack(), 0)
    return f"/proc/self/fd/{fd}"
