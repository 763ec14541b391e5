"""The runner of stress jobs notices what a job does to the machine, and goes on in a fresh one."""

from pathlib import Path

import pytest
from conformance import stress_guest, stress_image, stress_list
from conformance.stress_guest import Guest, Order
from conformance.stress_judge import judge
from conformance.stress_lines import Job

from ukcc.vm.hypervisor import accel

SOURCE = Path(__file__).parent / "programs" / "misbehave.c"
PROGRAM = "/app/misbehave"
DEADLINE = 60  # seconds for a job that ends


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, build_image) -> Path:  # type: ignore[no-untyped-def]
    # an image runs in a guest like any other program
    program = build_image(SOURCE.read_text(), "-static", name="misbehave")
    work = tmp_path_factory.mktemp("stress")
    return stress_image.build("runner", [str(program)], work).path


def run(image: Path, work: Path, *orders: Order) -> list[Job]:
    guest = Guest(image, 256, 2, accel.choose("auto"))
    return list(stress_guest.run(guest, orders, work))


def order(what: str, limit: int = DEADLINE, uid: int = 0) -> Order:
    return Order(what, limit, uid, (PROGRAM, what))


def test_jobs_are_judged_by_what_they_did(image: Path, tmp_path: Path) -> None:
    plan = stress_list.load()
    jobs = run(
        image,
        tmp_path,
        order("uid", uid=65534),
        order("sleep", limit=2),
        order("leave"),
        order("warn"),
        order("crash"),
        order("leak"),
        Order("nothing", DEADLINE, 0, ("/app/nothing",)),
    )
    uid, sleep, leave, warn, crash, leak, nothing = jobs
    assert uid.how == "exit 0" and uid.said == ("uid 65534 in /tmp/job",)
    assert sleep.how == "timeout" and sleep.left == 1
    assert leave.how == "exit 0" and leave.left == 1
    assert warn.kernel == ("WARNING: CPU: 0 PID: 1 at a test",)
    assert judge(warn, plan)[0] == "fail"
    assert crash.how == "signal 11"
    assert leak.how == "exit 0"
    assert judge(leak, plan)[1].startswith("memory did not come back: 24 MiB less are available")
    assert nothing.how == "exit 127" and "No such file" in nothing.said[0]
    # the others left nothing behind
    for job in (uid, sleep, leave, crash):
        assert job.before and job.after
        assert abs(job.before.available - job.after.available) < 4096
    assert [path.name for path in tmp_path.glob("*.log")] == ["machine-1.log"]


def test_a_machine_that_dies_is_replaced(image: Path, tmp_path: Path) -> None:
    jobs = run(image, tmp_path, order("uid"), order("die"), order("uid"))
    assert [job.how for job in jobs] == ["exit 0", "died", "exit 0"]
    assert jobs[2].said == ("uid 0 in /tmp/job",)
    assert judge(jobs[1], stress_list.load())[0] == "fail"
    # the line that it starts can be lost with the machine; then it is started once more
    assert len(list(tmp_path.glob("*.log"))) in (2, 3)


def test_a_machine_that_hangs_is_replaced(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stress_guest, "_MARGIN", 15.0)
    # One CPU: the runner could be on another one, and say that the job took too long.
    guest = Guest(image, 256, 1, accel.choose("auto"))
    jobs = list(stress_guest.run(guest, [order("hang", limit=5), order("uid")], tmp_path))
    assert [job.how for job in jobs] == ["silent", "exit 0"]


def test_a_companion_stays_and_its_end_is_told(image: Path, tmp_path: Path) -> None:
    accelerator = accel.choose("auto")
    guest = Guest(image, 256, 2, accelerator, companion=(PROGRAM, "sleep"))
    jobs = list(stress_guest.run(guest, [order("leave"), order("uid")], tmp_path / "stays"))
    # it is not among those that outlived the job
    assert [(job.how, job.left) for job in jobs] == [("exit 0", 1), ("exit 0", 0)]
    assert len(list((tmp_path / "stays").glob("*.log"))) == 1
    guest = Guest(image, 256, 2, accelerator, companion=(PROGRAM, "warn"))
    (job,) = stress_guest.run(guest, [order("sleep")], tmp_path / "ends")
    assert job.how == "died"
    assert any("the companion ended, wait status 0" in line for line in job.kernel)
