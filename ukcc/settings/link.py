"""What a link with `UKCC_CONFIG`, or `ukcc pack --config`, puts into the image.

Part of a link: the standard library, and tomli on Python 3.10.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH113, PTH117, PTH118, PTH120
import os

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.image.files import check_places, file_entries
from ukcc.light.record import Record
from ukcc.settings.document import carried, left_out, read_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ukcc.image import cpio


class Carried(Record):
    """document: for the metadata (docs/image.md); entries: of [files], for the archive; warnings:
    for whoever makes the image."""

    document: dict[str, Any]
    entries: Sequence[cpio.Entry]
    warnings: tuple[UkccError, ...] = ()


def find_config(path: str) -> str:
    """The file that `UKCC_CONFIG` names: from here, else from the nearest directory above.

    `make` links in directories below the one where it was called. Raises UkccError.
    """
    if os.path.isabs(path):
        return path
    directory = paths.working_directory()
    while True:
        found = os.path.join(directory, path)
        if os.path.isfile(found):
            return os.path.relpath(found)
        if directory == os.path.dirname(directory):
            raise UkccError(f"UKCC_CONFIG: {path}: no such file, here or above")
        directory = os.path.dirname(directory)


def read_carried(path: str, name: str, thin: bool = False) -> Carried:
    """The settings in the file, checked, and the files that they name.

    name: the program's in the image. Raises UkccError for what `ukcc run` would refuse as well.
    """
    settings = read_settings(path)
    if settings.files and thin:
        raise UkccError(
            f"{path}: files: a thin image has no archive for them",
            "link it without UKCC_IMAGE=thin, or give them to `ukcc run`",
        )
    try:
        entries = file_entries(settings.files)
        check_places(entries, f"/app/{name}")
    except UkccError as error:
        raise UkccError(f"{path}: files: {error.message}", error.hint) from None
    return Carried(carried(settings), entries, tuple(_warnings(path, left_out(settings))))


def _warnings(path: str, keys: Sequence[str]) -> Iterator[UkccError]:
    if keys:
        yield UkccError(
            f"{path}: the image does not carry {', '.join(keys)}, which only its host may say",
            "`ukcc run` takes it from its options, or from a uk.toml beside the image",
        )
