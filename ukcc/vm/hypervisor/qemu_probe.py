"""What the QEMU of this host can do for our safety, found out by starting it without a machine."""

import json
import os
import re
import subprocess
from dataclasses import dataclass

from ukcc.errors import MachineError, UkccError
from ukcc.tables import plain, record
from ukcc.vm.hypervisor import findings, guard
from ukcc.vm.hypervisor.qemu import PROGRAM
from ukcc.vm.live.process import die_with_parent

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

_PATIENCE = 30.0  # seconds; it takes a twentieth of one
_VERSION = re.compile(rb"QEMU (\d+)\.(\d+)")
_QUIT = b"quit\n"


@dataclass(frozen=True)
class Abilities:
    """version: major and minor; no_sandbox: why it has no filter of system calls, empty if it has
    one; guarded: whether it loads the guard (guard.c).
    """

    version: tuple[int, int]
    no_sandbox: str = ""
    guarded: bool = True


def abilities() -> Abilities:
    """Asked once for each start of the host and each QEMU. Raises MachineError."""
    file = findings.file_for("qemu", PROGRAM, guard.LIBRARY)
    known = findings.read(file)
    try:
        return record(Abilities, json.loads(known), whole=True)
    except (ValueError, UkccError):
        found = probe()
    findings.write(file, json.dumps(plain(found)))
    return found


def probe() -> Abilities:
    """Starts QEMU with all of it, then with less. Raises MachineError if it does not start."""
    status, answer, said, guarded = _start(("-sandbox", SANDBOX))
    no_sandbox = ""
    if status != 0:
        no_sandbox = _last_line(said) or f"QEMU ended with status {status}"
        status, answer, said, guarded = _start(())
    version = _VERSION.search(answer)
    if status != 0 or version is None:
        reason = _last_line(said) or f"it ended with status {status}"
        raise MachineError(f"QEMU does not start: {reason}")
    return Abilities((int(version[1]), int(version[2])), no_sandbox, guarded)


def refusal(words: "tuple[str, ...]") -> str:
    """Why QEMU does not start, without a machine, by these words; empty if it does.

    Raises MachineError where it cannot be asked.
    """
    status, _, said, _ = _start(words)
    return "" if status == 0 else _last_line(said) or f"it ended with status {status}"


def _start(words: "tuple[str, ...]") -> tuple[int, bytes, bytes, bool]:
    """Its status, what it wrote, and whether the guard has told us that it is there."""
    telling, tell = os.pipe()
    argv = [PROGRAM, *words, "-machine", "none", "-nodefaults", "-no-user-config"]
    argv += ["-display", "none", "-monitor", "stdio"]
    with guard.open_library() as library:
        environment = guard.environment(library, loopback=False, tell=tell)
        try:
            done = subprocess.run(
                argv,
                input=_QUIT,
                capture_output=True,
                timeout=_PATIENCE,
                env=environment,
                pass_fds=(library, tell),
                preexec_fn=die_with_parent,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise MachineError(f"QEMU did not answer for {_PATIENCE:g} s") from None
        except OSError as error:
            raise MachineError(f"{PROGRAM}: {error.strerror}") from None
        finally:
            os.close(tell)
            guarded = bool(os.read(telling, 1))
            os.close(telling)
    return done.returncode, done.stdout, done.stderr, guarded


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix(f"{PROGRAM}: ") if lines else ""
