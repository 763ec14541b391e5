"""`make kernel-check`: see the package. Three builds of each kernel, some fifteen minutes each."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from kernelcheck import exclusions, identity, revisions, style, tables
from ukcc.errors import UkccError
from ukcc.progress import for_stderr
from ukcc.sysroot import build, inputs, kernels, linux, store, tree
from ukcc.sysroot.inputs import Inputs
from ukcc.sysroot.kernels import KernelRelease
from ukcc.sysroot.store import Store
from ukcc.unwinding import unwind_when_ended


def _style(given: Inputs, work: Path, log: Path) -> bool:
    source_tree = work / "style"
    tree.unpack(given.linux.tarball, source_tree, log, only=("scripts", "Documentation"))
    for name in given.kernel.series:
        most = style.MOST_ADDED if name == kernels.ONE_RING else None
        total = style.check(source_tree, inputs.series(name, given.kernel), log, most)
        print(f"style: {name}: checkpatch is content, {total} lines are added", flush=True)
    return True


def _revisions(given: Inputs, work: Path, log: Path) -> bool:
    good = True
    for version, trouble in revisions.check(given.kernel.package, given.kernel_patches, log):
        print(f"revisions: {version}: {trouble or 'applies without fuzz'}", flush=True)
        good &= not trouble
    return good


def _identity(given: Inputs, work: Path, log: Path) -> bool:
    count, different = identity.check(
        given.linux,
        inputs.series(kernels.BOOT, given.kernel),
        [
            patch
            for name in given.kernel.series
            if name != kernels.BOOT
            for patch in inputs.series(name, given.kernel)
        ],
        given.kernel_fragments,
        work,
        build.cpus(),
        for_stderr(quiet=False),
    )
    print(f"identity: {count} objects, {len(different)} with other code when our options are off")
    for name in different:
        print(f"identity:     {name}")
    return count > 0 and not different


def _exclusions(given: Inputs, work: Path, log: Path) -> bool:
    source_tree = linux.prepare(given.linux, given.kernel_patches, work / "exclusions", log)
    wrong = list(exclusions.check(source_tree, given.kernel, log))
    count = len(exclusions.excluded(given.kernel.name))
    print(f"exclusions: {count} options, {len(wrong)} complaints", flush=True)
    for complaint in wrong:
        print(f"exclusions:     {complaint}", flush=True)
    return not wrong


def _tables(given: Inputs, work: Path, log: Path) -> bool:
    if kernels.DEAD_CODE not in given.kernel.series:
        print(f"tables: not for Linux {given.kernel.name}, which has no series dead-code")
        return True
    total, wrong = tables.check(
        given.linux,
        given.kernel_patches,
        given.kernel_fragments,
        work,
        build.cpus(),
        for_stderr(quiet=False),
    )
    print(f"tables: {total} bytes without dead code, {len(wrong)} complaints", flush=True)
    for complaint in wrong:
        print(f"tables:     {complaint}", flush=True)
    return total > 0 and not wrong


_CHECKS = {
    "style": _style,
    "revisions": _revisions,
    "exclusions": _exclusions,
    "identity": _identity,
    "tables": _tables,
}


@click.command()
@click.option(
    "--linux",
    "only",
    metavar="VERSION",
    help=f"One kernel ({' or '.join(kernels.NAMES)}) in place of all.",
)
@click.argument("names", nargs=-1, metavar="[CHECK]…", type=click.Choice(list(_CHECKS)))
def main(names: Sequence[str], only: "str | None") -> None:
    """Run the checks that are named, by default all. 0: the series pass."""
    here = store.default_store()
    try:
        chosen = (kernels.find(only),) if only else kernels.KERNELS
        passed = [_check(kernel, names or list(_CHECKS), here) for kernel in chosen]
    except UkccError as error:
        print(error.line("kernel-check"), file=sys.stderr)
        sys.exit(error.status)
    sys.exit(0 if all(passed) else 1)


def _check(kernel: KernelRelease, names: Sequence[str], here: Store) -> bool:
    """Whether a kernel passes these checks. What they leave is removed if none raises."""
    work = here.root / "build" / "kernel-check" / kernel.name
    store.discard(work)  # what a check that was ended has left
    work.mkdir(parents=True)
    given = inputs.gather(here, kernel)
    print(f"Linux {kernel.name}: {given.linux.version}", flush=True)
    good = [_CHECKS[name](given, work, work / f"{name}.log") for name in names]
    store.discard(work)
    return all(good)


if __name__ == "__main__":
    unwind_when_ended()
    main()
