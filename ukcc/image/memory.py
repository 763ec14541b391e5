"""The smallest memory in which an image boots: the formula of docs/image.md, "Memory".

Part of every link: the standard library only.
"""

from __future__ import annotations

import stat

from ukcc.image.cpio import is_aligned
from ukcc.image.headers import PAGE, align_up
from ukcc.image.kernel import ALLOWANCE
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ukcc.image.cpio import Entry, Member

_MIB = 1 << 20

# The second archive of `ukcc run`, packed and unpacked: arguments and environment; a locale.
_SETTINGS, _LOCALE = _MIB // 4, 3 * _MIB // 4

# Kernels with SPARSEMEM have the struct pages of a whole section, however little of it is there.
_SECTION, _STRUCT_PAGES = 128 * _MIB, 2 * _MIB

# SeaBIOS keeps its tables in the last 16 MiB of a memory of 33 MiB and more, and works right below
# them, in less than another MiB (src/malloc.c: BUILD_MAX_HIGHTABLE, ZoneTmpHigh). Where that can be
# in the archive, the machine has to be so much larger that it is not.
_FIRMWARE = 17 * _MIB
_SMALL_FOR_FIRMWARE = 33 * _MIB

# What each CPU from the third on takes: data, stacks of its threads.
_CPU_MIB = 1
_CPUS_COUNTED = 2

_INODE = 1024  # bytes of slabs for a file, a directory or a link: inode, dentry
_NODES = 256  # one byte for so many of a file: the nodes of its page cache's tree

_SHORT_LINK = 128  # bytes of a link's target that need no page (mm/shmem.c)


class UnpackedFiles(Record):
    """What the members of an archive take when they are unpacked.

    members: how many; pages: bytes of their page cache; copied: of these, what the kernel copies
    out of the archive instead of taking its pages.
    """

    members: int
    pages: int
    copied: int


def files_of(members: Iterable[Entry | Member]) -> UnpackedFiles:
    """The sums of an archive that `cpio.archive` makes with `pages`."""
    number = pages = copied = 0
    for entry in members:
        number += 1
        if not stat.S_ISREG(entry.mode) and entry.size < _SHORT_LINK:
            continue
        size = align_up(entry.size)
        pages += size
        copied += size - entry.size // PAGE * PAGE if is_aligned(entry) else size
    return UnpackedFiles(number, pages, copied)


def smallest_memory(
    archive: int,
    files: UnpackedFiles,
    *,
    kernel_end: int,
    loaded_end: int,
    one_copy: bool,
    allowance: int = ALLOWANCE,
    loads_locale: bool = True,
) -> int:
    """MiB a machine needs to boot an image with `archive` bytes of archive.

    kernel_end: the physical address of the archive, behind the kernel; loaded_end: behind all that
    a hypervisor loads. one_copy, allowance: as Kernel has them; a kernel without the first copies
    all files, and has room for half of what is left then. loads_locale: of the second archive.

    Everything fits that a hypervisor loads; the kernel has memory for the files that it copies
    while the archive is there; the root's tmpfs, whose limit is the archive and half of the rest
    (`uk_archive_limit`), holds all files; and firmware does not write to the archive.
    """
    more = _unpacking(archive, files) if one_copy else align_up(archive) + 2 * files.pages
    unpacking = kernel_end + more + allowance + second_archive(loads_locale=loads_locale)
    sections = 1
    while unpacking + (sections - 1) * _STRUCT_PAGES > sections * _SECTION:
        sections += 1
    needed = max(loaded_end, unpacking + (sections - 1) * _STRUCT_PAGES)
    behind = kernel_end + align_up(archive) + _FIRMWARE
    if behind > _SMALL_FOR_FIRMWARE:
        needed = max(needed, behind)
    return -(-needed // _MIB)


def second_archive(*, loads_locale: bool) -> int:
    """Bytes for the second archive that the memory that an image states has room for."""
    return _SETTINGS + (_LOCALE if loads_locale else 0)


def second_archive_mib(members: Sequence[Entry], stated: int) -> int:
    """MiB that a second archive of these members adds to what the image itself states.

    stated: bytes that are counted there already (`second_archive`).
    """
    files = files_of(members)
    size = sum(len(member.data) for member in members)
    # nothing of it is taken as it lies
    needed = _unpacking(size, files._replace(copied=files.pages)) - stated
    return max(0, -(-needed // _MIB))


def more_cpus_mib(cpus: int) -> int:
    """MiB that a machine of so many CPUs needs besides what the image states."""
    return max(0, cpus - _CPUS_COUNTED) * _CPU_MIB


def _unpacking(archive: int, files: UnpackedFiles) -> int:
    """Bytes for an archive and what it becomes, while it is unpacked.

    As the root's tmpfs gets all of the archive but half of the rest only, what the files take more
    than the archive counts twice.
    """
    archive = align_up(archive)
    more = max(files.copied, 2 * (files.pages - archive))
    return archive + more + files.members * _INODE + files.pages // _NODES
