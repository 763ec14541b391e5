"""A machine as a VMM is told of it."""

from dataclasses import dataclass

from ukcc.vm.machine import Machine
from ukcc.vmm.agent import KERNEL_ARGUMENT

USUAL_CID = 3  # the guest's number where nobody has asked for one; each VMM has its own socket
VSOCK = "vsock"  # the socket's name in the VMM's directory


@dataclass(frozen=True)
class Description:
    """machine: as it was planned; image, settings, disks: paths by which the VMM opens them;
    vsock: path of the virtio socket's end on the host, empty for none; attended: somebody reads
    the exit record on the console.
    """

    machine: Machine
    image: str
    settings: str
    disks: tuple[str, ...] = ()
    vsock: str = ""
    attended: bool = False

    @property
    def cid(self) -> int:
        """The guest's number among virtio sockets."""
        asked = self.machine.hardware.vsock_cid
        return USUAL_CID if asked is None else asked

    @property
    def kernel_arguments(self) -> tuple[str, ...]:
        """What every VMM tells the kernel."""
        more = (KERNEL_ARGUMENT,) if self.attended else ()
        return (*self.machine.kernel_arguments, *more)
