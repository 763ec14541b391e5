"""The metadata of an image, read: JSON from a stranger's file becomes values of known kinds.

docs/image.md, "Metadata", says what each key is. Who reads an image may rely on every key that is
there; what is needed for a thin image's completion is asked for with `require`.
"""

from __future__ import annotations

import json
import os
import re

from ukcc.errors import NotAnImage, UkccError
from ukcc.image.kernel import are_features, is_made
from ukcc.image.notes import UKCC, UKCC_METADATA, find_note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

# A command line of 6 MB, Linux's most (execve), is written with escapes where it is not ASCII.
LARGEST = 8 << 20

_DEEPEST = 16  # lists and objects in each other; `inputs`, the deepest, has four
_SYSROOT = re.compile(r"[0-9a-f]{16}")
_MOST_MEMORY = 1 << 24  # MiB
_MOST_PATHS = 1024
_PATH_MAX, _NAME_MAX = 4096, 255
PROGRAMS = "/app/"


def parse_metadata(text: bytes, what: str) -> dict[str, Any]:
    """The metadata. Raises NotAnImage, which names the key, for what no packer of ours wrote."""
    if len(text) > LARGEST:
        raise NotAnImage(f"{what}: damaged metadata: {len(text):,} bytes")
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = "too deep" if isinstance(error, RecursionError) else error
        raise NotAnImage(f"{what}: damaged metadata ({reason})") from None
    if not isinstance(metadata, dict) or not _is_shallow(metadata) or not _are_texts(metadata):
        raise NotAnImage(f"{what}: damaged metadata")
    for key, (is_right, kind) in _KEYS.items():
        if key in metadata and not is_right(metadata[key]):
            raise NotAnImage(f"{what}: damaged metadata: '{key}' is not {kind}")
    return metadata


def find_metadata(notes: Iterable[bytes], what: str) -> dict[str, Any]:
    """That of the last of these notes that has some; empty for a file without."""
    for data in reversed(list(notes)):
        text = find_note(data, UKCC, UKCC_METADATA)
        if text is not None:
            return parse_metadata(text, what)
    return {}


def require(metadata: Mapping[str, Any], what: str, *keys: str) -> None:
    """Raises NotAnImage if one of the keys is not there."""
    for key in keys:
        if not metadata.get(key):
            raise NotAnImage(f"{what}: damaged metadata: it has no '{key}'")


def check_name(name: str) -> None:
    """Raises UkccError for what cannot be the program's file name in an image."""
    if not _is_name(name):
        raise UkccError(f"'{name}' cannot be a file's name in an image", "name it with --name")


def _is_name(name: str) -> bool:
    is_long = len(os.fsencode(name)) > _NAME_MAX
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name and not is_long


def _is_program(value: Any) -> bool:
    return (
        isinstance(value, str) and value.startswith(PROGRAMS) and _is_name(value[len(PROGRAMS) :])
    )


def _is_sysroot(value: Any) -> bool:
    return isinstance(value, str) and bool(_SYSROOT.fullmatch(value))


def _is_memory(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MOST_MEMORY


def _is_list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _is_table_of_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(word, str) for word in value.values())


def _is_kernel(value: Any) -> bool:
    """A table of words; of a specialised kernel, its features and a name for a directory, too."""
    return (
        _is_table_of_texts(value)
        and are_features(value.get("offers", "").split())
        and ("made" not in value or is_made(value["made"]))
    )


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_thin(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_list_of_paths(value.get(key, [])) for key in ("directories", "files")
    )


def _is_list_of_paths(value: Any) -> bool:
    return (
        _is_list_of_texts(value)
        and len(value) <= _MOST_PATHS
        and all(p.startswith("/") and len(p) < _PATH_MAX and "\0" not in p for p in value)
    )


_KEYS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "program": (_is_program, f"a file in {PROGRAMS}"),
    "sysroot": (_is_sysroot, "16 hexadecimal digits"),
    "loads_locale": (lambda value: isinstance(value, bool), "true or false"),
    "memory_min_mib": (_is_memory, "a number of MiB"),
    "link_command": (_is_list_of_texts, "a list of words"),
    "libraries": (_is_list_of_texts, "a list of paths"),
    "ukcc": (lambda value: isinstance(value, str), "a version"),
    "linkage": (lambda value: isinstance(value, str), "a text"),
    "program_crc32": (lambda value: isinstance(value, str), "a text"),
    "kernel": (_is_kernel, "a table of words that tells of a kernel"),
    "versions": (_is_table_of_texts, "a table of words"),
    "inputs": (_is_table, "a table"),
    "settings": (_is_table, "a table"),
    "thin": (_is_thin, "a table with lists of absolute paths"),
}


def _is_shallow(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False


def _are_texts(value: Any) -> bool:
    """Whether it can be written again: of a surrogate pair no half but for a host's byte, and no
    number that JSON has not."""
    try:
        os.fsencode(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except ValueError:  # UnicodeEncodeError is one
        return False
    return True
