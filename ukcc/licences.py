"""Licences as debian/copyright names them, and their names in SPDX.

https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/ has Debian's names.
"""

import contextlib
import logging
import warnings
from pathlib import Path
from typing import Any

from debian.copyright import Copyright, NotMachineReadableError

# Debian's own names of licences that SPDX calls otherwise.
_SPDX = {
    "AGPL-3": "AGPL-3.0-only",
    "AGPL-3+": "AGPL-3.0-or-later",
    "Apache-2": "Apache-2.0",
    "BSD-2-clause": "BSD-2-Clause",
    "BSD-3-clause": "BSD-3-Clause",
    "BSD-4-clause": "BSD-4-Clause",
    "Expat": "MIT",
    "GFDL-1.2+": "GFDL-1.2-or-later",
    "GFDL-1.3": "GFDL-1.3-only",
    "GFDL-1.3+": "GFDL-1.3-or-later",
    "GPL-1+": "GPL-1.0-or-later",
    "GPL-2": "GPL-2.0-only",
    "GPL-2+": "GPL-2.0-or-later",
    "GPL-2.0": "GPL-2.0-only",
    "GPL-2.0+": "GPL-2.0-or-later",
    "GPL-3": "GPL-3.0-only",
    "GPL-3+": "GPL-3.0-or-later",
    "GPL-3.0": "GPL-3.0-only",
    "GPL-3.0+": "GPL-3.0-or-later",
    "LGPL-2": "LGPL-2.0-only",
    "LGPL-2+": "LGPL-2.0-or-later",
    "LGPL-2.1": "LGPL-2.1-only",
    "LGPL-2.1+": "LGPL-2.1-or-later",
    "LGPL-3": "LGPL-3.0-only",
    "LGPL-3+": "LGPL-3.0-or-later",
    "MPL-1.1": "MPL-1.1",
    "MPL-2.0": "MPL-2.0",
    "public-domain": "LicenseRef-public-domain",
    "zlib": "Zlib",
}

_LARGEST = 8 << 20  # bytes; Chromium's has 1.3 MB
_LONGEST = 200  # characters of a name


def spdx_name(name: str) -> str:
    """SPDX's name for a licence of Debian's; as it is where no other is known."""
    return _SPDX.get(name, name)


def main_licence(copyright_file: Path) -> str:
    """That of the files as a whole, by SPDX's name; `NOASSERTION` where the file does not tell."""
    for part in _files_paragraphs(copyright_file):
        if "*" in part.files and part.license:
            return spdx_name(str(part.license.synopsis))
    return "NOASSERTION"


def all_licences(copyright_file: Path) -> tuple[str, ...]:
    """Those of all files, each once, sorted; none of a file that no machine can read."""
    found = {
        spdx_name(name[:_LONGEST])
        for part in _files_paragraphs(copyright_file)
        if part.license
        for name in [" ".join(str(part.license.synopsis).split())]
        if name
    }
    return tuple(sorted(found))


def _files_paragraphs(copyright_file: Path) -> list[Any]:
    with contextlib.suppress(OSError, ValueError, NotMachineReadableError):
        if copyright_file.stat().st_size > _LARGEST:
            return []
        with copyright_file.open(encoding="utf-8", errors="replace") as text:
            return _parsed(text)
    return []


def _parsed(text: Any) -> list[Any]:
    # what the file could have done better is of no use to whoever asks
    logging.getLogger("debian.copyright").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(Copyright(text, strict=False).all_files_paragraphs())
