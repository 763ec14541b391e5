"""What archives need in turn, as pkg-config knows it.

A shared library names what it needs in itself; an archive does not, and a build that links shared
ones does not say it. So `-lbrotlidec` alone fails in a static link, for want of brotlicommon.
"""

from ukcc.cc import child, toolchain
from ukcc.errors import UkccError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def static_closure(names: "Iterable[str]", environ: "Mapping[str, str]") -> "tuple[str, ...]":
    """The words `pkg-config --static --libs` has for the libraries `names` (as behind `-l`).

    Those that it does not know by their own name, or by it behind `lib`, are left out.
    """
    try:
        tool = toolchain.find_tool("pkg-config", environ)
    except UkccError:
        return ()
    words: list[str] = []
    for name in names:
        for package in (f"lib{name}", name):
            status, said, _ = child.capture([tool, "--static", "--libs", package], environ)
            if status == 0:
                words += said.decode(errors="surrogateescape").split()
                break
    return tuple(words)
