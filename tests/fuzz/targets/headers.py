"""ELF headers on the link path, and a file without its debug information."""

from fuzz.checking import no_refusal

from ukcc.image.debug import stripped
from ukcc.image.headers import PT_LOAD, parse_headers
from ukcc.image.loader_tags import read_interpreter, read_loader_tags
from ukcc.image.program_file import appended, program_extents


def check(data: bytes) -> None:
    """No byte outside the file is asked for; what is stripped can be read again, as loaded."""

    def read(offset: int, count: int) -> bytes:
        assert count == 0 or (offset >= 0 < count and offset + count <= max(len(data), 64))
        return data[offset : offset + count]

    headers = parse_headers(read, len(data), "x")
    for name in (".text", ".uk.archive", ""):
        headers.section(name)
    less = stripped(read, headers, "x")
    with no_refusal():
        again = parse_headers(lambda at, count: less[at : at + count], len(less), "x")
    loads = [p for p in headers.phdrs if p.type == PT_LOAD and p.offset >= 64]
    if headers.ehdr.phoff >= 64:
        assert again.phdrs == headers.phdrs
        for p in loads:
            assert less[p.offset : p.offset + p.filesz] == data[p.offset : p.offset + p.filesz]
    at = 0
    for offset, size in program_extents(headers):
        assert offset >= at and size > 0
        at = offset + size
    assert at <= len(data) and 0 <= appended(headers) <= len(data)
    read_interpreter(read, headers, "x")
    read_loader_tags(read, headers, "x")
