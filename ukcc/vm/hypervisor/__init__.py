"""QEMU: its command line, what this host's one can do, and what keeps it small."""
