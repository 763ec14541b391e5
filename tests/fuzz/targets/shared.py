"""A shared library as the search for libraries opens it, and an image as a machine gets it."""

import os

from fuzz.checking import as_file

from ukcc.errors import UkccError
from ukcc.image.headers import open_headers
from ukcc.image.program_file import checksum, machine_copy
from ukcc.image.shared_object import open_shared


def check(data: bytes) -> None:
    """None for another machine's, or one that can be loaded."""
    with as_file(data) as path:
        try:
            found = open_shared(path)
        except UkccError:
            found = None
        fd, headers = open_headers(path)
        try:
            assert len(checksum(fd, headers)) == 8
            assert len(machine_copy(fd, headers, sparse=False)) == len(data)
            assert len(machine_copy(fd, headers, sparse=True)) <= len(data)
        finally:
            os.close(fd)
    assert found is None or found.data[:4] == b"\x7fELF"
