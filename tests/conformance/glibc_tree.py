"""glibc's own tests: its tree, built as the sysroot's glibc is, and kept with its tests.

The tests are linked with the libraries of that tree, whose system calls go by the gate. The tree is
built anew when what the sysroot's glibc is made from has changed.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance import results
from ukcc import paths, proc
from ukcc.errors import UkccError
from ukcc.image.elf import open_elf
from ukcc.progress import Progress, Step
from ukcc.sysroot import glibc, inputs, kernels
from ukcc.sysroot.store import Store, default_store, discard

_SITES = "uk_sites_v1"  # where the gate's sites are listed (docs/syscalls.md)

_BUILD_LIMIT = 3600  # seconds for one make

# What tests of many directories are linked with or need to run: the libsupport that they share,
# the program that makes locales, the script that reads traces of malloc, gdb's library for
# threads, and the libraries that libc took in, for programs that open them by name.
_HELPERS = ("locale", "support", "malloc", "nptl_db", "nptl", "nss")

# The compiler's libraries: the tree's loader knows no directory of the distribution's. Without the
# first no thread can be cancelled.
_COMPILERS = ("libgcc_s.so.1", "libstdc++.so.6")

# Headers are checked by the compiler, not by what runs: not ours to run twice.
_VARIABLES = ("headers=",)

_ALL_PARTS = "sorted-subdirs := "
_SKIPPED = Path(paths.data_dir("sysroot")) / "glibc" / "skip.subdirs"

# Makes the list of a directory's tests: included behind its own Makefile.
_LIST = (
    "include Makefile\n"
    "list-tests: ; @echo tests: $(sort $(tests-expected) $(xtests)"
    " $(tests-special-notdir:.out=) $(xtests-special-notdir:.out=))\n"
)


@dataclass(frozen=True)
class Tree:
    """A built glibc. root: holds source and build; version: of the source, as dpkg has it."""

    root: Path
    version: str

    @property
    def build(self) -> Path:
        return self.root / "build"

    def source(self, directory: str) -> Path:
        return self.root / "glibc" / directory

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def make(self, directory: str, jobs: int, *words: str) -> list[str]:
        """The command that makes goals of a directory, with this build's variables."""
        place = ["-C", str(self.source(directory)), f"objdir={self.build}"]
        parts = f"subdirs={' '.join(self.parts())}"
        return ["make", "-k", f"-j{jobs}", *place, parts, *_VARIABLES, *words]

    def parts(self) -> list[str]:
        """The directories that its libraries were made of, as sysroot/glibc/build.sh finds them.

        Without the list, make takes all directories for parts of libc, and for libc out of date.
        """
        sorted_ = (self.build / "sysd-sorted").read_text()
        found = [line for line in sorted_.splitlines() if line.startswith(_ALL_PARTS)]
        if not found:
            raise UkccError(f"{self.build}/sysd-sorted has no list of directories")
        skipped = _SKIPPED.read_text().splitlines()
        return [part for part in found[0].removeprefix(_ALL_PARTS).split() if part not in skipped]

    def tests(self, directory: str) -> list[str]:
        """The names of a directory's tests, xtests among them."""
        file = self.build / f"{directory}-list.mk"
        file.write_text(_LIST)
        command = self.make(directory, 1, "-s", "--no-print-directory", "-f", str(file))
        said = proc.output(self.environment([*command, "list-tests"]))
        lines = [line for line in said.splitlines() if line.startswith("tests: ")]
        return lines[-1].split()[1:] if lines else []

    @staticmethod
    def environment(
        argv: Sequence[str], limit: "float | None" = None, **variables: str
    ) -> proc.Command:
        """A command as glibc is built: by the compiler that its configure was told."""
        return proc.isolated(argv, {"PATH": proc.path_for_builds(), **variables}, limit)


def ensure(progress: Progress, jobs: int) -> Tree:
    """The tree, its libraries built if they are not there. Raises UkccError."""
    store = default_store()
    wanted = inputs.gather(store, kernels.in_use())
    tree = Tree(results.directory() / "glibc", wanted.glibc.version)
    digest = wanted.part_digest("glibc")
    stamp = tree.root / "built"
    if not (stamp.exists() and stamp.read_text() == digest):
        discard(tree.root)
        tree.root.mkdir(parents=True)
        with progress.step(f"glibc {tree.version}, with its tests", glibc.USUAL_LINES) as step:
            _build(tree, wanted, store, jobs, step)
        stamp.write_text(digest)
    return tree


def build_tests(tree: Tree, directory: str, progress: Progress, jobs: int) -> None:
    """Builds a directory's tests, and runs none. What does not build has no result later."""
    with progress.step(f"glibc's tests of {directory}: build") as step:
        command = tree.make(directory, jobs, "run-built-tests=no", "xtests")
        make(tree, command, f"{directory}.build", lambda _: step.advance())


def make(
    tree: Tree,
    command: Sequence[str],
    log: str,
    on_line: Callable[[str], None],
    limit: int = _BUILD_LIMIT,
    **env: str,
) -> bool:
    """Runs a make -k; whether all of it went well. It is ended after `limit` seconds."""
    try:
        proc.run(
            tree.environment(command, limit, **env),
            log=tree.log(log),
            on_line=on_line,
        )
    except proc.ProgramFailed:
        return False
    return True


def _build(tree: Tree, wanted: inputs.Inputs, store: Store, jobs: int, step: Step) -> None:
    log = tree.log("glibc")
    headers = store.part("headers", wanted.part_digest("headers")) / "usr" / "include"
    glibc.build(
        wanted.glibc,
        wanted.glibc_script,
        headers,
        work=tree.root,
        out=tree.root / "installed",
        log=log,
        jobs=jobs,
        step=step,
    )
    for directory in _HELPERS:
        make(tree, tree.make(directory, jobs, "others"), directory, lambda _: step.advance())
    # where tests make the locales that they need; the build leaves that directory out
    (tree.build / "localedata").mkdir(exist_ok=True)
    for name in _COMPILERS:
        shutil.copy(proc.output(["gcc", f"-print-file-name={name}"]).strip(), tree.build)
    library = tree.build / "libc.so"
    with open_elf(library) as elf:
        if not any(section.name == _SITES and section.size for section in elf.sections()):
            raise UkccError(f"{library} has no system calls by the gate", f"see {log}")
