"""Compilers and linkers by what they say of themselves."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# `gcc (Debian 12.2.0-14) 12.2.0`, `GCC: (Debian 12.2.0-14) 12.2.0`, `GNU ld (GNU Binutils) 2.40`,
# `Debian clang version 14.0.6`, `Linker: LLD 14.0.6`, `rustc version 1.63.0 (4b91a6ea7)`
_FORMS = (
    (re.compile(r"(?:GCC|gcc|g\+\+):? \([^()]*\) (?P<version>\d\S*)(?: .*)?"), "gcc"),
    (re.compile(r"GNU (?:ld|gold|assembler) \([^()]*\) (?P<version>\d\S*)(?: .*)?"), "binutils"),
    (re.compile(r"(?:\w+ )?clang version (?P<version>\d\S*)(?: .*)?"), "clang"),
    (re.compile(r"(?:Linker: )?(?:\w+ )?LLD (?P<version>\d\S*)(?: .*)?"), "lld"),
    (re.compile(r"mold (?P<version>\d\S*)(?: .*)?"), "mold"),
    (re.compile(r"rustc version (?P<version>\d\S*)(?: .*)?"), "rustc"),
)

SYSROOT, PROGRAM, IMAGE = "kernel, glibc and init", "program", "image"


@dataclass(frozen=True, order=True)
class NamedTool:
    """name and version as far as they are understood, else the whole text and nothing. texts: what
    it says of itself; made: what it had a hand in."""

    name: str
    version: str
    texts: tuple[str, ...]
    made: tuple[str, ...]


def named_tools(
    versions: Mapping[str, str], comments: Iterable[str], ukcc: str
) -> tuple[NamedTool, ...]:
    """versions: of the sysroot's record, by name; comments: of the program; ukcc: the version that
    linked the image (empty: not recorded). Each tool once."""
    said = [(text, SYSROOT) for name, text in versions.items() if name not in ("linux", "glibc")]
    said += [(text, PROGRAM) for text in comments]
    found: dict[tuple[str, str], tuple[set[str], set[str]]] = {}
    for text, made in said:
        texts, makes = found.setdefault(_understood(text), (set(), set()))
        texts.add(text)
        makes.add(made)
    if ukcc:
        found["ukcc", ukcc] = ({f"ukcc {ukcc}"}, {IMAGE})
    return tuple(
        sorted(
            NamedTool(name, version, tuple(sorted(texts)), tuple(sorted(makes)))
            for (name, version), (texts, makes) in found.items()
        )
    )


def _understood(text: str) -> tuple[str, str]:
    for form, name in _FORMS:
        match = form.fullmatch(text)
        if match:
            return name, match["version"]
    return text, ""
