"""Builds what images are made from: kernel, glibc, headers and init, in a content-addressed store.

sources.py    the distribution's source tarballs
inputs.py     everything that goes in, and its digests
store.py      the directories, the locks, publishing by rename
tools.py      the programs that builds call
tree.py       unpacking and patching
fragments.py  the kernel's configuration, asked for and got
linux.py      kernel headers and the kernel
glibc.py      the C library, compiled by uk-gcc
parts.py      results of the long steps, kept
build.py      the order of things
clean.py      removing what is not needed
"""
