"""The keys of `uk.toml` as data: the long options of `ukcc run`, and what each takes.

A link checks a file without click, so the options are here a second time;
tests/unit/settings/test_keys.py holds this table against the options themselves. `ukcc run` derives
its keys from the options.
"""

from __future__ import annotations

from ukcc.light.record import Record

TEXT = "a string"
TEXTS = "an array of strings"
INTEGER = "an integer"
NUMBER = "a number"
FLAG = "true or false"


class Key(Record):
    """What a key takes: one of the shapes above; choices: the only texts, or empty for any."""

    shape: str
    choices: tuple[str, ...] = ()


KEYS = {
    "accel": Key(TEXT, ("auto", "kvm", "tcg")),
    "add-host": Key(TEXTS),
    "argv0": Key(TEXT),
    "disk": Key(TEXTS),
    "dns": Key(TEXTS),
    "dns-search": Key(TEXTS),
    "env": Key(TEXTS),
    "hostname": Key(TEXT),
    "ip": Key(TEXTS),
    "machine": Key(TEXT, ("auto", "q35", "microvm")),
    "memory": Key(INTEGER),
    "name": Key(TEXT),
    "net": Key(TEXTS),
    "publish": Key(TEXTS),
    "qemu-user": Key(TEXT),
    "read-only": Key(FLAG),
    "share-by": Key(TEXT, ("auto", "virtiofs", "9p")),
    "smp": Key(INTEGER),
    "timeout": Key(NUMBER),
    "trace": Key(FLAG),
    "trace-filter": Key(TEXT),
    "trace-output": Key(TEXT),
    "tz": Key(TEXT),
    "ulimit": Key(TEXTS),
    "user": Key(TEXT),
    "volume": Key(TEXTS),
    "vsock": Key(INTEGER),
    "workdir": Key(TEXT),
}

# Options that are no keys, and why.
REFUSED = {
    "config": "a file cannot say which file is read",
    "create": "write it into disk: data.img:/data,create=1G",
    "detach": "it says how this one run is watched",
    "dry-run": "it is for one look at the command line",
    "file": "write the table [files]",
    "from": "what is continued has its settings already",
    "gdb": "it is for one run, which waits for a debugger",
    "json": "it says how --dry-run answers",
    "no-config": "a file cannot say that none is read",
    "vmm": "which VMM there is depends on the host",
}

# Values that begin with a path of the host: relative ones are relative to the file they are in. An
# image does not carry them: one from elsewhere must not open a directory of whoever runs it.
OF_HOST = frozenset({"disk", "trace-output", "volume"})

# Further keys, whose form docs/settings.md explains.
ARGUMENTS = "args"
ENVIRONMENT = "env"
FILES = "files"
STEPS = "init"
KERNEL = "kernel"
FURTHER = (ARGUMENTS, ENVIRONMENT, FILES, STEPS, KERNEL)

# What [kernel] class can be: the sysroot's kernel, or one for the program: as `ukcc specialise`
# chooses, for few bytes, or for few instructions.
KERNEL_CLASSES = ("general", "auto", "size", "speed")
