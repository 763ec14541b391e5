"""Verdicts on jobs of stress-ng: pure functions."""

import re
from collections.abc import Iterable, Sequence

from conformance.stress_lines import Job
from conformance.stress_list import Plan

Verdict = tuple[str, str]  # one of results.VERDICTS, and why it is not `pass` (else empty)

# stress-ng(1), "EXIT STATUS"
_NOT_RUN = {3: "no resources", 4: "not implemented"}
_FAILED = {
    1: "stress-ng could not do it",
    2: "the stressor failed",
    5: "the stressor was killed by a signal it did not expect",
    6: "the stressor left by an exit it did not expect",
    7: "the stressor's counts cannot be trusted",
}
# A stressor that finds that it cannot run says so and ends with 0 (0.15 and before); it spells the
# word in many ways, and one method of several that is left out is no skip.
_SKIPPED = re.compile(
    r"skip\w* (?:the |this )?(?:stress\w*|stes+or)\b|stressor will be skipped|: skipped, "
)
_NOTHING = "No stress workers invoked"
_KILLED = ") terminated on signal: "  # of a stressor; said with --verbose only
_LINE = re.compile(r"stress-ng: (?P<kind>\w+): *\[\d+\] (?P<text>.*)")
_ASKED = re.compile(r"setting to a (\d+) second run per stressor")
_TOOK = re.compile(r"successful run completed in ([\d.]+)s")
_BOGO_OPS = re.compile(r"stress-ng: metrc: *\[\d+\] (?P<name>[a-z0-9-]+) +(?P<count>\d+) ")
_KIB_PER_MIB = 1024


def judge(job: Job, plan: Plan) -> Verdict:
    """What became of a job in the guest, where the kernel and its memory count too."""
    warnings = kernel_warnings(job.kernel, plan.warnings)
    if job.how in ("died", "silent"):
        what = "the machine ended" if job.how == "died" else "the machine fell silent"
        return "fail", f"{what}: {_first(warnings or job.kernel) or 'without a word'}"
    if warnings:
        return "fail", f"the kernel: {_first(warnings)}"
    verdict, why = judge_process(job)
    if verdict in ("pass", "skip") and (grown := memory_lost(job, plan)):
        return "fail", grown
    return verdict, why


def judge_process(job: Job) -> Verdict:
    """What the job itself says."""
    how, _, number = job.how.partition(" ")
    if how == "timeout":
        return "timeout", "did not end by itself"
    if how == "signal":
        return "fail", f"stress-ng was killed by signal {number}"
    status = int(number)
    if status in _NOT_RUN or (status == 1 and _NOTHING in "\n".join(job.said)):
        return "skip", _complaint(job.said) or _NOT_RUN.get(status, _NOTHING)
    if status:
        return "fail", _complaint(job.said) or _FAILED.get(status, f"exit status {status}")
    if _did_something(job):
        return "pass", ""
    skipped = [_text(line) for line in job.said if _SKIPPED.search(line)]
    if skipped or _gave_up(job):
        return "skip", (skipped or [_last_but_summary(job)])[-1]
    return "pass", ""


def kernel_warnings(lines: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """The lines of the kernel's log that no healthy machine has."""
    wrong = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    return [line for line in lines if wrong.search(line)]


def memory_lost(job: Job, plan: Plan) -> str:
    """What did not come back, in words; empty when all did, within the plan's tolerance."""
    if job.before is None or job.after is None:
        return ""
    available = (job.before.available - job.after.available) / _KIB_PER_MIB
    slab = (job.after.slab - job.before.slab) / _KIB_PER_MIB
    lost = []
    if available > plan.available_mib:
        lost.append(f"{available:.0f} MiB less are available (tolerance {plan.available_mib})")
    if slab > plan.slab_mib:
        lost.append(f"{slab:.0f} MiB more slab (tolerance {plan.slab_mib})")
    return f"memory did not come back: {'; '.join(lost)}" if lost else ""


def machines(jobs: Iterable[Job]) -> list[list[Job]]:
    """The jobs that had both measurements, machine by machine: one ends with what ended it."""
    found: list[list[Job]] = [[]]
    for job in jobs:
        if job.before and job.after:
            found[-1].append(job)
        if job.how in ("died", "silent"):
            found.append([])
    return [machine for machine in found if machine]


def drift(machine: Sequence[Job], plan: Plan) -> tuple[str, bool]:
    """What many stressors together left behind in one machine, in words; whether it is too much."""
    first, last = machine[0].before, machine[-1].after
    assert first is not None and last is not None  # machines() takes no others
    available = (first.available - last.available) / _KIB_PER_MIB
    slab = (last.slab - first.slab) / _KIB_PER_MIB
    words = (
        f"{machine[0].name} to {machine[-1].name}, {len(machine)} stressors in one machine: "
        f"{available:.1f} MiB less available, {slab:.1f} MiB more slab (tolerance for each: "
        f"{plan.machine_mib})"
    )
    return words, max(available, slab) > plan.machine_mib


def _did_something(job: Job) -> bool:
    """Whether stress-ng counted work of the stressor."""
    counts = (_BOGO_OPS.search(line) for line in job.said)
    return any(found and int(found["count"]) > 0 for found in counts)


def _gave_up(job: Job) -> bool:
    """Whether stress-ng had nobody to do the work, or all were done in less than half the time."""
    text = "\n".join(job.said)
    asked, took = _ASKED.search(text), _TOOK.search(text)
    early = asked and took and float(took[1]) < int(asked[1]) / 2
    return _NOTHING in text or bool(early)


def _last_but_summary(job: Job) -> str:
    """What was said before stress-ng summed up."""
    lines = [line for line in job.said if not (_TOOK.search(line) or "stress-ng: metrc" in line)]
    return _text(lines[-1]) if lines else "it did nothing"


def _complaint(said: Iterable[str]) -> str:
    """The first line of stress-ng's that says what failed, else a warning, else who was killed."""
    lines = [found for found in map(_LINE.search, said) if found]
    for kinds in (("fail", "error"), ("warn",)):
        for found in lines:
            if found["kind"] in kinds:
                return found["text"].strip()
    killed = [found["text"] for found in lines if _KILLED in found["text"]]
    if killed:
        return killed[0].strip()
    skipped = [line for line in said if _SKIPPED.search(line)]
    return _text(skipped[-1]) if skipped else ""


def _text(line: str) -> str:
    found = _LINE.search(line)
    return (found["text"] if found else line).strip()


def _first(lines: Iterable[str]) -> str:
    return next((line.strip() for line in lines if line.strip()), "")
