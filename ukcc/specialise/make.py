"""A choice of features and a list of calls -> a kernel in the store, made once.

kernels/source-<digest>/   the patched source, of which all classes are built
kernels/classes/<class>/   a class: its objects, its configuration
kernels/made/<id>/         a linked kernel: vmlinux, kernel.bin, kernel.json, config, made.json
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ukcc import paths
from ukcc.disk_errors import disk_errors
from ukcc.errors import SysrootMissing, UkccError
from ukcc.progress import Progress
from ukcc.specialise import kernel, present
from ukcc.specialise.calls import TABLE, entries
from ukcc.specialise.features import SIZE, TRACE, Choice, calls_of
from ukcc.sysroot import build, inputs, kernels, linux, tools
from ukcc.sysroot.inputs import Inputs, digest
from ukcc.sysroot.kernels import KernelRelease
from ukcc.sysroot.store import Store, discard
from ukcc.whole_file import write_whole

RECORD = "made.json"

_RECORDED = frozenset(
    ("class", "source", "options", "goal", "features", "calls", "strict", "bytes")
)

# What a kernel for size without any feature needs, measured with all the ports of `ukcc run`.
_SMALL_ALLOWANCE = 4 << 20

# Of every class: one program on one CPU of a microvm, and the ports of `ukcc run`.
_EVERY = ("hello", "virtio-console", "dead-code", "small")


@dataclass(frozen=True)
class KernelRequest:
    """What a kernel is to be: features, the goal, and the calls it keeps (None: all).

    own_calls: those that something else than init makes, which must be there, as far as the
    general kernel has them.
    """

    choice: Choice
    calls: "tuple[str, ...] | None"
    own_calls: tuple[str, ...]
    strict: bool = False

    @property
    def offers(self) -> tuple[str, ...]:
        """The features by which `ukcc run` knows what the kernel can do."""
        more = (TRACE,) if self.calls is None else ()
        return tuple(sorted({*self.choice.features, *more}))


@dataclass(frozen=True)
class Made:
    """A kernel of the store. fresh: it was linked now; size: of kernel.bin, in bytes."""

    id: str
    directory: Path
    class_name: str
    size: int
    fresh: bool


def made_directory(store: Store, made: str = "") -> Path:
    """Where linked kernels are; with an id, where that one is or would be."""
    return store.root / "kernels" / "made" / made


def class_directory(store: Store, name: str = "") -> Path:
    """Where classes of kernels are; with a name, where that one is or would be."""
    return store.root / "kernels" / "classes" / name


def record_of(directory: Path) -> "dict[str, Any] | None":
    """What is said of a linked kernel; None of one that is not whole: being removed, or of a disk
    that lost what was written last.
    """
    try:
        record = json.loads((directory / RECORD).read_text())
        json.loads((directory / "kernel.json").read_text())
        sizes = [(directory / name).stat().st_size for name in ("kernel.bin", "vmlinux", "config")]
    except (OSError, ValueError):
        return None
    is_whole = isinstance(record, dict) and record.keys() >= _RECORDED
    return record if is_whole and record["bytes"] == sizes[0] and all(sizes) else None


def source_directory(store: Store, digest: str) -> Path:
    """Where the patched source of a sysroot's kernel is or would be, by that part's digest."""
    return store.root / "kernels" / f"source-{digest}"


def class_fragments(choice: Choice, store: Store) -> list[Path]:
    """The configuration of a class, in the order in which it is merged."""
    directory = Path(paths.data_dir("sysroot")) / "linux" / "classes"
    names = [*_EVERY[:1], choice.goal, *_EVERY[1:], *choice.features]
    fragments = [directory / f"{name}.config" for name in names]
    return [*fragments, *_own_options(choice, store)]


def _own_options(choice: Choice, store: Store) -> list[Path]:
    """The user's own lines, as a file of the store that is named by what is in it."""
    if not choice.options:
        return []
    text = "".join(f"{line}\n" for line in choice.options)
    path = store.root / "kernels" / "options" / f"{digest(text)}.config"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    return [path]


def make(
    request: KernelRequest, general: Path, store: Store, progress: Progress, jobs: int = 0
) -> Made:
    """The kernel of a request. general: the general kernel's vmlinux, which a call is expected of.

    Raises UkccError.
    """
    with disk_errors(store.root):
        return _make(request, general, store, progress, jobs)


