"""A boot's instructions, from a small record of the plugin to phases."""

import pytest

from ukcc.errors import UkccError
from ukcc.failures.kernel import KERNEL_MAP
from ukcc.pictures import boot, phases
from ukcc.pictures.boot import BootedProgram, boot_tree, names_of
from ukcc.pictures.calls import parse_calls
from ukcc.pictures.kernel import levels

K = KERNEL_MAP

# Firmware; an early function at its physical address; start_kernel, which sets up memory, unpacks
# (and checks) the archive and runs an initcall that an interrupt comes between; a kernel thread;
# a child of init; the program.
RECORD = f"""
m 1 200000 50
m 2 10000100 1000
m 4 20000040 1500
m 5 20000000 1600
n 0 0 b 0 0 50 0
n 1 0 b 1 1 5 50
n 2 1 c 200000 1 10 50
n 3 2 c {K + 0x1000:x} 1 100 60
n 4 3 c {K + 0x2000:x} 2 300 70
n 5 3 c {K + 0x3000:x} 1 40 80
n 6 5 c {K + 0x4000:x} 1 60 90
n 7 3 c {K + 0x5000:x} 1 200 100
n 8 7 c {K + 0x6000:x} 3 7 110
n 9 0 t {K + 0x7000:x} 0 11 120
n 10 9 c {K + 0x8000:x} 1 22 130
n 11 9 c 10000100 1 33 1010
n 12 11 c {K + 0x9000:x} 1 44 1020
n 13 0 b 2 1 500 1000
n 14 0 b 4 1 20 1500
n 15 14 c 20000060 1 80 1510
n 16 15 c 7fff00000000 1 3 1520
end 1485
""".strip().splitlines()

KERNEL = names_of(
    [
        (K + 0x200000, 0x100, "pvh_start_xen"),
        (K + 0x1000, 0x100, "start_kernel"),
        (K + 0x2000, 0x100, "mm_core_init"),
        (K + 0x3000, 0x100, "uk_archive_unpack"),
        (K + 0x4000, 0x100, "crc32_le_base"),
        (K + 0x5000, 0x100, "acpi_init"),
        (K + 0x6000, 0x100, "asm_sysvec_apic_timer_interrupt"),
        (K + 0x7000, 0x100, "ret_from_fork_asm"),
        (K + 0x8000, 0x100, "kthread"),
        (K + 0x9000, 0x100, "do_execveat_common.isra.0"),
    ]
)
PROGRAMS = {
    boot.KERNEL: BootedProgram(0, KERNEL),
    boot.INIT: BootedProgram(0x10000100, names_of([(0x10000100, 16, "_start")])),
    # linked at 0, as a PIE is
    boot.PROGRAM: BootedProgram(
        0x40, names_of([(0x40, 8, "_start"), (0x60, 8, "__libc_start_main")])
    ),
}
INITCALLS = {"acpi_init": "4"}


def phases_of(lines: list[str]) -> dict[str, int]:
    tree = boot_tree(parse_calls(lines), PROGRAMS, INITCALLS)
    return {phase.name: phase.size for phase in tree.children}


def test_every_instruction_is_in_one_phase() -> None:
    assert phases_of(RECORD) == {
        phases.FIRMWARE: 50,
        phases.EARLY: 15,
        phases.CORE: 100,
        phases.MEMORY: 300,
        phases.UNPACK: 40,
        phases.CHECK: 60,
        "initcalls: 4 subsys": 207,
        phases.THREADS: 33,
        phases.INIT: 533,
        phases.EXEC: 44,
        phases.PROGRAM: 103,
    }
    assert sum(phases_of(RECORD).values()) == 1485


def test_phases_are_in_the_order_in_which_they_began() -> None:
    names = list(phases_of(RECORD))
    assert names[:3] == [phases.FIRMWARE, phases.EARLY, phases.CORE]
    assert names[-2:] == [phases.EXEC, phases.PROGRAM]


def test_a_function_has_what_it_calls_and_an_interrupt_is_of_the_interrupted() -> None:
    tree = boot_tree(parse_calls(RECORD), PROGRAMS, INITCALLS)
    acpi = tree.child("initcalls: 4 subsys").child("acpi_init")  # type: ignore[union-attr]
    assert acpi is not None and (acpi.size, acpi.own) == (207, 200)
    assert acpi.child("asm_sysvec_apic_timer_interrupt").times == 3  # type: ignore[union-attr]
    early = tree.child(phases.EARLY)
    assert early is not None and early.children[0].name == "pvh_start_xen"
    program = tree.child(phases.PROGRAM)
    assert program is not None and program.children[0].name == "__libc_start_main"
    assert program.children[0].children[0].name == "(shared library)"


def test_a_thread_of_the_program_runs_its_code_not_inits() -> None:
    """Of the program's begin, which is node 14: its thread, the kernel in that, its function."""
    more = [
        f"n 17 14 t {K + 0x7000:x} 0 5 1530",
        "n 18 17 c 20000060 1 70 1540",
        f"n 19 18 c {K + 0x6000:x} 1 9 1550",
        "end 1569",
    ]
    tree = boot_tree(parse_calls([*RECORD[:-1], *more]), PROGRAMS, INITCALLS)
    program = tree.child(phases.PROGRAM)
    assert program is not None and program.size == 103 + 79
    own = program.child("__libc_start_main")
    assert own is not None and own.size == 83 + 79
    assert tree.child(phases.INIT).size == 533  # type: ignore[union-attr]
    assert tree.child(phases.THREADS).size == 33 + 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "lines",
    [
        [],
        RECORD[:-1],
        [*RECORD[:-1], "end 1484"],
        [*RECORD[:5], RECORD[6], *RECORD[5:]],
        ["n 0 0 c zz 0 0 0", "end 0"],
        ["n 0 0 c 0 0 -5 0", "end -5"],
        ["n 1 7 c 0 0 0 0", "end 0"],
        ["n 0 0", "end 0"],
        ["end 99999999999999999999x"],
    ],
)
def test_a_damaged_record_is_one_clear_error(lines: list[str]) -> None:
    with pytest.raises(UkccError):
        parse_calls(lines)


def test_levels_of_initcalls_are_in_the_kernels_symbols() -> None:
    names = [
        "__initcall__kmod_9p__347_732_init_v9fs6",
        "__initcall__kmod_9pnet__254_205_init_p96",
        "__initcall__kmod_8250__298_516_univ8250_console_initcon",
        "__initcall__kmod_initramfs__391_763_populate_rootfsrootfs",
        "__initcall__kmod_tsc__149_1613_init_tsc_clocksource6",
        "__initcall__kmod_x__1_2_late7s",
        "__initcall__kmod_static_call_inline__5_6_static_call_initearly",
        "start_kernel",
    ]
    assert levels(names) == {
        "init_v9fs": "6",
        "init_p9": "6",
        "univ8250_console_init": "con",
        "populate_rootfs": "rootfs",
        "init_tsc_clocksource": "6",
        "late": "7s",
        "static_call_init": "early",
    }
    assert phases.of_level("7s") == phases.of_level("7") == "initcalls: 7 late"
