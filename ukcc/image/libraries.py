"""The libraries of a link: named in the image's metadata, or found again by its command line."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from ukcc.errors import ToolFailed

# What the driver adds by itself to a static link, in its order (gcc -dumpspecs, `*lib` and
# `*libgcc`; g++ adds its own two).
_IMPLICIT = ("gcc", "gcc_eh", "c")
_IMPLICIT_CXX = ("stdc++", "m", *_IMPLICIT)


def of_link(command: Sequence[str], sysroot: "Path | None") -> list[str]:
    """Paths of the static libraries a link command names, in its order, then the implicit ones.

    Looked up as the linker does: -L, the sysroot, then where the command's compiler looks. What is
    no longer there is left out.
    """
    directories = [Path(d) for d in _values(command, "-L")]
    if sysroot:
        directories.append(sysroot / "usr" / "lib")
    if not command or Path(command[0]).name == "ukcc":  # made by `ukcc pack`: linked elsewhere
        return []
    implicit = _IMPLICIT_CXX if command[0].endswith("++") else _IMPLICIT
    found: list[str] = []
    for word in [*_ordered(command), *(f"-l{name}" for name in implicit)]:
        path = _locate(word, directories, command[0])
        if path and path not in found:
            found.append(path)
    return found


def _ordered(command: Sequence[str]) -> Iterable[str]:
    """Archives and `-l` words of a command line; `-l x` becomes `-lx`."""
    words = iter(command[1:])
    for word in words:
        if word == "-l":
            yield "-l" + next(words, "")
        elif word.startswith("-l") or (word.endswith(".a") and not word.startswith("-")):
            yield word
        elif word in ("-o", "-MF", "-MT", "-MQ", "-x"):
            next(words, "")


def _values(command: Sequence[str], option: str) -> Iterable[str]:
    words = iter(command)
    for word in words:
        if word == option:
            yield next(words, "")
        elif word.startswith(option):
            yield word[len(option) :]


def _locate(word: str, directories: Sequence[Path], compiler: str) -> "str | None":
    if not word.startswith("-l"):
        return str(Path(word).resolve()) if Path(word).is_file() else None
    file_name = word[3:] if word.startswith("-l:") else f"lib{word[2:]}.a"
    for directory in directories:
        if (directory / file_name).is_file():
            return str((directory / file_name).resolve())
    return _ask(compiler, file_name)


def _ask(compiler: str, file_name: str) -> "str | None":
    """Where the compiler would take the file from."""
    from ukcc import proc

    try:
        answer = proc.output([compiler, f"-print-file-name={file_name}"]).strip()
    except ToolFailed:
        return None
    return str(Path(answer).resolve()) if Path(answer).is_absolute() else None


def scripts_resolved(paths: Sequence[str]) -> list[str]:
    """The paths, a linker script (Debian's libm.a) replaced by the archives it names."""
    result = []
    for path in paths:
        with Path(path).open("rb") as file:
            start = file.read(4096)
        if start.startswith((b"!<arch>", b"!<thin>", b"\x7fELF")):
            result.append(path)
            continue
        words = start.decode("utf-8", "replace").replace("(", " ").replace(")", " ").split()
        result += [w for w in words if w.endswith(".a") and Path(w).is_file()]
    return result
