"""Which kernel a sysroot gets, and which one a sysroot has."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ukcc.cli import sysroot as command
from ukcc.errors import UkccError
from ukcc.specialise import make
from ukcc.sysroot import build, kernels


def test_a_kernel_by_its_name() -> None:
    assert [kernels.find(name) for name in kernels.NAMES] == list(kernels.KERNELS)


@pytest.mark.parametrize("name", ["", "6", "6.13", "7.2 ", "../6.12", "linux-source-6.12"])
def test_a_kernel_that_there_is_not_is_told_with_those_that_there_are(name: str) -> None:
    with pytest.raises(UkccError) as caught:
        kernels.find(name)
    assert repr(name) in caught.value.message
    assert all(known in caught.value.hint for known in kernels.NAMES)


def test_the_help_names_the_kernels() -> None:
    said = CliRunner().invoke(command.command, ["build", "--help"]).output
    assert all(name in said for name in kernels.NAMES)


@pytest.mark.parametrize("name", kernels.NAMES)
def test_the_option_chooses_the_kernel(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def built(
        store: object, progress: object, jobs: object, kernel: kernels.KernelRelease
    ) -> object:
        asked.append(kernel.name)
        raise UkccError("enough")

    monkeypatch.setattr(build, "build", built)
    done = CliRunner().invoke(command.command, ["build", "-q", "--linux", name])
    assert isinstance(done.exception, UkccError) and asked == [name]


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"inputs": {"linux": {"package": "linux-source-7.2"}}}, "7.2"),
        ({"inputs": {"linux": {"package": "linux-source-6.12"}}}, "6.12"),
        ({"inputs": {"linux": {"package": "linux-source-5.10"}}}, "6.12"),
        ({"inputs": {"linux": {"package": 7}}}, "6.12"),
        ({"inputs": []}, "6.12"),
        ([], "6.12"),
        (None, "6.12"),
    ],
)
def test_the_kernel_of_a_sysroot(
    record: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sysroot.json").write_text(json.dumps(record))
    monkeypatch.setenv("UKCC_SYSROOT", str(tmp_path))
    assert kernels.of_record(record).name == kernels.in_use().name == name


def test_without_a_sysroot_it_is_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (str(tmp_path / "nowhere"), ""):
        monkeypatch.setenv("UKCC_SYSROOT", place)
        assert kernels.in_use() is kernels.LONG_TERM
    (tmp_path / "sysroot.json").write_text("{")
    monkeypatch.setenv("UKCC_SYSROOT", str(tmp_path))
    assert kernels.in_use() is kernels.LONG_TERM


def test_no_kernel_for_one_program_where_the_series_for_it_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kernel in kernels.KERNELS:
        has_series = {kernels.DEAD_CODE, kernels.SMALL} <= set(kernel.series)
        assert kernel.classes == has_series
        record = {"inputs": {"linux": {"package": kernel.package.name}}}
        (tmp_path / "sysroot.json").write_text(json.dumps(record))
        monkeypatch.setenv("UKCC_SYSROOT", str(tmp_path))
        if kernel.classes:
            assert make._kernel_with_classes() is kernel
        else:
            with pytest.raises(UkccError, match=f"Linux {kernel.name}, of which no kernel"):
                make._kernel_with_classes()
