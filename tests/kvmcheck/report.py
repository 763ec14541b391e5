"""What a run said: kept as JSON in the store, shown as text or as Markdown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kvmcheck.outer import write
from kvmcheck.perform import Result
from kvmcheck.table import LIVES, Explained
from ukcc import tables
from ukcc.errors import UkccError
from ukcc.progress import duration

# a fact of each run, and its two values
KVM, IN_NEST, ON_HOST = "KVM", "of an emulated AMD machine", "of this host"
RIGHT, WRONG, EXPLAINED, MISSING = "right", "wrong", "explained", "-"


@dataclass(frozen=True)
class Outcome:
    """A row's results in both lives; None for one that was not wanted, or not come to."""

    row: str
    kvm: "Result | None" = None
    control: "Result | None" = None


@dataclass(frozen=True)
class Run:
    """facts: of where it ran, by name; seconds: of wall time; cpu: of processors; whole: whether
    it came to its end.
    """

    facts: Mapping[str, str]
    outcomes: tuple[Outcome, ...]
    seconds: float
    cpu: float
    whole: bool = True


def keep(run: Run, file: Path) -> None:
    """Replaces what is there, by rename."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write(file, json.dumps(asdict(run), indent=1) + "\n")


def read(file: Path) -> Run:
    """Raises UkccError."""
    try:
        return tables.record(Run, json.loads(file.read_text()))
    except (OSError, ValueError) as error:
        raise UkccError(f"{file}: no results of a run: {error}", "run `make kvm-check`") from None


def holding(facts: Mapping[str, str], known: Sequence[Explained]) -> tuple[Explained, ...]:
    """What explains a run of these facts: reasons for the life under KVM are all of the nest."""
    in_nest = facts.get(KVM) == IN_NEST
    return tuple(one for one in known if in_nest or one.life == "control")


def verdict(outcome: Outcome, life: str, known: Sequence[Explained]) -> "tuple[str, str]":
    """The verdict, and what is to be said of it."""
    result: Result | None = getattr(outcome, life)
    if result is None:
        return MISSING, ""
    if not result.problem:
        return RIGHT, ""
    for one in known:
        if (one.row, one.life) == (outcome.row, life) and one.words in result.problem:
            return EXPLAINED, one.why
    return WRONG, result.problem


def is_good(run: Run, known: Sequence[Explained]) -> bool:
    """Whether every row came to its end, and none is wrong without a reason."""
    found = [verdict(one, life, known)[0] for one in run.outcomes for life in LIVES]
    return run.whole and WRONG not in found


def lines(outcome: Outcome, known: Sequence[Explained]) -> str:
    """One outcome for a terminal: a line, and one for each verdict that is not `right`."""
    cells, more = [f"{outcome.row:<28}"], ""
    for life in LIVES:
        said, why = verdict(outcome, life, known)
        result: Result | None = getattr(outcome, life)
        cells.append(f"{said:<10}{f'{result.seconds:.1f} s' if result else '':>9}")
        more += f"    {life}: {why}\n" if why else ""
    return f"{'  '.join(cells)}\n{more}"


def head() -> str:
    """Above the lines."""
    return f"{'row':<28}  {'under KVM':<19}  control\n"


def summary(run: Run, known: Sequence[Explained]) -> str:
    """Where it was, what it took, and how many of each verdict."""
    where = ", ".join(f"{name} {value}" for name, value in run.facts.items())
    took = f"{duration(run.seconds)} of wall time, {run.cpu:.0f} CPU seconds"
    counts = []
    for life in LIVES:
        found = [verdict(one, life, known)[0] for one in run.outcomes]
        said = [f"{found.count(v)} {v}" for v in (RIGHT, EXPLAINED, WRONG) if found.count(v)]
        counts.append(f"{life}: {', '.join(said) or 'nothing'}")
    end = "" if run.whole else "; it was ended before its end"
    return f"{where}\n{took}; {'; '.join(counts)}{end}\n"


def plain(run: Run, known: Sequence[Explained]) -> str:
    """All of it for a terminal."""
    return head() + "".join(lines(one, known) for one in run.outcomes) + summary(run, known)


def markdown(run: Run, known: Sequence[Explained]) -> str:
    """The table of docs/internals/kvm.md."""
    out = ["| row | under KVM | control | |", "|---|---|---|---|"]
    for one in run.outcomes:
        found = [verdict(one, life, known) for life in LIVES]
        why = "; ".join(dict.fromkeys(words for _, words in found if words)).replace("|", "\\|")
        out.append(f"| `{one.row}` | {found[0][0]} | {found[1][0]} | {why} |")
    return "\n".join([*out, "", *summary(run, known).splitlines()]) + "\n"


def as_json(run: Run, known: Sequence[Explained]) -> str:
    """The run, with the verdicts beside the results."""
    content = asdict(run)
    for one, outcome in zip(content["outcomes"], run.outcomes, strict=True):
        one["verdicts"] = {life: verdict(outcome, life, known)[0] for life in LIVES}
    return json.dumps(content, indent=1)
