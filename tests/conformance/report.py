"""What suites said, as text and as Markdown: how many, every difference, every exclusion."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conformance.results import Row, Suite
from conformance.schema import Notes

_UNEXPLAINED = "not explained yet"
_FAILED = ("fail", "timeout")


@dataclass(frozen=True)
class Count:
    """`passed` of `ran` tests; those excluded, skipped and unsupported are in neither."""

    passed: int
    ran: int

    def __str__(self) -> str:
        return f"{self.passed} of {self.ran}"


@dataclass(frozen=True)
class Annotated:
    """A suite, and an explanation for each row that differs and has one."""

    suite: Suite
    explanations: dict[tuple[str, str], str]

    @property
    def differences(self) -> tuple[Row, ...]:
        return tuple(row for row in self.suite.rows if row.differs)

    @property
    def unexplained(self) -> tuple[Row, ...]:
        """What fails as unikernel, does not as process, and nobody knows why."""
        return tuple(
            row
            for row in self.differences
            if row.unikernel in _FAILED
            and row.process != "fail"
            and (row.group, row.name) not in self.explanations
        )

    @property
    def groups(self) -> dict[str, list[Row]]:
        """The rows by group, in the rows' order."""
        found: dict[str, list[Row]] = {}
        for row in self.suite.rows:
            found.setdefault(row.group, []).append(row)
        return found


def annotate(suite: Suite, notes: Notes) -> Annotated:
    """The suite with what the notes know of its differences.

    An exclusion holds for results from before it, too.
    """
    rows = tuple(_excluded(row, notes) for row in suite.rows)
    suite = Suite(suite.name, suite.version, rows)
    known = {(row.group, row.name): notes.explanation(row) for row in suite.rows if row.differs}
    return Annotated(suite, {key: why for key, why in known.items() if why})


def _excluded(row: Row, notes: Notes) -> Row:
    why = notes.exclusion(row.group, row.name)
    return Row(row.group, row.name, "excluded", "excluded", why) if why else row


def count(rows: Iterable[Row], life: str) -> Count:
    """Of the rows in one life, `unikernel` or `process`."""
    verdicts = [getattr(row, life) for row in rows]
    ran = [verdict for verdict in verdicts if verdict in ("pass", "fail", "timeout")]
    return Count(ran.count("pass"), len(ran))


def plain(suites: Sequence[Annotated]) -> str:
    """For a terminal: a line a group, then the differences that are not explained."""
    lines = []
    for annotated in suites:
        for group, rows in annotated.groups.items():
            name = annotated.suite.name
            title = name if name.endswith(group) else f"{name} {group}"
            unikernel, process = count(rows, "unikernel"), count(rows, "process")
            lines.append(f"{title}: {unikernel} as unikernel, {process} as process")
    for annotated in suites:
        lines += [
            f"{annotated.suite.name}: {row.group}/{row.name}: {row.unikernel} as unikernel,"
            f" {row.process} as process: {row.why or 'no words'}"
            for row in annotated.unexplained
        ]
    return "".join(f"{line}\n" for line in lines)


def markdown(suites: Sequence[Annotated]) -> str:
    """The table, then for each suite its differences and exclusions."""
    lines = ["| suite | version | group | as unikernel | as process | excluded |", "|" + "---|" * 6]
    for annotated in suites:
        for group, rows in annotated.groups.items():
            excluded = sum(row.unikernel == "excluded" for row in rows)
            suite = annotated.suite
            cells = [suite.name, suite.version, group, count(rows, "unikernel")]
            lines.append(_cells([*cells, count(rows, "process"), excluded or ""]))
    for annotated in suites:
        lines += _details(annotated)
    return "".join(f"{line}\n" for line in lines)


def _details(annotated: Annotated) -> list[str]:
    differences = annotated.differences
    excluded = [row for row in annotated.suite.rows if row.unikernel == "excluded"]
    lines = []
    if differences:
        lines += ["", f"### {annotated.suite.name}: differences", ""]
        lines += ["| test | as unikernel | as process | why |", "|---|---|---|---|"]
    for row in differences:
        why = annotated.explanations.get((row.group, row.name))
        said = why or ": ".join(word for word in (_UNEXPLAINED, row.why) if word)
        lines.append(_cells([f"{row.group}/{row.name}", row.unikernel, row.process, said]))
    both = [row for row in annotated.suite.rows if not row.differs and row.unikernel in _FAILED]
    if both:
        lines += ["", f"### {annotated.suite.name}: fails in both lives", ""]
        lines += ["| test | what it says |", "|---|---|"]
        lines += [_cells([f"{row.group}/{row.name}", row.why]) for row in both]
    if excluded:
        lines += ["", f"### {annotated.suite.name}: excluded", "", "| tests | why |", "|---|---|"]
    for why in dict.fromkeys(row.why for row in excluded):
        names = ", ".join(f"{row.group}/{row.name}" for row in excluded if row.why == why)
        lines.append(_cells([names, why]))
    return lines


def _cells(cells: Iterable[object]) -> str:
    """A row of a table; a bar in a test's words would end the cell."""
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
