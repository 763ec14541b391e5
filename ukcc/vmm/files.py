"""What a VMM opens, as descriptors that it inherits: by them it needs no right to the directories
above, and gets what was looked at.
"""

import contextlib
import os
import shutil
import stat
from collections.abc import Sequence

from ukcc.errors import MachineError
from ukcc.vm.storage.disks import Disk
from ukcc.vmm.confine import VmmUser


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
