"""The program for a machine whose image was changed after it was packed.

As a process the program is the image's file, and sees in `/proc/self/exe` what was appended to it,
added by objcopy or taken away by strip. The archive's copy has none of that. So a changed file is
sent along, and init (sysroot/init/sparse.c) puts its parts at their offsets.
"""

import os

from ukcc.errors import MachineError, UkccError
from ukcc.image import cpio
from ukcc.image.archive_file import is_damaged
from ukcc.image.facts import read_metadata
from ukcc.image.headers import Headers, open_headers, reader
from ukcc.image.pack import CHECKSUM
from ukcc.image.program_file import checksum, machine_copy, program_extents
from ukcc.vm.boot import guest

EXTENTS = ".uk/extents"

_LARGEST = 1 << 30  # bytes; the machine needs memory for it as well, and newc's sizes end at 4 GiB
_LARGEST_INIT = 64 << 20  # bytes; ours has less than one MiB


_MEND = (
    "change the program first: link it with UKCC_PLAIN=1, change it, and make the image by `ukcc"
    " pack`"
)

# What is read to see whether it has changed; a hole may be of any size.
_LARGEST_FILE = 4 << 30


def _too_large(image: str) -> MachineError:
    return MachineError(
        f"{image}: it was changed since it was linked, and is too large to be sent along",
        "link it again, or keep what was appended in a file of its own",
    )


def is_changed(image: str) -> bool:
    """Whether the program's part of an image differs from what was packed. Raises MachineError."""
    recorded = read_metadata(image).get(CHECKSUM)
    if not recorded:  # an older image, or none
        return False
    fd, headers = _opened(image)
    try:
        if headers.size > _LARGEST_FILE:
            raise _too_large(image)
        return checksum(fd, headers) != str(recorded)
    except OSError as error:
        raise MachineError(f"{image}: {error.strerror}") from None
    finally:
        os.close(fd)


def changed_program(image: str) -> list[cpio.Entry]:
    """Members of the second archive that make the machine's program the image's; [] if it is.

    Raises MachineError.
    """
    program = str(read_metadata(image).get("program", ""))
    if not program or not is_changed(image):
        return []
    fd, headers = _opened(image)
    try:
        _check_archive(fd, headers, image)
        sparse = _init_knows_extents(image)
        if sum(length for _, length in program_extents(headers)) > _LARGEST:
            raise _too_large(image)
        copy = machine_copy(fd, headers, sparse=sparse)
    except OSError as error:
        raise MachineError(f"{image}: {error.strerror}") from None
    finally:
        os.close(fd)
    if len(copy) > _LARGEST:
        raise _too_large(image)
    members = [cpio.regular(program, copy, 0o755)]
    if sparse:
        words = [program, str(headers.size), *(f"{o} {n}" for o, n in program_extents(headers))]
        text = b"".join(os.fsencode(word) + b"\0" for word in words)
        members.append(cpio.regular(EXTENTS, text))
    return members


def _check_archive(fd: int, headers: Headers, image: str) -> None:
    """Raises MachineError if what was changed is a part of the machine's own copy, too: its kernel
    would find the archive damaged, and speak of memory."""
    try:
        if not is_damaged(reader(fd), headers, image):
            return
    except UkccError as error:
        raise MachineError(error.message, error.hint or _MEND) from None
    raise MachineError(
        f"{image}: another tool has changed code or constants of the program; they are in the image"
        " once, for the process and for the machine, which would not boot with them",
        _MEND,
    )


def _opened(image: str) -> tuple[int, Headers]:
    try:
        return open_headers(image)
    except UkccError as error:
        raise MachineError(error.message, error.hint) from None


def _init_knows_extents(image: str) -> bool:
    """Whether the image's init puts parts together: one of an older sysroot does not."""
    members = guest.archive_of(image, lambda m: m.path == "init" and m.size <= _LARGEST_INIT)
    init = next((m.data for m in members if m.path == "init"), b"")
    return f"/{EXTENTS}".encode() in init
