"""The order of things: headers, kernel, glibc, musl, init; parts kept, the whole published."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ukcc import proc
from ukcc.disk_errors import disk_errors
from ukcc.errors import UkccError
from ukcc.progress import Progress, Step
from ukcc.sysroot import glibc, init, inputs, kernels, linux, parts, tools
from ukcc.sysroot.inputs import Inputs
from ukcc.sysroot.kernels import KernelRelease
from ukcc.sysroot.parts import PartRecipe
from ukcc.sysroot.store import RECORD, Store, Sysroot, discard, link_tree

# A cold build was seen to take 0.7 GB at one time. In bytes, with a wide margin.
_SPACE_NEEDED = 2_000_000_000

# A sysroot without one of these is not finished.
ESSENTIAL = (
    "kernel/vmlinux",
    "kernel/kernel.bin",
    "kernel/kernel.json",
    "kernel/config",
    "usr/include/stdio.h",
    "usr/include/linux/types.h",
    "usr/lib/crt1.o",
    "usr/lib/libc.a",
    "usr/lib/inner-names",
    "usr/lib/libuk_charsets.a",
    "boot/init",
    "shims/as",
    "shims/room.o",
)


def build(
    store: Store,
    progress: Progress,
    jobs: int | None = None,
    kernel: KernelRelease = kernels.LONG_TERM,
) -> Sysroot:
    """The sysroot for the present inputs, built if it is not there yet, and made current.

    jobs: processes at a time, by default one a CPU. Raises UkccError.
    """
    wanted = inputs.gather(store, kernel)
    with disk_errors(store.root):
        found = store.find(wanted.id)
        if found is None:
            with store.locked(wanted.id, progress.step("waiting for another build of the same")):
                # Somebody else may have built it while we waited for the lock.
                found = store.find(wanted.id) or _build(store, wanted, progress, jobs or cpus())
        store.make_current(found.id)
    return found


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def _build(store: Store, wanted: Inputs, progress: Progress, jobs: int) -> Sysroot:
    tools.check()
    linux.check_place(store.root)
    _check_space(store)
    work = store.work(wanted.id)
    discard(work)
    logs = store.logs(wanted.id)
    logs.mkdir(parents=True)
    finished, musl = _make_parts(store, wanted, progress, jobs, logs)

    made = work / "sysroot"
    with progress.step("init, and putting the sysroot together"):
        for part in finished:
            link_tree(part, made)
        (made / parts.RECORD).unlink()
        _split_kernel(made, wanted)
        _copy_shims(made, wanted)
        _write_inner_names(made)
        _assemble_room(made, wanted, logs / "room.log")
        _write_record(made, wanted)
        headers = made / "usr" / "include"
        init.compile_init(wanted.init, musl, headers, made / "boot" / "init", logs / "init.log")
        _check_whole(made)
        if inputs.gather(store, wanted.kernel).id != wanted.id:
            raise parts.changed_meanwhile("the sysroot")
        store.publish(made, store.sysroots / wanted.id)
    return Sysroot(wanted.id, store.sysroots / wanted.id, _record(wanted))


def _make_parts(
    store: Store, wanted: Inputs, progress: Progress, jobs: int, logs: Path
) -> tuple[list[Path], Path]:
    """(the finished parts, in the order in which they are laid over each other; musl, which no
    sysroot has in it)"""

    def make_headers(work: Path, out: Path, step: Step) -> None:
        linux.build_headers(wanted.linux, work, out, logs / "headers.log", jobs)

    def make_kernel(work: Path, out: Path, step: Step) -> None:
        log = logs / "kernel.log"
        source_tree = linux.prepare(wanted.linux, wanted.kernel_patches, work, log)
        linux.configure(source_tree, wanted.kernel_fragments, log)
        linux.compile_kernel(source_tree, out, log, jobs, step)

    def make_glibc(work: Path, out: Path, step: Step) -> None:
        include = store.part("headers", wanted.part_digest("headers")) / "usr" / "include"
        glibc.build(
            wanted.glibc,
            wanted.glibc_script,
            include,
            work=work,
            out=out,
            log=logs / "glibc.log",
            jobs=jobs,
            step=step,
        )

    def make_musl(work: Path, out: Path, step: Step) -> None:
        init.build_musl(
            wanted.musl,
            wanted.musl_script,
            work=work,
            out=out,
            log=logs / "musl.log",
            jobs=jobs,
            step=step,
        )

    recipes = (
        PartRecipe("headers", "kernel headers", 0, make_headers),
        PartRecipe("kernel", f"kernel {wanted.linux.version}", linux.USUAL_OBJECTS, make_kernel),
        PartRecipe("glibc", f"glibc {wanted.glibc.version}", glibc.USUAL_LINES, make_glibc),
        PartRecipe("musl", f"musl {wanted.musl.version}", init.USUAL_LINES, make_musl),
    )

    def ensure(recipe: PartRecipe) -> Path:
        def digest() -> str:
            return inputs.gather(store, wanted.kernel).part_digest(recipe.name)

        return parts.ensure(store, recipe, digest, progress)

    *laid, musl = [ensure(recipe) for recipe in recipes]
    return laid, musl


def _split_kernel(made: Path, wanted: Inputs) -> None:
    """Takes vmlinux apart into what an image carries: kernel.bin and kernel.json."""
    from ukcc.image.kernelbin import split_kernel  # only when something is built

    kernel = made / "kernel"
    split_kernel(
        kernel / "vmlinux", kernel, config=kernel / "config", source_version=wanted.linux.version
    )


def _write_inner_names(made: Path) -> None:
    from ukcc.sysroot.inner_names import write_inner_names  # loads pyelftools

    write_inner_names(made)


def _copy_shims(made: Path, wanted: Inputs) -> None:
    """The assembler's shim belongs to the glibc that was built with it."""
    (made / "shims").mkdir(exist_ok=True)
    for shim in wanted.shims:
        shutil.copy(shim, made / "shims")


def _assemble_room(made: Path, wanted: Inputs, log: Path) -> None:
    """The object in every link that makes room for an image's program headers."""
    output = made / "shims" / "room.o"
    proc.run(["as", "-o", str(output), str(wanted.room)], log=log)


def _record(wanted: Inputs) -> dict[str, Any]:
    versions = wanted.record["tools"]
    return {
        "id": wanted.id,
        "inputs": wanted.record,
        "versions": {
            "linux": wanted.linux.version,
            "glibc": wanted.glibc.version,
            "gcc": versions["gcc"],
            "binutils": versions["ld"],
        },
    }


def _write_record(made: Path, wanted: Inputs) -> None:
    (made / RECORD).write_text(json.dumps(_record(wanted), indent=2, sort_keys=True) + "\n")


def _check_whole(made: Path) -> None:
    missing = [name for name in ESSENTIAL if not (made / name).is_file()]
    if missing:
        raise UkccError(
            f"the sysroot was built but lacks {', '.join(missing)}",
            f"this is a bug of ukcc; the logs are in {made.parent / 'logs'}",
        )


def _check_space(store: Store) -> None:
    """A disk that is sure to fill up is said before the work, not after ten minutes of it."""
    store.root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(store.root).free
    if free < _SPACE_NEEDED:
        raise UkccError(
            f"{store.root} has {free / 1e9:.1f} GB free, a sysroot needs"
            f" {_SPACE_NEEDED / 1e9:.0f} GB while it is built",
            "free some space, or set UKCC_HOME",
        )
