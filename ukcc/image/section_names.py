"""The names of what an image has beside the program's own sections."""

from __future__ import annotations

OURS = ".uk."  # how each of them begins
METADATA_SECTION = ".uk.meta"
PVH_SECTION = ".uk.pvh"
ENTRY_SECTION = ".uk.entry"
ARCHIVE_SECTION = ".uk.archive"  # further pieces: .uk.archive.1 and so on
KERNEL_SECTIONS = ".uk.kernel."  # then the kernel's own name for it, without its dot
