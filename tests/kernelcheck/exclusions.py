"""What CONFIG_UK cannot live with: Kconfig gives it up, or refuses the other, but never has both.

Each option is asked for on top of our configuration, with what it needs itself. If it does not come
out then, the check would prove nothing: that is a failure, but for what this compiler cannot do.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ukcc.sysroot import fragments, linux
from ukcc.sysroot.kernels import KernelRelease

UK = "CONFIG_UK"

# Option -> what has to be on, or off (a leading `-`), before it can be. Each is without `CONFIG_`.
_EVERYWHERE: dict[str, tuple[str, ...]] = {
    "AMD_MEM_ENCRYPT": ("EFI", "EFI_STUB"),
    "CONTEXT_TRACKING_USER": ("NO_HZ_FULL",),
    "CPU_MITIGATIONS": (),
    "EFI_MIXED": ("RELOCATABLE", "EFI", "EFI_STUB"),
    "HIBERNATION": ("SWAP",),
    "HYPERV": (),
    "IA32_EMULATION": (),
    "INTEL_TDX_GUEST": ("EFI", "EFI_STUB"),
    "KEXEC_CORE": ("KEXEC",),
    "KVM": ("VIRTUALIZATION",),
    "LIVEPATCH": (
        "MODULES",
        "KALLSYMS",
        "KALLSYMS_ALL",
        "FTRACE",
        "FUNCTION_TRACER",
        "DYNAMIC_FTRACE",
        "-TRIM_UNUSED_KSYMS",
    ),
    "MODIFY_LDT_SYSCALL": (),
    "RANDOMIZE_KSTACK_OFFSET": (),
    "TRACE_IRQFLAGS": ("DEBUG_KERNEL", "PROVE_LOCKING"),
    "UPROBES": ("FTRACE", "UPROBE_EVENTS"),
    "X86_FRED": (),
    "X86_KERNEL_IBT": (),
    "X86_SGX": ("CRYPTO", "CRYPTO_SHA256"),
    "X86_USER_SHADOW_STACK": (),
    "X86_VSYSCALL_EMULATION": (),
    "X86_X32_ABI": (),
    "XEN_PV": ("XEN",),
}

# The same of single kernels. In 7.2 any kernel may have five levels of page tables, and what 6.12
# names beside CPU_MITIGATIONS and MODIFY_LDT_SYSCALL depends on these two there.
_ONLY: dict[str, dict[str, tuple[str, ...]]] = {
    "6.12": {
        "CALL_THUNKS": (
            "CPU_MITIGATIONS",
            "MITIGATION_RETPOLINE",
            "MITIGATION_RETHUNK",
            "MITIGATION_CALL_DEPTH_TRACKING",
        ),
        "CFI_CLANG": (),
        "GCC_PLUGIN_STACKLEAK": ("GCC_PLUGINS",),
        "MITIGATION_PAGE_TABLE_ISOLATION": ("CPU_MITIGATIONS",),
        "X86_16BIT": ("MODIFY_LDT_SYSCALL",),
        "X86_5LEVEL": (),
    },
    "7.2": {
        "CFI": (),
        "KSTACK_ERASE": ("GCC_PLUGINS",),
    },
}

# Drivers that could be modules, and are no less in the way then; in each kernel.
MODULAR = {"6.12": ("HYPERV", "KVM"), "7.2": ("KVM",)}

# What GCC cannot do, and what it can do only where its headers for plugins are installed.
IMPOSSIBLE = frozenset({"CFI", "CFI_CLANG", "GCC_PLUGIN_STACKLEAK", "KSTACK_ERASE"})


def excluded(kernel: str) -> dict[str, tuple[str, ...]]:
    """What CONFIG_UK excludes in the kernel of that name: option -> what it needs."""
    return {**_EVERYWHERE, **_ONLY[kernel]}


def wanted(option: str, value: str, needed: Sequence[str]) -> str:
    """A fragment that asks for the option, and for what it needs."""
    needed = (*needed, "MODULES") if value == "m" else needed
    lines = [
        f"# CONFIG_{name[1:]} is not set" if name.startswith("-") else f"CONFIG_{name}=y"
        for name in needed
    ]
    return "\n".join([*lines, f"CONFIG_{option}={value}"]) + "\n"


def judge(option: str, value: str, config: "dict[str, str]") -> str:
    """What is wrong with a final configuration; "" if nothing is."""
    has_uk = config.get(UK, fragments.OFF) != fragments.OFF
    has_other = config.get(f"CONFIG_{option}", fragments.OFF) != fragments.OFF
    if has_uk and has_other:
        return f"{UK} with CONFIG_{option}={value}"
    if not has_other and option not in IMPOSSIBLE:
        return f"CONFIG_{option}={value} does not come out, so that nothing is known of it"
    return ""


def check(source_tree: Path, kernel: KernelRelease, log: Path) -> Iterator[str]:
    """Yields what is wrong. source_tree: the kernel's, patched."""
    options = excluded(kernel.name)
    linux.configure(source_tree, kernel.fragments(), log)
    config = source_tree / ".config"
    ours = config.read_text()
    modules = MODULAR[kernel.name]
    combinations = [(option, "y") for option in options] + [(option, "m") for option in modules]
    for option, value in combinations:
        # of two lines the later one counts
        config.write_text(ours + wanted(option, value, options[option]))
        linux.complete(source_tree, log)
        complaint = judge(option, value, fragments.parse(config.read_text()))
        if complaint:
            yield complaint
