"""The objects of a command that compiles and links, kept for a second link of the same.

gcc compiles into temporary files, links them and removes them. Before it starts collect2, which
links, it looks for that program where COMPILER_PATH says; there is ours
(toolchain-shims/link/collect2), which gives the objects a second name before it becomes gcc's own.
What gcc was told to compile, in which way, and what it says of it, stays untouched. Where nothing
was kept, for whatever reason, the second link compiles again.
"""

import os

from ukcc import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Where gcc puts temporary files: the first of these that it may write to (choose_tmpdir).
_VARIABLES = ("TMPDIR", "TMP", "TEMP")
_DEFAULT = "/tmp"

_WORDS = "words"  # collect2's, each ended by a NUL


class Kept:
    """A directory for the objects of one link, which the linker's environment names."""

    def __init__(self, environ: "Mapping[str, str]") -> None:
        self._directory = _make_directory(environ)
        before = environ.get("COMPILER_PATH", "")
        ours = f"{paths.data_dir('toolchain-shims')}/link"
        self.environ = dict(environ)
        if self._directory and ":" not in ours:
            self.environ["COMPILER_PATH"] = f"{ours}:{before}" if before else ours
            self.environ["UKCC_KEPT"] = self._directory

    def objects_of(self, inputs: "Sequence[str]") -> "list[str]":
        """For each input of the link its object, or "" for one that was linked as it is.

        Empty if the objects were not kept, or cannot be told from each other.
        """
        try:
            with open(f"{self._directory}/{_WORDS}", "rb") as file:  # noqa: PTH123
                words = os.fsdecode(file.read()).split("\0")
        except OSError:
            return []
        made = [word for word in words if _is_temporary(word)]
        kept = [f"{self._directory}/{word.rpartition('/')[2]}" for word in made]
        given = set(words)
        sources = [name for name in inputs if name not in given]
        if len(kept) != len(sources) or not all(map(os.path.isfile, kept)):
            return []
        objects = iter(kept)
        return [next(objects) if name not in given else "" for name in inputs]

    def close(self) -> None:
        """Removes what was kept."""
        if not self._directory:
            return
        try:
            for name in os.listdir(self._directory):  # noqa: PTH208
                os.unlink(f"{self._directory}/{name}")  # noqa: PTH108
            os.rmdir(self._directory)  # noqa: PTH106
        except OSError:
            pass  # somebody has cleaned up


def with_objects(
    command: "tuple[str, ...]", places: "Sequence[int]", objects: "Sequence[str]"
) -> "tuple[str, ...]":
    """The command with objects in place of its sources. places: of the inputs, -1 for none."""
    words = list(command)
    for place, path in zip(places, objects):  # noqa: B905
        if path and place >= 0:
            words[place] = path
    return tuple(words)


def _is_temporary(word: str) -> bool:
    """Whether it is an object of gcc's own making, which is not there any more."""
    name = word.rpartition("/")[2]
    made = len(name) == len("ccXXXXXX.o") and name.startswith("cc") and name.endswith(".o")
    return made and not os.path.lexists(word)


def _make_directory(environ: "Mapping[str, str]") -> str:
    """Where gcc makes its files, so that one can have two names; "" if that fails."""
    given = [environ.get(name, "") for name in _VARIABLES]
    for place in (*filter(None, given), _DEFAULT):
        path = f"{os.path.abspath(place)}/uk{os.urandom(6).hex()}"  # noqa: PTH100
        try:
            os.mkdir(path, 0o700)  # noqa: PTH102
        except OSError:
            continue
        return path
    return ""
