"""`ukcc run`: from options to a machine, from a machine to a process, from its record to a status.

options.py     words of the command line -> frozen options
plan.py        options + what the image says + the terminal -> Machine
machine.py     Machine: what the virtual machine consists of, independent of the VMM
qemu.py        Machine -> QEMU's argv
settings.py    what init is told, as the second archive
process.py     runs QEMU: console, time limit, signals
stopping.py    signals to us: the first is the application's, the second ends the machine
console.py     a person's terminal as the machine's console
trace.py       --trace: strace, and its options, for the second archive
debug.py       --gdb: the line for gdb; in_gdb.py runs inside gdb
net_*.py       networks: options, plan, QEMU's words, init's lines (docs/network.md)
taps.py        the host's end of taps and bridges
ports.py       who has a port of the host
backlog.py     longer queues for forwarded ports
record.py      the exit record -> exit status
accel.py       KVM or TCG, found by booting probe_guest.py's guest
"""
