"""C.UTF-8, which a run sends along: glibc has it since 2.35, but not inside the C library."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ukcc.image import cpio
from ukcc.image.facts import ImageMetadata
from ukcc.vm.options import RunOptions

LOCALE = Path("/usr/lib/locale/C.utf8")
_LANG = (b"LANG", b"C.UTF-8")


def may_load(options: RunOptions, facts: ImageMetadata) -> bool:
    """Whether some program of the machine may load a locale.

    Those of the image, or one that comes with the run.
    """
    return bool(
        facts.loads_locale
        or options.shares
        or options.disks
        or options.guest.files
        or options.trace
    )


def with_language(options: RunOptions) -> RunOptions:
    """With the LANG that init sets where the locale is: a program finds the same environment."""
    if not LOCALE.is_dir() or any(name == _LANG[0] for name, _ in options.environment):
        return options
    return replace(options, environment=(_LANG, *options.environment))


def entries() -> Sequence[cpio.Entry]:
    """The locale's files, where the host has them; init sets LANG only then."""
    return [
        cpio.regular(str(path), path.read_bytes())
        for path in sorted(LOCALE.rglob("*"))
        if path.is_file()
    ]
