"""`ukcc pack` of anybody's program: where the parts of its image would be."""

from ukcc.image.headers import PT_LOAD, parse_headers
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
    """It can be written, and all that is loaded is in the file."""
    app = parse_headers(lambda at, count: data[at : at + count], len(data), "x")
    check_program(app, "x")
    _check_layout(plan_thin(app, 700))
    _check_layout(plan(app, _KERNEL, _SIZES))


def _check_layout(layout: Layout) -> None:
    layout.ehdr.pack()
    for header in (*layout.phdrs, *layout.shdrs):
        header.pack()
    for phdr in layout.phdrs:
        if phdr.type == PT_LOAD and phdr.filesz:
            assert phdr.offset + phdr.filesz <= layout.size
