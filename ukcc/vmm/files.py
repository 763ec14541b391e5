"""What a VMM opens, as descriptors that it inherits: by them it needs no right to the directories
above, and gets what was looked at.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Sequence

from ukcc.descriptors import memory_file, path_of
from ukcc.errors import MachineError
from ukcc.vm.machine import Machine
from ukcc.vm.storage.disks import Disk
from ukcc.vmm.confine import VmmUser
from ukcc.vmm.description import VSOCK, Description


def describe(
    stack: contextlib.ExitStack, machine: Machine, archive: bytes, user: VmmUser, *, listens: bool
) -> tuple[Description, tuple[int, ...]]:
    """The machine as the VMM is told of it, and the descriptors that it inherits for that.

    machine: its disks are open; archive: the settings; listens: the guest has an agent that does.
    Raises MachineError.
    """
    image = image_for(stack, machine.image, user)
    settings = memory_file(stack, "settings", archive)
    disks = disk_descriptors(machine.attached.disks)
    what = Description(
        machine,
        path_of(image),
        path_of(settings),
        tuple(path_of(fd) for fd in disks),
        VSOCK if listens else "",
        attended=True,
    )
    return what, (image, settings, *disks)


def image_for(stack: contextlib.ExitStack, image: str, user: VmmUser) -> int:
    """The image; a copy in memory where the VMM's user may not read it. Raises MachineError."""
    try:
        fd = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
        stack.callback(os.close, fd)
        others = os.fstat(fd).st_mode & stat.S_IROTH
        if user.ids is None or others:
            return fd
        with contextlib.ExitStack() as copying:
            source = copying.enter_context(os.fdopen(os.dup(fd), "rb"))
            copy = os.memfd_create("ukcc-image")
            stack.callback(os.close, copy)
            target = copying.enter_context(os.fdopen(os.dup(copy), "wb"))
            shutil.copyfileobj(source, target, 1 << 20)
        return copy
    except OSError as error:
        raise MachineError(f"{image}: {error.strerror}") from None


def disk_descriptors(disks: Sequence[Disk]) -> list[int]:
    """Of the disks' own files, in their order; all of them are open."""
    return [layer.fd for disk in disks for layer in disk.chain[:1] if layer.fd is not None]
