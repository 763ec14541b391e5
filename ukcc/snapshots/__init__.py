"""Snapshots: a machine that has started, kept in a directory, continued as often as one likes.

manifest.py   what a snapshot says of itself: Manifest <-> JSON
accepted.py   what of a manifest's machine QEMU may be told
memory.py     the memory's file: holes for zeros, and its checksum
qemu_args.py  QEMU's words for a machine that is saved or continued
create.py     `ukcc snapshot`: boots, waits, saves
save_qmp.py   the conversation with QEMU and the guest that saves
check.py      whether a snapshot may be continued here
restore_qmp.py  the conversation with a QEMU that is to continue a machine
resume.py     `ukcc run --from`: continues, with clock, entropy and ports of its own
"""
