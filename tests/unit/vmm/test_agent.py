"""The guest's agent: that it is its source. What it does: tests/boot/test_vmm_boot.py."""

from pathlib import Path

from support.compiled import check_is_its_source

from ukcc.vm.boot.guest import PLAIN
from ukcc.vmm import agent


def test_it_is_its_source(tmp_path: Path) -> None:
    check_is_its_source(
        agent.__file__, agent.FLAGS, agent.COMPILER, agent.PROGRAM, tmp_path / "built"
    )


def test_both_know_the_port_and_the_place() -> None:
    text = Path(agent.__file__).with_suffix(".c").read_text()
    assert f"#define PORT\t\t{agent.PORT}\t" in text
    (entry,) = agent.entries()
    assert f"/{entry.path}" == agent.PLACE and f"rdinit=/{entry.path}" == agent.KERNEL_ARGUMENT
    assert entry.mode & 0o777 == 0o755


def test_the_step_for_a_terminal_is_the_last() -> None:
    (step,) = agent.for_terminal(PLAIN).steps
    assert step.run == (agent.PLACE, "cook") and not step.user
