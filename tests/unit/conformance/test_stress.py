"""The stress suite's plan, the runner's lines, the verdicts: all without a machine."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from conformance import stress, stress_list, stress_process
from conformance.results import Row
from conformance.stress_guest import Order
from conformance.stress_judge import drift, judge, judge_process, machines
from conformance.stress_lines import Job, Memory, Reader

from ukcc.errors import UkccError

PLAN = stress_list.load()
CALM = Memory(available=2_000_000, slab=5_000, unreclaimable=4_000, tasks=46)
SAID = (
    "stress-ng: info:  [5] dispatching hogs: 2 cpu",
    "stress-ng: metrc: [5] cpu                 133      2.03      3.87      0.15        65.46",
    "stress-ng: info:  [5] successful run completed in 2.10s",
)


def job(how: str = "exit 0", **more: Any) -> Job:
    return replace(Job("cpu", how, said=SAID, before=CALM, after=CALM), **more)


def test_a_job_is_read_from_the_lines_between_start_and_end() -> None:
    reader = Reader()
    lines = [
        "UKS start vm",
        "UKS memory vm before available=10 slab=2 unreclaimable=1 tasks=46",
        "ukcc run: something of its own",
        "UKS kmsg vm WARNING: CPU: 1 PID: 7292 at 0xffffffff806fbbfb",
        "UKS said vm stress-ng: info:  [5] two words",
        "UKS left vm 3",
        "UKS memory vm after available=9 slab=3 unreclaimable=2 tasks=47",
    ]
    assert [reader.feed(line) for line in lines] == [None] * len(lines)
    assert reader.running == "vm"
    assert reader.feed("UKS end vm signal 9") == Job(
        "vm",
        "signal 9",
        ("stress-ng: info:  [5] two words",),
        ("WARNING: CPU: 1 PID: 7292 at 0xffffffff806fbbfb",),
        Memory(10, 2, 1, 46),
        Memory(9, 3, 2, 47),
        3,
    )
    assert reader.other == ["ukcc run: something of its own"]
    reader.feed("UKS start next")
    assert reader.feed("UKS end next exit 0") == Job("next", "exit 0")


def test_a_job_whose_machine_died_has_the_console() -> None:
    reader = Reader()
    reader.feed("UKS start priv-instr")
    ended = reader.end("died", ("Kernel panic - not syncing: Fatal exception",))
    assert judge(ended, PLAN) == (
        "fail",
        "the machine ended: Kernel panic - not syncing: Fatal exception",
    )
    assert judge(Job("x", "silent"), PLAN) == ("fail", "the machine fell silent: without a word")


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ("exit 0", "pass"),
        ("exit 2", "fail"),
        ("exit 3", "skip"),
        ("exit 4", "skip"),
        ("exit 5", "fail"),
        ("exit 7", "fail"),
        ("exit 127", "fail"),
        ("signal 11", "fail"),
        ("timeout", "timeout"),
    ],
)
def test_the_status_decides(how: str, verdict: str) -> None:
    found, why = judge_process(job(how))
    assert found == verdict
    assert bool(why) == (verdict != "pass")


def test_a_stressor_that_was_killed_is_named() -> None:
    # all that stress-ng 0.15 says of it, and with --verbose only
    killed = "process [9] (pthread) terminated on signal: 11 (Segmentation fault)"
    said = (f"stress-ng: debug: [8] {killed}", *SAID)
    assert judge_process(job("exit 2", said=said)) == ("fail", killed)


def test_a_stressor_that_skips_itself_did_not_pass() -> None:
    said = ("stress-ng: info:  [8] kvm: /dev/kvm not available, skipping stress test", SAID[0])
    assert judge_process(job(said=said)) == (
        "skip",
        "kvm: /dev/kvm not available, skipping stress test",
    )
    root = ("stress-ng: warn:  [8] exec stressor must not run as root, skipping the stressor",)
    assert judge_process(job(said=root))[0] == "skip"
    # as stress-ng said it in a guest, with status 0
    nobody = (
        "stress-ng: info:  [2] smi stressor will be skipped, need to be running as root",
        "stress-ng: error: [2] No stress workers invoked (one or more were unsupported)",
    )
    assert judge_process(job(said=nobody))[0] == "skip"
    assert judge_process(job(said=nobody[1:]))[0] == "skip"
    assert judge_process(job("exit 1", said=nobody[1:]))[0] == "skip"
    # ended long before its time, and counted no work
    early = (
        "stress-ng: info:  [2] setting to a 10 second run per stressor",
        "stress-ng: info:  [3] rtc: cannot open /dev/rtc",
        "stress-ng: info:  [2] successful run completed in 0.04s",
    )
    assert judge_process(job(said=early)) == ("skip", "rtc: cannot open /dev/rtc")
    slow = (early[0], "stress-ng: info:  [2] successful run completed in 10.2s")
    assert judge_process(job(said=slow)) == ("pass", "")
    # one method of several, and the others did their work
    method = "stress-ng: info:  [8] misaligned: skipping method int128, misaligned operations"
    assert judge_process(job(said=(method, *SAID))) == ("pass", "")


def test_the_first_failure_is_named() -> None:
    said = (
        "stress-ng: warn:  [7] something else",
        "stress-ng: fail:  [8] pipe: read the wrong bytes",
        "stress-ng: error: [6] process 8 (stress-ng-pipe) terminated with an error",
    )
    assert judge_process(job("exit 2", said=said)) == ("fail", "pipe: read the wrong bytes")


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: CPU: 1 PID: 7292 at 0xffffffff806fbbfb",
        "BUG: unable to handle page fault for address: ffffffffffffff88",
        "BUG: Bad page state in process x  pfn:10ef0",
        "Oops: Oops: 0000 [#1] SMP",
        "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
        "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [x:12]",
        "INFO: task x:12 blocked for more than 120 seconds.",
        "BUG: records were lost: the log ran over",
        "No irq handler for 0.128",
    ],
)
def test_a_warning_of_the_kernel_is_a_failure(line: str) -> None:
    assert judge(job(kernel=(line,)), PLAN) == ("fail", f"the kernel: {line}")


@pytest.mark.parametrize(
    "line",
    [
        "stress-ng-oom-p invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE)",
        "Call Trace:",
        "sched: DL replenish lagged too much",
        "mmap: stress-ng-remap (2192) uses deprecated remap_file_pages() syscall.",
    ],
)
def test_what_a_healthy_kernel_says_is_none(line: str) -> None:
    assert judge(job(kernel=(line,)), PLAN) == ("pass", "")


def test_memory_must_come_back() -> None:
    mib = 1024
    plan = replace(PLAN, available_mib=8, slab_mib=4)
    least = replace(CALM, available=CALM.available - 8 * mib, slab=CALM.slab + 4 * mib)
    assert judge(job(after=least), plan) == ("pass", "")
    lost = replace(CALM, available=CALM.available - 9 * mib)
    assert judge(job(after=lost), plan) == (
        "fail",
        "memory did not come back: 9 MiB less are available (tolerance 8)",
    )
    assert "5 MiB more slab" in judge(job(after=replace(CALM, slab=CALM.slab + 5 * mib)), plan)[1]
    # and a job that had no end in order has more to say than its memory
    assert judge(job("exit 2", after=lost), plan)[0] == "fail"


def test_small_losses_of_many_stressors_add_up() -> None:
    plan = replace(PLAN, available_mib=8, machine_mib=24)
    steps = [replace(CALM, available=CALM.available - 1024 * 5 * n) for n in range(8)]
    jobs = [job(before=one, after=other) for one, other in itertools.pairwise(steps)]
    assert {judge(one, plan)[0] for one in jobs} == {"pass"}
    (machine,) = machines(jobs)
    words, too_much = drift(machine, plan)
    assert too_much and "7 stressors in one machine: 35.0 MiB less available" in words
    # a fresh machine begins anew
    died = Job("opcode", "died")
    first, second = machines([*jobs[:4], died, *jobs[4:]])
    assert [drift(one, plan)[1] for one in (first, second)] == [False, False]


def test_classes_are_read_and_each_stressor_has_the_first() -> None:
    text = "class 'pipe' stressors: fifo pipe vm-splice\n"
    assert stress_list.parse_class(text, "pipe") == ("fifo", "pipe", "vm-splice")
    with pytest.raises(UkccError, match="no class signal"):
        stress_list.parse_class("Unknown class: 'signal'", "signal")
    plan = replace(PLAN, exclude={"fifo": "why"}, process={}, unprivileged=())
    found = stress_list.ordered({"pipe": ["fifo", "tee"], "os": ["tee", "exec"]}, plan)
    assert [(one.group, one.name, one.excluded) for one in found] == [
        ("pipe", "fifo", "why"),
        ("pipe", "tee", ""),
        ("os", "exec", ""),
    ]
    with pytest.raises(UkccError, match="sockk"):
        stress_list.ordered({"pipe": ["fifo"]}, replace(plan, process={"sockk": "why"}))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"clases": ["cpu"]}, "clases"),
        ({"warnings": "Oops"}, "warnings"),
        ({"slab_mib": "4"}, "slab_mib"),
        ({"exclude": {"kvm": ""}}, "exclude"),
    ],
)
def test_a_wrong_plan_is_told(change: dict[str, object], what: str) -> None:
    table: dict[str, object] = {
        "classes": ["cpu"],
        "options": [],
        "unikernel_options": [],
        "unprivileged": [],
        "warnings": ["Oops"],
        "available_mib": 8,
        "slab_mib": 4,
        "machine_mib": 9,
        "exclude": {},
        "process": {},
    }
    assert stress_list.parse(table, "plan").classes == ("cpu",)
    with pytest.raises(UkccError, match=what):
        stress_list.parse({**table, **change}, "plan")


def test_an_order_is_one_line() -> None:
    order = stress.order("/app/stress-ng", "exec", 10, replace(PLAN, unprivileged=("exec",)))
    assert order.uid == 65534
    assert order.line().startswith("exec 130 65534 /app/stress-ng --exec 2 --timeout 10s ")
    assert Order("cpu", 5, 0, ("a", "b")).line() == "cpu 5 0 a b\n"


@pytest.mark.parametrize(
    ("status", "how"),
    [(0, "exit 0"), (3, "exit 3"), (124, "timeout"), (137, "timeout"), (139, "signal 11")],
)
def test_how_a_process_ended(status: int, how: str) -> None:
    assert stress_process.how(status) == how


def test_worse_is_what_only_the_unikernel_does_wrong() -> None:
    assert stress.worse(Row("cpu", "x", "fail", "pass"))
    assert stress.worse(Row("cpu", "x", "timeout", "skip"))
    assert not stress.worse(Row("cpu", "x", "fail", "fail"))
    assert not stress.worse(Row("cpu", "x", "skip", "pass"))
