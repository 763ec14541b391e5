"""An image from elsewhere that gets another kernel: who loads it finds kernel and archive whole."""

import atexit
import shutil
import tempfile
import zlib
from pathlib import Path

from fuzz.checking import as_file, no_refusal
from support.kernel_samples import made_kernel

from ukcc.image.headers import PT_LOAD, Headers, parse_headers
from ukcc.image.kernel import DESCRIPTOR, read_kernel
from ukcc.image.rekernel import replace_kernel

_WHERE = Path(tempfile.mkdtemp(prefix="ukcc-fuzz-"))
atexit.register(shutil.rmtree, _WHERE, ignore_errors=True)
_OUT, _AGAIN = str(_WHERE / "out"), str(_WHERE / "again")
_DIRECTORY = str(made_kernel(_WHERE / "kernel", 2))
_KERNEL = read_kernel("", _DIRECTORY)


def check(data: bytes) -> None:
    """The result can be read, boots as far as its headers say, and takes the kernel once more."""
    with as_file(data) as path:
        replace_kernel(path, _OUT, _DIRECTORY)
    out = Path(_OUT).read_bytes()
    with no_refusal():
        found = parse_headers(lambda at, count: out[at : at + count], len(out), "x")
        _check_memory(found, out)
        replace_kernel(_OUT, _AGAIN, _DIRECTORY)
    assert Path(_AGAIN).read_bytes() == out


def _check_memory(found: Headers, out: bytes) -> None:
    """As a hypervisor loads it."""
    memory = {
        p.paddr: out[p.offset : p.offset + p.filesz] for p in found.phdrs if p.type == PT_LOAD
    }
    last = _KERNEL.segments[-1]
    into = _KERNEL.descriptor_offset - last.offset
    _, paddr, size, crc32, _ = DESCRIPTOR.unpack_from(memory[last.paddr], into)
    archive = b""
    while len(archive) < size:
        archive += memory[paddr + len(archive)]
    assert zlib.crc32(archive[:size]) == crc32
    end = 0
    loads = (p for p in found.phdrs if p.type == PT_LOAD and p.memsz)
    for load in sorted(loads, key=lambda p: p.paddr):
        assert load.paddr >= end or load.paddr >= 1 << 40
        end = load.pend
