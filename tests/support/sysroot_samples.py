"""A sysroot as an export has it, with files of a few bytes."""

import json

from ukcc.image import cpio
from ukcc.image.cpio import Entry
from ukcc.sysroot.build import ESSENTIAL
from ukcc.sysroot.store import RECORD

ID = "0123456789abcdef"
VERSIONS = {"linux": "6.12.1-1", "glibc": "2.36-9"}


def entries(*more: Entry, sysroot_id: object = ID) -> list[Entry]:
    """All that a sysroot must have, and further members."""
    record = json.dumps({"id": sysroot_id, "versions": VERSIONS}).encode()
    files = [cpio.regular(name, name.encode(), 0o755) for name in ESSENTIAL]
    return cpio.with_parents([*files, cpio.regular(RECORD, record), *more])
