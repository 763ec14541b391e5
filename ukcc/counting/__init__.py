"""Counts what a guest executes, by a plugin of QEMU."""
