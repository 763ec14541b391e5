"""The C library: the distribution's source, unchanged, compiled by gcc with our assembler.

`sysroot/glibc/build.sh` knows how; it is told by environment variables where things are.
"""

from pathlib import Path

from ukcc import paths, proc
from ukcc.progress import Step
from ukcc.sysroot import tree
from ukcc.sysroot.sources import SourceTarball

# Lines of output of a build, until a first one has counted them.
USUAL_LINES = 25000


def build(
    source: SourceTarball,
    script: Path,
    headers: Path,
    *,
    work: Path,
    out: Path,
    log: Path,
    jobs: int,
    step: Step,
) -> None:
    """Unpacks glibc and runs build.sh, which installs it under `out`.

    headers: the kernel's, a usr/include directory. jobs: processes at a time.
    """
    source_tree = work / "glibc"
    tree.unpack(source.tarball, source_tree, log)
    environment = {
        "SRC": str(source_tree),
        "BUILD": str(work / "build"),
        "DESTDIR": str(out),
        "HEADERS": str(headers),
        "SHIMS": paths.data_dir("toolchain-shims"),
        "JOBS": str(jobs),
    }
    (work / "build").mkdir()
    proc.run(
        proc.isolated(["bash", str(script)], environment),
        cwd=work,
        log=log,
        on_line=lambda _: step.advance(),
    )
