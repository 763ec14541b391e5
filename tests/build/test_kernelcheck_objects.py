"""What counts as the same code of an object: bytes and relocations, and nothing else."""

import subprocess
from pathlib import Path

import pytest

from ukcc.kernelcheck.identity import code_digests

SOURCES = {
    "call": ".globl f\nf: call g\nret\n",
    "with_data": ".data\n.quad 7\n.text\n.globl f\nf: call g\nret\n",
    "another_target": ".globl f\nf: call h\nret\n",
    "another_instruction": ".globl f\nf: call g\nnop\nret\n",
}


@pytest.mark.parametrize("width", ["--64", "--32"])
def test_code_of_objects(tmp_path: Path, width: str) -> None:
    for name, source in SOURCES.items():
        (tmp_path / f"{name}.s").write_text(source)
        subprocess.run(["as", width, f"{name}.s", "-o", f"{name}.o"], cwd=tmp_path, check=True)
    digests = code_digests(tmp_path)
    assert digests["call.o"] == digests["with_data.o"]
    assert len({digests[f"{name}.o"] for name in SOURCES}) == 3


def test_the_hosts_tools_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    subprocess.run(["as", "/dev/null", "-o", "scripts/tool.o"], cwd=tmp_path, check=True)
    subprocess.run(["as", "/dev/null", "-o", "vmlinux.o"], cwd=tmp_path, check=True)
    subprocess.run(["as", "/dev/null", "-o", "fork.o"], cwd=tmp_path, check=True)
    assert list(code_digests(tmp_path)) == ["fork.o"]
