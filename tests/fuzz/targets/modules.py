"""Which files a crashed process had mapped, by the names that the guest's kernel told."""

import os
from functools import cache

from fuzz.table import CORPUS

from ukcc.failures.core import parse_core
from ukcc.failures.modules import GuestFiles, modules_of

_IMAGE = CORPUS / "image" / "whole"
_MOST_FILES = 4096


@cache
def _files() -> GuestFiles:
    """The guest's `/data` is a directory that a guest may have filled."""
    return GuestFiles(str(_IMAGE), [(str(CORPUS / "cpio"), "/data")])


def check(data: bytes) -> None:
    """Each is a file of the image, of the link, or below the share; or memory of ours."""
    core = parse_core(data)
    files = _files()
    lowest = os.dup(0)
    try:
        for module in modules_of(core, files):
            assert os.path.realpath(module.path).startswith(("/memfd:", str(CORPUS), "/proc/"))
    finally:
        # they are there as long as the process, which explains one core
        os.closerange(lowest, lowest + _MOST_FILES)
