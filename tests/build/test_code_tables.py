"""asm/code-table.h of the series dead-code, with the compiler and the linker that build the kernel.

Two objects play the kernel: `keeper.c` is what the machine enters, `other.c` has what it
may need. The linker's script collects a table between two symbols, as the kernel's does.
"""

import re
import struct
import subprocess
from pathlib import Path

import pytest

from ukcc.image.elf import open_elf
from ukcc.sysroot import inputs, kernels

HEADER = "arch/x86/include/asm/code-table.h"

SCRIPT = """\
ENTRY(entered)
SECTIONS {
	. = 0x1000;
	.text : { *(.text .text.*) }
	.replacement : { *(.replacement) }
	__ex_table : { table_start = .; *(__ex_table) table_end = .; }
	/DISCARD/ : { *(.eh_frame) *(.comment) *(.note*) }
}
"""

# An entry is the address of the code that it describes, and a word that names it.
COMMON = """\
#include "code-table.h"
#define ENTRY(word) "1: nop\\n" PUSH_CODE_TABLE(__ex_table, a) \\
	".balign 8\\n.quad 1b\\n.quad " #word "\\n.popsection\\n"
"""

# `replaced` is called from a replacement only, as with alternatives, and has an entry itself.
KEEPER = """\
#include "common.h"
void entered(void)
{
	asm volatile(ENTRY(1));
	asm volatile(ENTRY(2));
	asm volatile("2: nop\\n" PUSH_CODE_TABLE(.replacement, ax) "call replaced\\n.popsection\\n");
}
void never_called(void) { asm volatile(ENTRY(3)); }
"""

OTHER = """\
#include "common.h"
__attribute__((noinline)) void deeper(void) { asm volatile(ENTRY(4)); }
void replaced(void) { asm volatile(ENTRY(5)); deeper(); }
void never_called_either(void) { asm volatile(ENTRY(6)); }
"""

# In assembly all of an object's text is one section.
ASSEMBLY = """\
#include "code-table.h"
	.text
	.globl deeper
deeper:	nop
1:	ret
	push_code_table __ex_table, a
	.balign 8
	.quad 1b, 7
	.popsection
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the header, as the series makes it."""
    text = "".join(path.read_text() for path in inputs.series(kernels.DEAD_CODE))
    new = re.search(rf"^\+\+\+ b/{re.escape(HEADER)}\n@@.*\n((?:\+.*\n)+)", text, re.MULTILINE)
    assert new, "the series makes the header"
    lines = [line[1:] for line in new[1].splitlines()]
    (tmp_path / "code-table.h").write_text("\n".join(lines) + "\n")
    (tmp_path / "common.h").write_text(COMMON)
    (tmp_path / "script.lds").write_text(SCRIPT)
    return tmp_path


def words(place: Path, sources: "dict[str, str]", *, collect: bool = True) -> list[int]:
    """What the entries in the linked table say, in their order."""
    options = ["-DCONFIG_LD_DEAD_CODE_DATA_ELIMINATION"] if collect else []
    objects = []
    for name, source in sources.items():
        (place / name).write_text(source)
        objects.append(f"{name}.o")
        argv = ["gcc", "-O2", "-fno-pie", "-ffunction-sections", "-D__KERNEL__", *options]
        argv += ["-D__ASSEMBLY__"] if name.endswith(".S") else []
        subprocess.run([*argv, "-c", name, "-o", objects[-1]], cwd=place, check=True)
    argv = ["ld", "-T", "script.lds", "-o", "kernel", *(["--gc-sections"] if collect else [])]
    subprocess.run([*argv, *objects], cwd=place, check=True)
    with open_elf(place / "kernel") as elf:
        (table,) = (section for section in elf.sections() if section.name == "__ex_table")
        data = elf.bytes_at(table.offset, table.size)
    return [word for _, word in struct.iter_unpack("<QQ", data)]


def test_entries_go_with_their_code(place: Path) -> None:
    found = words(place, {"keeper.c": KEEPER, "other.c": OTHER})
    assert sorted(found) == [1, 2, 4, 5]


def test_the_entries_of_a_function_keep_their_order(place: Path) -> None:
    """Of two alternatives for one place the later one wins."""
    many = "".join(f"\tasm volatile(ENTRY({number}));\n" for number in range(400))
    source = f'#include "common.h"\nvoid entered(void)\n{{\n{many}}}\n'
    assert words(place, {"keeper.c": source}) == list(range(400))


def test_it_does_not_matter_which_object_comes_first(place: Path) -> None:
    found = words(place, {"other.c": OTHER, "keeper.c": KEEPER})
    assert sorted(found) == [1, 2, 4, 5]


def test_entries_in_assembly(place: Path) -> None:
    other = OTHER.replace(" { asm volatile(ENTRY(4)); }", ";")
    sources = {"keeper.c": KEEPER, "other.c": other, "deeper.S": ASSEMBLY}
    assert sorted(words(place, sources)) == [1, 2, 5, 7]
    without = {"keeper.c": KEEPER.replace("call replaced", "nop"), "deeper.S": ASSEMBLY}
    assert sorted(words(place, without)) == [1, 2]


def test_without_a_collecting_linker_the_table_is_whole(place: Path) -> None:
    found = words(place, {"keeper.c": KEEPER, "other.c": OTHER}, collect=False)
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
