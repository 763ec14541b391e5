"""When a soak fails: growth, the kernel's warnings, a round, the load."""

import pytest
from conformance import soak
from conformance.soak_growth import Limits, growths
from conformance.stress_lines import Job, Memory

from ukcc.errors import UkccError

LIMITS = Limits(available_mib=8, slab_mib=4, unreclaimable_mib=4, tasks=8)
WARNINGS = ("WARNING: ",)
CALM = Memory(available=800 * 1024, slab=6 * 1024, unreclaimable=5 * 1024, tasks=60)
GOOD = Job("minute-1", "exit 0", before=CALM, after=CALM)


def guest(available: float = 800, slab: float = 6, tasks: int = 60) -> Memory:
    return Memory(round(available * 1024), round(slab * 1024), 5 * 1024, tasks)


def growing(measured: list[Memory]) -> list[str]:
    return [growth.name for growth in growths(measured, LIMITS) if growth.keeps_growing]


def test_what_stays_as_it_is_does_not_grow() -> None:
    assert growing([CALM] * 60) == []
    # caches fill in the first quarter, and there is noise
    assert (
        growing([guest(900 - 10 * n) for n in range(10)] + [guest(800 + n % 3) for n in range(30)])
        == []
    )
    # seen once in an hour: 70 MiB of slab at one look, and 60 of them gone at the next
    assert growing([CALM] * 50 + [guest(744, 73)] + [CALM] * 9) == []
    # what comes back is no growth
    assert growing([guest(700)] * 20 + [guest(800)] * 20) == []


def test_what_grows_is_named() -> None:
    assert growing([guest(available=800 - n / 3) for n in range(60)]) == ["MiB available"]
    assert growing([guest(slab=6 + n / 5) for n in range(60)]) == ["MiB slab"]
    assert growing([guest(tasks=60 + n) for n in range(60)]) == ["tasks"]
    # the tolerance is for the last quarter against the second, here 30 rounds apart
    assert growing([guest(available=800 - n / 4) for n in range(60)]) == []


def test_too_few_measurements_are_no_answer() -> None:
    with pytest.raises(UkccError, match="3 measurements"):
        growths([CALM] * 3, LIMITS)


@pytest.mark.parametrize(
    ("job", "load", "what"),
    [
        (Job("minute-1", "died", kernel=("WARNING: x",)), "", "the machine died: WARNING: x"),
        (Job("minute-1", "silent"), "", "the machine silent"),
        (Job("minute-1", "exit 0", kernel=("WARNING: x",), after=CALM), "", "the kernel: WARNING"),
        (Job("minute-1", "exit 2", after=CALM), "", "stress-ng: fail"),
        (Job("minute-1", "timeout", after=CALM), "", "stress-ng: timeout"),
        (GOOD, "redis-benchmark failed", "the load on Redis: redis-benchmark failed"),
        (Job("minute-1", "exit 0"), "", "no measurement"),
    ],
)
def test_a_round_that_is_not_as_it_should_be_ends_the_soak(job: Job, load: str, what: str) -> None:
    soak.check(GOOD, "", WARNINGS)
    with pytest.raises(UkccError, match=what):
        soak.check(job, load, WARNINGS)


def test_the_plan_is_whole() -> None:
    plan = soak.load()
    assert "--fork" in plan.stress and "--save" in plan.redis and plan.growth.tasks > 0


@pytest.mark.parametrize(
    "text", ["", "stress = []", "stress = []\nredis = []\n[growth]\nslab_mib = 1"]
)
def test_a_wrong_plan_is_told(text: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "soak.toml"
    file.write_text(text)
    with pytest.raises(UkccError, match=r"soak\.toml"):
        soak.load(file)
