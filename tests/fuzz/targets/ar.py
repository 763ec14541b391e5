"""Indexes of static libraries: of the link, and of `ukcc inspect`."""

from pathlib import Path

from fuzz.checking import as_file

from ukcc.image.ar import index_names
from ukcc.image.archives import StaticLibrary, origin


def check(data: bytes) -> None:
    """Both readers find the same names. The second one says ValueError of what is damaged."""
    names = index_names(data)
    with as_file(data) as path:
        try:
            archive = StaticLibrary(Path(path))
        except ValueError:
            return
        for name in list(names or ())[:16]:
            text = name.decode("utf-8", "replace")
            assert archive.defines(text) or name == b"", name
            str(archive.origin_of(text, 4))
        origin([archive], "main", 4)
