"""Machines that run: where they are noted, and what can be asked of them (docs/lifecycle.md).

identity.py    a process, told from a later one with the same number
entry.py       one machine's directory: what it is, how it ended
registry.py    all of them: names, stale entries, those that have ended
logs.py        the output of a detached machine, bounded on disk
control.py     the socket in the directory: a signal to the application, the end of the machine
supervise.py   a run in the foreground or in the background, noted as long as it lasts
handshake.py   who starts one in the background hears whether it runs
client.py      stop, kill, wait, from another process
"""
