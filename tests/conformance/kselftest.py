"""Runs the kernel's own tests (tools/testing/selftests) as processes, then in a guest.

They are built by uk-gcc from the same source as the sysroot's kernel. As processes they test the
host's kernel, which may be another one.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from conformance import agent_image, keeper, keeping, results, wrapper
from conformance.results import Result, Row, Suite
from conformance.schema import Notes, SuiteData
from ukcc import paths, proc
from ukcc.errors import UkccError
from ukcc.progress import Progress
from ukcc.sysroot import inputs, kernels, tree
from ukcc.sysroot.store import Store, default_store, discard

# What tests include or source from outside their directories.
_FILES = (
    "COPYING",
    "Makefile",
    "include",
    "scripts",
    "arch/x86/include",
    "tools/arch/x86/include",
    "tools/include",
    "tools/lib",
    "tools/scripts",
    "tools/testing/selftests",
)

# The runs of some timer tests take minutes by design; nothing takes longer than this.
_LIMIT = 600  # seconds
_BUILD_LIMIT = 1800
_AT_ONCE = 2  # most tests wait, some measure

_SKIPPED = 4  # kselftest.h: KSFT_SKIP

_LIST = (
    "include Makefile\n"
    "list-tests: ; @echo tests: $(notdir $(TEST_GEN_PROGS) $(TEST_CUSTOM_PROGS) $(TEST_PROGS))\n"
)

_WORDS = 200  # characters of last words that a row keeps


@dataclass(frozen=True)
class Tests:
    """The built tests. root: the kernel's tree; headers: a usr/include; version: as dpkg has it."""

    root: Path
    headers: Path
    version: str

    def directory(self, group: str) -> Path:
        return self.root / "linux" / "tools" / "testing" / "selftests" / group

    def log(self, *names: str) -> Path:
        return self.root / "logs" / f"{'.'.join(names).replace('/', '-')}.log"

    def make(
        self, group: str, jobs: int, *words: str, limit: "float | None" = None
    ) -> proc.Command:
        """The command that makes goals of a group, 64-bit ones only, beside their sources."""
        place = self.directory(group)
        variables = [f"OUTPUT={place}", "CC=uk-gcc", "CAN_BUILD_I386=0"]
        variables.append(f"KHDR_INCLUDES=-isystem {self.headers}")
        argv = ["make", "-k", f"-j{jobs}", "-C", str(place), *variables, *words]
        environment = {"UKCC_PLAIN": "1", "PATH": proc.path_for_builds()}
        return proc.isolated(argv, environment, limit)

    def names(self, group: str) -> list[str]:
        """The programs and scripts that the group's makefile calls tests."""
        file = self.root / "list.mk"
        file.write_text(_LIST)
        command = self.make(group, 1, "-s", "--no-print-directory", "-f", str(file), "list-tests")
        lines = [line for line in proc.output(command).splitlines() if line.startswith("tests: ")]
        return lines[-1].split()[1:] if lines else []


def run(data: SuiteData, notes: Notes, progress: Progress, jobs: int) -> Suite:
    """The suite's results. Raises UkccError."""
    tests = _ensure(data.directories, progress, jobs)
    chosen = [(group, name) for group in data.directories for name in tests.names(group)]
    excluded = {test: why for test in chosen if (why := notes.exclusion(*test))}
    wanted = [test for test in chosen if test not in excluded]
    place = results.directory() / "guests" / data.name
    image = agent_image.build(place / "agent", tests.log("agent"))
    process = _run_all(tests, "process", wanted, progress)
    setting = keeper.Setting(image, (tests.root,), place)
    with keeper.keep(setting, place / "socket"):
        socket = str(place / "socket")
        unikernel = _run_all(tests, "unikernel", wanted, progress, socket)
        # Some measure, and some are victims of one that killed the guest: once more, one by one.
        again = [test for test in wanted if _doubtful(process[test], unikernel[test])]
        alone = _run_all(tests, "unikernel", again, progress, socket, at_once=1)
    rows = [row(*test, process[test], unikernel[test], alone.get(test)) for test in wanted]
    rows += [Row(*test, "excluded", "excluded", why) for test, why in excluded.items()]
    order = {group: index for index, group in enumerate(data.directories)}
    rows.sort(key=lambda row: (order[row.group], row.name))
    return Suite(data.name, tests.version, tuple(rows))


