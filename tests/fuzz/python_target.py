"""The process that Atheris runs in: `python -m fuzz.python_target NAME OPTIONS-OF-LIBFUZZER…`."""

import resource
import shlex
import sys

import atheris

from fuzz import checking

# Bytes. Beyond it an allocation fails, and MemoryError is a finding.
_ADDRESSES = 3 << 30


def main(name: str, *options: str) -> None:
    """Does not return."""
    with atheris.instrument_imports(include=["ukcc"]):
        check = checking.load(name)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # what libFuzzer gives to a shell where it needs a second process
    again = shlex.join([sys.executable, "-m", "fuzz.python_target", name])
    atheris.Setup([again, *options], lambda data: checking.run(check, data))
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
