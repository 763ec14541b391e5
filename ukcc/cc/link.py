"""A link of a program: the real link, then the kernel is packed around what came out.

The real link writes the output's own name, so that everything derived from it (diagnostics, map
and dependency files, -save-temps, split debug information) is as GCC makes it. The image is
packed beside it and takes its place by rename.

What gcc would do comes first: its link, its words, its status. Where the program that it made needs
nothing of a loader, a static link follows in silence and takes its place; where that turns out
otherwise, what the first one made is put back.
"""

import os

from ukcc.cc import loader_needs, log, own_kernel, plan
from ukcc.cc.linker import Linker
from ukcc.cc.plan import Plan
from ukcc.errors import NotAnImage, UkccError
from ukcc.image.ar import read_index
from ukcc.image.dynamic import defined_names, read_dynamic
from ukcc.light import child
from ukcc.light import tool as process
from ukcc.light.child import Interrupted
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable, Mapping, Sequence

    from ukcc.image.dynamic import Dynamic
    from ukcc.settings.link import Carried
else:
    import _signal as signal  # what is behind `signal`, which would import `enum`


# The last of -s and -S counts (ld's lexsup.c); debug information is not looked at.
_WITH_SYMBOLS = ("-Wl,-S",)

# A symbol table does not have a weak reference that a static link leaves 0.
_TRACE = f"-Wl,--trace-symbol={loader_needs.DYNAMIC_SECTION.decode()}"


class Difference(Exception):
    """Why a static program may do something else than the dynamic one."""


class Linked(Record):
    """A link that was done: its status, what it said of the program, for the metadata, and the
    files that it opened. loads_locale: False of a program that cannot."""

    status: int
    linkage: str
    opened: "tuple[str, ...]"
    loads_locale: bool


def run(steps: Plan, environ: "Mapping[str, str]") -> int:
    """Links and packs; returns the exit status."""
    before = _identity(steps.output)
    child.hear_signals()
    linker = Linker(steps, environ)
    try:
        linked = _link(linker, steps, before)
        # Not every link makes something: -Wl,--version, or an output that is /dev/null.
        made = linked.status == 0 and _is_new_program(steps.output, before)
        if made and steps.kind == plan.PROGRAM:
            _pack(steps, environ, linked)
    except Interrupted as interruption:
        _remove_if_new(steps.output, before)
        linker.close()
        return _die_of(interruption.number)
    finally:
        linker.close()
    return linked.status


def try_link(steps: Plan, environ: "Mapping[str, str]") -> Linked:
    """The link without the packing, in silence: how the program would be linked, and why."""
    linker = Linker(steps, environ)
    try:
        return _link(linker, steps, None, silent=True)
    finally:
        linker.close()


def _link(
    linker: Linker,
    steps: Plan,
    before: "tuple[int, int, int] | None",
    *,
    silent: bool = False,
) -> Linked:
    """The link as gcc does it, and the static one where that makes no difference."""
    environ = linker.environ
    status = linker.link(steps.command, "link", silent=silent)
    linker.take_objects([steps.command[place] for place, _ in steps.inputs])
    opened = () if status else linker.opened()
    if status or not steps.static or not _is_new_program(steps.output, before):
        return _linked(status, steps.reason, opened)
    program = _dynamic_part(steps.output)
    if program is None:
        return _linked(status, "as gcc makes it", opened)
    try:
        _try_static(linker, steps, program, opened)
    except Difference as difference:
        reason = str(difference)
    else:
        linkage = "static: it needs nothing of a loader"
        may_load = loader_needs.may_load_locale(program)
        return _linked(0, linkage, linker.opened(), loads_locale=may_load)
    log.record(environ, "dynamic", (reason,))
    if linker.replaced:
        if steps.has_map:
            linker.link(steps.command, "again", silent=True)
        linker.put_back()
    return _linked(status, f"dynamic: {reason}", opened)


def _linked(
    status: int, linkage: str, opened: "tuple[str, ...]", *, loads_locale: bool = True
) -> Linked:
    return Linked(status=status, linkage=linkage, opened=opened, loads_locale=loads_locale)


def _dynamic_part(path: str) -> "Dynamic | None":
    """What the program says to the loader; None where there is nothing, or it is not ELF."""
    try:
        return read_dynamic(path)
    except NotAnImage:
        return None  # --oformat, for one