def _doubtful(process: Result, unikernel: Result) -> bool:
    """Whether the test has another chance. One that took all its time would do so again."""
    return process.verdict == "pass" and unikernel.verdict == "fail"


def row(
    group: str, name: str, process: Result, unikernel: Result, alone: "Result | None" = None
) -> Row:
    """The row of a test, and of its second chance."""
    return results.row_of(group, name, process, unikernel, alone, unikernel.words)


def _ensure(groups: Iterable[str], progress: Progress, jobs: int) -> Tests:
    """The tests, built if they are not there or were built with another sysroot."""
    store = default_store()
    wanted = inputs.gather(store, kernels.in_use())
    tests = Tests(results.directory() / "kselftest", _headers(store, wanted), wanted.linux.version)
    stamp = tests.root / "unpacked"
    key = f"{Path(paths.current_sysroot() or '').name} {wanted.linux.version}"
    if not (stamp.exists() and stamp.read_text() == key):
        discard(tests.root)
        tests.root.mkdir(parents=True)
        with progress.step(f"kernel {tests.version}: unpack its tests"):
            log = tests.log("unpack")
            tree.unpack(wanted.linux.tarball, tests.root / "linux", log, only=_FILES)
        stamp.write_text(key)
    for group in groups:
        with progress.step(f"kselftest {group}: build") as step:
            command = tests.make(group, jobs, limit=_BUILD_LIMIT)
            try:
                advance: Callable[[str], None] = lambda _: step.advance()  # noqa: E731
                proc.run(command, log=tests.log(group, "build"), on_line=advance)
            except proc.ProgramFailed:
                continue  # what did not build is no file, and that is a row's verdict
    return tests


def _headers(store: Store, wanted: inputs.Inputs) -> Path:
    headers = store.part("headers", wanted.part_digest("headers")) / "usr" / "include"
    if not headers.is_dir():
        raise UkccError(f"{headers} is not there", "run `ukcc sysroot build`")
    return headers


def _run_all(
    tests: Tests,
    life: str,
    wanted: Sequence[tuple[str, str]],
    progress: Progress,
    socket: str = "",
    at_once: int = _AT_ONCE,
) -> dict[tuple[str, str], Result]:
    with (
        progress.step(f"kselftest: run as {life}", len(wanted)) as step,
        ThreadPoolExecutor(at_once) as pool,
    ):

        def run(test: tuple[str, str]) -> Result:
            ran = _run(tests, life, *test, socket=socket)
            step.advance()
            return ran

        return dict(zip(wanted, pool.map(run, wanted), strict=True))


def _run(tests: Tests, life: str, group: str, name: str, socket: str) -> Result:
    """One test, in its directory, as the kernel's runner.sh does it."""
    if not (tests.directory(group) / name).exists():
        return Result("unsupported", "does not build")
    log = tests.log(group, name, life)
    log.unlink(missing_ok=True)
    command = [f"./{name}"]
    environment = {}
    if socket:
        command = [*wrapper.BY_PATH, *command]
        environment = {keeping.SOCKET: socket, keeping.LIMIT: str(_LIMIT)}
    limit = _LIMIT + 120 if socket else _LIMIT
    limited = proc.isolated(command, environment, limit)
    status = 0
    try:
        proc.run(limited, cwd=tests.directory(group), log=log)
    except proc.ProgramFailed as error:
        status = error.returncode
    return judge(status, log.read_text().partition("\n")[2])


def judge(status: int, output: str) -> Result:
    """A verdict from the exit status (kselftest.h) and what was written."""
    verdict = {0: "pass", _SKIPPED: "skip", proc.TIMED_OUT: "timeout"}.get(status, "fail")
    if verdict == "pass":
        return Result("pass")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"not ok|FAIL|SKIP|rror|died|killed", line)]
    ours = [line for line in lines if line.startswith(wrapper.MARK)]
    words = (ours or telling or lines[-1:] or [f"status {status}"])[0]
    return Result(verdict, re.sub(r"0x[0-9a-f]+", "0x…", words)[:_WORDS])
