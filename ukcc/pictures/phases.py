"""Which part of a boot a function belongs to: data, and the rule that a callee is its caller's."""

from collections.abc import Mapping

FIRMWARE = "firmware"
EARLY = "early architecture"
CORE = "kernel set-up"
MEMORY = "memory set-up"
TIMERS = "timers"
CHECK = "archive: check"
UNPACK = "archive: unpack"
PROTECT = "free and protect memory"
THREADS = "kernel threads"
INIT = "init"
EXEC = "exec and loader"
PROGRAM = "program start"

# Levels of initcalls (include/linux/init.h), in the order in which they run.
_LEVELS = {
    "con": "console",
    "early": "early",
    "0": "0 pure",
    "1": "1 core",
    "2": "2 postcore",
    "3": "3 arch",
    "4": "4 subsys",
    "5": "5 fs",
    "rootfs": "rootfs",
    "6": "6 device",
    "7": "7 late",
}

# From init/main.c, arch/x86/kernel/setup.c and what they call. A function that a kernel does not
# have changes nothing: its callers are named, too.
_FUNCTIONS = {
    EARLY: ("setup_arch", "trap_init", "arch_cpu_finalize_init", "alternative_instructions"),
    CORE: ("start_kernel", "kernel_init", "rest_init"),
    MEMORY: (
        *("e820__memory_setup", "e820__memblock_setup", "e820__reserve_resources"),
        *("e820__update_table", "e820__end_of_ram_pfn", "e820__setup_pci_gap"),
        *("init_mem_mapping", "native_pagetable_init", "paging_init", "initmem_init"),
        *("early_alloc_pgt_buf", "reserve_real_mode", "setup_per_cpu_areas", "mm_core_init"),
        *("page_alloc_init_late", "kmem_cache_init_late", "setup_per_cpu_pageset", "anon_vma_init"),
        *("memblock_discard", "memblock_set_current_limit", "setup_nr_node_ids"),
    ),
    TIMERS: (
        *("tsc_early_init", "tsc_init", "x86_late_time_init", "hpet_time_init", "time_init"),
        *("timekeeping_init", "tick_init", "init_timers", "hrtimers_init", "calibrate_delay"),
        *("setup_boot_APIC_clock", "setup_secondary_APIC_clock", "sched_clock_init"),
    ),
    UNPACK: ("do_populate_rootfs", "uk_archive_unpack", "unpack_to_rootfs", "wait_for_initramfs"),
    PROTECT: ("free_initmem", "mark_readonly", "mark_rodata_ro", "free_initmem_default"),
    THREADS: ("kthread", "kthreadd", "cpu_startup_entry"),
    EXEC: ("kernel_execve", "do_execveat_common", "bprm_execve"),
}  # fmt: skip

_BY_FUNCTION = {name: phase for phase, names in _FUNCTIONS.items() for name in names}

# Part of these only in the phase that is named.
_WITHIN = {UNPACK: (("crc32", CHECK), ("uk_archive_check", CHECK))}


def of_level(level: str) -> str:
    """The phase of an initcall's level: `6s` runs after all of `6`."""
    plain = level.removesuffix("s") if level[:1].isdigit() else level
    return f"initcalls: {_LEVELS.get(plain, plain)}"


def phase_of(function: str, around: str, initcalls: Mapping[str, str]) -> str:
    """The phase of a function that was called in the phase `around`.

    initcalls: function -> level.
    """
    base = function.partition(".")[0]  # gcc's own copies: name.isra.0
    if base in _BY_FUNCTION:
        return _BY_FUNCTION[base]
    if base in initcalls:
        return of_level(initcalls[base])
    for prefix, phase in _WITHIN.get(around, ()):
        if base.startswith(prefix):
            return phase
    return around
