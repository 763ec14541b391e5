"""`make kernel-check`: is the kernel patch what a kernel developer would take?

`style`: checkpatch, and how many lines each series adds. `revisions`: they apply, without fuzz, to
every revision of the kernel source that the distribution offers. `identity`: with our options off
they change no instruction. `tables`: a kernel without dead code has all the table entries that
belong to its code.
"""
