"""`python -m conformance.stress [STRESSOR…]`: stress-ng, booted and as Linux processes."""

import dataclasses
import difflib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from conformance import results, stress_guest, stress_image, stress_list, stress_process
from conformance.results import Row, Suite
from conformance.stress_guest import Guest, Order
from conformance.stress_judge import Verdict, drift, judge, judge_process, machines
from conformance.stress_lines import Job
from conformance.stress_list import Plan, Stressor
from ukcc.errors import UkccError
from ukcc.progress import Progress, for_stderr
from ukcc.unwinding import unwind_when_ended
from ukcc.vm.hypervisor import accel

SUITE = "stress-ng"
_INSTANCES = 2  # of each stressor, one a CPU
_CPUS = 2
_MEMORY_MIB = 3072
_NOBODY = 65534  # init writes it into /etc/passwd
_SLACK = 120  # seconds that a stressor may take longer than it was told to


@dataclasses.dataclass(frozen=True)
class Slots:
    """Seconds for each stressor: in the guest, and as a process; 0: keep what is known."""

    unikernel: int
    process: int


@click.command()
@click.option("--seconds", default=10, show_default=True, help="For each stressor in the guest.")
@click.option(
    "--process-seconds",
    default=2,
    show_default=True,
    help="For each as a Linux process; 0 keeps the verdicts of an earlier run.",
)
@click.option("--list", "only_list", is_flag=True, help="Print the names of the stressors.")
@click.argument("names", nargs=-1, metavar="[STRESSOR]…")
def main(seconds: int, process_seconds: int, only_list: bool, names: Sequence[str]) -> None:
    """Run stress-ng's stressors in booted unikernels and as Linux processes.

    The exit status is 1 when one failed as a unikernel that does not fail as a process,
    or when all of them together left too much memory in use.
    """
    try:
        program = stress_image.stress_ng()
        plan = stress_list.load()
        chosen = select(stress_list.stressors(program, plan), names)
        if only_list:
            click.echo("\n".join(stressor.name for stressor in chosen))
            return
        jobs: list[Job] = []
        rows = _run(program, plan, chosen, Slots(seconds, process_seconds), jobs)
        drifts = [drift(machine, plan) for machine in machines(jobs)]
    except UkccError as error:
        print(error.line("stress"), file=sys.stderr)
        sys.exit(error.status)
    for text in [*(words for words, _ in drifts), *summary(rows)]:
        click.echo(text)
    grown = any(too_much for _, too_much in drifts)
    sys.exit(1 if grown or any(worse(row) for row in rows) else 0)


def select(all_of_them: Sequence[Stressor], names: Iterable[str]) -> tuple[Stressor, ...]:
    """The stressors of these names, all of them for none. Raises UkccError."""
    by_name = {stressor.name: stressor for stressor in all_of_them}
    for name in names:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, 1, 0)
            raise UkccError(f"{name}: no such stressor", f"the nearest is {near[0]}")
    return tuple(by_name[name] for name in names) or tuple(all_of_them)


def command(program: str, name: str, seconds: int, plan: Plan) -> tuple[str, ...]:
    """The words of one stressor's command."""
    return (program, f"--{name}", str(_INSTANCES), "--timeout", f"{seconds}s", *plan.options)


def _run(
    program: str, plan: Plan, chosen: Sequence[Stressor], slots: Slots, jobs: list[Job]
) -> list[Row]:
    """Runs them, and keeps the suite's file as each is done: a run may be broken off.

    jobs: gets those of the guest.
    """
    progress = for_stderr(quiet=not sys.stderr.isatty())
    version = f"{stress_list.version(program)} (the distribution's binary, packed)"
    known = {row.name: row for row in _kept()}
    for row in _rows(program, plan, chosen, slots, known, progress, jobs):
        known[row.name] = row
        print(line(row), flush=True)
        results.keep(Suite(SUITE, version, tuple(known.values())))
    return [known[stressor.name] for stressor in chosen]


def _rows(
    program: str,
    plan: Plan,
    chosen: Sequence[Stressor],
    slots: Slots,
    known: "dict[str, Row]",
    progress: Progress,
    jobs: list[Job],
) -> Iterator[Row]:
    by_name = {stressor.name: stressor for stressor in chosen if not stressor.excluded}
    for stressor in chosen:
        if stressor.excluded:
            yield Row(stressor.group, stressor.name, "excluded", "excluded", stressor.excluded)
    with progress.step("as Linux processes", len(by_name)) as step:
        processes = {}
        for name in by_name:
            processes[name] = _as_process(program, plan, name, slots.process, known.get(name))
            step.advance()
    with progress.step("as a unikernel", len(by_name)) as step:
        for job in _jobs(program, plan, list(by_name), slots.unikernel):
            jobs.append(job)
            yield combined(by_name[job.name], judge(job, plan), processes[job.name])
            step.advance()


def _as_process(program: str, plan: Plan, name: str, seconds: int, known: "Row | None") -> Verdict:
    if name in plan.process:
        return "excluded", plan.process[name]
    if not seconds:
        if known is None:
            raise UkccError(f"{name}: no earlier verdict as a process", "give --process-seconds")
        return known.process, ""
    job = stress_process.run(name, command(program, name, seconds, plan), seconds + _SLACK)
    return judge_process(job)


def _jobs(program: str, plan: Plan, names: Sequence[str], seconds: int) -> Iterator[Job]:
    """The jobs of the guest, in order."""
    work = results.directory() / SUITE
    image = stress_image.build("runner", [program], work)
    guest = Guest(image.path, _MEMORY_MIB, _CPUS, accel.choose("auto"))
    inside = f"{stress_image.PLACE}/{Path(program).name}"
    orders = [order(inside, name, seconds, plan) for name in names]
    return stress_guest.run(guest, orders, work / "machines") if orders else iter(())


def order(inside: str, name: str, seconds: int, plan: Plan) -> Order:
    """What the guest's runner is told. inside: the program's path in the image."""
    words = (*command(inside, name, seconds, plan), *plan.unikernel_options)
    return Order(name, seconds + _SLACK, _NOBODY if name in plan.unprivileged else 0, words)


def combined(stressor: Stressor, unikernel: Verdict, process: Verdict) -> Row:
    """The row of one stressor; why: what is known of each verdict that is not `pass`."""
    reasons = [unikernel[1], f"as a process: {process[1]}" if process[1] else ""]
    if unikernel == process:
        reasons = [unikernel[1]]
    why = "; ".join(reason for reason in reasons if reason)
    return Row(stressor.group, stressor.name, unikernel[0], process[0], why)


def worse(row: Row) -> bool:
    """Whether something is wrong with the unikernel that is not with the process."""
    wrong = ("fail", "timeout")
    return row.unikernel in wrong and row.process not in wrong


def line(row: Row) -> str:
    """One line for a log."""
    why = f" ({row.why})" if row.why else ""
    return f"{row.group}/{row.name}: unikernel {row.unikernel}, process {row.process}{why}"


def summary(rows: Sequence[Row]) -> list[str]:
    """How many have which verdict, in both lives."""
    lines = []
    for life in ("unikernel", "process"):
        verdicts = [str(getattr(row, life)) for row in rows]
        counts = [f"{verdicts.count(v)} {v}" for v in results.VERDICTS if v in verdicts]
        lines.append(f"{life}: {', '.join(counts)}, of {len(rows)} stressors")
    return lines


def _kept() -> tuple[Row, ...]:
    file = results.directory() / f"{SUITE}.json"
    return results.read(file).rows if file.is_file() else ()


if __name__ == "__main__":
    unwind_when_ended()
    main()
