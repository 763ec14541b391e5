"""Snapshots: a machine that has started, kept in a directory, continued as often as one likes.

manifest.py   what a snapshot says of itself: Manifest <-> JSON
accepted.py   what of a manifest's machine QEMU may be told
memory.py     the memory's file: holes for zeros, and its checksum
words.py      QEMU's words for a machine that is saved or continued
take.py       `ukcc snapshot`: boots, waits, saves
saving.py     the conversation with QEMU and the guest that saves
check.py      whether a snapshot may be continued here
resume.py     `ukcc run --from`: continues, with clock, entropy and ports of its own
"""
