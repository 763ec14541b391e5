"""What `make kernel-check ARGS=tables` reads in a linker's map, and what it complains of."""

import pytest
from kernelcheck.tables import Entry, LinkerMap, missing, parse_map

MAP = """\
Archive member included to satisfy reference by file (symbol)

arch/x86/lib/memcpy_64.o      kernel/fork.o (memcpy)

Discarded input sections

 .text          0x0000000000000000        0x0 kernel/fork.o
 .text.unused   0x0000000000000000       0x12 kernel/fork.o
 .text.a_function_with_a_long_name
                0x0000000000000000      0x123 kernel/exit.o

Memory Configuration

Name             Origin             Length             Attributes
*default*        0x0000000000000000 0xffffffffffffffff

Linker script and memory map

LOAD vmlinux.a
 .text.used     0xffffffff81000000       0x12 kernel/fork.o
"""

LINKED = parse_map(MAP)
USED = Entry("__ex_table", 12, ".text.used", True)
UNUSED = Entry("__ex_table", 12, ".text.unused", True)


def test_a_map() -> None:
    assert parse_map(MAP) == LinkerMap(
        frozenset({"kernel/fork.o", "kernel/exit.o"}),
        frozenset(
            {
                ("kernel/fork.o", ".text"),
                ("kernel/fork.o", ".text.unused"),
                ("kernel/exit.o", ".text.a_function_with_a_long_name"),
            }
        ),
    )


def test_a_map_without_collection() -> None:
    text = "Memory Configuration\n\n .text          0x0000000000001000       0x10 a.o\n"
    assert parse_map(text) == LinkerMap(frozenset({"a.o"}), frozenset())


@pytest.mark.parametrize(
    ("found", "length", "complaint"),
    [
        ({"kernel/fork.o": [USED, UNUSED]}, 12, ""),
        ({"kernel/fork.o": [USED, UNUSED], "lib/not_linked.o": [USED]}, 12, ""),
        ({"kernel/fork.o": [USED, UNUSED]}, 0, "__ex_table: 0 bytes in the kernel, 12 in"),
        ({"kernel/fork.o": [USED, UNUSED]}, 24, "__ex_table: 24 bytes in the kernel, 12 in"),
        (
            {"kernel/fork.o": [Entry("__ex_table", 12, ".text.used", False)]},
            12,
            "kernel/fork.o: .text.used does not refer to its entry in __ex_table",
        ),
    ],
)
def test_an_entry_that_is_missing(
    found: "dict[str, list[Entry]]", length: int, complaint: str
) -> None:
    said = list(missing(found, LINKED, {"__ex_table": length}))
    assert [line.startswith(complaint) for line in said] == ([True] if complaint else [])


def test_a_table_that_no_kept_code_has() -> None:
    assert list(missing({"kernel/fork.o": [UNUSED]}, LINKED, {"__ex_table": 12})) == [
        "__ex_table: 12 bytes in the kernel, 0 in the code that it keeps"
    ]


def test_places_of_locks_are_filled_up_to_a_page() -> None:
    locks = [Entry(".smp_locks", 4, ".text.used", True)] * 1025
    assert not list(missing({"kernel/fork.o": locks}, LINKED, {".smp_locks": 8192}))
    assert list(missing({"kernel/fork.o": locks}, LINKED, {".smp_locks": 4096}))
