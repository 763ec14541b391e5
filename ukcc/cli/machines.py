"""Who makes the machine: QEMU or another VMM, from an image or from what was saved."""

from pathlib import Path

from ukcc.vm.hypervisor.vmm import QEMU, VMM_MANIFEST
from ukcc.vm.options import RunOptions


def run(options: RunOptions) -> int:
    """Boots the image or continues the snapshot; the exit status is as `ukcc.vm.launch.run` has it.

    Only what is needed is loaded.
    """
    if options.resume_from:
        if (Path(options.resume_from) / VMM_MANIFEST).exists():
            from ukcc.vmm.snapshot import resume as resume_by_vmm

            return resume_by_vmm(options)
        from ukcc.snapshots.resume import resume

        return resume(options)
    if options.vmm != QEMU:
        from ukcc.vmm.run import run as run_by_vmm

        return run_by_vmm(options)
    from ukcc.vm import launch

    return launch.run(options)


def create(options: RunOptions, target: str, text: str) -> int:
    """Saves the machine when it has said the text; the exit status is as each `create` has it."""
    if options.vmm != QEMU:
        from ukcc.vmm.snapshot import create as create_by_vmm

        return create_by_vmm(options, target, text)
    from ukcc.snapshots.create import create as create_by_qemu

    return create_by_qemu(options, target, text)
