"""`ukcc run --vmm firecracker|cloud-hypervisor`: the same machine, by their own APIs.

vmm.py              what a VMM is to us: its command line, its requests, its answers, as data
firecracker.py, cloud_hypervisor.py
                    each as such a value; pure functions from a Description to requests
description.py      the machine as a VMM is told of it: paths that it can open, and what it holds
known.py            by their names
api.py              requests over a VMM's socket
directory.py        the VMM's own directory
files.py            image, archive and disks as descriptors that it inherits
confine.py          the user that it runs as, and its limits
disk_lock.py        a disk has one machine, also where the VMM does not see to that
process.py          start, wait, stop
ending.py           the exit record, told from what the application writes on the same console
keyboard.py         a person's keys, for a VMM that wants a terminal
agent.c, agent.py   a program in the guest that does what the host asks
link.py             the host's end of that: signals, the window's size, the time
run.py              from options to an exit status
snapshot.py, manifest.py
                    machines saved and continued
pasted.py           what --dry-run prints
"""