def _try_static(linker: Linker, steps: Plan, program: "Dynamic", opened: "Sequence[str]") -> None:
    """Puts the static program in the dynamic one's place. Raises Difference.

    Of a program that is linked without its symbol table there is a link with one first, to look at.
    """
    _raise_if(loader_needs.library_reason(program, _foreign_sonames(opened, steps.sysroot)))
    _raise_if(loader_needs.loader_reason(program))
    linker.keep()
    names = defined_names(steps.output)
    look = () if names is not None else _WITH_SYMBOLS
    again = (*linker.with_objects(steps.command, [place for place, _ in steps.inputs]), *look)
    if names is None and linker.link(again, "to look at", silent=True) == 0:
        names = defined_names(steps.output)
    if names is None:
        raise Difference("it has no symbol table")
    _raise_if(loader_needs.name_reason(names, _inner_names(steps.sysroot)))
    archives = loader_needs.archives(opened)
    trace = () if "-static-pie" in steps.static else (_TRACE,)
    static = linker.with_objects(steps.static, [place for _, place in steps.inputs])
    if linker.link((*static, *look, *trace), "static", silent=True):
        raise Difference("it cannot be linked static")
    _raise_if(loader_needs.archive_reason(archives, loader_needs.archives(linker.opened())))
    static_names = defined_names(steps.output) or frozenset()
    _raise_if(loader_needs.weak_reason(program, static_names, linker.said if trace else b""))
    for path in sorted(archives):
        members = read_index(path)
        if members is None:
            raise Difference(f"{path} has no index to look at")
        _raise_if(loader_needs.member_reason(path, members, names, static_names))
    if look and linker.link(static, "static", silent=True):
        raise Difference("it cannot be linked static")


def _raise_if(reason: str) -> None:
    if reason:
        raise Difference(reason)


def _foreign_sonames(opened: "Iterable[str]", sysroot: str) -> "frozenset[str]":
    """What the shared libraries are called that the linker opened outside the sysroot."""
    from ukcc.image.shared_object import soname_of

    return frozenset(
        soname_of(path)
        for path in opened
        if not path.endswith(".a") and not path.startswith(f"{sysroot}/")
    )


def _inner_names(sysroot: str) -> "frozenset[bytes]":
    try:
        with open(f"{sysroot}/usr/lib/inner-names", "rb") as file:  # noqa: PTH123
            return frozenset(file.read().split())
    except OSError as error:
        raise UkccError(
            f"{sysroot} is not a sysroot of this ukcc: {error.strerror} 'usr/lib/inner-names'",
            "run `ukcc sysroot build`",
        ) from None


def _pack(steps: Plan, environ: "Mapping[str, str]", linked: Linked) -> None:
    """Puts the image in the program's place. On failure nothing is left there."""
    from ukcc.image import provenance
    from ukcc.image.pack import pack_program

    # The linker writes through a link whose target is empty or not there yet.
    output = os.path.realpath(steps.output)
    log.record(environ, "pack", (output,))
    used = provenance.used_libraries(linked.opened)
    log.record(environ, "inputs", used)
    name = os.path.basename(steps.output)  # noqa: PTH119
    try:
        carried = _carried(environ, name, steps.thin)
        missing = pack_program(
            output,
            output,
            sysroot=steps.sysroot,
            link_command=steps.words,
            name=name,
            files=carried.entries if carried else (),
            libraries=used,
            directories=(
                *(provenance.own_directories(used, steps.sysroot) or steps.directories),
                *steps.run_directories,
            ),
            thin=steps.thin,
            settings=carried.document if carried else None,
            linkage=linked.linkage,
            opened=linked.opened,
            loads_locale=linked.loads_locale,
        )
    except BaseException as error:
        _remove(output)
        if isinstance(error, OSError):
            raise UkccError(f"cannot write '{steps.output}': {error.strerror}") from error
        raise
    program = os.path.basename(steps.words[0])  # noqa: PTH119
    if not steps.thin and own_kernel.is_wanted(steps.kernel, carried.document if carried else None):
        own_kernel.take(output, environ, program)
    for warning in carried.warnings if carried else ():
        process.complain(warning.warning(program))
    for first in missing[:1]:  # one line; the loader says the rest
        process.complain(first.warning(program, "the image will not start: "))


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
