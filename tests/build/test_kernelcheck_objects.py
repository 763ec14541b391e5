"""What counts as the same code of an object: bytes and relocations, and nothing else."""

import subprocess
from pathlib import Path

import pytest
from kernelcheck.identity import code_digests
from kernelcheck.tables import Entry, entries

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


TABLES = """
	.section .text.good, "ax"
good:	nop
	.reloc good, BFD_RELOC_NONE, 2f
	.section __ex_table, "a", @progbits, unique, 1
2:	.long good - ., 0, 0
	.section .text.bad, "ax"
bad:	nop
	.section __ex_table, "a"
	.long bad - ., 0, 0
	.section .text.replaced, "ax"
	.reloc ., BFD_RELOC_NONE, 3f
	nop
	.section .altinstr_replacement, "ax", @progbits, unique, 2
3:	lock incl (%rax)
	.reloc 3b, BFD_RELOC_NONE, 4f
	.section .smp_locks, "a", @progbits, unique, 3
4:	.long 3b - .
"""


def test_entries_of_tables_and_the_code_that_refers_to_them(tmp_path: Path) -> None:
    (tmp_path / "tables.s").write_text(TABLES)
    subprocess.run(["as", "tables.s", "-o", "tables.o"], cwd=tmp_path, check=True)
    assert sorted(entries(tmp_path / "tables.o"), key=lambda entry: entry.code) == [
        Entry("__ex_table", 12, ".text.bad", False),
        Entry("__ex_table", 12, ".text.good", True),
        Entry(".smp_locks", 4, ".text.replaced", True),  # by way of the replacement
    ]
