"""A shared library as the search for libraries opens it."""

from fuzz.checking import as_file

from ukcc.image.shared_object import open_shared


def check(data: bytes) -> None:
    """None for another machine's, or one that can be loaded."""
    with as_file(data) as path:
        found = open_shared(path)
    assert found is None or found.data[:4] == b"\x7fELF"
