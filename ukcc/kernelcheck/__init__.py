"""`make kernel-check`: is the kernel patch what a kernel developer would take?

`style`: checkpatch, and how many lines the series adds. `revisions`: it applies, without fuzz, to
every revision of the kernel source that the distribution offers. `identity`: without CONFIG_UK it
changes no instruction.
"""
