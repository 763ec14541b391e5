"""PID 1: `sysroot/init/*.c`, compiled by the host's gcc with a musl that is built for it alone.

A program with glibc inside has 700 kB at least, of which init would use a tenth, and it is in every
image. musl is the distribution's source with the patches in `sysroot/musl/`, where build.sh knows
how it is built.
"""

from collections.abc import Sequence
from pathlib import Path

from ukcc import debsource, proc
from ukcc.progress import Step
from ukcc.sysroot.sources import SourceTarball

# Lines of output of musl's build, until a first one has counted them.
USUAL_LINES = 1230

# The same code whatever the host's gcc has as its defaults.
_PLAIN = ("-Os", "-fno-pie", "-fno-stack-protector", "-fcf-protection=none")
_SECTIONS = ("-ffunction-sections", "-fdata-sections")
_STATIC = ("-static", "-no-pie", "-nostdlib", "-s", "-Wl,--gc-sections", "-Wl,--build-id=none")


def build_musl(
    source: SourceTarball, script: Path, *, work: Path, out: Path, log: Path, jobs: int, step: Step
) -> None:
    """Unpacks musl and runs build.sh, which installs it under `out`. jobs: processes at a time."""
    tree = work / "musl"
    debsource.unpack(
        debsource.Delivered(source.package, source.version, source.tarball.parent), tree
    )
    environment = {"SRC": str(tree), "DESTDIR": str(out), "JOBS": str(jobs)}
    proc.run(
        proc.isolated(["sh", str(script)], environment),
        cwd=work,
        log=log,
        on_line=lambda _: step.advance(),
    )


def compile_init(sources: Sequence[Path], musl: Path, headers: Path, out: Path, log: Path) -> None:
    """Compiles PID 1 as `out`.

    sources: the C files, of one directory; musl: what build_musl() installed; headers: the
    kernel's, a usr/include directory. Raises ProgramFailed.
    """
    out.parent.mkdir()
    library = musl / "usr" / "lib"
    own = proc.output(["gcc", "-print-file-name=include"]).strip()
    command = ["gcc", *_PLAIN, *_SECTIONS, *_STATIC, "-nostdinc"]
    for directory in (musl / "usr" / "include", Path(own), headers):
        command += ["-isystem", str(directory)]
    command += ["-o", str(out), str(library / "crt1.o"), str(library / "crti.o")]
    command += [path.name for path in sources]
    command += [str(library / "libc.a"), "-lgcc", str(library / "crtn.o")]
    proc.run(proc.isolated(command), cwd=sources[0].parent, log=log)
