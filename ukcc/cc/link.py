"""A link of a program: the real link, then the kernel is packed around what came out.

The real link writes the output's own name, so that everything derived from it (diagnostics, map
and dependency files, -save-temps, split debug information) is as GCC makes it. The image is
packed beside it and takes its place by rename.

Whether a program can be static is found out by trying, in silence: as the command line has it, and
with what pkg-config says its archives need in turn. If the dynamic link has to follow, that one has
the word: what the user reads is what one link said.
"""

import os

from ukcc.cc import child, log, pkgconfig, plan
from ukcc.cc.child import Interrupted
from ukcc.cc.frozen import Frozen
from ukcc.cc.plan import Plan
from ukcc.errors import UkccError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping

    from ukcc.settings.link import Carried
else:
    import _signal as signal  # what is behind `signal`, which would import `enum`

# What GCC and its linker say when it was the link that failed, and not a compilation before it.
_LINK_FAILED = (b"ld returned ", b"cannot specify -static ", b"cannot specify '-static' ")

# A static link takes a member of libc.a for one of its symbols, and gets its others with it.
_DEFINES_LIBC = "it may define what libc.a does"

# Has the linker say who refers to these. In libc.a they always are, by its own use.
_TRACE = ("-Wl,-y,dlopen,-y,dlmopen",)


def run(steps: Plan, environ: "Mapping[str, str]") -> int:
    """Links and packs; returns the exit status."""
    before = _identity(steps.output)
    child.hear_signals()
    inputs = child.scratch()
    os.set_inheritable(inputs, True)
    try:
        status = _link(steps, environ, inputs)
        # Not every link makes something: -Wl,--version, or an output that is /dev/null.
        if status == 0 and steps.kind == plan.PROGRAM and _is_new_program(steps.output, before):
            _pack(steps, environ, child.contents(inputs))
    except Interrupted as interruption:
        _remove_if_new(steps.output, before)
        return _die_of(interruption.number)
    finally:
        os.close(inputs)
    return status


def _link(steps: Plan, environ: "Mapping[str, str]", inputs: int) -> int:
    """The link, static or dynamic; the linker lists its inputs in the file `inputs`."""
    if not steps.fallback:
        log.record(environ, "link", steps.command)
        return _execute(steps.command, environ, inputs, -1)
    stdin = _spool() if steps.reads_stdin else -1
    try:
        trial = _try(steps, steps.command, environ, inputs, stdin)
        if trial.status and steps.libraries and trial.lacks_symbols():
            closure = pkgconfig.static_closure(steps.libraries, environ)
            if closure:
                better = _try(steps, (*steps.command, *closure), environ, inputs, stdin)
                trial = trial if better.status else better
        again, reason = _answer(steps, trial)
        if not again:
            trial.tell()
            return trial.status
        log.record(environ, f"link again, {reason}", again)
        return _execute(again, environ, inputs, stdin)
    finally:
        if stdin >= 0:
            os.close(stdin)


class _Trial(Frozen):
    """A link whose output was caught: exit status, and the lines of both streams."""

    __slots__ = ("err", "out", "status")
    status: int
    out: "list[bytes]"
    err: "list[bytes]"

    def lacks_symbols(self) -> bool:
        """Whether the linker missed what another archive may have."""
        return any(b"undefined reference" in line for line in self.err)

    def tell(self) -> None:
        """Passes on what the link said, but for what only we asked."""
        for stream, lines in ((1, self.out), (2, self.err)):
            _write(stream, b"".join(line for line in lines if not _is_trace(line)))


def _try(
    steps: Plan,
    command: "tuple[str, ...]",
    environ: "Mapping[str, str]",
    inputs: int,
    stdin: int,
) -> _Trial:
    log.record(environ, "link", command)
    out, err = child.scratch(), child.scratch()
    try:
        traced = _traced(_coloured(command), steps)
        status = _execute(traced, environ, inputs, stdin, {1: out, 2: err})
        said = [child.contents(fd).splitlines(keepends=True) for fd in (out, err)]
        return _Trial(status=status, out=said[0], err=said[1])
    finally:
        os.close(out)
        os.close(err)


def _execute(
    command: "tuple[str, ...]",
    environ: "Mapping[str, str]",
    inputs: int,
    stdin: int,
    streams: "Mapping[int, int] | None" = None,
) -> int:
    """One link; `inputs` gets the files that the linker opens, `stdin` is read from its start."""
    os.ftruncate(inputs, 0)
    streams = dict(streams or {})
    if stdin >= 0:
        os.lseek(stdin, 0, os.SEEK_SET)
        streams[0] = stdin
    return child.execute(_listing(command, inputs), environ, streams)


def _listing(command: "tuple[str, ...]", inputs: int) -> "tuple[str, ...]":
    """The command, told to write what it opens, in the syntax of make, to a descriptor.

    Without a /proc nothing is listed; a --dependency-file of the user wins over ours.
    """
    if not os.access(f"/dev/fd/{inputs}", os.W_OK):
        return command
    return (command[0], f"-Wl,--dependency-file=/dev/fd/{inputs}", *command[1:])


