"""`python -m kvmcheck [ROW…]`: see the package. 1 for a row that is wrong and not explained."""

import concurrent.futures
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from kvmcheck import images, kernel, outer, perform, report, table
from kvmcheck.report import Outcome, Run
from kvmcheck.table import Row
from ukcc.errors import UkccError
from ukcc.progress import Progress, for_stderr
from ukcc.sysroot.store import default_store
from ukcc.unwinding import unwind_when_ended
from ukcc.vm.hypervisor import accel
from ukcc.vm.hypervisor.qemu import PROGRAM

_NEST_FACTOR = 10.0  # how much longer than on a machine with KVM it may take in the nest
_LOST = 2.0  # so many times a row's own limits, before it counts as lost
_CPUS = 2  # of the outer guest, and rows at a time there


@click.command()
@click.option("--list", "only_list", is_flag=True, help="Print the rows.")
@click.option("--last", is_flag=True, help="Run nothing: print what the last run said.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--markdown", is_flag=True, help="Print the table of docs/internals/kvm.md.")
@click.option("--ci", is_flag=True, help="The few rows of `make kvm-check-ci`.")
@click.option("--no-control", is_flag=True, help="Without the runs under the emulator alone.")
@click.option("--nest", is_flag=True, help="In the nest even where KVM works here.")
@click.option(
    "--kvm-amd", default="", metavar="WORDS", help="The module's, as `npt=0`. For --nest."
)
@click.option("--emulator", default=PROGRAM, metavar="QEMU", help="Of the outer guest.")
@click.option("--cpus", default=_CPUS, show_default=True, help="Of the outer guest.")
@click.argument("names", nargs=-1, metavar="[ROW]…")
def main(names: Sequence[str], **given: "bool | str | int") -> None:
    """Run images under KVM, and each a second time without it."""
    form: Callable[..., str] = report.plain
    if given["as_json"] or given["markdown"]:
        form = report.as_json if given["as_json"] else report.markdown
    try:
        known = table.explanations()
        rows = table.select(table.load().rows, names, ci=bool(given["ci"]))
        if given["only_list"]:
            click.echo("\n".join(row.title for row in rows))
            return
        file = default_store().root / "kvm-check" / "last.json"
        if given["last"]:
            run = report.read(file)
        else:
            session = _Session(rows, known, file, quiet=form is not report.plain, given=given)
            run = session.run()
        known = report.holding(run.facts, known)
    except UkccError as error:
        print(error.line("kvm-check"), file=sys.stderr)
        sys.exit(error.status)
    if form is report.plain and not given["last"]:
        click.echo(report.summary(run, known), nl=False)
    else:
        click.echo(form(run, known).rstrip("\n"))
    sys.exit(0 if report.is_good(run, known) else 1)


class _Session:
    """One run of rows."""

    def __init__(
        self,
        rows: Sequence[Row],
        known: Sequence[table.Explained],
        file: Path,
        *,
        quiet: bool,
        given: "dict[str, bool | str | int]",
    ) -> None:
        self._rows, self._known, self._quiet, self._given = rows, known, quiet, given
        self._file = file  # what the run says is kept there, as far as it has come
        self._began = time.monotonic()
        self._facts: dict[str, str] = {}
        self._guest_cpu: Callable[[], float] = lambda: 0.0
        self._end_guest: Callable[[], None] = lambda: None
        self._outcomes = {row.title: Outcome(row.title) for row in rows}
        self._wanted = 1 if given["no_control"] else 2  # results of each row
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._cpus = int(given["cpus"])
        words, emulator = str(given["kvm_amd"]), str(given["emulator"])
        self._outer = outer.Wanted(self._cpus, words, emulator)

    def run(self) -> Run:
        """Raises UkccError."""
        store = default_store()
        work = store.root / "kvm-check"
        progress = for_stderr(quiet=not sys.stderr.isatty())
        with store.locked("kvm-check", progress.step("waiting for another run")):
            place = work / "images"
            with progress.step("images", len({row.program for row in self._rows})) as step:
                images.build(self._rows, place, os.cpu_count() or 1, step)
            if not self._quiet:
                print(report.head(), end="", flush=True)
            if not self._given["nest"] and accel.probe().works:
                self._on_host(str(place), progress)
            else:
                self._in_nest(work, str(place), progress)
        return self._kept()

    def _on_host(self, place: str, progress: Progress) -> None:
        here = perform.Place("kvm", 1.0, place)
        self._facts = {report.KVM: report.ON_HOST, "processor": _processor()}
        self._facts["kernel"] = os.uname().release
        self._all(progress, 1, lambda row: perform.perform(row, here), place)

    def _in_nest(self, work: Path, place: str, progress: Progress) -> None:
        with progress.step("outer kernel"):
            found = kernel.find(work)
        with contextlib.ExitStack() as stack:
            with progress.step("outer guest"):
                guest = stack.enter_context(outer.started(found, work, self._outer))
            self._facts = {report.KVM: report.IN_NEST, **outer.facts(guest)}
            self._guest_cpu = guest.cpu_seconds
            self._end_guest = guest.process.kill  # nobody waits for its rows any more then
            there = perform.Place("kvm", _NEST_FACTOR, place)

            def do(row: Row) -> perform.Result:
                return guest.do(row, there, row.seconds * _NEST_FACTOR * _LOST * self._cpus)

            self._all(progress, self._cpus, do, place)
        # the emulator counts among our children now
        self._guest_cpu = lambda: 0.0

    def _kept(self) -> Run:
        """What there is so far."""
        outcomes = tuple(self._outcomes.values())
        whole = all((one.kvm, one.control).count(None) == 2 - self._wanted for one in outcomes)
        cpu = perform.cpu_seconds() + self._guest_cpu()
        seconds = time.monotonic() - self._began
        run = Run(self._facts, outcomes, round(seconds, 1), round(cpu, 1), whole)
        report.keep(run, self._file)
        return run

    def _all(
        self, progress: Progress, at_a_time: int, do: Callable[[Row], perform.Result], place: str
    ) -> None:
        """Every row in both lives, the controls one at a time beside the others."""
        alone = perform.Place("tcg", _NEST_FACTOR, place)
        pool = concurrent.futures.ThreadPoolExecutor
        with (
            progress.step("rows", len(self._rows) * self._wanted) as step,
            pool(at_a_time) as lives,
            pool(1) as controls,
        ):
            jobs = [lives.submit(self._one, row, "kvm", do) for row in self._rows]
            if not self._given["no_control"]:
                control = lambda row: perform.perform(row, alone)  # noqa: E731
                jobs += [controls.submit(self._one, row, "control", control) for row in self._rows]
            try:
                for job in concurrent.futures.as_completed(jobs):
                    job.result()
                    step.advance()
            except BaseException:
                self._stopped.set()
                self._end_guest()
                raise

    def _one(self, row: Row, life: str, do: Callable[[Row], perform.Result]) -> None:
        if self._stopped.is_set():
            return
        result = do(row)
        with self._lock:
            before = self._outcomes[row.title]
            outcome = (
                replace(before, kvm=result) if life == "kvm" else replace(before, control=result)
            )
            self._outcomes[row.title] = outcome
            self._kept()
            done = [one for one in (outcome.kvm, outcome.control) if one is not None]
            if len(done) == self._wanted and not self._quiet:
                known = report.holding(self._facts, self._known)
                print(report.lines(outcome, known), end="", flush=True)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


if __name__ == "__main__":
    unwind_when_ended()
    main()
