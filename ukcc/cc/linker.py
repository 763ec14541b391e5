"""Runs the links of one command line: what they read, what they say, what they leave behind.

The first link's output, and the objects that it compiled, can be kept while others follow.
"""

import os

from ukcc.cc import log
from ukcc.cc.objects import Kept, with_objects
from ukcc.light import child

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ukcc.cc.plan import Plan


class Linker:
    """Runs the links of one command line, which read the same standard input."""

    def __init__(self, steps: "Plan", environ: "Mapping[str, str]") -> None:
        self.environ = environ
        self.replaced = False  # whether another link than the first has written the output
        self.said = b""  # what the last silent link said
        self._opened: tuple[str, ...] | None = None  # by the last link
        self._kept = self._mode = -1
        self._listing = steps.listing
        self._output = steps.output
        self._stdin = _spool() if steps.reads_stdin and steps.static else -1
        self._keeping = Kept(environ) if steps.inputs and steps.static else None
        self._objects: list[str] = []  # of the first link's sources
        self._inputs = child.scratch()
        os.set_inheritable(self._inputs, True)

    def close(self) -> None:
        """Gives up what only we have."""
        if self._keeping:
            self._keeping.close()
        for fd in (self._inputs, self._stdin, self._kept):
            if fd >= 0:
                os.close(fd)
        self._inputs = self._stdin = self._kept = -1

    def link(self, command: "tuple[str, ...]", event: str, *, silent: bool = False) -> int:
        """One link; its exit status. silent: nobody hears what it says."""
        log.record(self.environ, event, command)
        if self._kept >= 0:
            self.replaced = True
            _empty(self._output)
        os.ftruncate(self._inputs, 0)
        self._opened = None
        streams = {}
        if self._stdin >= 0:
            os.lseek(self._stdin, 0, os.SEEK_SET)
            streams[0] = self._stdin
        environ = self.environ
        if self._keeping and event == "link":
            environ = self._keeping.environ
        if not silent:
            return child.execute(self._with_listing(command), environ, streams)
        said = child.scratch()
        try:
            streams |= {1: said, 2: said}
            status = child.execute(self._with_listing(command), environ, streams)
            self.said = child.contents(said)
            if status:
                words = self.said.decode("utf-8", "replace").splitlines()
                log.record(self.environ, "it said", words)
            return status
        finally:
            os.close(said)

    def take_objects(self, inputs: "Sequence[str]") -> None:
        """Takes over the objects of the first link; later ones of them need not compile."""
        if self._keeping:
            self._objects = self._keeping.objects_of(inputs)

    def with_objects(
        self, command: "tuple[str, ...]", places: "Sequence[int]"
    ) -> "tuple[str, ...]":
        """The command for a link of what the first one has compiled; as it is, if need be."""
        return with_objects(command, places, self._objects)

    def keep(self) -> None:
        """Keeps the output, which the next links may replace."""
        self._kept = child.scratch()
        with open(self._output, "rb") as file:  # noqa: PTH123
            size = os.fstat(file.fileno()).st_size
            self._mode = os.fstat(file.fileno()).st_mode & 0o7777
            done = 0
            while done < size:
                done += os.sendfile(self._kept, file.fileno(), done, size - done)

    def put_back(self) -> None:
        """The kept output in its place again, through a link if there is one."""
        file = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            size, done = os.fstat(self._kept).st_size, 0
            while done < size:
                done += os.sendfile(file, self._kept, done, size - done)
            if os.fstat(file).st_mode & 0o7777 != self._mode:
                os.fchmod(file, self._mode)
        finally:
            os.close(file)

    def opened(self) -> "tuple[str, ...]":
        """The files that the last link opened, but for objects; none if the linker cannot say."""
        if self._opened is None:
            from ukcc.image.provenance import opened_files

            self._opened = tuple(opened_files(self._listed()))
        return self._opened

    def _listed(self) -> bytes:
        """What the last link opened, in the syntax of make."""
        if not self._listing:
            return child.contents(self._inputs)
        try:
            with open(self._listing, "rb") as file:  # noqa: PTH123
                return file.read()
        except OSError:
            return b""

    def _with_listing(self, command: "tuple[str, ...]") -> "tuple[str, ...]":
        """The command, told to list what it opens. Without a /proc nothing is listed."""
        if self._listing or not os.access(f"/dev/fd/{self._inputs}", os.W_OK):
            return command
        return (command[0], f"-Wl,--dependency-file=/dev/fd/{self._inputs}", *command[1:])


def _empty(path: str) -> None:
    """The linker writes through a symbolic link whose target is empty, as it did at first."""
    try:
        os.truncate(path, 0)
    except OSError:
        pass  # a failed link has removed it


def _spool() -> int:
    """Standard input, to be read twice."""
    spooled = child.scratch()
    try:
        while data := os.read(0, 1 << 16):
            os.write(spooled, data)
    except OSError:
        pass  # closed: the compiler reads nothing either
    os.lseek(spooled, 0, os.SEEK_SET)
    return spooled