def _coloured(command: "tuple[str, ...]") -> "tuple[str, ...]":
    """The command in colours, if it would have had them had we not caught what it says."""
    if os.environ.get("TERM", "dumb") == "dumb" or not os.isatty(2):
        return command
    return (command[0], "-fdiagnostics-color=always", *command[1:])


def _traced(command: "tuple[str, ...]", steps: Plan) -> "tuple[str, ...]":
    """The command, told to say who refers to `dlopen`, which --fatal-warnings would mind."""
    mild = ("-Wl,--no-fatal-warnings",) if steps.fatal_warnings else ()
    return (command[0], *_TRACE, *command[1:], *mild)


def _answer(steps: Plan, trial: _Trial) -> "tuple[tuple[str, ...], str]":
    """The link that has to follow the static one, and why; () if that one is the answer."""
    said = [*trial.out, *trial.err]
    if trial.status:
        failed = any(words in line for line in said for words in _LINK_FAILED)
        reason = steps.doubt or (_DEFINES_LIBC if _defines_twice(said) else "")
        return (steps.fallback, f"dynamic: {reason}") if failed and reason else ((), "")
    if any(_is_trace(line) and _loads_plugins(line, steps.exports) for line in said):
        return steps.fallback, "dynamic: it loads plugins"
    if steps.fatal_warnings and any(b"warning: " in line for line in said):
        return steps.command, "as --fatal-warnings wants it"
    return (), ""


def _defines_twice(said: "list[bytes]") -> bool:
    """Whether the linker met a symbol twice: the program's own and libc.a's, or a mistake."""
    return any(b"multiple definition of " in line for line in said)


def _is_trace(line: bytes) -> bool:
    """Whether the linker says by it who refers to `dlopen`, or defines it."""
    return line.rstrip().endswith((b" dlopen", b" dlmopen"))


def _loads_plugins(trace: bytes, exports: bool) -> bool:
    """Whether this reference to `dlopen` is the program's own, for plugins of its own.

    libc.a refers to it itself. A library of the system (libcrypto's engines, libgomp's devices)
    may, and is not asked to, unless the program shows its symbols.
    """
    if b"/libc.a" in trace:
        return False
    archive = next((word for word in trace.split() if b".a(" in word), b"")
    return exports or not archive.startswith((b"/usr/", b"/lib"))


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


def _write(stream: int, text: bytes) -> None:
    data = memoryview(text)
    while data:
        data = data[os.write(stream, data) :]


def _pack(steps: Plan, environ: "Mapping[str, str]", inputs: bytes) -> None:
    """Puts the image in the program's place. On failure nothing is left there."""
    from ukcc.image import provenance
    from ukcc.image.pack import pack_program

    # The linker writes through a link whose target is empty or not there yet.
    output = os.path.realpath(steps.output)
    log.record(environ, "pack", (output,))
    used = provenance.used_libraries(inputs)
    log.record(environ, "inputs", used)
    name = os.path.basename(steps.output)  # noqa: PTH119
    try:
        carried = _carried(environ, name, steps.thin)
        pack_program(
            output,
            output,
            sysroot=steps.sysroot,
            link_command=steps.words,
            name=name,
            files=carried.entries if carried else (),
            libraries=used,
            directories=provenance.own_directories(used, steps.sysroot) or steps.directories,
            thin=steps.thin,
            settings=carried.document if carried else None,
        )
    except BaseException as error:
        _remove(output)
        if isinstance(error, OSError):
            raise UkccError(f"cannot write '{steps.output}': {error.strerror}") from error
        raise


def _carried(environ: "Mapping[str, str]", name: str, thin: bool) -> "Carried | None":
    """What `UKCC_CONFIG` has the image carry."""
    path = environ.get("UKCC_CONFIG", "")
    if not path:
        return None
    from ukcc.settings.link import find_config, read_carried

    return read_carried(find_config(path), name, thin)


def _identity(path: str) -> "tuple[int, int, int] | None":
    """What tells a file from the one that the link puts in its place; None: no regular file."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    if status.st_mode & 0o170000 != 0o100000:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _is_new_program(path: str, before: "tuple[int, int, int] | None") -> bool:
    identity = _identity(path)
    return identity is not None and identity != before


def _remove_if_new(path: str, before: "tuple[int, int, int] | None") -> None:
    if _is_new_program(path, before):
        _remove(path)


def _remove(path: str) -> None:
    try:
        os.unlink(path)  # noqa: PTH108
    except OSError:
        pass  # it is not there


def _die_of(number: int) -> int:
    """Ends as the signal ends a program, so that `make` and the shell see it."""
    try:
        signal.signal(number, signal.SIG_DFL)
    except OSError:
        pass  # SIGKILL cannot be set, and needs not be
    os.kill(os.getpid(), number)
    return 128 + number
