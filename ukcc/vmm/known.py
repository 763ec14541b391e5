"""The VMMs besides QEMU, by their names."""

from ukcc.vmm import cloud_hypervisor, firecracker
from ukcc.vmm.vmm import Vmm

VMMS = {vmm.name: vmm for vmm in (firecracker.VMM, cloud_hypervisor.VMM)}


def vmm_of(name: str) -> Vmm:
    """The one that `--vmm` names."""
    return VMMS[name]
