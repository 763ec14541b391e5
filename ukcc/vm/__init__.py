"""`ukcc run`: from options to a machine, from a machine to a process, from its record to a status.

options.py   words of the command line -> frozen options
plan.py      options + what the image says + the terminal -> Machine
machine.py   Machine: what the virtual machine consists of, independent of the VMM
offers.py    what of a run needs a feature of the image's kernel
launch.py    does it all
debug.py     --gdb: the line for gdb; in_gdb.py runs inside gdb

net/         networks: options, plan, the host's end of taps and bridges, ports of the host
storage/     disks and their files, directories of the host by 9p and virtiofs
boot/        what init is told, and the files that a run adds to the image's
hypervisor/  Machine -> QEMU's argv; what this host's QEMU and KVM can do, and how QEMU is confined
live/        while the machine runs: its wiring, console, streams, signals, events, the exit record
"""