def _make(
    request: KernelRequest, general: Path, store: Store, progress: Progress, jobs: int
) -> Made:
    given = inputs.gather(store, _kernel_with_classes())
    fragments = class_fragments(request.choice, store)
    name = kernel.class_name(fragments, given.part_digest("kernel"))
    calls = None if request.calls is None else sorted(set(request.calls))
    made = digest([name, calls, request.strict, given.linux.version, _allowance(request.choice)])
    out = made_directory(store, made)
    fresh = record_of(out) is None
    if fresh:
        tools.check()
        linux.check_place(store.root)
        jobs = jobs or build.cpus()
        tree = class_directory(store, name)
        source = patched_source(given, store, progress)
        kernel.build_class(source, fragments, tree, progress, jobs)
        with store.locked(f"kernel-{made}", progress.step("waiting for another link of the same")):
            if record_of(out) is None:
                discard(out)
                _link(request, tree, source, general, out, given, progress, jobs)
    return Made(made, out, name, (out / "kernel.bin").stat().st_size, fresh)


def _kernel_with_classes() -> KernelRelease:
    """That of the sysroot in use. Raises UkccError if it is made for all programs only."""
    kernel = kernels.in_use()
    if not kernel.classes:
        raise UkccError(
            f"the sysroot has Linux {kernel.name}, of which no kernel for one program can be made",
            f"use one with another kernel: ukcc sysroot build --linux {kernels.LONG_TERM.name}",
        )
    return kernel


def _link(
    request: KernelRequest,
    tree: Path,
    source: Path,
    general: Path,
    out: Path,
    given: Inputs,
    progress: Progress,
    jobs: int,
) -> None:
    def finish(made: Path) -> None:
        _check_calls(request, source, made / "vmlinux", general)
        facts = json.loads((made / "kernel.json").read_text())
        facts |= {"offers": list(request.offers), "made": out.name}
        allowance = _allowance(request.choice)
        if allowance is not None:
            facts["allowance"] = allowance
        _write(made / "kernel.json", facts)
        record = {
            "class": tree.name,
            "source": given.part_digest("kernel"),
            "options": list(request.choice.options),
            "goal": request.choice.goal,
            "features": list(request.choice.features),
            "calls": None if request.calls is None else sorted(set(request.calls)),
            "strict": request.strict,
            "bytes": (made / "kernel.bin").stat().st_size,
        }
        _write(made / RECORD, record)

    kernel.relink(
        tree,
        request.calls,
        out,
        progress,
        source_version=given.linux.version,
        strict=request.strict,
        jobs=jobs,
        finish=finish,
    )


def _allowance(choice: Choice) -> "int | None":
    """The bytes of memory that a machine with such a kernel takes beside kernel, archive and files
    (docs/image.md, "Memory"); None for the general kernel's."""
    return _SMALL_ALLOWANCE if choice.goal == SIZE and not choice.features else None


def _check_calls(request: KernelRequest, source: Path, vmlinux: Path, general: Path) -> None:
    """Raises UkccError if the program would miss a call that the general kernel has.

    This is what holds features.toml against the kernel: a row that lacks a call is found here.
    """
    if not general.is_file():
        raise SysrootMissing(f"{general} is not there", "build it with: ukcc sysroot build")
    table = entries((source / TABLE).read_text())
    wanted = set(request.own_calls) - calls_of(request.choice.forbidden)
    missing = present.lacking(wanted, table, present.functions(vmlinux))
    never = present.lacking(missing, table, present.functions(general)) if missing else ()
    lost = sorted(set(missing) - set(never))
    if lost:
        raise UkccError(
            f"the kernel would lack system calls that the program makes: {', '.join(lost)}",
            "no row of ukcc/specialise/features.toml provides them, which is a bug in ukcc",
        )


def patched_source(given: Inputs, store: Store, progress: Progress) -> Path:
    """The patched source of the kernel, unpacked once."""
    place = source_directory(store, given.part_digest("kernel"))
    waiting = progress.step("waiting for the kernel's source")
    with store.locked(place.name, waiting):
        if not (place / "linux").is_dir():
            unfinished = place.with_suffix(".unfinished")
            discard(unfinished)
            unfinished.mkdir(parents=True)
            with progress.step("the kernel's source"):
                linux.prepare(given.linux, given.kernel_patches, unfinished, unfinished / "log")
            store.publish(unfinished, place)
    return place / "linux"


def _write(path: Path, record: object) -> None:
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
