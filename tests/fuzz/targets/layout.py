"""`ukcc pack` of anybody's program: where the parts of its image would be."""

from ukcc.image.headers import PAGE, PT_LOAD, align_up, parse_headers
from ukcc.image.kernel import parse_kernel
from ukcc.image.layout import Layout, Sizes, check_program, plan, plan_thin

_KERNEL = parse_kernel(
    {
        "release": "6.12.0-uk",
        "source": "6.12.0-1",
        "config_sha256": "c0",
        "entry_paddr": 0x1000100,
        "end_paddr": 0x1234567,
        "segments": [
            {"name": ".uk.kernel.text", "flags": 5, "paddr": 1 << 24, "offset": 0, "filesz": 6144},
            {"name": ".uk.kernel.data", "flags": 6, "paddr": 18 << 20, "offset": 8192, "filesz": 9},
        ],
        "descriptor": {"offset": 8192, "size": 32},
    }
)
_SIZES = Sizes(50_000, 700, 28)


def check(data: bytes) -> None:
    """It can be written, and all that is loaded is in the file; also where the program is the last
    file of the archive, and its segments are parts of that."""
    app = parse_headers(lambda at, count: data[at : at + count], len(data), "x")
    check_program(app, "x")
    _check_layout(plan_thin(app, 700))
    _check_layout(plan(app, _KERNEL, _SIZES))
    archive = 2 * PAGE + len(data) + 124
    sharing = plan(app, _KERNEL, Sizes(archive, 700, 28, 2 * PAGE))
    _check_layout(sharing)
    _check_memory(sharing, archive)


def _check_memory(layout: Layout, archive: int) -> None:
    """All bytes of the archive come from the file, and nothing lies on anything else."""
    loads = sorted((p for p in layout.phdrs if p.type == PT_LOAD), key=lambda p: p.paddr)
    end = 0
    for load in loads:
        assert load.paddr >= end
        end = load.pend
    begin = layout.archive_paddr
    inside = [p for p in loads if begin <= p.paddr < begin + align_up(archive)]
    assert sum(p.filesz for p in inside) == align_up(archive)
    at = 0
    for piece in layout.archive:
        assert piece.offset >= at // PAGE * PAGE
        assert piece.offset % PAGE == piece.start % PAGE
        at = align_up(piece.offset + piece.size)


def _check_layout(layout: Layout) -> None:
    layout.ehdr.pack()
    for header in (*layout.phdrs, *layout.shdrs):
        header.pack()
    for phdr in layout.phdrs:
        if phdr.type == PT_LOAD and phdr.filesz:
            assert phdr.offset + phdr.filesz <= layout.size
